//! The index of words.

macro_rules! candidate {
    () => {
        "s.id, s.room, s.seq, m.body"
    };
}

macro_rules! readable {
    () => {
        "CROSS JOIN members x ON x.room = s.room AND x.user = ?1 \
         CROSS JOIN messages m ON m.room = s.room AND m.seq = s.seq \
         WHERE s.id >= ?2 AND s.id < ?3 AND m.created_at >= ?4 AND m.created_at < ?5"
    };
}

statements! {
    /// Messages with some words, newest first.
    SEARCH_WORDS = concat!(
        "SELECT ", candidate!(), " FROM search_index w CROSS JOIN search_rows s ON s.id = w.rowid ",
        readable!(), " AND w.search_index MATCH ?6 AND w.rowid >= ?2 AND w.rowid < ?3 \
         ORDER BY w.rowid DESC"
    );
    /// All messages, newest first.
    SEARCH_ALL = concat!(
        "SELECT ", candidate!(), " FROM search_rows s ", readable!(), " ORDER BY s.id DESC"
    );
}
