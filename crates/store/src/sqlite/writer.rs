//! The one thread that writes.
//!
//! It owns the only connection that writes and the checkpoints, so `SQLite` never has two writers
//! and `seq` equals the order of commits. Whatever has queued while the last commit ran becomes the
//! next one. Each command runs in a savepoint of its own: one that fails leaves no trace and hurts no
//! neighbour. Answers are sent after the commit, never before.
//!
//! When the disk is full or broken the thread stops writing, gives up the connection (a failed
//! `fsync` must not be retried on it) and tries a new one once a second until a trial write succeeds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel,
};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::changes::{self, Noted, Notices};
use super::fault::{Fault, Outcome};
use super::open::{DataFolder, OpenError};
use super::query;
use super::search::keeper::Keeper;
use super::sql::meta as sql;
use crate::error::StoreError;

/// Most commands of one commit. An append counts once for each of its intents.
const BATCH_MAX: usize = 512;
/// Commands after which the write-ahead log is moved into the database.
const CHECKPOINT_COMMANDS: usize = 4096;
/// How long to wait between trials while writing has stopped.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// Something to write, which can be told how it went.
trait Write: Send {
    /// Does it, inside a savepoint.
    fn run(&mut self, conn: &Connection) -> Outcome<()>;

    /// Tells the caller; `Ok` once it is durable.
    fn answer(self: Box<Self>, committed: Outcome<()>);

    /// How much of a batch it takes.
    fn weight(&self) -> usize;
}

struct Command<F, T> {
    work: Option<F>,
    done: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
    weight: usize,
}

impl<F, T> Write for Command<F, T>
where
    F: FnOnce(&Connection) -> Outcome<T> + Send,
    T: Send,
{
    fn run(&mut self, conn: &Connection) -> Outcome<()> {
        if let Some(work) = self.work.take() {
            self.done = Some(work(conn)?);
        }
        Ok(())
    }

    fn answer(mut self: Box<Self>, committed: Outcome<()>) {
        let result = match (committed, self.done.take()) {
            (Ok(()), Some(done)) => Ok(done),
            (Ok(()), None) => Err(StoreError::Unavailable(None)),
            (Err(fault), _) => Err(fault.into()),
        };
        // A caller that has gone away does not need the answer.
        drop(self.reply.send(result));
    }

    fn weight(&self) -> usize {
        self.weight
    }
}

enum Letter {
    Write(Box<dyn Write>),
    /// Without the checks of foreign keys, as a commit of its own.
    Unchecked(Box<dyn Write>),
    Close(oneshot::Sender<()>),
}

/// How much was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteCounts {
    /// Commits.
    pub commits: u64,
    /// Commands in them; an append of several intents is one command.
    pub commands: u64,
}

#[derive(Debug, Default)]
struct Shared {
    read_only: AtomicBool,
    commits: AtomicU64,
    commands: AtomicU64,
}

/// Queues writes for the thread.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    queue: SyncSender<Letter>,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Write(_) => "Write",
            Self::Unchecked(_) => "Unchecked",
            Self::Close(_) => "Close",
        })
    }
}

impl Writer {
    /// Starts the thread. It holds the folder, and so the lock, until it ends.
    pub(super) fn start(
        conn: Connection,
        folder: DataFolder,
        queue: usize,
        notices: Arc<Notices>,
    ) -> Result<Self, OpenError> {
        let (sender, receiver) = sync_channel(queue);
        let shared = Arc::new(Shared::default());
        let thread = Thread {
            conn: Some(conn),
            folder,
            shared: Arc::clone(&shared),
            since_checkpoint: 0,
            keeper: Keeper::default(),
            notices,
        };
        std::thread::Builder::new()
            .name("parlor-writer".to_owned())
            .spawn(move || thread.run(&receiver))
            .map_err(OpenError::Thread)?;
        Ok(Self { queue: sender, shared })
    }

    /// Carries out `work` and returns its result once it is durable.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: if the future is dropped the work may still be done.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        weight: usize,
        work: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.send(weight, work, Letter::Write).await
    }

    /// The same without the checks of foreign keys, as a commit of its own: `work` answers for it that
    /// nothing refers to what it removes, and nothing goes with it.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: if the future is dropped the work may still be done.
    pub(super) async fn write_unchecked<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.send(BATCH_MAX, work, Letter::Unchecked).await
    }

    async fn send<T: Send + 'static>(
        &self,
        weight: usize,
        work: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
        letter: fn(Box<dyn Write>) -> Letter,
    ) -> Result<T, StoreError> {
        if self.shared.read_only.load(Ordering::Acquire) {
            return Err(Fault::ReadOnly.into());
        }
        let (reply, answer) = oneshot::channel();
        let command = Command { work: Some(work), done: None, reply, weight };
        self.queue.try_send(letter(Box::new(command))).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Overloaded,
            TrySendError::Disconnected(_) => StoreError::Unavailable(None),
        })?;
        answer.await.unwrap_or(Err(StoreError::UnknownOutcome))
    }

    /// Writes what is queued and ends the thread.
    pub(super) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        let mut letter = Letter::Close(done);
        loop {
            match self.queue.try_send(letter) {
                Ok(()) => break,
                Err(TrySendError::Disconnected(_)) => return,
                Err(TrySendError::Full(full)) => {
                    letter = full;
                    tokio::task::yield_now().await;
                }
            }
        }
        // An error means that the thread has ended: closed as well.
        drop(closed.await);
    }

    /// Returns how much was written.
    pub(super) fn counts(&self) -> WriteCounts {
        WriteCounts {
            commits: self.shared.commits.load(Ordering::Relaxed),
            commands: self.shared.commands.load(Ordering::Relaxed),
        }
    }
}

