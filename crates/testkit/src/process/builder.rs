//! What a server is started from.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Arc,
};

use tempfile::TempDir;
use tokio::{process::Command, time::timeout};

use super::{ADMIN, PASSWORD, Parlor, STOP_PATIENCE, binary, inherited};
use crate::{
    fake_llm::FakeLlm,
    services::{faketime, free_port},
};

/// Ports that are tried, when others take them between their choice and their use.
const PORT_TRIES: usize = 5;
/// What the server says of a port that is taken.
const PORT_TAKEN: &str = "another program uses this port";

/// Settings of a server that is not yet started.
#[derive(Debug, Clone)]
pub struct Builder {
    env: BTreeMap<String, String>,
    arguments: Vec<String>,
    home: Option<Arc<TempDir>>,
    binary: Option<PathBuf>,
}

/// How a process ended that was expected to.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Outcome {
    /// Returns the exit code.
    ///
    /// # Panics
    /// When a signal ended it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("ended by a signal: {self:?}"))
    }
}

impl Builder {
    pub(super) fn new() -> Self {
        let env = [
            ("PARLOR_LISTEN", "127.0.0.1:0"),
            ("PARLOR_LIMITS__ENABLED", "false"),
            ("PARLOR_LLM__PROVIDER", "demo"),
            ("PARLOR_ADMIN_USERNAME", ADMIN),
            ("PARLOR_ADMIN_PASSWORD", PASSWORD),
            // Passwords are not what is measured here.
            ("PARLOR_AUTH__ARGON2_MEMORY", "8KiB"),
            ("PARLOR_AUTH__ARGON2_ITERATIONS", "1"),
            ("PARLOR_AUTH__HASH_QUEUE", "1000"),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            env: BTreeMap::from(env),
            arguments: vec!["serve".to_owned()],
            home: None,
            binary: None,
        }
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.env.insert(name.to_owned(), value.to_owned());
    }

    /// Tells whether a variable is set.
    pub(crate) fn sets(&self, name: &str) -> bool {
        self.env.contains_key(name)
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    /// Leaves a variable out.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.env.remove(name);
        self
    }

    /// Replaces the arguments, which are `serve` otherwise.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        self
    }

    /// Runs another binary than the one under test.
    #[must_use]
    pub fn binary(mut self, path: &Path) -> Self {
        self.binary = Some(path.to_owned());
        self
    }

    /// Takes its model from a fake that speaks OpenAI's dialect.
    #[must_use]
    pub fn model(self, llm: &FakeLlm) -> Self {
        self.env("PARLOR_LLM__PROVIDER", "openai")
            .env("OPENAI_BASE_URL", &llm.openai_url())
            .env("LLM_MODEL", "fake-model")
    }

    /// Runs with a clock that shows the offset in a file, such as `+300s`, from a second after the
    /// file was written. What measures time spans is not touched.
    #[must_use]
    pub fn clock(mut self, file: &Path) -> Self {
        // The program `faketime` would stay between this process and the server, so only what it
        // sets is used.
        let shown = std::process::Command::new(faketime()).args(["-f", "+0s", "env"]).output();
        let shown = shown.unwrap().stdout;
        let preload = String::from_utf8_lossy(&shown)
            .lines()
            .filter_map(|line| line.split_once('='))
            .find(|(name, _)| matches!(*name, "LD_PRELOAD" | "DYLD_INSERT_LIBRARIES"))
            .map(|(name, value)| (name.to_owned(), value.replace("faketime.so", "faketimeMT.so")));
        self.env.extend(preload);
        self.env("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap())
            .env("FAKETIME_CACHE_DURATION", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("FAKETIME_DONT_RESET", "1")
    }

    /// Returns the variable that says where it listens.
    fn listen(&self) -> &'static str {
        let is_worker = self.arguments.first().is_some_and(|verb| verb == "bot-worker");
        if is_worker { "PARLOR_BOTS__LISTEN" } else { "PARLOR_LISTEN" }
    }

    /// Listens on this address from now on.
    pub(super) fn keep_address(&mut self, addr: SocketAddr) {
        self.set(self.listen(), &addr.to_string());
    }

    /// Uses the folder of another server.
    #[must_use]
    pub fn in_home(mut self, home: &Arc<TempDir>) -> Self {
        self.home = Some(Arc::clone(home));
        self
    }

    /// Starts the server and waits until it listens. Where it may listen on any port, it gets one
    /// that no outgoing connection takes while it is down.
    pub async fn start(self) -> Parlor {
        let home = self.make_home();
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let may_choose =
            self.env.get(self.listen()).is_some_and(|addr| addr.parse() == Ok(anywhere));
        for _ in 0..PORT_TRIES {
            let mut builder = self.clone();
            if may_choose {
                builder.keep_address((Ipv4Addr::LOCALHOST, free_port()).into());
            }
            match Parlor::launch(builder, Arc::clone(&home)).await {
                Ok(server) => return server,
                // Someone else was faster.
                Err(failure) if may_choose && failure.contains(PORT_TAKEN) => {}
                Err(failure) => panic!("{failure}"),
            }
        }
        panic!("each of {PORT_TRIES} ports was taken before the server listened on it")
    }

    /// Runs the program to its end.
    pub async fn run(self) -> Outcome {
        let home = self.make_home();
        let running = self.command(&home).output();
        let output = timeout(STOP_PATIENCE, running).await;
        let output = output.unwrap_or_else(|_| {
            panic!("`parlor {}` still runs after {STOP_PATIENCE:?}", self.arguments.join(" "))
        });
        let output = output.unwrap();
        Outcome {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Returns the folder that was given, else makes one.
    pub(crate) fn make_home(&self) -> Arc<TempDir> {
        let make = || Arc::new(tempfile::Builder::new().prefix("parlor-test-").tempdir().unwrap());
        self.home.clone().unwrap_or_else(make)
    }

    pub(super) fn command(&self, home: &Arc<TempDir>) -> Command {
        let mut command = Command::new(self.binary.clone().unwrap_or_else(binary));
        command
            .args(&self.arguments)
            .env_clear()
            .envs(inherited("PATH").map(|path| ("PATH", path)))
            .env("HOME", home.path())
            .env("PARLOR_DATA_DIR", data_dir(home.path()))
            .envs(&self.env)
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

/// Returns the data folder of a server.
pub(super) fn data_dir(home: &Path) -> PathBuf {
    home.join("data")
}
