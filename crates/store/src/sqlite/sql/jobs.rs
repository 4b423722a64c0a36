//! Jobs.

statements! {
    INSERT = "INSERT INTO bot_jobs (id, room, trigger, bot, hops, state, due_at, created_at) \
              VALUES (?1, ?2, ?3, ?4, ?5, 'queued', ?6, ?6)";
    COUNT_OPEN_IN_ROOM = "SELECT count(*) FROM bot_jobs WHERE room = ?1 AND state <> 'done'";
    /// The oldest that is due and whose bot does not already work in that room.
    FIND_DUE = "SELECT j.id FROM bot_jobs j WHERE j.state <> 'done' \
                AND ((j.state = 'queued' AND j.due_at <= ?1) \
                OR (j.state = 'running' AND j.lease_until <= ?1)) \
                AND NOT EXISTS (SELECT 1 FROM bot_jobs h WHERE h.room = j.room \
                AND h.bot = j.bot AND h.id <> j.id AND h.state = 'running' \
                AND h.state <> 'done' AND h.lease_until > ?1) \
                ORDER BY j.num LIMIT 1";
    CLAIM = "UPDATE bot_jobs SET state = 'running', generation = generation + 1, worker = ?2, \
             lease_until = ?3 WHERE id = ?1";
    FIND = "SELECT id, room, trigger, bot, hops, state, generation, cancel_requested, reply, \
            checkpoint FROM bot_jobs WHERE id = ?1";
    RENEW = "UPDATE bot_jobs SET lease_until = ?3 \
             WHERE id = ?1 AND state = 'running' AND generation = ?2 RETURNING cancel_requested";
    CHECKPOINT = "UPDATE bot_jobs SET lease_until = ?3, turn = ?2, chunk = ?4, checkpoint = ?5 \
                  WHERE id = ?1 AND state = 'running' AND generation = ?2 \
                  RETURNING cancel_requested";
    RELEASE = "UPDATE bot_jobs SET state = 'queued', worker = NULL, lease_until = NULL, \
               due_at = ?3 WHERE id = ?1 AND state = 'running' AND generation = ?2";
    RELEASE_ALL = "UPDATE bot_jobs SET state = 'queued', worker = NULL, lease_until = NULL, \
                   due_at = ?1 WHERE state <> 'done' AND state = 'running'";
    BEGIN_REPLY = "UPDATE bot_jobs SET reply = ?2, turn = generation, chunk = 0, checkpoint = '' \
                   WHERE id = ?1";
    END = "UPDATE bot_jobs SET state = 'done', reply = ?2, worker = NULL, lease_until = NULL, \
           checkpoint = '' WHERE id = ?1";
    /// A job that waits for another attempt is due at once: the next worker ends it.
    REQUEST_CANCEL = "UPDATE bot_jobs SET cancel_requested = 1, due_at = min(due_at, ?2) \
                      WHERE id = ?1";
    REQUEST_CANCEL_OF_TRIGGER = "UPDATE bot_jobs SET cancel_requested = 1, \
                                 due_at = min(due_at, ?2) \
                                 WHERE trigger = ?1 AND state <> 'done'";
    REQUEST_CANCEL_OF_BOT = "UPDATE bot_jobs SET cancel_requested = 1, due_at = min(due_at, ?3) \
                             WHERE room = ?1 AND bot = ?2 AND state <> 'done'";
    REQUEST_CANCEL_EVERYWHERE = "UPDATE bot_jobs SET cancel_requested = 1, \
                                 due_at = min(due_at, ?2) WHERE bot = ?1 AND state <> 'done'";
    LIST_OF_MESSAGE = "SELECT id, state FROM bot_jobs WHERE reply = ?1 OR trigger = ?1 \
                       ORDER BY state = 'running' DESC, num";
    LIST_STREAMING = "SELECT reply, turn, chunk, checkpoint FROM bot_jobs \
                      WHERE room = ?1 AND state <> 'done' AND reply IS NOT NULL ORDER BY num";
    LIST_OPEN_OF_BOT = "SELECT id, room, reply, checkpoint FROM bot_jobs \
                        WHERE bot = ?1 AND state <> 'done' ORDER BY num";
    DELETE = "DELETE FROM bot_jobs WHERE id = ?1";
    DELETE_OF_ROOM = "DELETE FROM bot_jobs WHERE room = ?1";
    COUNT = "SELECT count(*) FILTER (WHERE state = 'queued'), \
             count(*) FILTER (WHERE state = 'running') FROM bot_jobs WHERE state <> 'done'";
}