struct Thread {
    /// `None` while writing has stopped.
    conn: Option<Connection>,
    folder: DataFolder,
    shared: Arc<Shared>,
    since_checkpoint: usize,
    keeper: Keeper,
    notices: Arc<Notices>,
}

impl Thread {
    fn run(mut self, queue: &Receiver<Letter>) {
        // What came after a batch and is not for it.
        let mut next = None;
        loop {
            let letter = match next.take() {
                Some(letter) => Ok(letter),
                None if self.conn.is_some() => {
                    queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
                }
                None => queue.recv_timeout(PROBE_EVERY),
            };
            match letter {
                Ok(Letter::Write(first)) => {
                    let batch;
                    (batch, next) = gather(first, queue);
                    self.commit(batch);
                    self.checkpoint_when_due();
                }
                Ok(Letter::Unchecked(write)) => {
                    self.commit_unchecked(write);
                    self.checkpoint_when_due();
                }
                Ok(Letter::Close(done)) => return self.end(Some(done)),
                Err(RecvTimeoutError::Timeout) => self.probe(),
                Err(RecvTimeoutError::Disconnected) => return self.end(None),
            }
        }
    }

    fn commit(&mut self, batch: Vec<Box<dyn Write>>) {
        let Some(conn) = &self.conn else {
            answer_all(batch, &Fault::ReadOnly);
            return;
        };
        self.since_checkpoint += batch.iter().map(|write| write.weight()).sum::<usize>();
        let n_commands = batch.len() as u64;
        match commit_batch(conn, &mut self.keeper, &self.notices, batch) {
            Ok(answers) => {
                self.shared.commits.fetch_add(1, Ordering::Relaxed);
                self.shared.commands.fetch_add(n_commands, Ordering::Relaxed);
                for (write, result) in answers {
                    write.answer(result);
                }
            }
            Err((fault, answers)) => {
                if fault.stops_writing() {
                    // Before the answers: whoever gets one finds that writing has stopped.
                    self.stop_writing(&fault);
                }
                for (write, result) in answers {
                    write.answer(Err(result.err().unwrap_or_else(|| fault.clone())));
                }
            }
        }
    }

    fn commit_unchecked(&mut self, write: Box<dyn Write>) {
        if let Some(conn) = &self.conn
            && let Err(fault) = check_foreign_keys(conn, false)
        {
            write.answer(Err(fault));
            return;
        }
        self.commit(vec![write]);
        if let Some(conn) = &self.conn
            && let Err(fault) = check_foreign_keys(conn, true)
        {
            // The next connection checks them.
            self.stop_writing(&fault);
        }
    }

    fn stop_writing(&mut self, fault: &Fault) {
        tracing::error!(
            error = fault as &dyn std::error::Error,
            "the disk is full or broken: writing has stopped, reading goes on"
        );
        self.shared.read_only.store(true, Ordering::Release);
        self.conn = None;
    }

    /// Tries a new connection with a write that needs space; goes on when it succeeds.
    fn probe(&mut self) {
        let probed =
            self.folder.connect_writer().map_err(|error| error.to_string()).and_then(|conn| {
                match probe(&conn) {
                    Ok(()) => Ok(conn),
                    Err(error) => Err(error.to_string()),
                }
            });
        match probed {
            Ok(conn) => {
                tracing::info!("writing goes on");
                self.conn = Some(conn);
                self.shared.read_only.store(false, Ordering::Release);
            }
            Err(reason) => tracing::debug!(reason, "the disk still does not take writes"),
        }
    }

    fn checkpoint_when_due(&mut self) {
        if self.since_checkpoint < CHECKPOINT_COMMANDS {
            return;
        }
        self.since_checkpoint = 0;
        let Some(conn) = &self.conn else { return };
        let moved = checkpoint(conn, sql::CHECKPOINT)
            .map_err(Fault::from)
            .and_then(|()| self.folder.renew_incarnation(conn));
        if let Err(fault) = moved {
            tracing::warn!(error = &fault as &dyn std::error::Error, "checkpoint failed");
            if fault.stops_writing() {
                self.stop_writing(&fault);
            }
        }
    }

