-- Who may do what in a room, besides what the roles say: a document, in which what is absent is the
-- default.
ALTER TABLE rooms ADD COLUMN settings text NOT NULL DEFAULT '{}';

-- When someone last wrote in a room in slow mode. Apart from the membership, so that leaving and
-- coming back is no way around it. Written only under the lock of the room's row.
CREATE TABLE last_posts (
    room    uuid   NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    user_id uuid   NOT NULL REFERENCES users (id),
    at      bigint NOT NULL,
    PRIMARY KEY (room, user_id)
) WITH (fillfactor = 80);

-- Rooms that someone was a member of once: where, besides the rooms of today, messages of theirs may
-- be. Noted when a membership ends.
CREATE TABLE past_members (
    user_id uuid NOT NULL REFERENCES users (id),
    room    uuid NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, room)
);

CREATE INDEX past_members_of_room ON past_members (room);

INSERT INTO past_members (user_id, room)
SELECT DISTINCT m.sender, m.room FROM messages m
JOIN rooms r ON r.id = m.room
JOIN users u ON u.id = m.sender
WHERE NOT EXISTS (SELECT 1 FROM members n WHERE n.room = m.room AND n.user_id = m.sender);
