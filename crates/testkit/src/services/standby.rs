//! A copy of a Postgres server that follows it and can take its place.

use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::time::sleep;

use super::{
    Postgres,
    daemon::{self, Daemon, START_PATIENCE},
    postgres::{Programs, USER, sql},
};

const NAME: &str = "standby";

/// A standby that runs until it is dropped.
#[derive(Debug)]
pub struct Standby {
    // Before its folder, so that it has ended when the folder goes.
    daemon: Daemon,
    folder: TempDir,
    programs: Programs,
    port: u16,
}

impl Standby {
    pub(super) async fn of(primary: &Postgres, is_synchronous: bool) -> Self {
        let programs = primary.programs().clone();
        let folder = daemon::folder(programs.owner);
        let data = folder.path().join("data");
        let from = format!(
            "host={} port={} user={USER} application_name={NAME}",
            primary.folder().display(),
            primary.port()
        );
        let arguments = ["-D", data.to_str().unwrap(), "-d", &from, "-R", "-X", "stream"];
        programs.run("pg_basebackup", &[&arguments[..], &["-c", "fast", "--no-sync"]].concat());
        let launch = |port| programs.launch(&data, folder.path(), port, &[]);
        let probe = async |_: &Daemon, port| programs.is_ready(folder.path(), port);
        let (daemon, port) = daemon::start_on_free_port(folder.path(), launch, probe).await;
        let standby = Self { daemon, folder, programs, port };
        standby.is_followed_up(primary, is_synchronous).await;
        standby
    }

    async fn is_followed_up(&self, primary: &Postgres, is_synchronous: bool) {
        if is_synchronous {
            let names = format!("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 ({NAME})'");
            primary.sql("postgres", &names);
            primary.sql("postgres", "SELECT pg_reload_conf()");
        }
        let state = "SELECT state, sync_state FROM pg_stat_replication";
        let wanted = if is_synchronous { "streaming|quorum" } else { "streaming|async" };
        self.wait(async || primary.sql("postgres", state).contains(wanted), "follows").await;
    }

    /// Lets it follow the primary no longer, so that it misses what comes.
    pub async fn stop_following(&self) {
        self.sql("postgres", "ALTER SYSTEM SET primary_conninfo = ''");
        self.sql("postgres", "SELECT pg_reload_conf()");
        let following = "SELECT count(*) FROM pg_stat_wal_receiver";
        let is_alone = async || self.sql("postgres", following).trim() == "0";
        self.wait(is_alone, "stopped to follow").await;
    }

    /// Makes it the primary. The former one must not run any more.
    pub async fn promote(&self) {
        self.sql("postgres", "SELECT pg_promote(wait => false)");
        let is_primary = async || self.sql("postgres", "SELECT pg_is_in_recovery()").trim() == "f";
        self.wait(is_primary, "was promoted").await;
    }

    async fn wait(&self, mut until: impl AsyncFnMut() -> bool, what: &str) {
        let begun = Instant::now();
        while !until().await {
            assert!(begun.elapsed() < START_PATIENCE, "no standby {what}:\n{}", self.daemon.log());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Runs statements in a database and returns the rows, one a line, fields separated by `|`.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        sql(&self.programs, self.folder.path(), self.port, database, statements)
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Freezes it, so that it falls behind.
    pub fn pause(&self) {
        self.daemon.pause();
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.daemon.resume();
    }
}
