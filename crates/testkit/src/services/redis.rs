//! A private Redis server.

use std::{ffi::OsString, net::Ipv4Addr, time::Duration};

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{
    daemon::{self, Daemon, Launch},
    program::Program,
};

const PROGRAM: Program = Program {
    name: "redis-server",
    variable: "PARLOR_TEST_REDIS_SERVER",
    debian: "redis-server",
    homebrew: "redis",
};
const PROBE_PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of an answer that are read.
const ANSWER_MAX: u64 = 64 * 1024;

/// A Redis server that runs until it is dropped. It keeps nothing over a restart.
#[derive(Debug)]
pub struct Redis {
    // Before its folder, so that it has ended when the folder goes.
    daemon: Daemon,
    _folder: TempDir,
    port: u16,
}

/// A Redis server that is not yet started.
#[derive(Debug, Default)]
pub struct RedisBuilder {
    arguments: Vec<OsString>,
}

impl RedisBuilder {
    /// Adds arguments, such as `["--maxmemory", "1mb"]`.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(OsString::from));
        self
    }

    /// Starts the server and waits until it answers.
    pub async fn start(self) -> Redis {
        let program = PROGRAM.find();
        let folder = daemon::folder(None);
        let launch = |port: u16| {
            let port = port.to_string();
            let own = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
            Launch {
                name: PROGRAM.name,
                program: program.clone(),
                arguments: own
                    .map(OsString::from)
                    .into_iter()
                    .chain(self.arguments.clone())
                    .collect(),
                owner: None,
                stop: Signal::TERM,
                quit: Signal::KILL,
            }
        };
        let probe = async |daemon: &Daemon, port| is_ours(daemon, port).await;
        let (daemon, port) = daemon::start_on_free_port(folder.path(), launch, probe).await;
        Redis { daemon, _folder: folder, port }
    }
}

impl Redis {
    /// Returns a server without settings of its own.
    pub fn builder() -> RedisBuilder {
        RedisBuilder::default()
    }

    /// Starts a server and waits until it answers.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Returns the address for clients.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Returns the port, which a restart keeps.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the process id.
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

    /// Ends it as a crash does.
    pub async fn kill(&self) {
        self.daemon.kill().await;
    }

    /// Asks it to end and waits until it has.
    pub async fn stop(&self) {
        self.daemon.stop().await;
    }

    /// Freezes it.
    pub fn pause(&self) {
        self.daemon.pause();
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.daemon.resume();
    }

    /// Starts it again on the same port, empty, and waits until it answers.
    pub async fn restart(&self) {
        self.daemon.restart(async || is_ours(&self.daemon, self.port).await).await;
    }

    /// Sends one command of words without spaces, such as `FLUSHALL`, and returns the raw answer.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn command(&self, words: &str) -> String {
        ask(self.port, words).await.unwrap_or_else(|| panic!("redis does not answer to {words}"))
    }
}

/// Tells whether this server, and no other, answers on the port.
async fn is_ours(daemon: &Daemon, port: u16) -> bool {
    let process = format!("process_id:{}\r", daemon.pid());
    ask(port, "INFO server").await.is_some_and(|answer| answer.contains(&process))
}

async fn ask(port: u16, words: &str) -> Option<String> {
    let asked = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
        stream.write_all(format!("{words}\r\nQUIT\r\n").as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.take(ANSWER_MAX).read_to_string(&mut answer).await.ok()?;
        (!answer.is_empty()).then_some(answer)
    };
    timeout(PROBE_PATIENCE, asked).await.ok().flatten()
}
