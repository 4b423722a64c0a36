//! A private NATS server.

use std::{net::Ipv4Addr, time::Duration};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpStream,
    time::timeout,
};

use super::{
    daemon::{self, Daemon, Launch},
    program::Program,
};

const PROGRAM: Program = Program {
    name: "nats-server",
    variable: "PARLOR_TEST_NATS_SERVER",
    debian: "nats-server",
    homebrew: "nats-server",
};
const PROBE_PATIENCE: Duration = Duration::from_secs(2);

/// A NATS server that runs until it is dropped.
#[derive(Debug)]
pub struct Nats {
    // Before its folder, so that it has ended when the folder goes.
    daemon: Daemon,
    _folder: TempDir,
    port: u16,
    name: String,
}

/// A NATS server that is not yet started.
#[derive(Debug, Default)]
pub struct NatsBuilder {
    config: String,
}

impl NatsBuilder {
    /// Adds lines to the configuration file. The port and the address are set already.
    #[must_use]
    pub fn config(mut self, text: &str) -> Self {
        self.config.push_str(text);
        self.config.push('\n');
        self
    }

    /// Starts the server and waits until it answers.
    pub async fn start(self) -> Nats {
        let program = PROGRAM.find();
        let folder = daemon::folder(None);
        let name = folder.path().file_name().unwrap().to_string_lossy().into_owned();
        let file = folder.path().join("nats.conf");
        std::fs::write(&file, &self.config).unwrap();
        let launch = |port: u16| Launch {
            name: PROGRAM.name,
            program: program.clone(),
            arguments: ["-a", "127.0.0.1", "-p", &port.to_string(), "-n", &name, "-c"]
                .map(Into::into)
                .into_iter()
                .chain([file.clone().into_os_string()])
                .collect(),
            owner: None,
            stop: Signal::TERM,
            quit: Signal::KILL,
        };
        let probe = async |_: &Daemon, port| answers(port, &name).await;
        let (daemon, port) = daemon::start_on_free_port(folder.path(), launch, probe).await;
        Nats { daemon, _folder: folder, port, name }
    }
}

impl Nats {
    /// Returns a server without settings of its own.
    pub fn builder() -> NatsBuilder {
        NatsBuilder::default()
    }

    /// Starts a server and waits until it answers.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Returns the address for clients.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
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

    /// Starts it again on the same port and waits until it answers.
    pub async fn restart(&self) {
        self.daemon.restart(async || answers(self.port, &self.name).await).await;
    }
}

/// Tells whether this server, and no other, greets on the port.
async fn answers(port: u16, name: &str) -> bool {
    let greeting = async {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await.ok()?;
        let told: Value = serde_json::from_str(line.strip_prefix("INFO ")?).ok()?;
        (told["server_name"] == name).then_some(())
    };
    matches!(timeout(PROBE_PATIENCE, greeting).await, Ok(Some(())))
}
