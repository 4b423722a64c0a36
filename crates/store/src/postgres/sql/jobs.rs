//! Jobs. What is due and until when a lease holds is measured by the clock of the database.

macro_rules! job {
    () => {
        "id, room, trigger, bot, hops, state, generation, cancel_requested, reply, checkpoint, \
         generation - hand_overs FROM bot_jobs"
    };
}

statements! {
    INSERT_MANY = "INSERT INTO bot_jobs (id, room, trigger, bot, hops, state, due_at, created_at) \
                   SELECT j.id, $1, $2, j.bot, $3, 'queued', now_ms(), $4 \
                   FROM unnest($5::uuid[], $6::uuid[]) WITH ORDINALITY AS j (id, bot, nth) \
                   ORDER BY j.nth";
    COUNT_OPEN_IN_ROOM = "SELECT count(*) FROM bot_jobs WHERE room = $1 AND state <> 'done'";
    CLAIM = "SELECT claim_job($1, $2, $3)";
    FIND = concat!("SELECT ", job!(), " WHERE id = $1");
    /// Held to the end of the transaction: the claim stays what it is.
    LOCK = concat!("SELECT ", job!(), " WHERE id = $1 FOR NO KEY UPDATE");
    RENEW = "UPDATE bot_jobs SET lease_until = now_ms() + $3 \
             WHERE id = $1 AND state = 'running' AND generation = $2 RETURNING cancel_requested";
    CHECKPOINT = "UPDATE bot_jobs SET lease_until = now_ms() + $3, turn = $2, chunk = $4, \
                  checkpoint = $5 WHERE id = $1 AND state = 'running' AND generation = $2 \
                  RETURNING cancel_requested";
    RELEASE = "UPDATE bot_jobs SET state = 'queued', worker = NULL, lease_until = NULL, \
               due_at = now_ms() + $3 WHERE id = $1 AND state = 'running' AND generation = $2";
    HAND_OVER = "UPDATE bot_jobs SET state = 'queued', worker = NULL, lease_until = NULL, \
                 due_at = now_ms(), hand_overs = hand_overs + 1 \
                 WHERE id = $1 AND state = 'running' AND generation = $2";
    RELEASE_ALL = "UPDATE bot_jobs SET state = 'queued', worker = NULL, lease_until = NULL, \
                   due_at = now_ms() WHERE state <> 'done' AND state = 'running'";
    BEGIN_REPLY = "UPDATE bot_jobs SET reply = $2, turn = generation, chunk = 0, checkpoint = '' \
                   WHERE id = $1";
    END = "UPDATE bot_jobs SET state = 'done', reply = $2, worker = NULL, lease_until = NULL, \
           checkpoint = '' WHERE id = $1";
    /// Jobs that wait for another attempt are due at once: the next worker ends them.
    REQUEST_CANCEL = "UPDATE bot_jobs SET cancel_requested = true, due_at = least(due_at, now_ms()) \
                      WHERE id = ANY ($1) AND state <> 'done'";
    REQUEST_CANCEL_OF_TRIGGER = "UPDATE bot_jobs SET cancel_requested = true, \
                                 due_at = least(due_at, now_ms()) \
                                 WHERE trigger = $1 AND state <> 'done'";
    REQUEST_CANCEL_OF_BOT = "UPDATE bot_jobs SET cancel_requested = true, \
                             due_at = least(due_at, now_ms()) \
                             WHERE room = $1 AND bot = $2 AND state <> 'done'";
    LIST_OF_MESSAGE = "SELECT id, state FROM bot_jobs WHERE reply = $1 OR trigger = $1 \
                       ORDER BY state = 'running' DESC, num";
    LIST_STREAMING = "SELECT reply, turn, chunk, checkpoint FROM bot_jobs \
                      WHERE room = $1 AND state <> 'done' AND reply IS NOT NULL ORDER BY num";
    LIST_STREAMING_OF_ALL = "SELECT room, reply, turn, chunk, checkpoint FROM bot_jobs \
                             WHERE room = ANY($1) AND state <> 'done' AND reply IS NOT NULL \
                             ORDER BY num";
    ERASE_CHECKPOINT = "UPDATE bot_jobs SET checkpoint = '' WHERE reply = $1 AND checkpoint <> ''";
    DELETE_OF_ROOM = "DELETE FROM bot_jobs WHERE room = $1";
    /// The open jobs of a room that nobody holds, with their places: those that are held come first.
    LIST_WAITING = "SELECT id, user_id, username, display_name, kind, place FROM ( \
                    SELECT j.id, u.id AS user_id, u.username, u.display_name, u.kind, s.held, \
                    row_number() OVER (ORDER BY s.held DESC, j.num) AS place \
                    FROM bot_jobs j JOIN users u ON u.id = j.bot, LATERAL (SELECT \
                    coalesce(j.state = 'running' AND j.lease_until > now_ms(), false) AS held) s \
                    WHERE j.room = $1 AND j.state <> 'done') open \
                    WHERE NOT held ORDER BY place LIMIT $2";
    LONGEST_WAIT = "SELECT now_ms() - min(CASE state WHEN 'queued' THEN due_at ELSE lease_until END) \
                    FROM bot_jobs WHERE state <> 'done' \
                    AND ((state = 'queued' AND due_at <= now_ms()) \
                    OR (state = 'running' AND lease_until <= now_ms()))";
    COUNT = "SELECT count(*) FILTER (WHERE state = 'queued'), \
             count(*) FILTER (WHERE state = 'running') FROM bot_jobs WHERE state <> 'done'";
}
