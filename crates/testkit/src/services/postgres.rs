//! A private Postgres server.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{
    Standby,
    daemon::{self, Daemon, Launch, Owner},
    program::Program,
};

const PROGRAM: Program = Program {
    name: "postgres",
    variable: "PARLOR_TEST_POSTGRES",
    debian: "postgresql",
    homebrew: "postgresql@15",
};
/// Who owns the server and every database in it.
pub(super) const USER: &str = "parlor";
const DATABASE: &str = "parlor";
/// Every setting is given on the command line, so that a copy of the folder has none of them.
const SETTINGS: &[&str] = &[
    "listen_addresses=127.0.0.1",
    "fsync=on",
    "synchronous_commit=on",
    "max_connections=200",
    "shared_buffers=64MB",
    "wal_level=replica",
    "max_wal_senders=5",
    "wal_keep_size=256MB",
    "hot_standby=on",
    "timezone=UTC",
    "log_timezone=UTC",
];

/// A Postgres server that runs until it is dropped. Acknowledged commits are on disk.
#[derive(Debug)]
pub struct Postgres {
    // Before its folder, so that it has ended when the folder goes.
    daemon: Daemon,
    folder: TempDir,
    programs: Programs,
    port: u16,
    password: Option<String>,
}

/// A Postgres server that is not yet started.
#[derive(Debug, Default)]
pub struct PostgresBuilder {
    settings: Vec<String>,
    password: Option<String>,
}

/// The programs of one installation, and who runs them.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    server: PathBuf,
    pub(super) owner: Option<Owner>,
}

impl Programs {
    fn find() -> Self {
        // The other programs of the installation are beside the server itself, not beside a link.
        let server = PROGRAM.find().canonicalize().unwrap();
        Self { server, owner: Owner::instead_of_root() }
    }

    /// Returns a program that comes with the server.
    fn path(&self, name: &str) -> PathBuf {
        let beside = self.server.with_file_name(name);
        if beside.is_file() { beside } else { PathBuf::from(name) }
    }

    /// Runs a program of the installation to its end.
    ///
    /// # Panics
    /// When it fails.
    pub(super) fn run(&self, name: &str, arguments: &[&str]) -> String {
        let output = self.output(name, arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name} failed ({}): {error}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn output(&self, name: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(self.path(name));
        command.args(arguments).current_dir("/").stdin(Stdio::null());
        if let Some(owner) = self.owner {
            owner.runs(&mut command);
        }
        command.output().unwrap_or_else(|error| panic!("{name} cannot be started: {error}"))
    }

    pub(super) fn launch(&self, data: &Path, sockets: &Path, port: u16, more: &[String]) -> Launch {
        let mut arguments: Vec<OsString> = vec!["-D".into(), data.into(), "-k".into()];
        arguments.extend([sockets.into(), "-p".into(), port.to_string().into()]);
        for setting in SETTINGS.iter().copied().chain(more.iter().map(String::as_str)) {
            arguments.extend(["-c".into(), setting.into()]);
        }
        Launch {
            name: PROGRAM.name,
            program: self.server.clone(),
            arguments,
            owner: self.owner,
            // Ends without waiting for clients to leave; TERM would wait for them.
            stop: Signal::INT,
            quit: Signal::QUIT,
        }
    }

    pub(super) fn is_ready(&self, sockets: &Path, port: u16) -> bool {
        let sockets = sockets.to_string_lossy();
        let arguments = ["-q", "-h", &sockets, "-p", &port.to_string(), "-d", "postgres"];
        self.output("pg_isready", &arguments).status.success()
    }
}

impl PostgresBuilder {
    /// Adds a setting, such as `max_connections=20`.
    #[must_use]
    pub fn setting(mut self, setting: &str) -> Self {
        self.settings.push(setting.to_owned());
        self
    }

