//! The tail: what was committed, by the snapshots of its readers.

statements! {
    SNAPSHOT = "SELECT pg_current_snapshot()::text";
    /// What the snapshot of now sees and an earlier one did not. `xid` is compared first, by the
    /// index: what is older than all that was open then was seen then.
    READ = "SELECT pg_current_snapshot()::text, l.xid::text, l.rooms, l.seqs, l.deleted_rooms, \
            l.sessions, l.users FROM (SELECT 1) AS once LEFT JOIN LATERAL ( \
            SELECT * FROM commit_log c WHERE c.xid >= pg_snapshot_xmin($1::text::pg_snapshot) \
            AND NOT pg_visible_in_snapshot(c.xid, $1::text::pg_snapshot) \
            ORDER BY c.xid LIMIT $2) AS l ON true";
    /// The rest of a long difference: what the later of two snapshots sees and the earlier did not.
    READ_ON = "SELECT $2::text, l.xid::text, l.rooms, l.seqs, l.deleted_rooms, l.sessions, l.users \
               FROM commit_log l WHERE l.xid > $3::text::xid8 \
               AND NOT pg_visible_in_snapshot(l.xid, $1::text::pg_snapshot) \
               AND pg_visible_in_snapshot(l.xid, $2::text::pg_snapshot) ORDER BY l.xid LIMIT $4";
    PRUNE = "DELETE FROM commit_log WHERE xid = ANY (ARRAY(SELECT xid FROM commit_log \
             WHERE at < now_ms() - $1 ORDER BY at LIMIT $2))";
}
