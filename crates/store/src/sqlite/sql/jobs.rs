//! Jobs. What is due and until when a lease holds is measured by the clock of the database.

/// The present time in milliseconds, the same throughout a statement.
macro_rules! now {
    () => {
        "CAST(round(unixepoch('subsec') * 1000) AS INTEGER)"
    };
}

statements! {
    INSERT = concat!(
        "INSERT INTO bot_jobs (id, room, trigger, bot, hops, state, due_at, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, 'queued', ", now!(), ", ?6)"
    );
    COUNT_OPEN_IN_ROOM = "SELECT count(*) FROM bot_jobs WHERE room = ?1 AND state <> 'done'";
    /// Of the jobs that are due and whose bot does not already work in that room: the oldest of the
    /// room with the fewest held ones.
    FIND_DUE = concat!(
        "WITH clock (now) AS (SELECT ", now!(), "), \
         held AS (SELECT h.room, h.bot FROM bot_jobs h, clock WHERE h.state <> 'done' \
         AND h.state = 'running' AND h.lease_until > clock.now) \
         SELECT j.id FROM clock, bot_jobs j LEFT JOIN bots b ON b.user = j.bot \
         WHERE j.state <> 'done' \
         AND ((j.state = 'queued' AND j.due_at <= clock.now) \
         OR (j.state = 'running' AND j.lease_until <= clock.now)) \
         AND NOT EXISTS (SELECT 1 FROM held h WHERE h.room = j.room AND h.bot = j.bot) \
         AND (j.cancel_requested = 1 \
         OR coalesce(b.provider, '') NOT IN (SELECT value FROM json_each(?1))) \
         ORDER BY (SELECT count(*) FROM held h WHERE h.room = j.room), j.num LIMIT 1"
    );
    CLAIM = concat!(
        "UPDATE bot_jobs SET state = 'running', generation = generation + 1, worker = ?2, \
         lease_until = ", now!(), " + ?3 WHERE id = ?1"
    );
    FIND = "SELECT id, room, trigger, bot, hops, state, generation, cancel_requested, reply, \
            checkpoint, generation - hand_overs FROM bot_jobs WHERE id = ?1";
    RENEW = concat!(
        "UPDATE bot_jobs SET lease_until = ", now!(), " + ?3 \
         WHERE id = ?1 AND state = 'running' AND generation = ?2 RETURNING cancel_requested"
    );
    CHECKPOINT = concat!(
        "UPDATE bot_jobs SET lease_until = ", now!(), " + ?3, turn = ?2, chunk = ?4, \
         checkpoint = ?5 WHERE id = ?1 AND state = 'running' AND generation = ?2 \
         RETURNING cancel_requested"
    );
    RELEASE = concat!(
        "UPDATE bot_jobs SET state = 'queued', worker = NULL, lease_until = NULL, \
         due_at = ", now!(), " + ?3 WHERE id = ?1 AND state = 'running' AND generation = ?2"
    );
    HAND_OVER = concat!(
        "UPDATE bot_jobs SET state = 'queued', worker = NULL, lease_until = NULL, \
         due_at = ", now!(), ", hand_overs = hand_overs + 1 \
         WHERE id = ?1 AND state = 'running' AND generation = ?2"
    );
    RELEASE_ALL = concat!(
        "UPDATE bot_jobs SET state = 'queued', worker = NULL, lease_until = NULL, \
         due_at = ", now!(), " WHERE state <> 'done' AND state = 'running'"
    );
    BEGIN_REPLY = "UPDATE bot_jobs SET reply = ?2, turn = generation, chunk = 0, checkpoint = '' \
                   WHERE id = ?1";
    END = "UPDATE bot_jobs SET state = 'done', reply = ?2, worker = NULL, lease_until = NULL, \
           checkpoint = '' WHERE id = ?1";
    /// A job that waits for another attempt is due at once: the next worker ends it.
    REQUEST_CANCEL = concat!(
        "UPDATE bot_jobs SET cancel_requested = 1, due_at = min(due_at, ", now!(), ") WHERE id = ?1"
    );
    REQUEST_CANCEL_OF_TRIGGER = concat!(
        "UPDATE bot_jobs SET cancel_requested = 1, due_at = min(due_at, ", now!(), ") \
         WHERE trigger = ?1 AND state <> 'done'"
    );
    REQUEST_CANCEL_OF_BOT = concat!(
        "UPDATE bot_jobs SET cancel_requested = 1, due_at = min(due_at, ", now!(), ") \
         WHERE room = ?1 AND bot = ?2 AND state <> 'done'"
    );
    REQUEST_CANCEL_EVERYWHERE = concat!(
        "UPDATE bot_jobs SET cancel_requested = 1, due_at = min(due_at, ", now!(), ") \
         WHERE bot = ?1 AND state <> 'done'"
    );
    LIST_OF_MESSAGE = "SELECT id, state FROM bot_jobs WHERE reply = ?1 OR trigger = ?1 \
                       ORDER BY state = 'running' DESC, num";
    LIST_STREAMING = "SELECT reply, turn, chunk, checkpoint FROM bot_jobs \
                      WHERE room = ?1 AND state <> 'done' AND reply IS NOT NULL ORDER BY num";
    LIST_OPEN_OF_BOT = "SELECT id, room, reply, checkpoint FROM bot_jobs \
                        WHERE bot = ?1 AND state <> 'done' ORDER BY num";
    ERASE_CHECKPOINT = "UPDATE bot_jobs SET checkpoint = '' WHERE reply = ?1 AND checkpoint <> ''";
    DELETE = "DELETE FROM bot_jobs WHERE id = ?1";
    DELETE_OF_ROOM = "DELETE FROM bot_jobs WHERE room = ?1";
    /// The open jobs of a room, those that are held first, with whether that is so.
    LIST_OPEN_IN_ROOM = concat!(
        "SELECT j.id, u.id, u.username, u.display_name, u.kind, \
         coalesce(j.state = 'running' AND j.lease_until > ", now!(), ", 0) AS held \
         FROM bot_jobs j JOIN users u ON u.id = j.bot \
         WHERE j.room = ?1 AND j.state <> 'done' ORDER BY held DESC, j.num"
    );
    LONGEST_WAIT = concat!(
        "SELECT ", now!(), " - min(CASE state WHEN 'queued' THEN due_at ELSE lease_until END) \
         FROM bot_jobs WHERE state <> 'done' AND ((state = 'queued' AND due_at <= ", now!(), ") \
         OR (state = 'running' AND lease_until <= ", now!(), "))"
    );
    COUNT = "SELECT count(*) FILTER (WHERE state = 'queued'), \
             count(*) FILTER (WHERE state = 'running') FROM bot_jobs WHERE state <> 'done'";
}