    /// Asks clients on the network for this password, which is then part of the address.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Starts the server and waits until it answers.
    pub async fn start(self) -> Postgres {
        let programs = Programs::find();
        let folder = daemon::folder(programs.owner);
        let data = folder.path().join("data");
        let mut arguments = vec!["-D", data.to_str().unwrap(), "-U", USER, "-E", "UTF8"];
        arguments.extend(["--no-locale", "--no-sync", "--auth-local=trust"]);
        let password = folder.path().join("password");
        if let Some(secret) = &self.password {
            std::fs::write(&password, secret).unwrap();
            arguments.extend(["--auth-host=scram-sha-256", "--pwfile", password.to_str().unwrap()]);
        } else {
            arguments.push("--auth-host=trust");
        }
        programs.run("initdb", &arguments);
        let launch = |port| programs.launch(&data, folder.path(), port, &self.settings);
        let probe = async |_: &Daemon, port| programs.is_ready(folder.path(), port);
        let (daemon, port) = daemon::start_on_free_port(folder.path(), launch, probe).await;
        let server = Postgres { daemon, folder, programs, port, password: self.password };
        server.create_database(DATABASE);
        server
    }
}

impl Postgres {
    /// Returns a server that trusts everyone on this machine.
    pub fn builder() -> PostgresBuilder {
        PostgresBuilder::default()
    }

    /// Starts a server and waits until it answers.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Returns the address of the first database, which is empty.
    pub fn url(&self) -> String {
        self.database_url(DATABASE)
    }

    /// Returns the address of a database.
    pub fn database_url(&self, name: &str) -> String {
        let password =
            self.password.as_ref().map(|secret| format!(":{secret}")).unwrap_or_default();
        format!("postgres://{USER}{password}@127.0.0.1:{}/{name}", self.port)
    }

    /// Makes an empty database and returns its address, so that tests can share one server.
    pub fn create_database(&self, name: &str) -> String {
        self.create_database_from(name, "template1")
    }

    /// Makes a copy of a database that nobody uses and returns its address. Faster than to migrate
    /// an empty one.
    pub fn create_database_from(&self, name: &str, template: &str) -> String {
        self.sql("postgres", &format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\""));
        self.database_url(name)
    }

    /// Runs statements in a database and returns the rows, one a line, fields separated by `|`.
    ///
    /// # Panics
    /// When one fails.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        sql(&self.programs, self.folder.path(), self.port, database, statements)
    }

    /// Runs statements in the first database.
    pub fn query(&self, statements: &str) -> String {
        self.sql(DATABASE, statements)
    }

    /// Ends all connections of clients and returns how many there were.
    pub fn cut_connections(&self) -> usize {
        let rows = self.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
        );
        rows.lines().count()
    }

    /// Makes a copy that follows this server. A synchronous one has every commit before it is
    /// acknowledged.
    pub async fn standby(&self, is_synchronous: bool) -> Standby {
        Standby::of(self, is_synchronous).await
    }

    pub(super) fn programs(&self) -> &Programs {
        &self.programs
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the port, which a restart keeps.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the process id of the first process of the server.
    pub fn pid(&self) -> u32 {
        self.daemon.pid()
    }

    /// Returns what it logged.
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// Tells whether it runs.
    pub fn is_running(&self) -> bool {
        self.daemon.is_running()
    }

    /// Ends it with all its processes, as a crash does.
    pub async fn kill(&self) {
        self.daemon.kill().await;
    }

    /// Asks it to end without waiting for its clients, and waits until it has.
    pub async fn stop(&self) {
        self.daemon.stop().await;
    }

    /// Freezes it with all its processes.
    pub fn pause(&self) {
        self.daemon.pause();
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.daemon.resume();
    }

    /// Starts it again on the same port and data, and waits until it answers.
    pub async fn restart(&self) {
        let is_ready = async || self.programs.is_ready(self.folder.path(), self.port);
        self.daemon.restart(is_ready).await;
    }
}

pub(super) fn sql(
    programs: &Programs,
    sockets: &Path,
    port: u16,
    database: &str,
    statements: &str,
) -> String {
    let (sockets, port) = (sockets.to_string_lossy(), port.to_string());
    let connection = ["-h", &sockets, "-p", &port, "-U", USER, "-d", database];
    let shape = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statements];
    programs.run("psql", &[&connection[..], &shape[..]].concat())
}
