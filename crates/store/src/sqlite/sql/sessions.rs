//! Logins and refresh tokens.

macro_rules! session {
    () => {
        "s.id, s.user, s.client, s.created_at, min(s.idle_until, s.absolute_until), s.revoked_at"
    };
}

statements! {
    INSERT = "INSERT INTO sessions (id, user, client, refresh_hash, created_at, idle_until, \
              absolute_until) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    FORGET_OLD = "DELETE FROM sessions WHERE user = ?1 \
                  AND coalesce(revoked_at, min(idle_until, absolute_until)) < ?2";
    LIST_OPEN_OLDEST_FIRST = "SELECT id FROM sessions WHERE user = ?1 AND revoked_at IS NULL \
                              AND idle_until > ?2 AND absolute_until > ?2 \
                              ORDER BY created_at, id";
    FIND = concat!("SELECT ", session!(), " FROM sessions s WHERE s.id = ?1");
    FIND_BY_TOKEN = concat!("SELECT ", session!(), " FROM sessions s WHERE s.refresh_hash = ?1");
    FIND_BY_SPENT_TOKEN = concat!(
        "SELECT ", session!(), ", t.spent_at FROM spent_tokens t \
         JOIN sessions s ON s.id = t.session WHERE t.hash = ?1"
    );
    USER_IS_ACTIVE = "SELECT 1 FROM users WHERE id = ?1 AND active = 1";
    ROTATE = "UPDATE sessions SET refresh_hash = ?2, idle_until = ?3 WHERE id = ?1";
    SPEND = "INSERT INTO spent_tokens (hash, session, spent_at) VALUES (?1, ?2, ?3)";
    REVOKE = "UPDATE sessions SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";
    REVOKE_ALL = "UPDATE sessions SET revoked_at = ?2 WHERE user = ?1 AND revoked_at IS NULL \
                  AND id IS NOT ?3 RETURNING id";
    /// Tokens end like logins, and are told by the same id.
    LIST_REVOKED = "SELECT id FROM sessions WHERE revoked_at >= ?1 \
                    UNION ALL SELECT id FROM personal_tokens WHERE revoked_at >= ?1";
    LIST_OPEN = concat!(
        "SELECT ", session!(), " FROM sessions s WHERE (?1 IS NULL OR s.user = ?1) \
         AND s.revoked_at IS NULL AND s.idle_until > ?2 AND s.absolute_until > ?2 \
         ORDER BY s.created_at DESC, s.id DESC LIMIT ?3"
    );
}
