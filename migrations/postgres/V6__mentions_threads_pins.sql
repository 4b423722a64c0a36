-- Mentions, threads, pins and what one reader sees of a room.

-- Whom the text mentions, in the order of the text; NULL: nobody.
ALTER TABLE messages ADD COLUMN mentions uuid[];
ALTER TABLE messages ADD COLUMN mentions_room boolean NOT NULL DEFAULT false;
ALTER TABLE messages ADD COLUMN edits bigint NOT NULL DEFAULT 0;
-- Both or none.
ALTER TABLE messages ADD COLUMN pinned_at bigint;
ALTER TABLE messages ADD COLUMN pinned_by uuid;

UPDATE messages SET edits = (SELECT count(*) FROM events e
    WHERE e.message = messages.id AND e.type = 'message.edited') WHERE edited_at IS NOT NULL;

-- The messages of a thread, and how many of them count.
CREATE INDEX messages_of_thread ON messages (thread, seq) INCLUDE (redacted_at)
    WHERE thread IS NOT NULL;
CREATE INDEX messages_pinned ON messages (room, pinned_at) WHERE pinned_at IS NOT NULL;

-- The same mentions by whom they are for, to be counted after a read marker. The id of zeros stands
-- for everyone in the room. Nobody is told of what they said themselves.
CREATE TABLE mentions (
    room    uuid   NOT NULL,
    user_id uuid   NOT NULL,
    seq     bigint NOT NULL,
    sender  uuid   NOT NULL,
    PRIMARY KEY (room, user_id, seq)
);

CREATE INDEX mentions_of_message ON mentions (room, seq);

ALTER TABLE members ADD COLUMN notifications text NOT NULL DEFAULT 'all'
    CHECK (notifications IN ('all', 'mentions', 'none'));

-- Does what `append_messages` does, and finds threads and mentions in the same step: a message that
-- names one of a thread, or answers one, belongs to the root of that thread; names that the text
-- mentions (`named`, with the number of the message, in lower case) are mentions where they are names
-- of members; `names_room` tells whether the text mentions everyone, which only moderators and owners
-- can do. Mentioned members come as rows of their own, with their place in the text in `o_place`.
CREATE FUNCTION append_messages_with_mentions(
    rooms uuid[], marks uuid[],
    room uuid[], sender uuid[], id uuid[], client_id text[], at bigint[], body text[],
    reply_to uuid[], thread uuid[],
    names_room boolean[], named_ord bigint[], named text[],
    called_ord bigint[], called_job uuid[], called_bot uuid[], called_if boolean[],
    check_ids boolean
) RETURNS TABLE (
    o_ord bigint, o_seq bigint, o_first bigint, o_stale boolean,
    o_username text, o_display_name text, o_active boolean,
    o_kind text, o_archived boolean, o_role text, o_muted_until bigint, o_found boolean,
    o_bot uuid, o_place bigint, o_thread uuid, o_mentions_room boolean, o_mentioned uuid
) LANGUAGE plpgsql VOLATILE
-- Every row is found by its key. Plans are kept, so one that suits a small table, and reads all of
-- it, must not be made in the first place.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    everyone CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
    stale uuid[];
