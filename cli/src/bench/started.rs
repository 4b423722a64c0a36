//! A server that a measurement starts for itself: the same program, with data of its own on a free
//! port, gone when the measurement is over, also when that fails.
//!
//! It sees nothing of the environment but what it is given, so that a measurement is the same on
//! every machine. Limits on rates are off, because one address stands for thousands of users; the
//! bounds on memory hold as ever.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use parlor_runtime::{Config, Sources};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use uuid::Uuid;

use super::pin;

/// How long it may take to listen.
const START_PATIENCE: Duration = Duration::from_mins(1);
/// How long it may take to end when it was asked to.
const STOP_PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked whether a process that was killed is gone, before it is left to itself.
const KILL_LOOKS: u32 = 200;
/// Between two looks.
const KILL_LOOK_EVERY: Duration = Duration::from_millis(5);
/// How it says where it listens.
const LISTENING: &str = "listening on ";
/// Its log, in the folder.
const LOG: &str = "log";
/// Bytes of the log that are shown when it does not start.
const LOG_SHOWN: i64 = 2_000;

/// A folder and settings for a server that has not been started.
#[derive(Debug)]
pub(crate) struct Prepared {
    folder: TempDir,
    environment: BTreeMap<String, String>,
    config: Config,
}

impl Prepared {
    /// Makes the folder. `extra` are variables that win over what a measurement sets.
    pub(crate) fn new(extra: &[(String, String)]) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("parlor-bench-").tempdir();
        let folder = folder.context("make a folder for the server")?;
        let data = folder.path().join("data");
        std::fs::create_dir(&data).context("make a folder for the server's data")?;
        let password = format!("{}{}", Uuid::new_v4(), Uuid::new_v4());
        let own = [
            ("PARLOR_DATA_DIR", data.to_string_lossy().as_ref()),
            ("PARLOR_LISTEN", "127.0.0.1:0"),
            ("PARLOR_LIMITS__ENABLED", "false"),
            ("PARLOR_LLM__PROVIDER", "demo"),
            ("PARLOR_LOG__FILTER", "warn"),
            ("PARLOR_ADMIN_USERNAME", "bench-admin"),
            ("PARLOR_ADMIN_PASSWORD", password.as_str()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut environment = BTreeMap::from(own);
        environment.extend(extra.iter().cloned());
        let config = Config::load(&Sources::of_environment(environment.clone()))?.config;
        Ok(Self { folder, environment, config })
    }

    /// Returns the settings that the server will have.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Starts the server, on these processors if any are named, and waits until it listens.
    pub(crate) async fn start(self, processors: &[usize]) -> anyhow::Result<Started> {
        let Self { folder, environment, .. } = self;
        let program = std::env::current_exe().context("find this program")?;
        let log = File::create(folder.path().join(LOG)).context("make the server's log")?;
        let mut command = Command::new(program);
        command
            .arg("serve")
            .env_clear()
            .envs(environment)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true);
        let child = pin::inherited(processors, || command.spawn())?.context("start a server")?;
        let mut process = Process(child);
        let said = process.0.stdout.take().context("read what the server says")?;
        let address = timeout(START_PATIENCE, async {
            let mut lines = BufReader::new(said).lines();
            while let Some(line) = lines.next_line().await? {
                if let Some(address) = line.strip_prefix(LISTENING) {
                    return Ok(Some(address.to_owned()));
                }
            }
            Ok::<_, std::io::Error>(None)
        });
        let Ok(Ok(Some(address))) = address.await else {
            bail!("the server did not start:\n{}", tail(&folder.path().join(LOG)));
        };
        Ok(Started { process, folder, address })
    }
}

/// A process that is killed and waited for when it is dropped.
#[derive(Debug)]
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, which is fine.
        drop(self.0.start_kill());
        for _ in 0..KILL_LOOKS {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(KILL_LOOK_EVERY);
        }
    }
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Started {
    // Ends before its folder is removed.
    process: Process,
    folder: TempDir,
    address: String,
}

impl Started {
    /// Returns where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Returns its process.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.0.id()
    }

    /// Asks it to end, waits until it has, and removes its folder. Fails when it had ended before,
    /// or says that it could not end well: then the measurement is worth nothing.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let log = self.folder.path().join(LOG);
        if let Some(status) = self.process.0.try_wait().context("look after the server")? {
            bail!("the server ended before the measurement did ({status}):\n{}", tail(&log));
        }
        let pid = self.pid().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM).context("ask the server to end")?;
        }
        match timeout(STOP_PATIENCE, self.process.0.wait()).await {
            Ok(status) => {
                let status = status.context("wait for the server")?;
                if !status.success() {
                    bail!("the server did not end well ({status}):\n{}", tail(&log));
                }
            }
            // Everything was measured by then; thousands of clients may be slow to leave.
            Err(_) => self.process.0.kill().await.context("end the server")?,
        }
        self.folder.close().context("remove the server's folder")
    }
}

/// Returns the end of a log, for a person.
fn tail(path: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = i64::try_from(file.metadata()?.len()).unwrap_or(i64::MAX);
        file.seek(SeekFrom::End(-length.min(LOG_SHOWN)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_or_else(|error| error.to_string(), |log| String::from_utf8_lossy(&log).into_owned())
}
