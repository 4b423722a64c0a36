//! What one reader sees of a room: what is unread, mentions, pins, older texts.

/// How many messages by others follow the marker of a member `m` of a room `r`, up to a bound.
macro_rules! unread {
    () => {
        "(SELECT count(*) FROM (SELECT 1 FROM messages x WHERE x.room = r.id \
         AND x.seq > m.read_seq AND x.sender <> ?2 AND x.redacted_at IS NULL LIMIT 1000))"
    };
}

/// How many of them mention that member or everyone, up to the same bound.
macro_rules! unread_mentions {
    () => {
        "(SELECT count(*) FROM (SELECT DISTINCT n.seq FROM mentions n WHERE n.room = r.id \
         AND n.user IN (?2, zeroblob(16)) AND n.seq > m.read_seq AND n.sender <> ?2 LIMIT 1000))"
    };
}
pub(in crate::sqlite::sql) use {unread, unread_mentions};

statements! {
    FIND_MARKER = "SELECT m.read_seq, r.last_seq FROM members m JOIN rooms r ON r.id = m.room \
                   WHERE m.room = ?1 AND m.user = ?2";
    SET_MARKER = "UPDATE members SET read_seq = ?3 WHERE room = ?1 AND user = ?2";
    COUNT_UNREAD = concat!(
        "SELECT ", unread!(), ", ", unread_mentions!(), " FROM members m \
         JOIN rooms r ON r.id = m.room WHERE m.room = ?1 AND m.user = ?2"
    );
    SET_NOTIFICATIONS = "UPDATE members SET notifications = ?3 WHERE room = ?1 AND user = ?2";
    FIND_MEMBER_BY_NAME = "SELECT u.id, u.username, u.display_name, u.kind \
                           FROM users u JOIN members m ON m.room = ?1 AND m.user = u.id \
                           WHERE u.username = ?2";
    INSERT_MENTION = "INSERT INTO mentions (room, user, seq, sender) VALUES (?1, ?2, ?3, ?4)";
    DELETE_MENTIONS_OF_MESSAGE = "DELETE FROM mentions WHERE room = ?1 AND seq = ?2";
    DELETE_MENTIONS = "DELETE FROM mentions WHERE room = ?1";
    SET_MENTIONS = "UPDATE messages SET mentions = ?3 WHERE room = ?1 AND seq = ?2";
    COUNT_PINS = "SELECT count(*) FROM messages WHERE room = ?1 AND pinned_at IS NOT NULL";
    PIN = "UPDATE messages SET pinned_at = ?3, pinned_by = ?4 WHERE room = ?1 AND seq = ?2";
    UNPIN = "UPDATE messages SET pinned_at = NULL, pinned_by = NULL WHERE room = ?1 AND seq = ?2";
    /// What the replies of a thread amount to; no row without any that counts.
    FIND_REPLIES = "SELECT t.count, t.last, m.created_at FROM (SELECT count(*) AS count, \
                    max(seq) AS last FROM messages WHERE thread = ?2 AND redacted_at IS NULL) t \
                    JOIN messages m ON m.room = ?1 AND m.seq = t.last";
    /// The texts of an edited message, newest first.
    LIST_VERSIONS = "SELECT json_extract(data, '$.body'), at FROM events WHERE message = ?1 \
                     AND type IN ('message.created', 'message.edited') ORDER BY seq DESC LIMIT ?2";
    /// The position from which on messages are of a time or later, by halves: times ascend with
    /// positions, as nearly as the clocks of the nodes agree.
    FIND_POSITION_OF_TIME = "WITH RECURSIVE search (low, high) AS (\
        SELECT 0, last_seq + 1 FROM rooms WHERE id = ?1 UNION ALL \
        SELECT coalesce((SELECT CASE WHEN m.created_at < ?2 THEN m.seq + 1 END FROM messages m \
        WHERE m.room = ?1 AND m.seq >= (low + high) / 2 AND m.seq < high ORDER BY m.seq LIMIT 1), low), \
        CASE WHEN (SELECT m.created_at < ?2 FROM messages m WHERE m.room = ?1 \
        AND m.seq >= (low + high) / 2 AND m.seq < high ORDER BY m.seq LIMIT 1) \
        THEN high ELSE (low + high) / 2 END FROM search WHERE low < high) \
        SELECT low FROM search WHERE low >= high";
}
