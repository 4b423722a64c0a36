-- Appending many messages at once, and what that needs.

-- A message that a person wrote and nobody has changed is its own `message.created` event: the row
-- holds all that the event says, so it is written once. `logged` tells whether the event has a row of
-- its own in `events`; a change of the text makes one first.
ALTER TABLE messages ADD COLUMN logged boolean NOT NULL DEFAULT true;

-- Changes whenever the answer to "which bots does a message call here" may change. Whoever remembers
-- the bots of a room shows the mark that they were read with.
ALTER TABLE rooms ADD COLUMN bots_mark uuid NOT NULL DEFAULT gen_random_uuid();

CREATE FUNCTION mark_room_of_member() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed uuid := CASE TG_OP WHEN 'DELETE' THEN OLD.room ELSE NEW.room END;
BEGIN
    UPDATE rooms SET bots_mark = gen_random_uuid() WHERE id = changed;
    RETURN NULL;
END $$;

CREATE TRIGGER members_bot_comes AFTER INSERT ON members
    FOR EACH ROW WHEN (NEW.bot) EXECUTE FUNCTION mark_room_of_member();
CREATE TRIGGER members_bot_goes AFTER DELETE ON members
    FOR EACH ROW WHEN (OLD.bot) EXECUTE FUNCTION mark_room_of_member();

