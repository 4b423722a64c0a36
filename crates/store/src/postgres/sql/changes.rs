//! What was changed, by the snapshots of its readers.

statements! {
    /// What the snapshot of now sees and an earlier one did not, as the tail is read.
    READ = "SELECT pg_current_snapshot()::text, now_ms(), l.what, l.id, l.user_id \
            FROM (SELECT 1) AS once LEFT JOIN LATERAL ( \
            SELECT * FROM changes c WHERE c.xid >= pg_snapshot_xmin($1::text::pg_snapshot) \
            AND NOT pg_visible_in_snapshot(c.xid, $1::text::pg_snapshot) \
            LIMIT $2) AS l ON true";
    START = "SELECT pg_current_snapshot()::text, now_ms()";
    PRUNE = "DELETE FROM changes WHERE ctid = ANY (ARRAY(SELECT ctid FROM changes \
             WHERE at < now_ms() - $1 ORDER BY at LIMIT $2))";
}
