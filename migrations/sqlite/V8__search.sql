-- What can be found of each message. `index_words` is a function of the program: it cuts a text into
-- words (crates/domain/src/search/words.rs). Whoever adds a message notes it in `search_entering`,
-- triggers note what changes, and the writer brings the index up to date at the end of each
-- transaction. A trigger for new messages would cost as much as writing them.
--
-- A message is searchable once its author has finished it and until its text is removed.

-- Numbers searchable messages in the order of time: the number is the time in milliseconds, shifted
-- by 21 bits, and a count. Numbers of messages written now always grow; messages from elsewhere take
-- the place of their time.
CREATE TABLE search_rows (
    id   INTEGER NOT NULL PRIMARY KEY,
    room BLOB    NOT NULL,
    seq  INTEGER NOT NULL,
    UNIQUE (room, seq)
) STRICT;

-- What is to be taken out of the index at the end of the transaction, and what is to be put in.
CREATE TABLE search_leaving (
    id    INTEGER NOT NULL PRIMARY KEY,
    words TEXT    NOT NULL
) STRICT;
CREATE TABLE search_entering (
    room BLOB    NOT NULL,
    seq  INTEGER NOT NULL,
    PRIMARY KEY (room, seq)
) STRICT, WITHOUT ROWID;

-- Only which words are in which message; where, is found in the message itself. Each message also has
-- the words `#room` and `@sender`, with their ids.
CREATE VIRTUAL TABLE search_index USING fts5 (
    words, content = '', detail = none, columnsize = 0, tokenize = "ascii tokenchars '#@'"
);

-- What is taken from the index is overwritten.
INSERT INTO search_index (search_index, rank) VALUES ('secure-delete', 1);

INSERT INTO search_rows (id, room, seq)
    SELECT (min(max(created_at, 0), 4398046511103) << 21)
        + row_number() OVER (PARTITION BY created_at ORDER BY room, seq) - 1, room, seq
    FROM messages WHERE status <> 'streaming' AND redacted_at IS NULL;

INSERT INTO search_index (rowid, words)
    SELECT s.id, '#' || lower(hex(m.room)) || ' @' || lower(hex(m.sender)) || ' '
        || index_words(m.body)
    FROM search_rows s JOIN messages m ON m.room = s.room AND m.seq = s.seq ORDER BY s.id;

-- A reply that was being written has ended.
CREATE TRIGGER search_enters AFTER UPDATE OF status ON messages
WHEN OLD.status = 'streaming' AND NEW.status <> 'streaming' AND NEW.redacted_at IS NULL
BEGIN
    INSERT OR IGNORE INTO search_entering (room, seq) VALUES (NEW.room, NEW.seq);
END;

CREATE TRIGGER search_changes AFTER UPDATE OF body ON messages
WHEN OLD.status <> 'streaming' AND OLD.redacted_at IS NULL AND NEW.redacted_at IS NULL
    AND NEW.body <> OLD.body
BEGIN
    INSERT OR IGNORE INTO search_leaving (id, words)
        SELECT id, '#' || lower(hex(OLD.room)) || ' @' || lower(hex(OLD.sender)) || ' '
            || index_words(OLD.body)
        FROM search_rows WHERE room = OLD.room AND seq = OLD.seq;
    INSERT OR IGNORE INTO search_entering (room, seq) VALUES (NEW.room, NEW.seq);
END;

CREATE TRIGGER search_leaves AFTER UPDATE OF redacted_at ON messages
WHEN OLD.status <> 'streaming' AND OLD.redacted_at IS NULL AND NEW.redacted_at IS NOT NULL
BEGIN
    INSERT OR IGNORE INTO search_leaving (id, words)
        SELECT id, '#' || lower(hex(OLD.room)) || ' @' || lower(hex(OLD.sender)) || ' '
            || index_words(OLD.body)
        FROM search_rows WHERE room = OLD.room AND seq = OLD.seq;
    DELETE FROM search_entering WHERE room = OLD.room AND seq = OLD.seq;
    DELETE FROM search_rows WHERE room = OLD.room AND seq = OLD.seq;
END;

CREATE TRIGGER search_ends AFTER DELETE ON messages
WHEN OLD.status <> 'streaming' AND OLD.redacted_at IS NULL
BEGIN
    INSERT OR IGNORE INTO search_leaving (id, words)
        SELECT id, '#' || lower(hex(OLD.room)) || ' @' || lower(hex(OLD.sender)) || ' '
            || index_words(OLD.body)
        FROM search_rows WHERE room = OLD.room AND seq = OLD.seq;
    DELETE FROM search_entering WHERE room = OLD.room AND seq = OLD.seq;
    DELETE FROM search_rows WHERE room = OLD.room AND seq = OLD.seq;
END;