CREATE FUNCTION mark_rooms_of_bot(changed uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- In the order of ids, as whoever appends locks them.
    PERFORM 1 FROM rooms WHERE id IN (SELECT room FROM members WHERE user_id = changed AND bot)
        ORDER BY id FOR NO KEY UPDATE;
    UPDATE rooms SET bots_mark = gen_random_uuid()
        WHERE id IN (SELECT room FROM members WHERE user_id = changed AND bot);
END $$;

CREATE FUNCTION mark_rooms_of_bot_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM mark_rooms_of_bot(CASE TG_OP WHEN 'DELETE' THEN OLD.user_id ELSE NEW.user_id END);
    RETURN NULL;
END $$;

CREATE FUNCTION mark_rooms_of_user_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM mark_rooms_of_bot(NEW.id);
    RETURN NULL;
END $$;

CREATE TRIGGER bots_come_and_go AFTER INSERT OR DELETE ON bots
    FOR EACH ROW EXECUTE FUNCTION mark_rooms_of_bot_row();
CREATE TRIGGER bots_answer_otherwise AFTER UPDATE ON bots
    FOR EACH ROW WHEN (OLD.trigger IS DISTINCT FROM NEW.trigger)
    EXECUTE FUNCTION mark_rooms_of_bot_row();
CREATE TRIGGER users_bot_changes AFTER UPDATE ON users
    FOR EACH ROW WHEN (NEW.kind = 'bot'
        AND (OLD.username, OLD.display_name, OLD.active)
            IS DISTINCT FROM (NEW.username, NEW.display_name, NEW.active))
    EXECUTE FUNCTION mark_rooms_of_user_row();

-- Old commits are forgotten by their time.
CREATE INDEX commit_log_at ON commit_log (at);

-- Writes messages of people, many at once, in the order of the arrays, and returns what came of each.
--
-- The rooms are locked in the order of their ids until the commit, so `seq` has no hole and follows
-- the order of the commits. All that decides is read by a second statement, which sees what those
-- wrote who held the locks before. Of a room whose mark is not the given one nothing is written. A
-- message is written when its room and its author are there, the author is a member and may write,
-- the same message was not written before, and what it answers is in the room. For others the row
-- says why not.
--
-- The same message is one with the same author's id, or, where `check_ids` asks for that, with the
-- same id; without it an id that is taken fails the call.
--
-- `rooms` and `marks` name each room once; `called_*` name the bots that a message calls, where
-- `called_if` is set only if the answered message is by that bot.
CREATE FUNCTION append_messages(
    rooms uuid[], marks uuid[],
    room uuid[], sender uuid[], id uuid[], client_id text[], at bigint[], body text[],
    reply_to uuid[], thread uuid[],
    called_ord bigint[], called_job uuid[], called_bot uuid[], called_if boolean[],
    check_ids boolean
) RETURNS TABLE (
    o_ord bigint, o_seq bigint, o_first bigint, o_stale boolean,
    o_username text, o_display_name text, o_active boolean,
    o_kind text, o_archived boolean, o_role text, o_muted_until bigint, o_found boolean,
    o_bot uuid, o_place bigint
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
    stale uuid[];
BEGIN
    SELECT coalesce(array_agg(held.id) FILTER (WHERE held.bots_mark <> held.mark), '{}')
        INTO stale
        FROM (SELECT r.id, r.bots_mark, given.mark
              FROM unnest(append_messages.rooms, append_messages.marks) AS given (id, mark)
              JOIN rooms r ON r.id = given.id
              ORDER BY r.id FOR NO KEY UPDATE OF r) held;

    RETURN QUERY
    WITH wish AS (
        SELECT * FROM unnest(
            append_messages.room, append_messages.sender, append_messages.id,
            append_messages.client_id, append_messages.at, append_messages.body,
            append_messages.reply_to, append_messages.thread
        ) WITH ORDINALITY AS w (room, sender, id, client_id, at, body, reply_to, thread, ord)
    ), weighed AS (
        SELECT w.*, r.last_seq, r.kind, r.archived, m.role, m.muted_until,
            u.username, u.display_name, u.active, a.sender AS answered,
            coalesce(f.seq, CASE WHEN o.room = w.room AND o.sender = w.sender THEN o.seq END)
                AS first,
            o.id IS NOT NULL AS taken,
            (w.reply_to IS NULL OR a.id IS NOT NULL) AND (w.thread IS NULL OR t.id IS NOT NULL)
                AS found,
            w.room = ANY (stale) AS stale
        FROM wish w
        LEFT JOIN rooms r ON r.id = w.room
        LEFT JOIN members m ON m.room = w.room AND m.user_id = w.sender
        LEFT JOIN users u ON u.id = w.sender
        LEFT JOIN messages f
            ON f.room = w.room AND f.sender = w.sender AND f.client_id = w.client_id
        LEFT JOIN messages o ON append_messages.check_ids AND o.id = w.id
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
            (room, seq, id, sender, client_id, status, reply_to, thread, created_at, logged, body)
        SELECT p.room, p.seq, p.id, p.sender, p.client_id, 'complete', p.reply_to, p.thread, p.at,
            false, p.body
        FROM placed p WHERE p.seq IS NOT NULL
    ), grown AS (
        SELECT p.room, max(p.seq) AS seq FROM placed p WHERE p.seq IS NOT NULL GROUP BY p.room
    ), moved AS (
        UPDATE rooms r SET last_seq = g.seq FROM grown g WHERE r.id = g.room
    ), noted AS (
        INSERT INTO commit_log (rooms, seqs)
        SELECT array_agg(g.room), array_agg(g.seq) FROM grown g HAVING count(*) > 0
    )
    SELECT p.ord, p.seq, p.first, p.stale, p.username, p.display_name, p.active,
        p.kind, p.archived, p.role, p.muted_until, p.found, NULL::uuid, NULL::bigint
    FROM placed p;

    IF cardinality(called_ord) = 0 THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH called AS (
        SELECT c.ord, c.job, c.bot, c.nth, m.room, m.id AS trigger, m.created_at AS at,
            row_number() OVER (PARTITION BY m.room ORDER BY c.nth) AS place
        FROM unnest(
            append_messages.called_ord, append_messages.called_job, append_messages.called_bot,
            append_messages.called_if
        ) WITH ORDINALITY AS c (ord, job, bot, conditional, nth)
        JOIN messages m ON m.id = append_messages.id[c.ord]
            AND m.room = append_messages.room[c.ord]
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
        q.place + max(q.length) OVER (PARTITION BY q.room)
    FROM (
        -- The queue of a room is counted once.
        SELECT c.ord, c.room, c.bot, c.place, CASE WHEN c.place = 1 THEN (
            SELECT count(*) FROM bot_jobs b WHERE b.room = c.room AND b.state <> 'done'
        ) END AS length
        FROM called c
    ) q;
END $$;
