//! The index of words.

macro_rules! candidate {
    () => {
        "s.id, s.room, s.seq, m.body"
    };
}

macro_rules! readable {
    () => {
        "JOIN members x ON x.room = s.room AND x.user_id = $1 \
         JOIN messages m ON m.room = s.room AND m.seq = s.seq \
         WHERE m.created_at >= $4 AND m.created_at < $5 \
         AND (NOT $6 OR EXISTS (SELECT 1 FROM attachments a \
                                WHERE a.room = s.room AND a.message_seq = s.seq))"
    };
}

statements! {
    /// Where so many messages end, counted from the newest of a part.
    FIND_FLOOR = "SELECT id FROM search WHERE id >= $1 AND id < $2 ORDER BY id DESC OFFSET $3 LIMIT 1";
    /// Messages with some words, newest first, by looking at each of a part. `OFFSET 0` keeps what is
    /// around it out of the choice of an index: by what the server guesses of a table that has just
    /// grown, it would go through whole rooms.
    LOOK = concat!(
        "SELECT ", candidate!(), " FROM (SELECT id, room, seq, words FROM search \
         WHERE id >= $2 AND id < $3 ORDER BY id DESC OFFSET 0) s ", readable!(), " \
         AND s.words @@ $7::text::tsquery ORDER BY s.id DESC LIMIT $8"
    );
    /// All messages of a part, newest first.
    LOOK_AT_ALL = concat!(
        "SELECT ", candidate!(), " FROM (SELECT id, room, seq FROM search \
         WHERE id >= $2 AND id < $3 ORDER BY id DESC OFFSET 0) s ", readable!(), " \
         ORDER BY s.id DESC LIMIT $7"
    );
    /// Messages with some words, newest first, by the index of words, which has them in no order.
    LOOK_UP = concat!(
        "SELECT ", candidate!(), " FROM (SELECT id, room, seq FROM search \
         WHERE words @@ $7::text::tsquery OFFSET 0) s ", readable!(), " \
         AND s.id >= $2 AND s.id < $3 ORDER BY s.id DESC LIMIT $8"
    );
}
