-- Files, from the upload to the end of the message that has them. Their bytes are kept elsewhere,
-- under the keys of their parts.
CREATE TABLE attachments (
    id          BLOB    NOT NULL PRIMARY KEY,
    owner       BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name        TEXT    NOT NULL,
    -- open: bytes are missing; ready: a message may have it; attached: one has it.
    state       TEXT    NOT NULL CHECK (state IN ('open', 'ready', 'attached')),
    -- As announced while it is open, then as it is.
    bytes       INTEGER NOT NULL,
    received    INTEGER NOT NULL DEFAULT 0,
    media_type  TEXT,
    width       INTEGER,
    height      INTEGER,
    room        BLOB    REFERENCES rooms (id) ON DELETE CASCADE,
    message     BLOB,
    message_seq INTEGER,
    place       INTEGER,
    created_at  INTEGER NOT NULL,
    -- NULL: a message has it.
    expires_at  INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX attachments_of_owner ON attachments (owner, state, bytes);
CREATE INDEX attachments_of_message ON attachments (room, message_seq, place) WHERE room IS NOT NULL;
CREATE INDEX attachments_expiring ON attachments (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE attachment_parts (
    attachment BLOB    NOT NULL REFERENCES attachments (id) ON DELETE CASCADE,
    -- Where it begins in the file.
    first      INTEGER NOT NULL,
    bytes      INTEGER NOT NULL,
    key        TEXT    NOT NULL,
    PRIMARY KEY (attachment, first)
) STRICT, WITHOUT ROWID;

-- Objects that are to be removed: one, or with a slash at the end of the key all below it.
CREATE TABLE object_purges (
    key    TEXT    NOT NULL PRIMARY KEY,
    due_at INTEGER NOT NULL,
    -- Whether it was removed once already: a part that was being written may have come later.
    again  INTEGER NOT NULL DEFAULT 0 CHECK (again IN (0, 1))
) STRICT, WITHOUT ROWID;

CREATE INDEX object_purges_due ON object_purges (due_at);

-- However a file goes (with its message, its room or its owner, or because it expired), its bytes go.
CREATE TRIGGER attachments_gone AFTER DELETE ON attachments BEGIN
    INSERT INTO object_purges (key, due_at) VALUES ('files/' || lower(hex(OLD.id)) || '/', 0)
        ON CONFLICT (key) DO UPDATE SET due_at = 0, again = 0;
END;

-- The version of the user's picture, which is in the key of its object.
ALTER TABLE users ADD COLUMN avatar TEXT;

CREATE TRIGGER users_avatar_gone AFTER UPDATE OF avatar ON users
WHEN OLD.avatar IS NOT NULL AND OLD.avatar IS NOT NEW.avatar BEGIN
    INSERT INTO object_purges (key, due_at)
        VALUES ('avatars/' || lower(hex(OLD.id)) || '/' || OLD.avatar, 0)
        ON CONFLICT (key) DO UPDATE SET due_at = 0, again = 0;
END;
