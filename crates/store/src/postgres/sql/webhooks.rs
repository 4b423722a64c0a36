//! Outgoing webhooks. What is due and until when a lease holds is measured by the clock of the
//! database.

/// A webhook works while the one who made it may log in and keeps order in the room.
macro_rules! vouched {
    () => {
        "EXISTS (SELECT 1 FROM members v JOIN users p ON p.id = v.user_id \
         WHERE v.room = w.room AND v.user_id = w.creator AND v.role <> 'member' AND p.active)"
    };
}

macro_rules! webhook {
    () => {
        "SELECT u.id, u.username, u.display_name, u.kind, w.id, w.room, w.url, w.events, w.salt, \
         w.created_at, w.cursor, w.disabled_at, w.disabled_reason, w.attempts, w.failing_since, \
         w.last_outcome, w.last_delivered_at, \
         (SELECT count(*) FROM dead_letters d WHERE d.webhook = w.id), w.generation \
         FROM webhooks w JOIN users u ON u.id = w.creator "
    };
}

statements! {
    INSERT = "INSERT INTO webhooks (id, room, creator, url, events, salt, created_at, cursor) \
              SELECT $1::uuid, r.id, $3::uuid, $4::text, $5::text, $6::bytea, $7::bigint, r.last_seq FROM rooms r WHERE r.id = $2";
    COUNT = "SELECT count(*) FROM webhooks WHERE room = $1";
    FIND = concat!(webhook!(), "WHERE w.id = $1");
    LIST = concat!(webhook!(), "WHERE w.room = $1 ORDER BY w.created_at, w.id");
    UPDATE = "UPDATE webhooks SET url = coalesce($3, url), events = coalesce($4, events), \
              salt = coalesce($5, salt), \
              generation = generation + 1, lease_until = NULL WHERE room = $1 AND id = $2";
    ENABLE = "UPDATE webhooks SET disabled_at = NULL, disabled_reason = NULL, attempts = 0, \
              failing_since = NULL, due_at = 0 WHERE id = $1 AND disabled_at IS NOT NULL";
    DISABLE = "UPDATE webhooks SET disabled_at = $2, disabled_reason = $3, lease_until = NULL \
               WHERE id = $1 AND disabled_at IS NULL";
    NOW = "SELECT now_ms()";
    DELETE = "DELETE FROM webhooks WHERE room = $1 AND id = $2";
    FIND_DUE = concat!(
        "WITH held AS (SELECT creator, count(*) AS turns FROM webhooks \
         WHERE disabled_at IS NULL AND lease_until > now_ms() GROUP BY creator) \
         SELECT w.id FROM webhooks w JOIN rooms r ON r.id = w.room \
         LEFT JOIN held h ON h.creator = w.creator WHERE w.disabled_at IS NULL AND w.due_at <= now_ms() \
         AND coalesce(w.lease_until, 0) <= now_ms() AND r.last_seq > w.cursor AND ", vouched!(), " \
         ORDER BY coalesce(h.turns, 0), w.due_at, w.id LIMIT 1 FOR NO KEY UPDATE OF w SKIP LOCKED"
    );
    CLAIM = "UPDATE webhooks SET generation = generation + 1, lease_until = now_ms() + $2::bigint \
         WHERE id = $1";
    HOLDS = concat!(
        "SELECT 1 FROM webhooks w WHERE w.id = $1 AND w.generation = $2 \
         AND w.disabled_at IS NULL AND ", vouched!(), " FOR NO KEY UPDATE"
    );
    PASS = "UPDATE webhooks SET cursor = greatest(cursor, $2), lease_until = now_ms() + $3::bigint \
         WHERE id = $1";
    DELIVER = "UPDATE webhooks SET cursor = greatest(cursor, $2), lease_until = now_ms() + $3::bigint, \
         attempts = 0, failing_since = NULL, last_outcome = 'delivered', last_delivered_at = $4 \
         WHERE id = $1";
    BURY = "INSERT INTO dead_letters (webhook, seq, at, attempts, outcome) \
            SELECT w.id, $2::bigint, $3::bigint, w.attempts + 1, $4::text FROM webhooks w WHERE w.id = $1 \
            ON CONFLICT DO NOTHING";
    GIVE_UP = "UPDATE webhooks SET cursor = greatest(cursor, $2), lease_until = now_ms() + $3::bigint, \
         attempts = 0, failing_since = coalesce(failing_since, $4), last_outcome = $5 \
         WHERE id = $1";
    FORGET_OLDEST = "DELETE FROM dead_letters WHERE webhook = $1 AND seq <= \
                     (SELECT seq FROM dead_letters WHERE webhook = $1 \
                     ORDER BY seq DESC LIMIT 1 OFFSET $2::bigint)";
    FAIL = "UPDATE webhooks SET attempts = attempts + 1, due_at = now_ms() + $2::bigint, \
         failing_since = coalesce(failing_since, $3), last_outcome = $4, lease_until = NULL \
         WHERE id = $1";
    RELEASE = "UPDATE webhooks SET due_at = now_ms(), lease_until = NULL WHERE id = $1";
    RELEASE_ALL = "UPDATE webhooks SET lease_until = NULL WHERE lease_until IS NOT NULL";
    LIST_DEAD = "SELECT seq, at, attempts, outcome FROM dead_letters WHERE webhook = $1 \
                 ORDER BY seq DESC";
    DELETE_DEAD = "DELETE FROM dead_letters WHERE webhook = $1 AND seq = $2";
}
