-- What can be found of each message. Triggers keep it, so no change of a message can forget it, and
-- nodes of the release before keep it as well.
--
-- A message is searchable once its author has finished it and until its text is removed.

-- Cuts a text into words: letters and digits without case and accents, cut at everything else. It is
-- the same rule as in crates/domain/src/search/words.rs, and a test compares both. Only case depends
-- on the database: where its locale is C, letters beyond ASCII keep theirs, and a search asks for
-- them in each of the usual cases.
CREATE FUNCTION search_words(body text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ARRAY(SELECT left(word, 64) FROM string_to_table(
        CASE WHEN octet_length(body) = length(body)
        THEN regexp_replace(lower(body), '[^a-z0-9]+', ' ', 'g')
        ELSE regexp_replace(
            regexp_replace(
                regexp_replace(
                    translate(lower(normalize(body, NFKD)), 'ς', 'σ'),
                        '[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1-\u05c2\u05c4-\u05c5\u05c7\u064b-\u065f'
                        '\u0670\u3099-\u309a]+', '', 'g'),
                    '[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00a9\u00ab-\u00b4\u00b6-\u00b8'
                    '\u00bb\u00bf\u00d7\u00f7\u02c2-\u02c5\u02d2-\u02df\u037e\u0387\u055a-\u055f'
                    '\u0589-\u058a\u05be\u05c0\u05c3\u05c6\u05f3-\u05f4\u060c-\u060d\u061b-\u061f'
                    '\u066a-\u066d\u06d4\u0964-\u0965\u0e3f\u0e4f\u0e5a-\u0e5b\u2000-\u206f'
                    '\u20a0-\u20cf\u2190-\u2bff\u2e00-\u2e7f\u2ff0-\u3004\u3008-\u3020\u3030'
                    '\u303d-\u303f\u30a0\u30fb\ue000-\uf8ff\ufd3e-\ufd3f\ufe00-\ufe1f\ufeff'
                    '\ufff9-\ufffd\U0001f000-\U0001faff\U000e0000-\U000e007f]+', ' ', 'g'),
                '([\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3041-\u3096\u309b-\u309f\u30a1-\u30fa'
                '\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U000323af])', ' \1 ', 'g')
        END, ' ') AS word WHERE word <> '')
$$;

-- Besides its words, each message has `#room` and `@sender`, with their ids.
CREATE FUNCTION search_document(room uuid, sender uuid, body text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_to_tsvector(search_words(body)
        || ('#' || replace(room::text, '-', '')) || ('@' || replace(sender::text, '-', '')))
$$;

CREATE SEQUENCE search_count;

-- Numbers searchable messages in the order of time: the number is the time in milliseconds, shifted
-- by 21 bits, and a count.
CREATE FUNCTION search_id(at bigint) RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT (least(greatest(at, 0), 4398046511103) << 21) | (nextval('search_count') & 2097151)
$$;

CREATE TABLE search (
    id    bigint   NOT NULL PRIMARY KEY,
    room  uuid     NOT NULL,
    seq   bigint   NOT NULL,
    words tsvector NOT NULL
);

-- Nobody writes messages until the end of this step.
LOCK TABLE messages IN SHARE ROW EXCLUSIVE MODE;

INSERT INTO search (id, room, seq, words)
    SELECT search_id(created_at), room, seq, search_document(room, sender, body)
    FROM messages WHERE status <> 'streaming' AND redacted_at IS NULL;

CREATE UNIQUE INDEX search_message ON search (room, seq);
-- What waits to be sorted in is read by every search, and whoever finds it full sorts it in.
CREATE INDEX search_by_words ON search USING gin (words) WITH (gin_pending_list_limit = 1024);

CREATE FUNCTION search_messages_enter() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO search (id, room, seq, words)
        SELECT search_id(a.created_at), a.room, a.seq, search_document(a.room, a.sender, a.body)
        FROM added a WHERE a.status <> 'streaming' AND a.redacted_at IS NULL
        ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

CREATE FUNCTION search_message_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status = 'streaming' OR NEW.redacted_at IS NOT NULL THEN
        DELETE FROM search WHERE room = OLD.room AND seq = OLD.seq;
    ELSE
        INSERT INTO search (id, room, seq, words)
            VALUES (search_id(NEW.created_at), NEW.room, NEW.seq,
                search_document(NEW.room, NEW.sender, NEW.body))
            ON CONFLICT (room, seq) DO UPDATE SET words = excluded.words;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION search_messages_leave() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM search s USING gone g WHERE s.room = g.room AND s.seq = g.seq;
    RETURN NULL;
END $$;

CREATE TRIGGER search_enters AFTER INSERT ON messages REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION search_messages_enter();
CREATE TRIGGER search_changes AFTER UPDATE OF body, status, redacted_at ON messages
    FOR EACH ROW WHEN ((OLD.body, OLD.status, OLD.redacted_at)
        IS DISTINCT FROM (NEW.body, NEW.status, NEW.redacted_at))
    EXECUTE FUNCTION search_message_changes();
CREATE TRIGGER search_leaves AFTER DELETE ON messages REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION search_messages_leave();
