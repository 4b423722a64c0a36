//! Units of work: a read, or a transaction, repeated where that is safe and never without limit.
//!
//! `reading!` and `writing!` are macros because a closure cannot lend its connection to a future that
//! may move between threads.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool::managed::Object;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_postgres::error::SqlState;

use super::PostgresStore;
use super::fault::{Fault, Outcome};
use super::pools::{Conn, Pools, Server, Use};
use super::query;
use super::sql::meta as sql;
use crate::error::StoreError;

/// Connections that a read may lose before it gives up.
const READ_ATTEMPTS: u32 = 3;
/// Times that a transaction may meet another one before it gives up.
const CONFLICTS_MAX: u32 = 20;
/// Times that a transaction may find something taken which was free when it looked.
const DOUBLES_MAX: u32 = 3;
/// What a read may take beyond the time after which the server ends it.
const READ_GRACE: Duration = Duration::from_secs(2);
/// The first wait before work is repeated; doubled each time.
const BACKOFF: Duration = Duration::from_millis(5);
/// The longest wait before work is repeated.
const BACKOFF_MAX: Duration = Duration::from_millis(250);

/// More than there are ever calls at the same time.
const CALLS: u32 = 1 << 24;

/// Counts the calls that run, so that closing can wait for them.
#[derive(Debug)]
pub(super) struct Gate(Semaphore);

impl Gate {
    /// Makes an open gate.
    pub(super) fn new() -> Self {
        Self(Semaphore::new(CALLS as usize))
    }

    fn enter(&self) -> Outcome<SemaphorePermit<'_>> {
        self.0.try_acquire().map_err(|_| Fault::Closed)
    }

    /// Lets nobody in any more and waits for those inside, each of which has a limit.
    pub(super) async fn close(&self, limit: Duration) {
        let all = self.0.acquire_many(CALLS);
        // Nobody enters while someone waits for all.
        drop(timeout_at(Instant::now() + limit, all).await);
        self.0.close();
    }
}

/// The attempts at one unit of work.
#[derive(Debug)]
pub(super) struct Attempts<'a> {
    _inside: SemaphorePermit<'a>,
    pools: &'a Pools,
    of: Use,
    deadline: Instant,
    made: u32,
    /// Whether the present attempt has asked to commit.
    committing: AtomicBool,
    /// Whether the present attempt has run out of time.
    late: AtomicBool,
    /// Times that something was taken which had been free.
    doubles: u32,
    /// Whether an earlier attempt may have been kept.
    repeated: bool,
}

/// A connection in use. What is not finished is taken back.
#[derive(Debug)]
pub(super) struct Work<'a> {
    /// `None` once it is finished.
    conn: Option<Conn>,
    attempts: &'a Attempts<'a>,
    /// Whether the server waits for the end of a transaction.
    is_open: bool,
}

impl PostgresStore {
    /// Begins to read.
    pub(super) fn reads(&self, of: Use) -> Result<Attempts<'_>, StoreError> {
        if of == Use::Reads {
            self.reads.fetch_add(1, Ordering::Relaxed);
        }
        self.attempts(of, self.options.statement_timeout + READ_GRACE)
    }

    /// Begins to write.
    pub(super) fn writes(&self, of: Use) -> Result<Attempts<'_>, StoreError> {
        self.attempts(of, self.options.append_deadline)
    }

    /// Begins to write what may take longer than what somebody waits for.
    pub(super) fn writes_within(
        &self,
        of: Use,
        limit: Duration,
    ) -> Result<Attempts<'_>, StoreError> {
        self.attempts(of, limit)
    }

    fn attempts(&self, of: Use, limit: Duration) -> Result<Attempts<'_>, StoreError> {
        Ok(Attempts {
            _inside: self.gate.enter()?,
            pools: &self.pools,
            of,
            deadline: Instant::now() + limit,
            made: 0,
            committing: AtomicBool::new(false),
            late: AtomicBool::new(false),
            doubles: 0,
            repeated: false,
        })
    }
}

