//! One running copy of a service.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions, Permissions},
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::time::sleep;

use super::{guardian::Guardian, tree};

/// How long a service may take until it answers, on a machine that does other things, too.
pub(super) const START_PATIENCE: Duration = Duration::from_mins(1);
/// How long it may take to end.
const STOP_PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);
/// Bytes of a log that are shown when something went wrong.
const TAIL: usize = 4_000;

/// A user that a service runs as, in place of root.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner {
    user: u32,
    group: u32,
}

impl Owner {
    /// Returns an unprivileged user when this process is root's.
    pub(super) fn instead_of_root() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let of = |name: &str| {
            let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
            let mut fields = line.split(':').skip(2);
            let (user, group) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            Some(Self { user, group })
        };
        Some(of("postgres").or_else(|| of("nobody")).expect("a user besides root"))
    }

    /// Makes a command run as this user.
    pub(super) fn runs(self, command: &mut Command) {
        command.uid(self.user).gid(self.group);
    }

    fn owns(self, folder: &Path) {
        chown(folder, Some(self.user), Some(self.group)).unwrap();
    }
}

/// A folder for one service, which its user may write to.
pub(super) fn folder(owner: Option<Owner>) -> TempDir {
    let folder = tempfile::Builder::new().prefix("parlor-svc-").tempdir().unwrap();
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
    if let Some(owner) = owner {
        owner.owns(folder.path());
    }
    folder
}

/// How a service is started and stopped.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    pub(super) name: &'static str,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) owner: Option<Owner>,
    /// What makes it end in order and soon, without waiting for its clients.
    pub(super) stop: Signal,
    /// What makes it end at once, with all its children.
    pub(super) quit: Signal,
}

/// A service that runs, or ran and may run again.
#[derive(Debug)]
pub(super) struct Daemon {
    launch: Mutex<Launch>,
    folder: PathBuf,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    _guardian: Guardian,
}

impl Daemon {
    /// Starts a service that keeps everything in `folder`.
    pub(super) fn start(launch: Launch, folder: &Path) -> Self {
        let daemon = Self {
            launch: Mutex::new(launch),
            folder: folder.to_owned(),
            running: Mutex::new(None),
        };
        daemon.spawn();
        daemon
    }