    /// Leaves a database that is one complete file, and lets another process in.
    fn end(self, done: Option<oneshot::Sender<()>>) {
        let Self { conn, folder, .. } = self;
        if let Some(conn) = conn {
            let last = folder
                .renew_incarnation(&conn)
                .and_then(|()| Ok(checkpoint(&conn, sql::CHECKPOINT_LAST)?));
            if let Err(fault) = last {
                tracing::warn!(error = &fault as &dyn std::error::Error, "last checkpoint failed");
            }
            if let Err((_, error)) = conn.close() {
                tracing::warn!(error = &error as &dyn std::error::Error, "closing failed");
            }
        }
        drop(folder);
        if let Some(done) = done {
            // Nobody waits for it any more: fine.
            done.send(()).ok();
        }
    }
}

/// Takes what is queued already, up to what is not for the same commit; the wait for more is the commit
/// before.
fn gather(
    first: Box<dyn Write>,
    queue: &Receiver<Letter>,
) -> (Vec<Box<dyn Write>>, Option<Letter>) {
    let mut weight = first.weight();
    let mut batch = vec![first];
    while weight < BATCH_MAX {
        match queue.try_recv() {
            Ok(Letter::Write(write)) => {
                weight += write.weight();
                batch.push(write);
            }
            Ok(letter) => return (batch, Some(letter)),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
        }
    }
    (batch, None)
}

type Answers = Vec<(Box<dyn Write>, Outcome<()>)>;

/// Carries a batch out as one transaction. On failure nothing of it is kept, unless it is the commit
/// itself that failed half way.
fn commit_batch(
    conn: &Connection,
    keeper: &mut Keeper,
    notices: &Notices,
    batch: Vec<Box<dyn Write>>,
) -> Result<Answers, (Fault, Answers)> {
    let mut answers: Answers = Vec::with_capacity(batch.len());
    let mut waiting = batch.into_iter();
    if let Err(error) = query::execute(conn, sql::BEGIN, []) {
        answers.extend(waiting.map(|write| (write, Ok(()))));
        return Err((error.into(), answers));
    }
    while let Some(mut write) = waiting.next() {
        let result = in_savepoint(conn, || write.run(conn));
        // A full or broken disk ends the transaction for all of them.
        let broken = match &result {
            Err(fault) if fault.stops_writing() || conn.is_autocommit() => Some(fault.clone()),
            _ => None,
        };
        answers.push((write, result));
        if let Some(fault) = broken {
            answers.extend(waiting.map(|write| (write, Ok(()))));
            roll_back(conn);
            return Err((fault, answers));
        }
    }
    let noted = match keeper.settle(conn).and_then(|()| changes::take(conn)) {
        Ok(noted) => noted,
        Err(fault) => {
            roll_back(conn);
            return Err((fault, answers));
        }
    };
    let committed = query::execute(conn, sql::COMMIT, []);
    // It may be kept although it failed.
    notices.tell(if committed.is_ok() { noted } else { Noted::Everything });
    if let Err(error) = committed {
        roll_back(conn);
        return Err((Fault::Commit(Arc::new(error)), answers));
    }
    Ok(answers)
}

/// Runs `work` so that nothing of it is kept when it fails.
pub(super) fn in_savepoint<T, E: From<rusqlite::Error>>(
    conn: &Connection,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    query::execute(conn, sql::SAVEPOINT, [])?;
    let result = work();
    // A fatal error has ended the transaction together with its savepoints.
    if !conn.is_autocommit() {
        if result.is_err() {
            query::execute(conn, sql::ROLLBACK_TO, [])?;
        }
        query::execute(conn, sql::RELEASE, [])?;
    }
    result
}

/// Has foreign keys checked, or not. Only outside a transaction; within one it would do nothing.
fn check_foreign_keys(conn: &Connection, checked: bool) -> Outcome<()> {
    conn.pragma_update(None, "foreign_keys", checked)?;
    let is_checked: bool = conn.pragma_query_value(None, "foreign_keys", |row| row.get(0))?;
    if is_checked == checked {
        Ok(())
    } else {
        Err(Fault::Contradiction("foreign keys are checked when they should not be, or not at all"))
    }
}

fn roll_back(conn: &Connection) {
    if !conn.is_autocommit()
        && let Err(error) = query::execute(conn, sql::ROLLBACK, [])
    {
        tracing::warn!(error = &error as &dyn std::error::Error, "rollback failed");
    }
}

fn answer_all(batch: Vec<Box<dyn Write>>, fault: &Fault) {
    for write in batch {
        write.answer(Err(fault.clone()));
    }
}

fn checkpoint(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    query::get(conn, sql, [], |_| Ok(()))
}

/// Writes as much as a few commits would, durably, and takes it back.
fn probe(conn: &Connection) -> rusqlite::Result<()> {
    query::execute(conn, sql::PROBE, [])?;
    query::execute(conn, sql::PROBE_END, [])?;
    Ok(())
}
