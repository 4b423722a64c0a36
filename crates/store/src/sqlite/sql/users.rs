//! Accounts. How long a former name is held is measured by the clock of the database.

/// The present time in milliseconds, the same throughout a statement.
macro_rules! now {
    () => {
        "CAST(round(unixepoch('subsec') * 1000) AS INTEGER)"
    };
}

macro_rules! account {
    () => {
        "u.id, u.username, u.display_name, u.kind, u.bio, u.visibility, u.role, u.email, \
         u.created_at, u.active, u.last_seen, u.avatar"
    };
}

statements! {
    INSERT = "INSERT INTO users (id, username, display_name, kind, email, password_hash, role, \
              created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    /// By someone who has the name, or had it a short time ago.
    NAME_TAKEN = concat!(
        "SELECT 1 FROM users WHERE username = ?1 AND id <> ?2 UNION ALL \
         SELECT 1 FROM former_names WHERE name = ?1 AND user <> ?2 AND until > ", now!()
    );
    FORGET_FORMER_NAMES = concat!("DELETE FROM former_names WHERE until <= ", now!());
    COUNT_FORMER_NAMES = "SELECT count(*) FROM former_names WHERE user = ?1 AND name <> ?2";
    TAKE_BACK_NAME = "DELETE FROM former_names WHERE name = ?1 AND user = ?2";
    HOLD_NAME = concat!(
        "INSERT INTO former_names (name, user, until) VALUES (?1, ?2, ", now!(), " + ?3) \
         ON CONFLICT (name) DO UPDATE SET user = excluded.user, until = excluded.until"
    );
    EMAIL_TAKEN = "SELECT 1 FROM users WHERE email = ?1 AND id <> ?2";
    HAS_ADMIN = "SELECT 1 FROM users WHERE role = 'admin' AND active = 1";
    FIND = concat!("SELECT ", account!(), " FROM users u WHERE u.id = ?1");
    FIND_BY_NAME = concat!("SELECT ", account!(), " FROM users u WHERE u.username = ?1");
    FIND_CREDENTIALS = concat!(
        "SELECT ", account!(), ", u.password_hash FROM users u \
         WHERE u.username = ?1 OR u.email = ?1 ORDER BY u.username = ?1 DESC LIMIT 1"
    );
    FIND_REF = "SELECT id, username, display_name, kind, active FROM users WHERE id = ?1";
    SET_PASSWORD = "UPDATE users SET password_hash = ?2 WHERE id = ?1 AND erased_at IS NULL";
    IS_PRESENT = "SELECT 1 FROM users WHERE id = ?1 AND erased_at IS NULL";
    UPDATE_PROFILE = "UPDATE users SET username = coalesce(?2, username), \
                      display_name = coalesce(?3, display_name), bio = coalesce(?4, bio), \
                      visibility = coalesce(?5, visibility) WHERE id = ?1 AND erased_at IS NULL";
    SET_ACCESS = "UPDATE users SET active = coalesce(?2, active), role = coalesce(?3, role) \
                  WHERE id = ?1 AND erased_at IS NULL";
    LIST = concat!(
        "SELECT ", account!(), " FROM users u WHERE u.username > ?1 \
         ORDER BY u.username LIMIT ?2"
    );
    TOUCH = "UPDATE users SET last_seen = ?2 WHERE id = ?1 AND erased_at IS NULL \
             AND (last_seen IS NULL OR last_seen < ?2)";
}