BEGIN
    SELECT coalesce(array_agg(held.id) FILTER (WHERE held.bots_mark <> held.mark), '{}')
        INTO stale
        FROM (SELECT r.id, r.bots_mark, given.mark
              FROM unnest(
                  append_messages_with_mentions.rooms, append_messages_with_mentions.marks
              ) AS given (id, mark)
              JOIN rooms r ON r.id = given.id
              ORDER BY r.id FOR NO KEY UPDATE OF r) held;

    RETURN QUERY
    WITH wish AS (
        SELECT * FROM unnest(
            append_messages_with_mentions.room, append_messages_with_mentions.sender,
            append_messages_with_mentions.id, append_messages_with_mentions.client_id,
            append_messages_with_mentions.at, append_messages_with_mentions.body,
            append_messages_with_mentions.reply_to, append_messages_with_mentions.thread,
            append_messages_with_mentions.names_room
        ) WITH ORDINALITY AS w
            (room, sender, id, client_id, at, body, reply_to, thread, names_room, ord)
    ), named AS MATERIALIZED (
        SELECT n.ord, n.nth, u.id, u.username, u.display_name, u.kind
        FROM unnest(
            append_messages_with_mentions.named_ord, append_messages_with_mentions.named
        ) WITH ORDINALITY AS n (ord, name, nth)
        JOIN users u ON lower(u.username) = n.name COLLATE "C"
        JOIN members m ON m.room = append_messages_with_mentions.room[n.ord] AND m.user_id = u.id
    ), weighed AS (
        SELECT w.*, r.last_seq, r.kind, r.archived, m.role, m.muted_until,
            u.username, u.display_name, u.active, a.sender AS answered,
            coalesce(f.seq, CASE WHEN o.room = w.room AND o.sender = w.sender THEN o.seq END)
                AS first,
            o.id IS NOT NULL AS taken,
            (w.reply_to IS NULL OR a.id IS NOT NULL) AND (w.thread IS NULL OR t.id IS NOT NULL)
                AS found,
            coalesce(t.thread, t.id, a.thread) AS root,
            w.names_room AND coalesce(m.role IN ('owner', 'moderator'), false) AS to_room,
            w.room = ANY (stale) AS stale
        FROM wish w
        LEFT JOIN rooms r ON r.id = w.room
        LEFT JOIN members m ON m.room = w.room AND m.user_id = w.sender
        LEFT JOIN users u ON u.id = w.sender
        LEFT JOIN messages f
            ON f.room = w.room AND f.sender = w.sender AND f.client_id = w.client_id
        LEFT JOIN messages o ON append_messages_with_mentions.check_ids AND o.id = w.id
        LEFT JOIN messages a ON a.id = w.reply_to AND a.room = w.room
        LEFT JOIN messages t ON t.id = w.thread AND t.room = w.room
    ), placed AS (
        SELECT d.*, CASE WHEN d.fine
            THEN d.last_seq + count(*) FILTER (WHERE d.fine)
                OVER (PARTITION BY d.room ORDER BY d.ord ROWS UNBOUNDED PRECEDING)
            END AS seq
        FROM (
            SELECT x.*, coalesce(x.active AND NOT x.archived AND x.role IS NOT NULL
                AND coalesce(x.muted_until, x.at) <= x.at AND x.first IS NULL AND NOT x.taken
                AND x.found AND NOT x.stale, false) AS fine
            FROM weighed x
        ) d
    ), written AS (
        INSERT INTO messages
            (room, seq, id, sender, client_id, status, reply_to, thread, created_at, logged, body,
            mentions, mentions_room)
        SELECT p.room, p.seq, p.id, p.sender, p.client_id, 'complete', p.reply_to, p.root, p.at,
            false, p.body,
            (SELECT array_agg(n.id ORDER BY n.nth) FROM named n WHERE n.ord = p.ord), p.to_room
        FROM placed p WHERE p.seq IS NOT NULL
    ), noticed AS (
        INSERT INTO mentions (room, user_id, seq, sender)
        SELECT p.room, n.id, p.seq, p.sender FROM named n JOIN placed p ON p.ord = n.ord
        WHERE p.seq IS NOT NULL AND n.id <> p.sender
        UNION ALL
        SELECT p.room, everyone, p.seq, p.sender FROM placed p
        WHERE p.seq IS NOT NULL AND p.to_room
    ), grown AS (
        SELECT p.room, max(p.seq) AS seq FROM placed p WHERE p.seq IS NOT NULL GROUP BY p.room
    ), moved AS (
        UPDATE rooms r SET last_seq = g.seq FROM grown g WHERE r.id = g.room
    ), noted AS (
        INSERT INTO commit_log (rooms, seqs)
        SELECT array_agg(g.room), array_agg(g.seq) FROM grown g HAVING count(*) > 0
    )
    SELECT p.ord, p.seq, p.first, p.stale, p.username, p.display_name, p.active,
        p.kind, p.archived, p.role, p.muted_until, p.found, NULL::uuid, NULL::bigint,
        p.root, p.to_room, NULL::uuid
    FROM placed p
    UNION ALL
    SELECT n.ord, NULL, NULL, NULL, n.username, n.display_name, NULL,
        n.kind, NULL, NULL, NULL, NULL, NULL, n.nth,
        NULL, NULL, n.id
    FROM named n;

    IF cardinality(called_ord) = 0 THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH called AS (
        SELECT c.ord, c.job, c.bot, c.nth, m.room, m.id AS trigger, m.created_at AS at,
            row_number() OVER (PARTITION BY m.room ORDER BY c.nth) AS place
        FROM unnest(
            append_messages_with_mentions.called_ord, append_messages_with_mentions.called_job,
            append_messages_with_mentions.called_bot, append_messages_with_mentions.called_if
        ) WITH ORDINALITY AS c (ord, job, bot, conditional, nth)
        JOIN messages m ON m.id = append_messages_with_mentions.id[c.ord]
            AND m.room = append_messages_with_mentions.room[c.ord]
            -- Written by this call; with `check_ids` it may be an old one, which has its jobs.
            AND m.xmin = pg_current_xact_id()::xid
        LEFT JOIN messages a ON a.id = m.reply_to AND a.room = m.room
        WHERE NOT c.conditional OR a.sender = c.bot
    ), owed AS (
        INSERT INTO bot_jobs (id, room, trigger, bot, hops, state, due_at, created_at)
        SELECT c.job, c.room, c.trigger, c.bot, 1, 'queued', now_ms(), c.at
        FROM called c ORDER BY c.nth
    )
    SELECT q.ord, NULL::bigint, NULL::bigint, NULL::boolean, NULL::text, NULL::text, NULL::boolean,
        NULL::text, NULL::boolean, NULL::text, NULL::bigint, NULL::boolean, q.bot,
        q.place + max(q.length) OVER (PARTITION BY q.room), NULL::uuid, NULL::boolean, NULL::uuid
    FROM (
        -- The queue of a room is counted once.
        SELECT c.ord, c.room, c.bot, c.place, CASE WHEN c.place = 1 THEN (
            SELECT count(*) FROM bot_jobs b WHERE b.room = c.room AND b.state <> 'done'
        ) END AS length
        FROM called c
    ) q;
END $$;
