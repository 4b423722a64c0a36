-- Mentions, threads, pins and what one reader sees of a room.

-- Whom the text mentions: their ids, 16 bytes each, in the order of the text; NULL: nobody.
ALTER TABLE messages ADD COLUMN mentions BLOB;
ALTER TABLE messages ADD COLUMN mentions_room INTEGER NOT NULL DEFAULT 0
    CHECK (mentions_room IN (0, 1));
ALTER TABLE messages ADD COLUMN edits INTEGER NOT NULL DEFAULT 0;
-- Both or none.
ALTER TABLE messages ADD COLUMN pinned_at INTEGER;
ALTER TABLE messages ADD COLUMN pinned_by BLOB;

UPDATE messages SET edits = (SELECT count(*) FROM events e
    WHERE e.message = messages.id AND e.type = 'message.edited') WHERE edited_at IS NOT NULL;

-- The messages of a thread, and how many of them count.
CREATE INDEX messages_of_thread ON messages (thread, seq, redacted_at) WHERE thread IS NOT NULL;
CREATE INDEX messages_pinned ON messages (room, pinned_at) WHERE pinned_at IS NOT NULL;

-- The same mentions by whom they are for, to be counted after a read marker. The id of zeros stands
-- for everyone in the room. Nobody is told of what they said themselves.
CREATE TABLE mentions (
    room   BLOB    NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    user   BLOB    NOT NULL,
    seq    INTEGER NOT NULL,
    sender BLOB    NOT NULL,
    PRIMARY KEY (room, user, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX mentions_of_message ON mentions (room, seq);

ALTER TABLE members ADD COLUMN notifications TEXT NOT NULL DEFAULT 'all'
    CHECK (notifications IN ('all', 'mentions', 'none'));