impl Attempts<'_> {
    /// Takes a connection for statements that commit by themselves.
    pub(super) async fn connect(&self) -> Outcome<Work<'_>> {
        let conn = self.pools.take(self.of).await?;
        let work = Work { conn: Some(conn), attempts: self, is_open: false };
        if self.repeated {
            // What an earlier attempt has kept is seen here before a synchronous standby has it, when
            // its wait was cut short. A commit that writes nothing would not wait for the standby
            // either; this one waits until the standby has all that was before.
            query::execute(&work, sql::BARRIER, &[]).await?;
            if work.take_doubt() {
                return Err(Fault::Unconfirmed);
            }
        }
        Ok(work)
    }

    /// Begins a transaction.
    pub(super) async fn begin(&self) -> Outcome<Work<'_>> {
        let mut work = self.connect().await?;
        work.is_open = true;
        match work.batch_execute("BEGIN").await.map_err(Fault::from) {
            Ok(()) => Ok(work),
            Err(fault) => work.finish(Err(fault)),
        }
    }

    /// Runs one attempt within the time that is left.
    pub(super) async fn run<T>(&self, work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
        let mut work = pin!(work);
        let outcome = timeout_at(self.deadline, &mut work).await.unwrap_or_else(|_| {
            // Before the work is dropped.
            self.late.store(true, Ordering::Release);
            Err(Fault::Slow)
        });
        match outcome {
            Err(fault) if self.committing.load(Ordering::Acquire) => Err(fault.of_commit()),
            outcome => outcome,
        }
    }

    /// Decides whether the work is repeated (`Ok(None)`) after waiting a little.
    pub(super) async fn settle<T>(&mut self, outcome: Outcome<T>) -> Result<Option<T>, StoreError> {
        let fault = match outcome {
            Ok(value) => return Ok(Some(value)),
            Err(fault) => fault,
        };
        self.made += 1;
        self.committing.store(false, Ordering::Release);
        self.repeated |= fault.leaves_outcome_open();
        self.doubles += u32::from(fault.is_state(&SqlState::UNIQUE_VIOLATION));
        let again = match self.of {
            Use::Reads | Use::Search | Use::Tail => fault.is_passing() && self.made < READ_ATTEMPTS,
            // Once the outcome is open, only an answer of the server closes it.
            Use::Lanes | Use::Writes if self.repeated => true,
            Use::Lanes | Use::Writes => {
                fault.is_passing() && self.made < CONFLICTS_MAX && self.doubles <= DOUBLES_MAX
            }
        };
        let wait = BACKOFF.saturating_mul(1 << self.made.min(10)).min(BACKOFF_MAX);
        if !again || Instant::now() + wait >= self.deadline {
            return Err(if self.repeated {
                Fault::Commit(Box::new(fault)).into()
            } else {
                fault.into()
            });
        }
        tracing::debug!(error = &fault as &dyn std::error::Error, "the database is asked again");
        if !fault.is_lost_connection() || self.made > 1 {
            sleep(wait).await;
        }
        Ok(None)
    }

    /// Tells whether an earlier attempt may have been kept.
    pub(super) const fn repeated(&self) -> bool {
        self.repeated
    }
}

impl Work<'_> {
    /// Tells that the next statement commits by itself, so its outcome is open until it is answered.
    pub(super) fn commits(&self) -> &Server {
        self.attempts.committing.store(true, Ordering::Release);
        self
    }

    /// Makes all that was done durable.
    pub(super) async fn commit(mut self) -> Outcome<()> {
        self.commits();
        let committed = self.batch_execute("COMMIT").await.map_err(Fault::from);
        self.finish(committed)
    }

    /// Gives the connection back.
    pub(super) fn give_back(&mut self) {
        self.is_open = false;
        drop(self.conn.take());
    }

    /// Ends the connection.
    fn discard(&mut self) {
        self.is_open = false;
        drop(self.conn.take().map(Object::take));
    }
}

impl std::ops::Deref for Work<'_> {
    type Target = Server;

    fn deref(&self) -> &Server {
        self.conn.as_ref().expect("the connection is there until the work is finished")
    }
}

impl Drop for Work<'_> {
    /// Nobody waits for the answer any more. After a statement outside a transaction the connection is
    /// as good as before; the driver drops what is still to come.
    fn drop(&mut self) {
        let is_late = self.attempts.late.load(Ordering::Acquire);
        if self.is_open || is_late {
            self.discard();
        }
        if is_late {
            self.attempts.pools.renew(self.attempts.of);
        }
    }
}

