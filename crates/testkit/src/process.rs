//! The real binary under test: started, watched, killed and started again on the same data.
//!
//! Each server has a data folder of its own, listens on a port of the loopback interface that
//! nobody else uses, and sees nothing of the environment of whoever runs the tests. What it writes is
//! kept, so that a test can look for what must not be in there. Every wait has a bound and fails
//! with a sentence. A server ends with the value that stands for it, and only that one.

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::Arc,
    time::{Duration, Instant},
};

use parlor_client::{ClientConfig, Http};
use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process, setrlimit};
use tempfile::TempDir;
use tokio::{
    process::Child,
    time::{sleep, timeout},
};

mod builder;
mod capture;
mod user;

pub use builder::{Builder, Outcome};
pub use user::{PASSWORD, User, draft};

use capture::Capture;

/// How long a server may take to listen, on a machine that does other things, too.
pub const START_PATIENCE: Duration = Duration::from_secs(30);
/// How long a server may take to end when it was asked to.
pub const STOP_PATIENCE: Duration = Duration::from_mins(1);
/// The administrator that every server is started with.
pub const ADMIN: &str = "root-admin";

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Parlor {
    builder: Builder,
    home: Arc<TempDir>,
    addr: SocketAddr,
    child: Child,
    output: Capture,
    started_in: Duration,
}

impl Parlor {
    /// Returns what a server is started from: the demo model, cheap passwords, no rate limits.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Starts a server with the defaults of the harness.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Starts a server and waits until it listens, or returns what it said when it did not.
    async fn launch(mut builder: Builder, home: Arc<TempDir>) -> Result<Self, String> {
        let begun = Instant::now();
        let mut child = builder.command(&home).spawn().unwrap_or_else(|error| {
            panic!("the server cannot be started from {}: {error}", binary().display())
        });
        let output = Capture::of(&mut child);
        let Ok(listening) = timeout(START_PATIENCE, output.address()).await else {
            return Err(format!("no `listening on` in {START_PATIENCE:?}:\n{}", output.tail()));
        };
        let Some(addr) = listening else {
            let status = timeout(STOP_PATIENCE, child.wait()).await;
            let said = output.tail();
            return Err(format!("the server ended before it listened ({status:?}):\n{said}"));
        };
        // A restart listens where clients look for it.
        builder.keep_address(addr);
        Ok(Self { builder, home, addr, child, output, started_in: begun.elapsed() })
    }

    /// Returns the address it listens on; a restart keeps it.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the base address for HTTP.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Returns how long the last start took, until it listened.
    pub fn started_in(&self) -> Duration {
        self.started_in
    }

    /// Returns the data folder.
    pub fn data_dir(&self) -> PathBuf {
        builder::data_dir(self.home.path())
    }

    /// Returns what it was started with, for another start on the same data.
    pub fn rebuilder(&self) -> Builder {
        self.builder.clone().in_home(&self.home)
    }

    /// Returns everything that it wrote to standard error in all its lives.
    ///
    /// # Panics
    /// When it wrote more than is kept, because then nothing could be said about it.
    pub fn log(&self) -> String {
        self.output.log()
    }

    /// Closes what it writes to, as a log collector does that ends before it.
    pub async fn close_output(&self) {
        self.output.close().await;
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the server runs")
    }

    /// Returns its memory that is in RAM, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(&path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
    }

    /// Kills it without warning, as a crash or a power cut does.
    pub async fn kill(&mut self) {
        self.child.start_kill().expect("the server runs");
        self.wait(STOP_PATIENCE).await;
    }

    /// Asks it to stop and returns at once.
    pub fn ask_to_stop(&self) {
        self.signal(Signal::TERM);
    }

    /// Freezes it for a time, as a machine that swaps or a laptop that sleeps.
    pub async fn freeze(&self, time: Duration) {
        self.pause();
        sleep(time).await;
        self.resume();
    }

    /// Freezes it.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Tells whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Asks it to stop and waits until it has.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.ask_to_stop();
        self.wait(STOP_PATIENCE).await
    }

    /// Waits until it has ended.
    pub async fn wait(&mut self, patience: Duration) -> ExitStatus {
        let ended = timeout(patience, self.child.wait()).await;
        let status = ended.unwrap_or_else(|_| {
            panic!("the server still runs after {patience:?}:\n{}", self.output.tail())
        });
        status.unwrap()
    }

    /// Starts it again after it has ended: same data, same address.
    pub async fn restart(&mut self) {
        if self.child.id().is_some() {
            self.kill().await;
        }
        let next = Self::launch(self.builder.clone(), Arc::clone(&self.home)).await;
        let next = next.unwrap_or_else(|failure| panic!("{failure}"));
        next.output.prepend(&self.output);
        *self = next;
    }

    /// Returns HTTP calls of someone who is not logged in.
    pub fn http(&self) -> Http {
        http(self.addr)
    }

    /// Makes an account.
    pub async fn register(&self, name: &str) -> User {
        User::register(self.addr, name).await
    }

    /// Logs the administrator in.
    pub async fn admin(&self) -> User {
        User::log_in(self.addr, ADMIN).await
    }

    /// Returns a page that is not for a typed client, such as `/metrics`.
    pub async fn get_text(&self, path: &str) -> String {
        get_text(self.addr, path).await
    }

    /// Returns the sum of the samples in its metrics that have all these words.
    pub async fn count(&self, words: &[&str]) -> u64 {
        let page = self.get_text("/metrics").await;
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        let lines = lines.filter(|line| words.iter().all(|word| line.contains(word)));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }
}

/// A server that panicked has failed its test, even if nobody noticed.
impl Drop for Parlor {
    fn drop(&mut self) {
        let panicked = self.output.has_panicked();
        assert!(
            !panicked || std::thread::panicking(),
            "the server panicked:\n{}",
            self.output.tail()
        );
    }
}

/// Returns HTTP calls to an address, of someone who is not logged in.
pub fn http(addr: SocketAddr) -> Http {
    Http::new(client_config(addr)).unwrap()
}

/// Returns a page of an address that is not for a typed client.
pub async fn get_text(addr: SocketAddr, path: &str) -> String {
    let client =
        reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
    let answer = client.get(format!("http://{addr}{path}")).send().await;
    let answer = answer.unwrap_or_else(|error| panic!("GET {path}: {error}"));
    assert!(answer.status().is_success(), "GET {path}: {}", answer.status());
    answer.text().await.unwrap()
}

/// Returns the bounds of a client of the tests.
pub fn client_config(addr: SocketAddr) -> ClientConfig {
    let mut config = ClientConfig::new(&format!("http://{addr}")).unwrap();
    config.backoff_base = Duration::from_millis(50);
    config.backoff_cap = Duration::from_millis(500);
    config
}

/// Returns the binary under test: `PARLOR_BIN`, else the one beside the tests' own build.
///
/// # Panics
/// When it is not there, with a sentence that says how to build it.
pub fn binary() -> PathBuf {
    if let Some(named) = std::env::var_os("PARLOR_BIN").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(named);
        assert!(path.is_file(), "PARLOR_BIN is {}, which is not a file", path.display());
        return path;
    }
    // Tests run from `target/<profile>/deps`.
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap_or(Path::new("."));
    let path = profile.join("parlor");
    assert!(
        path.is_file(),
        "{} is missing; build it with `cargo build -p parlor`, or name another in PARLOR_BIN",
        path.display()
    );
    path
}

/// Lets this process open as many files and sockets as the system allows, and returns how many.
/// Servers that are started afterwards inherit it.
pub fn raise_descriptor_limit() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Returns a variable of the environment that must reach every process, such as `PATH`.
fn inherited(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
