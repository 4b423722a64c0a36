-- Words are found in any case, whatever the locale of the database, and a text of very many different
-- words can be found by the first of them.

-- Writes a text in lower case by the rules of Unicode. The locale of the database does not: with C it
-- leaves letters beyond ASCII as they are, with that of Turkish it changes ASCII.
DO $$
DECLARE
    known text;
BEGIN
    -- By preference: one that comes with the database (17 and later), with ICU, with the system.
    SELECT quote_ident(c.collname) INTO known FROM pg_collation c
        WHERE c.collname IN ('pg_c_utf8', 'und-x-icu', 'C.utf8')
            AND c.collnamespace = 'pg_catalog'::regnamespace
            AND c.collencoding IN (-1, pg_char_to_encoding('UTF8'))
        ORDER BY array_position(ARRAY['pg_c_utf8', 'und-x-icu', 'C.utf8'], c.collname::text) LIMIT 1;
    EXECUTE format(
        'CREATE FUNCTION search_lower(body text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE '
        'AS %L',
        format('SELECT lower(body COLLATE pg_catalog.%s)', coalesce(known, '"default"'))
    );
END $$;

-- Cuts a text into words: letters and digits without case and accents, cut at everything else. It is
-- the same rule as in crates/domain/src/search/words.rs, and a test compares both.
CREATE OR REPLACE FUNCTION search_words(body text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ARRAY(SELECT left(word, 64) FROM string_to_table(
        CASE WHEN octet_length(body) = length(body)
        THEN regexp_replace(lower(body COLLATE "C"), '[^a-z0-9]+', ' ', 'g')
        ELSE regexp_replace(
            regexp_replace(
                regexp_replace(
                    translate(search_lower(normalize(body, NFKD)), 'ς', 'σ'),
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

-- Returns the different words that can be found, at most 1,000,000 bytes of them: more than 1 MiB of
-- words has no place in a document of the index. A text of 64 KiB never has so many, whatever its
-- characters are taken apart into.
CREATE FUNCTION search_indexed(body text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN octet_length(body) <= 65536 THEN search_words(body)
    ELSE ARRAY(
        SELECT word FROM (
            SELECT word, sum(octet_length(word)) OVER (ORDER BY first) AS bytes FROM (
                SELECT word, min(nth) AS first
                FROM unnest(search_words(body)) WITH ORDINALITY AS w (word, nth) GROUP BY word
            ) AS different
        ) AS counted WHERE bytes <= 1000000
    ) END
$$;

-- Besides its words, each message has `#room` and `@sender`, with their ids.
CREATE OR REPLACE FUNCTION search_document(room uuid, sender uuid, body text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_to_tsvector(search_indexed(body)
        || ('#' || replace(room::text, '-', '')) || ('@' || replace(sender::text, '-', '')))
$$;

-- What was written before is found by the same words.
-- Locked, so that an edit
-- by a node that still runs comes before or after it, and not in between.
UPDATE search s SET words = search_document(m.room, m.sender, m.body)
    FROM (SELECT room, seq, sender, body FROM messages
          WHERE octet_length(body) <> length(body) OR octet_length(body) > 65536
          FOR SHARE) m
    WHERE m.room = s.room AND m.seq = s.seq;
