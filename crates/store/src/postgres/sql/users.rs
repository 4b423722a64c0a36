//! Accounts.

macro_rules! account {
    () => {
        "u.id, u.username, u.display_name, u.kind, u.bio, u.visibility, u.role, u.email, \
         u.created_at, u.active, u.last_seen, u.avatar"
    };
}

statements! {
    INSERT = "INSERT INTO users (id, username, display_name, kind, email, password_hash, role, \
              created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    /// By someone who has the name, or had it a short time ago.
    NAME_TAKEN = "SELECT 1 FROM users WHERE lower(username) = lower($1 COLLATE \"C\") AND id <> $2 \
                  UNION ALL SELECT 1 FROM former_names WHERE name = lower($1 COLLATE \"C\") \
                  AND user_id <> $2 AND until > now_ms()";
    FORGET_FORMER_NAMES = "DELETE FROM former_names WHERE until <= now_ms()";
    COUNT_FORMER_NAMES = "SELECT count(*) FROM former_names \
                          WHERE user_id = $1 AND name <> lower($2 COLLATE \"C\")";
    TAKE_BACK_NAME = "DELETE FROM former_names WHERE name = lower($1 COLLATE \"C\") AND user_id = $2";
    HOLD_NAME = "INSERT INTO former_names (name, user_id, until) \
                 VALUES (lower($1 COLLATE \"C\"), $2, now_ms() + $3::bigint) \
                 ON CONFLICT (name) DO UPDATE SET user_id = excluded.user_id, until = excluded.until";
    EMAIL_TAKEN = "SELECT 1 FROM users WHERE lower(email) = lower($1 COLLATE \"C\") AND id <> $2";
    HAS_ADMIN = "SELECT 1 FROM users WHERE role = 'admin' AND active";
    FIND = concat!("SELECT ", account!(), " FROM users u WHERE u.id = $1");
    FIND_ALL = concat!("SELECT ", account!(), " FROM users u WHERE u.id = ANY($1)");
    FIND_BY_NAME = concat!("SELECT ", account!(), " FROM users u WHERE lower(u.username) = lower($1 COLLATE \"C\")");
    FIND_CREDENTIALS = concat!(
        "SELECT ", account!(), ", u.password_hash FROM users u \
         WHERE lower(u.username) = lower($1 COLLATE \"C\") \
         OR lower(u.email) = lower($1 COLLATE \"C\") \
         ORDER BY (lower(u.username) = lower($1 COLLATE \"C\")) DESC LIMIT 1"
    );
    FIND_REF = "SELECT id, username, display_name, kind, active FROM users WHERE id = $1";
    LIST_REFS = "SELECT id, username, display_name, kind, active FROM users WHERE id = ANY($1)";
    /// One at a time until the end of the transaction.
    LOCK = "SELECT 1 FROM users WHERE id = $1 FOR NO KEY UPDATE";
    SET_PASSWORD = "UPDATE users SET password_hash = $2 WHERE id = $1 AND erased_at IS NULL";
    /// Held to the end of the transaction.
    LOCK_PRESENT = "SELECT 1 FROM users WHERE id = $1 AND erased_at IS NULL FOR NO KEY UPDATE";
    UPDATE_PROFILE = "UPDATE users SET username = coalesce($2, username), \
                      display_name = coalesce($3, display_name), bio = coalesce($4, bio), \
                      visibility = coalesce($5, visibility) WHERE id = $1 AND erased_at IS NULL";
    SET_ACCESS = "UPDATE users SET active = coalesce($2, active), role = coalesce($3, role) \
                  WHERE id = $1 AND erased_at IS NULL";
    LIST = concat!(
        "SELECT ", account!(), " FROM users u WHERE lower(u.username) > lower($1 COLLATE \"C\") \
         ORDER BY lower(u.username) LIMIT $2"
    );
    TOUCH = "UPDATE users SET last_seen = $2 WHERE id = $1 AND erased_at IS NULL \
             AND (last_seen IS NULL OR last_seen < $2)";
    /// In the order of their ids, so that two of these wait for each other and do not meet.
    TOUCH_ALL = "WITH seen AS (SELECT u.id, n.at \
                 FROM unnest($1::uuid[], $2::bigint[]) AS n (id, at) JOIN users u ON u.id = n.id \
                 WHERE (u.last_seen IS NULL OR u.last_seen < n.at) AND u.erased_at IS NULL \
                 ORDER BY u.id FOR NO KEY UPDATE OF u) \
                 UPDATE users u SET last_seen = greatest(u.last_seen, seen.at) \
                 FROM seen WHERE u.id = seen.id";
    /// Held to the end of the transaction.
    LOCK_FIRST_ADMIN = "SELECT pg_advisory_xact_lock(7021774170124091394)";
    REQUEST_CANCEL_EVERYWHERE = "UPDATE bot_jobs SET cancel_requested = true, \
                                 due_at = least(due_at, now_ms()) \
                                 WHERE bot = $1 AND state <> 'done'";
}
