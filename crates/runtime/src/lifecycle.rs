//! Start, drain, stop: the only place that spawns tasks, and the only one that waits for them.
//!
//! A process runs until it is asked to stop, then passes three stages, each with a token that
//! implies the ones before it:
//!
//! 1. **lame duck**: it says that it is not ready, but serves as before, so that load balancers can
//!    look away (`pre_stop`);
//! 2. **draining**: no new work; sessions are told and closed, tasks finish what they have;
//! 3. **aborting**: whatever is left is dropped at its next await point.
//!
//! Tokens can be cloned to any thread and runtime. A task that was spawned or tracked here is
//! waited for, wherever it runs. A task that never yields cannot be dropped; after
//! [`ABORT_PATIENCE`] the process ends without it.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod signals;
mod stage;
#[cfg(test)]
mod tests;

pub use stage::{Phase, Stopped, Timing};

/// How long the end of aborted tasks is awaited. Dropping a future takes microseconds; this only
/// bounds a task that blocks its thread.
pub const ABORT_PATIENCE: Duration = Duration::from_secs(2);

/// Owns every long-lived task of a process. Clones share one life.
#[derive(Clone)]
pub struct Lifecycle {
    inner: Arc<Inner>,
}

struct Inner {
    timing: Timing,
    aborting: CancellationToken,
    draining: CancellationToken,
    lame_duck: CancellationToken,
    tasks: TaskTracker,
    aborted: AtomicUsize,
    panics: AtomicUsize,
    failed: OnceLock<String>,
}

type Name = Cow<'static, str>;

impl Lifecycle {
    /// Creates a running lifecycle.
    pub fn new(timing: Timing) -> Self {
        let aborting = CancellationToken::new();
        let draining = aborting.child_token();
        let lame_duck = draining.child_token();
        Self {
            inner: Arc::new(Inner {
                timing,
                aborting,
                draining,
                lame_duck,
                tasks: TaskTracker::new(),
                aborted: AtomicUsize::new(0),
                panics: AtomicUsize::new(0),
                failed: OnceLock::new(),
            }),
        }
    }

    /// Returns the token that is cancelled as soon as the process was asked to stop.
    pub fn lame_duck(&self) -> CancellationToken {
        self.inner.lame_duck.clone()
    }

    /// Returns the token that asks tasks to take no new work and finish what they have.
    pub fn draining(&self) -> CancellationToken {
        self.inner.draining.clone()
    }

    /// Returns the token that tells tasks to stop at once. Tracked tasks need not watch it.
    pub fn aborting(&self) -> CancellationToken {
        self.inner.aborting.clone()
    }

    /// Returns the present stage.
    pub fn phase(&self) -> Phase {
        if self.inner.aborting.is_cancelled() {
            Phase::Aborting
        } else if self.inner.draining.is_cancelled() {
            Phase::Draining
        } else if self.inner.lame_duck.is_cancelled() {
            Phase::LameDuck
        } else {
            Phase::Running
        }
    }

    /// Returns how many tracked tasks are alive.
    pub fn tasks(&self) -> usize {
        self.inner.tasks.len()
    }

    /// Returns how many tracked tasks have panicked.
    pub fn panics(&self) -> usize {
        self.inner.panics.load(Ordering::Relaxed)
    }

    /// Wraps a future so that shutdown waits for it and drops it when aborting.
    ///
    /// For futures that something else polls: a thread's `block_on`, a `LocalSet`. A panic is
    /// logged, counted, and ends this future only.
    pub fn track<N, F>(&self, name: N, task: F) -> impl Future<Output = ()> + use<N, F>
    where
        N: Into<Name>,
        F: Future<Output = ()>,
    {
        self.tracked(name.into(), false, task)
    }

    /// Spawns a task on the present runtime.
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
    pub fn spawn<F>(&self, name: impl Into<Name>, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        drop(tokio::spawn(self.tracked(name.into(), false, task)));
    }

    /// Spawns a task without which the process is of no use: when it panics, or ends before
    /// draining began, the process drains and exits with code 1.
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
    pub fn spawn_critical<F>(&self, name: impl Into<Name>, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        drop(tokio::spawn(self.tracked(name.into(), true, task)));
    }

    /// Spawns a task on the present thread's `LocalSet`.
    ///
    /// # Panics
    ///
    /// Panics outside a `LocalSet`.
    pub fn spawn_local<F>(&self, name: impl Into<Name>, task: F)
    where
        F: Future<Output = ()> + 'static,
    {
        drop(tokio::task::spawn_local(self.tracked(name.into(), false, task)));
    }

