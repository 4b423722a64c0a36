-- Who is at work: few rows, however long the queue is.
CREATE INDEX bot_jobs_held ON bot_jobs (room, bot) WHERE state = 'running';

-- Takes the next job for a worker, or none.
--
-- Of the jobs that are due: one of the room with the fewest held jobs, and there the oldest. At most
-- one job of the same bot in the same room is held: whoever takes one holds the lock of that pair to
-- the commit and looks again in a statement of its own, which sees what was committed before. Nobody
-- waits for anybody: what is being taken or written at this moment is passed over.
CREATE FUNCTION claim_job(by_worker uuid, lease bigint, busy_providers text[])
RETURNS uuid LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    next record;
BEGIN
    FOR next IN
        WITH clock AS MATERIALIZED (
            SELECT now_ms() AS now
        ), held AS MATERIALIZED (
            SELECT h.room, h.bot FROM bot_jobs h, clock
            WHERE h.state <> 'done' AND h.state = 'running' AND h.lease_until > clock.now
        ), at_work AS MATERIALIZED (
            SELECT room, count(*) AS n FROM held GROUP BY room
        )
        SELECT j.id, j.room, j.bot
        FROM clock, bot_jobs j
        LEFT JOIN bots b ON b.user_id = j.bot
        LEFT JOIN at_work w ON w.room = j.room
        WHERE j.state <> 'done'
            AND ((j.state = 'queued' AND j.due_at <= clock.now)
                OR (j.state = 'running' AND j.lease_until <= clock.now))
            AND (j.cancel_requested OR coalesce(b.provider, '') <> ALL (busy_providers))
            AND NOT EXISTS (SELECT 1 FROM held h WHERE h.room = j.room AND h.bot = j.bot)
        ORDER BY coalesce(w.n, 0), j.num
        LIMIT 64
    LOOP
        CONTINUE WHEN NOT EXISTS (SELECT 1 FROM rooms r WHERE r.id = next.room);
        CONTINUE WHEN NOT pg_try_advisory_xact_lock(
            hashtextextended(next.room::text || next.bot::text, 0));
        PERFORM 1 FROM bot_jobs j WHERE j.id = next.id FOR NO KEY UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        UPDATE bot_jobs j
        SET state = 'running', generation = j.generation + 1, worker = by_worker,
            lease_until = now_ms() + lease
        WHERE j.id = next.id
            AND ((j.state = 'queued' AND j.due_at <= now_ms())
                OR (j.state = 'running' AND j.lease_until <= now_ms()))
            AND NOT EXISTS (SELECT 1 FROM bot_jobs h WHERE h.room = j.room AND h.bot = j.bot
                AND h.id <> j.id AND h.state <> 'done' AND h.state = 'running'
                AND h.lease_until > now_ms());
        IF FOUND THEN
            RETURN next.id;
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
