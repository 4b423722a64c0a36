//! Files, and objects that are to be removed.

macro_rules! upload {
    () => {
        "id, name, bytes, received, state, media_type, width, height, expires_at"
    };
}

statements! {
    INSERT = "INSERT INTO attachments (id, owner, name, state, bytes, created_at, expires_at) \
              VALUES (?1, ?2, ?3, 'open', ?4, ?5, ?6)";
    /// Uploads that no message has, and the bytes of all files.
    COUNT_OF_OWNER = "SELECT count(*) FILTER (WHERE state <> 'attached'), coalesce(sum(bytes), 0) \
                      FROM attachments WHERE owner = ?1";
    FIND = concat!("SELECT ", upload!(), " FROM attachments WHERE id = ?1 AND owner = ?2");
    LIST_OPEN = concat!(
        "SELECT ", upload!(), " FROM attachments WHERE owner = ?1 AND state <> 'attached' \
         ORDER BY created_at, id"
    );
    LIST_PARTS = "SELECT first, bytes, key FROM attachment_parts WHERE attachment = ?1 \
                  ORDER BY first";
    COUNT_PARTS = "SELECT count(*) FROM attachment_parts WHERE attachment = ?1";
    INSERT_PART = "INSERT INTO attachment_parts (attachment, first, bytes, key) \
                   VALUES (?1, ?2, ?3, ?4)";
    DELETE_PARTS = "DELETE FROM attachment_parts WHERE attachment = ?1";
    ADD_BYTES = "UPDATE attachments SET received = received + ?2, expires_at = ?3 WHERE id = ?1";
    FINISH = "UPDATE attachments SET state = 'ready', name = ?2, media_type = ?3, width = ?4, \
              height = ?5, bytes = ?6, received = ?6, expires_at = ?7 WHERE id = ?1";
    DELETE = "DELETE FROM attachments WHERE id = ?1 AND owner = ?2 AND state <> 'attached'";
    EXPIRE = "DELETE FROM attachments WHERE id IN (SELECT id FROM attachments \
              WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)";
    ATTACH = "UPDATE attachments SET state = 'attached', room = ?2, message = ?3, \
              message_seq = ?4, place = ?5, expires_at = NULL WHERE id = ?1";
    /// Files of messages of a room, in the order of the messages.
    LIST_OF_MESSAGE = concat!(
        "SELECT ", upload!(), ", message_seq FROM attachments \
         WHERE room = ?1 AND message_seq = ?2 ORDER BY place"
    );
    FIND_OF_ROOM = concat!("SELECT ", upload!(), " FROM attachments WHERE id = ?1 AND room = ?2");
    FIND_STORED = concat!(
        "SELECT ", upload!(), ", room, message FROM attachments \
         WHERE id = ?1 AND state = 'attached'"
    );
    DELETE_OF_MESSAGE = "DELETE FROM attachments WHERE room = ?1 AND message_seq = ?2";
    DELETE_OF_ROOM = "DELETE FROM attachments WHERE room = ?1";
    /// Files of a user; with the second parameter, also those that messages have.
    DELETE_OF_OWNER = "DELETE FROM attachments WHERE id IN (SELECT id FROM attachments \
                       WHERE owner = ?1 AND (state <> 'attached' OR ?2) LIMIT ?3)";
    SET_AVATAR = "UPDATE users SET avatar = ?2 WHERE id = ?1";
    FIND_AVATAR = "SELECT id, avatar FROM users WHERE username = ?1 AND avatar IS NOT NULL";
    NOTE_PURGE = "INSERT INTO object_purges (key, due_at) VALUES (?1, ?2) \
                  ON CONFLICT (key) DO NOTHING";
    CLAIM_DUE_PURGES = "UPDATE object_purges SET due_at = ?3 WHERE key IN (SELECT key \
                        FROM object_purges WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2) \
                        RETURNING key";
    COUNT_DUE_PURGES = "SELECT count(*) FROM object_purges WHERE due_at <= ?1";
    IS_TO_BE_REMOVED = "SELECT 1 FROM object_purges WHERE key = ?1";
    DELETE_PURGE = "DELETE FROM object_purges WHERE key = ?1";
    DELETE_SETTLED_PURGE = "DELETE FROM object_purges WHERE key = ?1 AND due_at = ?2 \
                            AND (again = 1 OR substr(key, -1) <> '/')";
    POSTPONE_PURGE = "UPDATE object_purges SET due_at = ?3 WHERE key = ?1 AND due_at = ?2";
    PURGE_AGAIN = "UPDATE object_purges SET again = 1, due_at = ?3 WHERE key = ?1 AND due_at = ?2";
}
