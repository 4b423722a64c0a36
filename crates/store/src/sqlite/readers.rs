//! A few threads that read, each with its own connection, fed by one bounded queue.
//!
//! Each piece of work sees one state of the database, as of its beginning, and never waits for the
//! writer.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::fault::Outcome;
use super::open::OpenError;
use super::query;
use super::sql::meta as sql;
use crate::error::StoreError;

enum Letter {
    Read(Box<dyn FnOnce(&Connection) + Send>),
    Close(oneshot::Sender<()>),
}

impl std::fmt::Debug for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Read(_) => "Read",
            Self::Close(_) => "Close",
        })
    }
}

/// Queues reads for the threads.
#[derive(Debug, Clone)]
pub(super) struct Readers {
    queue: SyncSender<Letter>,
    n_threads: usize,
}

impl Readers {
    /// Starts one thread for each connection.
    pub(super) fn start(connections: Vec<Connection>, queue: usize) -> Result<Self, OpenError> {
        let (sender, receiver) = sync_channel(queue);
        let receiver = Arc::new(Mutex::new(receiver));
        let n_threads = connections.len();
        for (n, conn) in connections.into_iter().enumerate() {
            let receiver = Arc::clone(&receiver);
            std::thread::Builder::new()
                .name(format!("parlor-reader-{n}"))
                .spawn(move || run(conn, &receiver))
                .map_err(OpenError::Thread)?;
        }
        Ok(Self { queue: sender, n_threads })
    }

    /// Carries out `work` on one state of the database.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let read = move |conn: &Connection| {
            // Nobody waits for it any more.
            if reply.is_closed() {
                return;
            }
            let result = in_transaction(conn, work).map_err(|fault| {
                if fault.stops_writing() {
                    StoreError::Unavailable(Some(Box::new(fault)))
                } else {
                    fault.into()
                }
            });
            drop(reply.send(result));
        };
        self.queue.try_send(Letter::Read(Box::new(read))).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Overloaded,
            TrySendError::Disconnected(_) => StoreError::Unavailable(None),
        })?;
        answer.await.unwrap_or(Err(StoreError::Unavailable(None)))
    }

    /// Carries out what is queued and ends the threads.
    pub(super) async fn close(&self) {
        for _ in 0..self.n_threads {
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
    }
}

fn in_transaction<T>(
    conn: &Connection,
    work: impl FnOnce(&Connection) -> Outcome<T>,
) -> Outcome<T> {
    query::execute(conn, sql::BEGIN_READ, [])?;
    let result = work(conn);
    query::execute(conn, sql::COMMIT, [])?;
    result
}

fn run(conn: Connection, queue: &Mutex<Receiver<Letter>>) {
    loop {
        let letter = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match letter {
            Ok(Letter::Read(read)) => read(&conn),
            Ok(Letter::Close(done)) => {
                drop(conn);
                // Nobody waits for it any more: fine.
                done.send(()).ok();
                return;
            }
            Err(_) => return,
        }
    }
}
