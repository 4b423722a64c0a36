//! A private Prometheus, and the check of its rules.

use std::{net::Ipv4Addr, path::Path, process::Command, time::Duration};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{
    daemon::{self, Daemon, Launch},
    program::Program,
};

const SERVER: Program = Program {
    name: "prometheus",
    variable: "PARLOR_TEST_PROMETHEUS",
    debian: "prometheus",
    homebrew: "prometheus",
};
const TOOL: Program = Program {
    name: "promtool",
    variable: "PARLOR_TEST_PROMTOOL",
    debian: "prometheus",
    homebrew: "prometheus",
};

/// A Prometheus that runs until it is dropped.
#[derive(Debug)]
pub struct Prometheus {
    // Before its folder, so that it has ended when the folder goes.
    daemon: Daemon,
    _folder: TempDir,
    port: u16,
}

impl Prometheus {
    /// Starts it with a configuration and waits until it is ready. Relative paths in the text are
    /// those of its own folder.
    pub async fn start(config: &str) -> Self {
        let program = SERVER.find();
        let folder = daemon::folder(None);
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let launch = |port: u16| Launch {
            name: SERVER.name,
            program: program.clone(),
            arguments: vec![
                format!("--config.file={}", file.display()).into(),
                format!("--storage.tsdb.path={}", folder.path().join("data").display()).into(),
                format!("--web.listen-address=127.0.0.1:{port}").into(),
            ],
            owner: None,
            stop: Signal::TERM,
            quit: Signal::KILL,
        };
        let probe = async |_: &Daemon, port| get(port, "/-/ready").await.is_some();
        let (daemon, port) = daemon::start_on_free_port(folder.path(), launch, probe).await;
        Self { daemon, _folder: folder, port }
    }

    /// Returns the base address.
    pub fn url(&self) -> String {
        format!("http://{}:{}", Ipv4Addr::LOCALHOST, self.port)
    }

    /// Returns the answer to a GET, such as `/api/v1/targets`.
    ///
    /// # Panics
    /// When there is none, or a failure.
    pub async fn get(&self, path: &str) -> String {
        get(self.port, path).await.unwrap_or_else(|| panic!("no {path}:\n{}", self.daemon.log()))
    }

    /// Asks it to end and waits until it has.
    pub async fn stop(&self) {
        self.daemon.stop().await;
    }
}

async fn get(port: u16, path: &str) -> Option<String> {
    let client =
        reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().ok()?;
    let answer = client.get(format!("http://127.0.0.1:{port}{path}")).send().await.ok()?;
    answer.error_for_status().ok()?.text().await.ok()
}

/// Checks a file of alert and recording rules and returns what is wrong with it.
pub fn check_rules(file: &Path) -> Result<(), String> {
    let checked = Command::new(TOOL.find()).args(["check", "rules"]).arg(file).output().unwrap();
    let said = [checked.stdout, checked.stderr].concat();
    checked.status.success().then_some(()).ok_or_else(|| String::from_utf8_lossy(&said).into())
}
