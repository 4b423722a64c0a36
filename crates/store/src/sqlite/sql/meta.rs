//! Transactions, settings of connections, and what the store notes about itself.

/// Durable at each commit; the write-ahead log keeps at most 16 MiB; removed text is overwritten.
pub(in crate::sqlite) const WRITER_PRAGMAS: &str = "
    PRAGMA busy_timeout = 5000;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA mmap_size = 0;
    PRAGMA temp_store = MEMORY;
    PRAGMA secure_delete = ON;
    PRAGMA wal_autocheckpoint = 0;
    PRAGMA journal_size_limit = 16777216;
    PRAGMA cache_size = -65536;
";

/// Never writes.
pub(in crate::sqlite) const READER_PRAGMAS: &str = "
    PRAGMA busy_timeout = 5000;
    PRAGMA query_only = ON;
    PRAGMA mmap_size = 0;
    PRAGMA temp_store = MEMORY;
    PRAGMA cache_size = -8192;
";

statements! {
    /// One file with everything that is committed, and nothing that is not used.
    BACK_UP = "VACUUM INTO ?1";
    BEGIN = "BEGIN IMMEDIATE";
    BEGIN_READ = "BEGIN DEFERRED";
    COMMIT = "COMMIT";
    ROLLBACK = "ROLLBACK";
    SAVEPOINT = "SAVEPOINT step";
    ROLLBACK_TO = "ROLLBACK TO step";
    RELEASE = "RELEASE step";
    CHECKPOINT = "PRAGMA wal_checkpoint(PASSIVE)";
    CHECKPOINT_LAST = "PRAGMA wal_checkpoint(TRUNCATE)";
    SCHEMA_SIZE = "SELECT count(*) FROM sqlite_schema";
    HAS_HISTORY = "SELECT 1 FROM sqlite_schema WHERE name = 'refinery_schema_history'";
    NEWEST_STEP = "SELECT max(version) FROM refinery_schema_history";
    GET = "SELECT value FROM meta WHERE key = ?1";
    SET = "INSERT INTO meta (key, value) VALUES (?1, ?2) \
           ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    SET_FIRST = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO NOTHING";
    /// A write that proves that the disk takes writes.
    BEAT = "INSERT INTO meta (key, value) VALUES ('beat', '1') \
            ON CONFLICT (key) DO UPDATE SET value = CAST(value AS INTEGER) + 1";
    /// 256 KiB.
    PROBE = "INSERT INTO meta (key, value) VALUES ('probe', hex(zeroblob(131072))) \
             ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    PROBE_END = "DELETE FROM meta WHERE key = 'probe'";
}