    fn spawn(&self) {
        let launch = self.launch.lock().unwrap().clone();
        let log = self.open_log();
        let mut command = Command::new(&launch.program);
        command
            .args(&launch.arguments)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0);
        if let Some(owner) = launch.owner {
            owner.runs(&mut command);
        }
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", launch.name));
        let guardian = Guardian::of(child.id(), launch.quit, &self.folder);
        *self.running.lock().unwrap() = Some(Running { child, _guardian: guardian });
    }

    fn open_log(&self) -> File {
        OpenOptions::new().create(true).append(true).open(self.folder.join("log")).unwrap()
    }

    pub(super) fn log(&self) -> String {
        let bytes = std::fs::read(self.folder.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn tail(&self) -> String {
        let log = self.log();
        let kept: Vec<_> = log.chars().rev().take(TAIL).collect();
        kept.into_iter().rev().collect()
    }

    pub(super) fn name(&self) -> &'static str {
        self.launch.lock().unwrap().name
    }

    /// Returns the process id.
    ///
    /// # Panics
    /// When it does not run.
    pub(super) fn pid(&self) -> u32 {
        self.find_pid().unwrap_or_else(|| panic!("{} does not run", self.name()))
    }

    fn find_pid(&self) -> Option<u32> {
        self.running.lock().unwrap().as_ref().map(|running| running.child.id())
    }

    /// Tells whether it runs, and takes note when it has ended.
    pub(super) fn is_running(&self) -> bool {
        self.ended().is_none() && self.running.lock().unwrap().is_some()
    }

    fn ended(&self) -> Option<ExitStatus> {
        let mut running = self.running.lock().unwrap();
        let status = running.as_mut()?.child.try_wait().ok().flatten()?;
        *running = None;
        Some(status)
    }

    /// Waits until a probe succeeds. Returns false when the service has ended before.
    pub(super) async fn answers(&self, mut probe: impl AsyncFnMut() -> bool) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < START_PATIENCE {
            if !self.is_running() {
                return false;
            }
            if probe().await {
                return self.is_running();
            }
            sleep(POLL).await;
        }
        panic!("{} does not answer after {START_PATIENCE:?}:\n{}", self.name(), self.tail())
    }

    /// Ends it and everything it started, as a power cut does.
    pub(super) async fn kill(&self) {
        self.end(Signal::KILL).await;
    }

    /// Asks it to end in order and waits until it has.
    pub(super) async fn stop(&self) {
        let signal = self.launch.lock().unwrap().stop;
        self.end(signal).await;
    }

    async fn end(&self, with: Signal) {
        let Some(pid) = self.find_pid() else { return };
        let mut below = tree::descendants(pid);
        if with == Signal::KILL {
            below.extend(tree::signal_all(pid, with));
        } else {
            // What is paused would not hear it.
            tree::signal_all(pid, Signal::CONT);
            tree::signal(pid, with);
        }
        let begun = Instant::now();
        while self.is_running() || below.iter().any(|&pid| tree::is_alive(pid)) {
            assert!(
                begun.elapsed() < STOP_PATIENCE,
                "{} still runs after {STOP_PATIENCE:?}:\n{}",
                self.name(),
                self.tail()
            );
            sleep(POLL).await;
        }
    }

    /// Freezes it and everything it started.
    pub(super) fn pause(&self) {
        tree::signal_all(self.pid(), Signal::STOP);
    }

    /// Lets it go on.
    pub(super) fn resume(&self) {
        tree::signal_all(self.pid(), Signal::CONT);
    }

    /// Starts it again as before, on what it has stored, and waits until it answers.
    pub(super) async fn restart(&self, mut probe: impl AsyncFnMut() -> bool) {
        if self.is_running() {
            self.stop().await;
        }
        let begun = Instant::now();
        loop {
            self.spawn();
            if self.answers(&mut probe).await {
                return;
            }
            // Something of the former copy is still there, such as shared memory or the port.
            assert!(
                begun.elapsed() < START_PATIENCE,
                "{} does not start again:\n{}",
                self.name(),
                self.tail()
            );
            sleep(POLL * 5).await;
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let Some(mut running) = self.running.lock().unwrap().take() else { return };
        let pid = running.child.id();
        let quit = self.launch.lock().unwrap().quit;
        let below = tree::signal_all(pid, Signal::CONT);
        tree::signal(pid, quit);
        let begun = Instant::now();
        while running.child.try_wait().is_ok_and(|status| status.is_none()) {
            if begun.elapsed() > Duration::from_secs(5) {
                for &pid in &below {
                    tree::signal(pid, Signal::KILL);
                }
                drop(running.child.kill());
                drop(running.child.wait());
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Starts a service on a port that is free, trying other ports when somebody else was faster.
///
/// `launch` makes the service for a port, `probe` tells whether it answers there.
pub(super) async fn start_on_free_port(
    folder: &Path,
    mut launch: impl FnMut(u16) -> Launch,
    mut probe: impl AsyncFnMut(&Daemon, u16) -> bool,
) -> (Daemon, u16) {
    const TRIES: usize = 8;
    let mut said = String::new();
    for _ in 0..TRIES {
        let port = super::free_port();
        let daemon = Daemon::start(launch(port), folder);
        if daemon.answers(async || probe(&daemon, port).await).await {
            return (daemon, port);
        }
        said = format!("{} ended before it answered:\n{}", daemon.name(), daemon.tail());
        let lower = said.to_lowercase();
        if !lower.contains("in use") && !lower.contains("cannot bind") {
            break;
        }
    }
    panic!("{said}")
}
