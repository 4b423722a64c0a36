//! The index of words.

use super::members::is_there;

/// A message and its text. The text is missing where the message is no answer, because of its room,
/// its author, its time or its files: that it was looked at is told in any case, so that an
/// interrupted search knows how far it came.
macro_rules! candidate {
    () => {
        concat!(
            "SELECT s.id, s.room, s.seq, \
                 (SELECT m.body FROM members x \
                  CROSS JOIN messages m ON m.room = s.room AND m.seq = s.seq \
                  WHERE x.room = s.room AND x.user = ?1 \
                      AND (?7 IS NULL OR s.room = ?7) AND (?8 IS NULL OR m.sender = ?8) \
                      AND m.created_at >= ?4 AND m.created_at < ?5 \
                      AND (NOT ?6 OR EXISTS (SELECT 1 FROM attachments a \
                                             WHERE a.room = s.room AND a.message_seq = s.seq)) \
                      AND ",
            is_there!(),
            ")"
        )
    };
}

statements! {
    /// How many entries are to be taken out of the index.
    COUNT_LEAVING = "SELECT count(*) FROM search_leaving";
    TAKE_OUT = "INSERT INTO search_index (search_index, rowid, words) \
                SELECT 'delete', id, words FROM search_leaving ORDER BY id";
    CLEAR_LEAVING = "DELETE FROM search_leaving";
    /// Notes a message that is to be put into the index.
    ENTER = "INSERT INTO search_entering (room, seq) VALUES (?1, ?2)";
    /// What is to be put in, oldest first, each with its number if it has one.
    LIST_ENTERING = "SELECT m.room, m.seq, m.sender, m.created_at, m.body, s.id \
                     FROM search_entering e \
                     CROSS JOIN messages m ON m.room = e.room AND m.seq = e.seq \
                     LEFT JOIN search_rows s ON s.room = e.room AND s.seq = e.seq \
                     ORDER BY m.created_at, m.room, m.seq";
    NEWEST = "SELECT coalesce(max(id), 0) FROM search_rows";
    NEWEST_BETWEEN = "SELECT max(id) FROM search_rows WHERE id >= ?1 AND id < ?2";
    NUMBER = "INSERT INTO search_rows (id, room, seq) VALUES (?1, ?2, ?3)";
    PUT_IN = "INSERT INTO search_index (rowid, words) VALUES (?1, ?2)";
    CLEAR_ENTERING = "DELETE FROM search_entering";
    /// Whether what is taken out is overwritten at once.
    OVERWRITE = "INSERT INTO search_index (search_index, rank) VALUES ('secure-delete', ?1)";
    /// Rewrites a part of the index, so that what was taken out is gone.
    REWRITE = "INSERT INTO search_index (search_index, rank) VALUES ('merge', ?1)";
    /// Messages with some words, newest first.
    SEARCH_WORDS = concat!(
        candidate!(), " FROM search_index w CROSS JOIN search_rows s ON s.id = w.rowid \
         WHERE w.search_index MATCH ?9 AND w.rowid >= ?2 AND w.rowid < ?3 ORDER BY w.rowid DESC"
    );
    /// All messages, newest first.
    SEARCH_ALL = concat!(
        candidate!(), " FROM search_rows s WHERE s.id >= ?2 AND s.id < ?3 ORDER BY s.id DESC"
    );
}
