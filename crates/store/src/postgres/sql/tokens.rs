//! Personal access tokens.

macro_rules! token {
    () => {
        "t.id, t.user_id, t.name, t.scopes, t.prefix, t.created_at, t.expires_at, t.last_used_at"
    };
}

statements! {
    INSERT = "INSERT INTO personal_tokens (id, user_id, name, scopes, prefix, hash, created_at, \
              expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    FORGET_OLD = "DELETE FROM personal_tokens WHERE user_id = $1 \
                  AND coalesce(revoked_at, expires_at) < $2";
    COUNT_OPEN = "SELECT count(*) FROM personal_tokens WHERE user_id = $1 \
                  AND revoked_at IS NULL AND expires_at > $2";
    FIND = concat!("SELECT ", token!(), " FROM personal_tokens t WHERE t.id = $1");
    FIND_BY_HASHES = concat!(
        "SELECT ", token!(), ", t.hash FROM personal_tokens t \
         WHERE t.hash = ANY($1) AND t.revoked_at IS NULL"
    );
    LIST = concat!(
        "SELECT ", token!(), " FROM personal_tokens t WHERE t.user_id = $1 \
         AND t.revoked_at IS NULL AND t.expires_at > $2 ORDER BY t.created_at DESC, t.id DESC"
    );
    REVOKE = "UPDATE personal_tokens SET revoked_at = $3 WHERE id = $1 AND user_id = $2 \
              AND revoked_at IS NULL";
    WAS_REVOKED_AT = "SELECT 1 FROM personal_tokens WHERE id = $1 AND user_id = $2 \
                      AND revoked_at = $3";
    TOUCH = "UPDATE personal_tokens SET last_used_at = $2 WHERE id = $1 \
             AND (last_used_at IS NULL OR last_used_at < $2)";
}
