-- Who may do what in a room, besides what the roles say: a document, in which what is absent is the
-- default.
ALTER TABLE rooms ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';

-- When someone last wrote in a room in slow mode. Apart from the membership, so that leaving and
-- coming back is no way around it.
CREATE TABLE last_posts (
    room BLOB    NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    user BLOB    NOT NULL REFERENCES users (id),
    at   INTEGER NOT NULL,
    PRIMARY KEY (room, user)
) STRICT, WITHOUT ROWID;

-- Rooms that someone was a member of once: where, besides the rooms of today, messages of theirs may
-- be. Noted when a membership ends.
CREATE TABLE past_members (
    user BLOB NOT NULL REFERENCES users (id),
    room BLOB NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    PRIMARY KEY (user, room)
) STRICT, WITHOUT ROWID;

CREATE INDEX past_members_of_room ON past_members (room);

INSERT INTO past_members (user, room)
SELECT DISTINCT m.sender, m.room FROM messages m
WHERE NOT EXISTS (SELECT 1 FROM members n WHERE n.room = m.room AND n.user = m.sender);
