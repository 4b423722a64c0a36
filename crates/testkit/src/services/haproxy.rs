//! A private HAProxy.

use std::net::{Ipv4Addr, SocketAddr};

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::{
    daemon::{self, Daemon, Launch},
    program::Program,
};

const PROGRAM: Program = Program {
    name: "haproxy",
    variable: "PARLOR_TEST_HAPROXY",
    debian: "haproxy",
    homebrew: "haproxy",
};

/// An HAProxy that runs until it is dropped.
#[derive(Debug)]
pub struct Haproxy {
    // Before its folder, so that it has ended when the folder goes.
    daemon: Daemon,
    _folder: TempDir,
    port: u16,
}

impl Haproxy {
    /// Starts it with a configuration in which `@PORT@` stands for the port to listen on, and
    /// waits until it accepts connections there.
    pub async fn start(config: &str) -> Self {
        let program = PROGRAM.find();
        let folder = daemon::folder(None);
        let launch = |port: u16| {
            let file = folder.path().join("haproxy.cfg");
            std::fs::write(&file, config.replace("@PORT@", &port.to_string())).unwrap();
            Launch {
                name: PROGRAM.name,
                program: program.clone(),
                arguments: vec!["-db".into(), "-f".into(), file.into_os_string()],
                owner: None,
                stop: Signal::TERM,
                quit: Signal::KILL,
            }
        };
        let probe =
            async |_: &Daemon, port| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok();
        let (daemon, port) = daemon::start_on_free_port(folder.path(), launch, probe).await;
        Self { daemon, _folder: folder, port }
    }

    /// Returns the address it listens on.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Returns what it logged.
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// Asks it to end at once and waits until it has.
    pub async fn stop(&self) {
        self.daemon.stop().await;
    }
}
