//! What an operator asks about the server.

statements! {
    SURVEY = "SELECT current_setting('server_version'), \
              (extract(epoch FROM clock_timestamp()) * 1000)::bigint, \
              current_setting('max_connections')::integer \
              - current_setting('superuser_reserved_connections')::integer, \
              (SELECT count(*)::integer FROM pg_stat_activity \
               WHERE backend_type = 'client backend'), \
              current_setting('fsync'), current_setting('synchronous_commit'), \
              current_setting('full_page_writes'), current_setting('server_encoding'), \
              coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)";
    PINNED = "SELECT value FROM meta WHERE key = $1";
    REPIN = "INSERT INTO meta (key, value) VALUES ($1, $2) \
             ON CONFLICT (key) DO UPDATE SET value = excluded.value";
}
