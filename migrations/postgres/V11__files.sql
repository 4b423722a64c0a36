-- Files, from the upload to the end of the message that has them. Their bytes are kept elsewhere,
-- under the keys of their parts.
CREATE TABLE attachments (
    id          uuid   NOT NULL PRIMARY KEY,
    owner       uuid   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name        text   NOT NULL,
    -- open: bytes are missing; ready: a message may have it; attached: one has it.
    state       text   NOT NULL CHECK (state IN ('open', 'ready', 'attached')),
    -- As announced while it is open, then as it is.
    bytes       bigint NOT NULL,
    received    bigint NOT NULL DEFAULT 0,
    media_type  text,
    width       bigint,
    height      bigint,
    room        uuid   REFERENCES rooms (id) ON DELETE CASCADE,
    message     uuid,
    message_seq bigint,
    place       bigint,
    created_at  bigint NOT NULL,
    -- NULL: a message has it.
    expires_at  bigint
);

CREATE INDEX attachments_of_owner ON attachments (owner, state) INCLUDE (bytes);
CREATE INDEX attachments_of_message ON attachments (room, message_seq, place) WHERE room IS NOT NULL;
CREATE INDEX attachments_expiring ON attachments (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE attachment_parts (
    attachment uuid   NOT NULL REFERENCES attachments (id) ON DELETE CASCADE,
    -- Where it begins in the file.
    first      bigint NOT NULL,
    bytes      bigint NOT NULL,
    key        text   COLLATE "C" NOT NULL,
    PRIMARY KEY (attachment, first)
);

-- Objects that are to be removed: one, or with a slash at the end of the key all below it.
CREATE TABLE object_purges (
    key    text    COLLATE "C" NOT NULL PRIMARY KEY,
    due_at bigint  NOT NULL,
    -- Whether it was removed once already: a part that was being written may have come later.
    again  boolean NOT NULL DEFAULT false
);

CREATE INDEX object_purges_due ON object_purges (due_at);

-- However a file goes (with its message, its room or its owner, or because it expired), its bytes go.
CREATE FUNCTION purge_attachment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO object_purges (key, due_at)
        VALUES ('files/' || replace(OLD.id::text, '-', '') || '/', 0)
        ON CONFLICT (key) DO UPDATE SET due_at = 0, again = false;
    RETURN NULL;
END $$;

CREATE TRIGGER attachments_gone AFTER DELETE ON attachments
    FOR EACH ROW EXECUTE FUNCTION purge_attachment();

-- The version of the user's picture, which is in the key of its object.
ALTER TABLE users ADD COLUMN avatar text COLLATE "C";

CREATE FUNCTION purge_avatar() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO object_purges (key, due_at)
        VALUES ('avatars/' || replace(OLD.id::text, '-', '') || '/' || OLD.avatar, 0)
        ON CONFLICT (key) DO UPDATE SET due_at = 0, again = false;
    RETURN NULL;
END $$;

CREATE TRIGGER users_avatar_gone AFTER UPDATE OF avatar ON users
    FOR EACH ROW WHEN (OLD.avatar IS NOT NULL AND OLD.avatar IS DISTINCT FROM NEW.avatar)
    EXECUTE FUNCTION purge_avatar();