/// Reads: `reading!(store, |conn| …)` with an expression that gives an `Outcome`.
macro_rules! reading {
    ($store:expr, |$conn:ident| $work:expr) => {
        reading!($store, Reads, |$conn| $work)
    };
    ($store:expr, $of:ident, |$conn:ident| $work:expr) => {{
        let mut attempts = $store.reads($crate::postgres::pools::Use::$of)?;
        loop {
            let outcome = attempts.run(async {
                let mut work = attempts.connect().await?;
                let $conn: &$crate::postgres::pools::Server = &work;
                let value = $work;
                work.finish(value)
            });
            let outcome = outcome.await;
            if let Some(value) = attempts.settle(outcome).await? {
                break Ok(value);
            }
        }
    }};
}

/// Writes in one transaction: `writing!(store, |tx, repeated| …)` with an expression that gives an
/// `Outcome`. `repeated` tells whether the same work may have been kept by an earlier attempt.
/// `writing!(store, within limit, |tx, repeated| …)` has a limit of its own.
macro_rules! writing {
    ($store:expr, |$tx:ident| $work:expr) => {
        writing!($store, |$tx, _repeated| $work)
    };
    ($store:expr, |$tx:ident, $repeated:ident| $work:expr) => {
        writing!(@with $store.writes($crate::postgres::pools::Use::Writes)?, |$tx, $repeated| $work)
    };
    ($store:expr, within $limit:expr, |$tx:ident, $repeated:ident| $work:expr) => {
        writing!(
            @with $store.writes_within($crate::postgres::pools::Use::Writes, $limit)?,
            |$tx, $repeated| $work
        )
    };
    (@with $attempts:expr, |$tx:ident, $repeated:ident| $work:expr) => {{
        let mut attempts = $attempts;
        loop {
            let $repeated = attempts.repeated();
            let outcome = attempts.run(async {
                let work = attempts.begin().await?;
                let $tx: &$crate::postgres::pools::Server = &work;
                let value = $work;
                work.conclude(value).await
            });
            let outcome = outcome.await;
            if let Some(value) = attempts.settle(outcome).await? {
                break Ok(value);
            }
        }
    }};
}

/// Writes with one statement that commits by itself: `committing!(store, |conn, repeated| …)`.
macro_rules! committing {
    ($store:expr, |$conn:ident| $work:expr) => {
        committing!($store, |$conn, _repeated| $work)
    };
    ($store:expr, |$conn:ident, $repeated:ident| $work:expr) => {{
        let mut attempts = $store.writes($crate::postgres::pools::Use::Writes)?;
        loop {
            let $repeated = attempts.repeated();
            let outcome = attempts.run(async {
                let mut work = attempts.connect().await?;
                let $conn: &$crate::postgres::pools::Server = work.commits();
                let value = $work;
                work.finish(value)
            });
            let outcome = outcome.await;
            if let Some(value) = attempts.settle(outcome).await? {
                break Ok(value);
            }
        }
    }};
}

pub(super) use {committing, reading, writing};

impl Work<'_> {
    /// Ends work outside a transaction: the connection is kept unless it broke.
    pub(super) fn finish<T>(&mut self, outcome: Outcome<T>) -> Outcome<T> {
        let is_certain = !self.attempts.committing.load(Ordering::Acquire) || !self.take_doubt();
        let outcome = if is_certain { outcome } else { outcome.and(Err(Fault::Unconfirmed)) };
        match &outcome {
            Err(fault) if fault.spoils_connection() => self.give_up(fault),
            _ => self.give_back(),
        }
        outcome
    }

    /// Ends a connection that broke. What broke it has often broken those that wait as well.
    fn give_up(&mut self, fault: &Fault) {
        self.discard();
        if fault.is_lost_connection() {
            self.attempts.pools.renew(self.attempts.of);
        }
    }

    /// Ends a transaction: commits what succeeded, takes back what did not.
    pub(super) async fn conclude<T>(mut self, outcome: Outcome<T>) -> Outcome<T> {
        match outcome {
            Ok(value) => {
                self.commit().await?;
                Ok(value)
            }
            Err(fault) => {
                if fault.spoils_connection() {
                    self.give_up(&fault);
                } else if self.batch_execute("ROLLBACK").await.is_ok() {
                    self.give_back();
                }
                Err(fault)
            }
        }
    }
}
