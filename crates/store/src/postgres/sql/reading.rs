//! What one reader sees of a room: what is unread, mentions, pins, older texts.

/// How many messages by others follow the marker of a member `m` of a room `r`, up to a bound.
macro_rules! unread {
    () => {
        "(SELECT count(*) FROM (SELECT 1 FROM messages x WHERE x.room = r.id \
         AND x.seq > m.read_seq AND x.sender <> $2 AND x.redacted_at IS NULL LIMIT 1000) AS counted)"
    };
}

/// How many of them mention that member or everyone, up to the same bound.
macro_rules! unread_mentions {
    () => {
        "(SELECT count(*) FROM (SELECT DISTINCT n.seq FROM mentions n WHERE n.room = r.id \
         AND n.user_id IN ($2, '00000000-0000-0000-0000-000000000000') \
         AND n.seq > m.read_seq AND n.sender <> $2 LIMIT 1000) AS counted)"
    };
}
pub(in crate::postgres::sql) use {unread, unread_mentions};

statements! {
    /// At most to the newest event. Tells whether the marker has moved forward.
    SET_MARKER = "WITH was AS (SELECT m.read_seq, r.last_seq FROM members m \
                  JOIN rooms r ON r.id = m.room WHERE m.room = $1 AND m.user_id = $2 \
                  FOR UPDATE OF m) \
                  UPDATE members m SET read_seq = least($3, was.last_seq) FROM was \
                  WHERE m.room = $1 AND m.user_id = $2 \
                  RETURNING m.read_seq, m.read_seq > was.read_seq";
    COUNT_UNREAD = concat!(
        "SELECT ", unread!(), ", ", unread_mentions!(), " FROM members m \
         JOIN rooms r ON r.id = m.room WHERE m.room = $1 AND m.user_id = $2"
    );
    SET_NOTIFICATIONS = "UPDATE members SET notifications = $3 WHERE room = $1 AND user_id = $2";
    LIST_MEMBERS_BY_NAMES = "SELECT u.id, u.username, u.display_name, u.kind \
                             FROM unnest($2::text[]) WITH ORDINALITY AS n (name, nth) \
                             JOIN users u ON lower(u.username) = n.name COLLATE \"C\" \
                             JOIN members m ON m.room = $1 AND m.user_id = u.id ORDER BY n.nth";
    INSERT_MENTIONS = "INSERT INTO mentions (room, user_id, seq, sender) \
                       SELECT $1, unnest($2::uuid[]), $3, $4";
    DELETE_MENTIONS_OF_MESSAGE = "DELETE FROM mentions WHERE room = $1 AND seq = $2";
    DELETE_MENTIONS = "DELETE FROM mentions WHERE room = $1";
    SET_MENTIONS = "UPDATE messages SET mentions = $3 WHERE room = $1 AND seq = $2";
    COUNT_PINS = "SELECT count(*) FROM messages WHERE room = $1 AND pinned_at IS NOT NULL";
    PIN = "UPDATE messages SET pinned_at = $3, pinned_by = $4 WHERE room = $1 AND seq = $2";
    UNPIN = "UPDATE messages SET pinned_at = NULL, pinned_by = NULL WHERE room = $1 AND seq = $2";
    /// What the replies of threads amount to; roots without any that counts are left out.
    LIST_REPLIES = "SELECT n.root, \
                    (SELECT count(*) FROM messages c WHERE c.thread = n.root \
                    AND c.redacted_at IS NULL), newest.seq, newest.created_at \
                    FROM unnest($1::uuid[]) AS n (root) CROSS JOIN LATERAL \
                    (SELECT t.seq, t.created_at FROM messages t WHERE t.thread = n.root \
                    AND t.redacted_at IS NULL ORDER BY t.seq DESC LIMIT 1) AS newest";
    LIST_USERS = "SELECT id, username, display_name, kind FROM users WHERE id = ANY ($1)";
    /// The texts of an edited message, newest first.
    LIST_VERSIONS = "SELECT data::jsonb ->> 'body', at FROM events WHERE message = $1 \
                     AND type IN ('message.created', 'message.edited') ORDER BY seq DESC LIMIT $2";
    /// The position from which on messages are of a time or later, by halves: times ascend with
    /// positions, as nearly as the clocks of the nodes agree.
    FIND_POSITION_OF_TIME = "WITH RECURSIVE search (low, high) AS (\
        SELECT 0::bigint, last_seq + 1 FROM rooms WHERE id = $1 UNION ALL \
        SELECT CASE WHEN middle.created_at < $2 THEN middle.seq + 1 ELSE low END, \
        CASE WHEN middle.created_at < $2 THEN high ELSE (low + high) / 2 END \
        FROM search LEFT JOIN LATERAL (SELECT m.seq, m.created_at FROM messages m \
        WHERE m.room = $1 AND m.seq >= (search.low + search.high) / 2 AND m.seq < search.high \
        ORDER BY m.seq LIMIT 1) AS middle ON true WHERE low < high) \
        SELECT low FROM search WHERE low >= high";
}
