//! Transactions, and what the database notes about itself.

statements! {
    GET = "SELECT value FROM meta WHERE key = $1";
    PIN = "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING";
    /// A write that proves that the server takes writes.
    BEAT = "INSERT INTO meta (key, value) VALUES ('beat', now_ms()::text) \
            ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    /// Whether this is a standby, the timeline, the server, the database and the incarnation. The
    /// name of the file that is written to tells the timeline at once after a fail-over.
    IDENTITY = "SELECT pg_is_in_recovery(), \
                CASE WHEN pg_is_in_recovery() THEN '' \
                ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END, \
                (SELECT system_identifier::text FROM pg_control_system()), \
                (SELECT oid::text FROM pg_database WHERE datname = current_database()), \
                (SELECT value FROM meta WHERE key = 'incarnation')";
    RENEW_INCARNATION = "UPDATE meta SET value = gen_random_uuid()::text \
                         WHERE key = 'incarnation' RETURNING value";
    COMPATIBLE_FROM = "SELECT value FROM meta WHERE key = 'compatible_from'";
    SERVER = "SELECT current_setting('server_version_num')::integer, \
              current_setting('server_version'), pg_is_in_recovery(), \
              current_setting('server_encoding')";
    TRY_LOCK = "SELECT pg_try_advisory_lock($1)";
    UNLOCK = "SELECT pg_advisory_unlock($1)";
    HAS_HISTORY = "SELECT to_regclass('refinery_schema_history') IS NOT NULL";
    STEPS = "SELECT version, name, checksum FROM refinery_schema_history ORDER BY version";
    BARRIER = "INSERT INTO commit_log DEFAULT VALUES";
    TELL = "INSERT INTO commit_log (rooms, seqs, deleted_rooms, sessions, users) \
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT (xid) DO UPDATE SET \
            rooms = commit_log.rooms || excluded.rooms, \
            seqs = commit_log.seqs || excluded.seqs, \
            deleted_rooms = commit_log.deleted_rooms || excluded.deleted_rooms, \
            sessions = commit_log.sessions || excluded.sessions, \
            users = commit_log.users || excluded.users";
    /// The only note of a transaction that appends.
    TELL_OF_APPEND = "INSERT INTO commit_log (rooms, seqs, mark) VALUES ($1, $2, $3)";
}
