//! The index of words.

statements! {
    /// Messages with some words, newest first.
    SEARCH = "SELECT s.id, s.room, s.seq, m.body FROM search s \
              JOIN members x ON x.room = s.room AND x.user_id = $1 \
              JOIN messages m ON m.room = s.room AND m.seq = s.seq \
              WHERE s.id >= $2 AND s.id < $3 AND m.created_at >= $4 AND m.created_at < $5 \
              AND (NOT $6 OR EXISTS (SELECT 1 FROM attachments a \
                                     WHERE a.room = s.room AND a.message_seq = s.seq)) \
              AND s.words @@ $7::text::tsquery ORDER BY s.id DESC LIMIT $8";
    /// All messages, newest first.
    SEARCH_ALL = "SELECT s.id, s.room, s.seq, m.body FROM search s \
                  JOIN members x ON x.room = s.room AND x.user_id = $1 \
                  JOIN messages m ON m.room = s.room AND m.seq = s.seq \
                  WHERE s.id >= $2 AND s.id < $3 AND m.created_at >= $4 AND m.created_at < $5 \
                  AND (NOT $6 OR EXISTS (SELECT 1 FROM attachments a \
                                         WHERE a.room = s.room AND a.message_seq = s.seq)) \
                  ORDER BY s.id DESC LIMIT $7";
}
