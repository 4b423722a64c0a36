-- What can be found of each message. `index_words` is a function of the program: it cuts a text into
-- words (crates/domain/src/search/words.rs). Triggers keep the index, so no change of a message can
-- forget it.
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

CREATE TRIGGER search_enters AFTER INSERT ON messages
WHEN NEW.status <> 'streaming' AND NEW.redacted_at IS NULL
BEGIN
    INSERT INTO search_rows (id, room, seq)
        SELECT CASE
            WHEN base > last THEN base
            WHEN base > last - (10000 << 21) THEN last + 1
            ELSE coalesce(
                (SELECT nullif(max(id) + 1, base + (1 << 21)) FROM search_rows
                 WHERE id BETWEEN base AND base + (1 << 21) - 1),
                iif(EXISTS (SELECT 1 FROM search_rows WHERE id = base), last + 1, base)
            ) END, NEW.room, NEW.seq
        FROM (SELECT min(max(NEW.created_at, 0), 4398046511103) << 21 AS base,
              coalesce((SELECT max(id) FROM search_rows), 0) AS last);
    INSERT INTO search_index (rowid, words)
        VALUES (last_insert_rowid(), '#' || lower(hex(NEW.room)) || ' @' || lower(hex(NEW.sender))
            || ' ' || index_words(NEW.body));
END;

-- A reply that was being written has ended.
CREATE TRIGGER search_enters_later AFTER UPDATE OF status ON messages
WHEN OLD.status = 'streaming' AND NEW.status <> 'streaming' AND NEW.redacted_at IS NULL
BEGIN
    INSERT INTO search_rows (id, room, seq)
        SELECT CASE
            WHEN base > last THEN base
            WHEN base > last - (10000 << 21) THEN last + 1
            ELSE coalesce(
                (SELECT nullif(max(id) + 1, base + (1 << 21)) FROM search_rows
                 WHERE id BETWEEN base AND base + (1 << 21) - 1),
                iif(EXISTS (SELECT 1 FROM search_rows WHERE id = base), last + 1, base)
            ) END, NEW.room, NEW.seq
        FROM (SELECT min(max(NEW.created_at, 0), 4398046511103) << 21 AS base,
              coalesce((SELECT max(id) FROM search_rows), 0) AS last);
    INSERT INTO search_index (rowid, words)
        VALUES (last_insert_rowid(), '#' || lower(hex(NEW.room)) || ' @' || lower(hex(NEW.sender))
            || ' ' || index_words(NEW.body));
END;

CREATE TRIGGER search_changes AFTER UPDATE OF body ON messages
WHEN OLD.status <> 'streaming' AND OLD.redacted_at IS NULL AND NEW.redacted_at IS NULL
    AND NEW.body <> OLD.body
BEGIN
    INSERT INTO search_index (search_index, rowid, words)
        SELECT 'delete', id, '#' || lower(hex(OLD.room)) || ' @' || lower(hex(OLD.sender)) || ' '
            || index_words(OLD.body)
        FROM search_rows WHERE room = OLD.room AND seq = OLD.seq;
    INSERT INTO search_index (rowid, words)
        SELECT id, '#' || lower(hex(NEW.room)) || ' @' || lower(hex(NEW.sender)) || ' '
            || index_words(NEW.body)
        FROM search_rows WHERE room = NEW.room AND seq = NEW.seq;
END;

CREATE TRIGGER search_leaves AFTER UPDATE OF redacted_at ON messages
WHEN OLD.status <> 'streaming' AND OLD.redacted_at IS NULL AND NEW.redacted_at IS NOT NULL
BEGIN
    INSERT INTO search_index (search_index, rowid, words)
        SELECT 'delete', id, '#' || lower(hex(OLD.room)) || ' @' || lower(hex(OLD.sender)) || ' '
            || index_words(OLD.body)
        FROM search_rows WHERE room = OLD.room AND seq = OLD.seq;
    DELETE FROM search_rows WHERE room = OLD.room AND seq = OLD.seq;
END;

CREATE TRIGGER search_ends AFTER DELETE ON messages
WHEN OLD.status <> 'streaming' AND OLD.redacted_at IS NULL
BEGIN
    INSERT INTO search_index (search_index, rowid, words)
        SELECT 'delete', id, '#' || lower(hex(OLD.room)) || ' @' || lower(hex(OLD.sender)) || ' '
            || index_words(OLD.body)
        FROM search_rows WHERE room = OLD.room AND seq = OLD.seq;
    DELETE FROM search_rows WHERE room = OLD.room AND seq = OLD.seq;
END;