    /// Starts a thread with a runtime and a `LocalSet` of its own and runs one critical task on it.
    ///
    /// After that task the thread runs its remaining local tasks to their end.
    pub fn spawn_thread<M, F>(&self, name: impl Into<Name>, make: M) -> io::Result<()>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future<Output = ()>,
    {
        let name = name.into();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let lifecycle = self.clone();
        let alive = self.inner.tasks.token();
        std::thread::Builder::new().name(name.to_string()).spawn(move || {
            let local = tokio::task::LocalSet::new();
            // `make` runs inside, so that it may spawn and so that its panic is caught as well.
            let critical = lifecycle.tracked(name, true, async move { make().await });
            local.block_on(&runtime, critical);
            let aborted = async {
                lifecycle.inner.aborting.cancelled().await;
                // Time for tracked tasks to note it; others are simply dropped.
                sleep(ABORT_PATIENCE / 2).await;
            };
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = local => {}
                    () = aborted => {}
                }
            });
            drop(runtime);
            // Last, so that shutdown waits for the runtime's own end, too.
            drop(alive);
        })?;
        Ok(())
    }

    /// Begins to stop. Returns at once; [`Lifecycle::wait`] leads through the stages.
    pub fn begin_shutdown(&self) {
        self.inner.lame_duck.cancel();
    }

    /// Skips to aborting.
    pub fn abort(&self) {
        self.inner.aborting.cancel();
    }

    /// Waits until the process was asked to stop and every task has ended.
    ///
    /// # Cancel safety
    ///
    /// Safe to call again after it was dropped, but the stages pass only while it is polled.
    pub async fn wait(&self) -> Stopped {
        let inner = &self.inner;
        inner.lame_duck.cancelled().await;
        let started = Instant::now();
        tracing::info!(tasks = inner.tasks.len(), "shutdown began");

        tokio::select! {
            biased;
            () = inner.aborting.cancelled() => {}
            () = sleep(inner.timing.pre_stop.min(inner.timing.abort_after)) => {}
        }
        inner.draining.cancel();
        inner.tasks.close();

        let finished = async {
            tokio::select! {
                biased;
                () = inner.tasks.wait() => true,
                () = inner.aborting.cancelled() => false,
            }
        };
        let finished = timeout_at(started + inner.timing.abort_after, finished).await;
        if !finished.unwrap_or(false) {
            inner.aborting.cancel();
            if timeout(ABORT_PATIENCE, inner.tasks.wait()).await.is_err() {
                let tasks = inner.tasks.len();
                inner.aborted.fetch_add(tasks, Ordering::Relaxed);
                tracing::error!(tasks, "tasks do not yield; leaving without them");
            }
        }

        let stopped = self.outcome();
        tracing::info!(duration_ms = started.elapsed().as_millis(), ?stopped, "shutdown ended");
        stopped
    }

    /// Begins to stop and waits for the end.
    pub async fn shut_down(&self) -> Stopped {
        self.begin_shutdown();
        self.wait().await
    }

    fn outcome(&self) -> Stopped {
        match (self.inner.failed.get(), self.inner.aborted.load(Ordering::Relaxed)) {
            (Some(task), _) => Stopped::Failed { task: task.clone() },
            (None, 0) => Stopped::Cleanly,
            (None, tasks) => Stopped::Aborted { tasks },
        }
    }

    fn tracked<F>(&self, name: Name, critical: bool, task: F) -> impl Future<Output = ()> + use<F>
    where
        F: Future<Output = ()>,
    {
        let lifecycle = self.clone();
        // The token is taken now, so that a task is waited for before it is first polled.
        self.inner.tasks.track_future(async move {
            let aborting = lifecycle.inner.aborting.clone();
            let task = AssertUnwindSafe(task).catch_unwind();
            match aborting.run_until_cancelled_owned(task).await {
                Some(Ok(())) if critical && lifecycle.phase() < Phase::Draining => {
                    tracing::error!(task = %name, "critical task ended early");
                    lifecycle.fail(&name);
                }
                Some(Ok(())) => {}
                Some(Err(_panic)) => {
                    // The panic hook has printed the message.
                    lifecycle.inner.panics.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(task = %name, critical, "task panicked");
                    if critical {
                        lifecycle.fail(&name);
                    }
                }
                None => {
                    lifecycle.inner.aborted.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(task = %name, "task aborted");
                }
            }
        })
    }

    fn fail(&self, task: &str) {
        // Only the first failure is the cause; a second one changes nothing.
        self.inner.failed.get_or_init(|| task.to_owned());
        self.begin_shutdown();
    }
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new(Timing::default())
    }
}

impl fmt::Debug for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lifecycle")
            .field("phase", &self.phase())
            .field("tasks", &self.tasks())
            .finish_non_exhaustive()
    }
}
