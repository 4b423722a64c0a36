//! Someone who writes until the server ends the connection, and how that went.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parlor_protocol::frame::Frame;
use parlor_testkit::{
    process::User,
    socket::{Ended, Failure, Incoming, Socket},
};
use rand::Rng as _;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{follow::SharedHistory, until};

/// How far all writers of a test have come.
#[derive(Debug, Default)]
pub(super) struct Progress {
    written: AtomicUsize,
    is_over: AtomicBool,
}

impl Progress {
    /// Returns how many messages were acknowledged.
    pub(super) fn written(&self) -> usize {
        self.written.load(Ordering::Relaxed)
    }

    /// Waits until so many messages were acknowledged.
    pub(super) async fn reaches(&self, written: usize) {
        let enough = async || self.written() >= written;
        until(&format!("{written} messages"), Duration::from_mins(1), enough).await;
    }

    /// Lets those end whose connection does not.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// One connection that writes.
pub(super) struct Writer {
    socket: Socket,
    room: String,
    history: SharedHistory,
    progress: Arc<Progress>,
    fate: Fate,
}

/// How one connection fared.
pub(super) struct Fate {
    pub(super) user: User,
    pub(super) reconnect_in_ms: Option<u64>,
    /// Nothing when it was open to the end of the test.
    pub(super) ended: Option<Ended>,
    /// Written, but not answered.
    pub(super) open: Vec<(String, String)>,
    pub(super) told_at: Option<Instant>,
}

impl Fate {
    /// Returns the code that the server closed it with.
    pub(super) fn code(&self) -> Option<u16> {
        self.ended.as_ref()?.code()
    }
}

impl Writer {
    pub(super) async fn open(
        user: &User,
        room: &str,
        history: &SharedHistory,
        progress: &Arc<Progress>,
    ) -> Self {
        let fate = Fate {
            user: user.clone(),
            reconnect_in_ms: None,
            ended: None,
            open: Vec::new(),
            told_at: None,
        };
        Self {
            socket: user.socket().await,
            room: room.to_owned(),
            history: SharedHistory::clone(history),
            progress: Arc::clone(progress),
            fate,
        }
    }

    /// Writes until the connection ends, or the test.
    pub(super) async fn write(mut self) -> Fate {
        while !self.progress.is_over.load(Ordering::Relaxed) {
            let (client_id, body) = (Uuid::new_v4().to_string(), "still here".to_owned());
            self.history.lock().unwrap().wrote(&client_id, &body, false);
            match self.socket.publish(&self.room, &client_id, &body).await {
                Ok(accepted) => {
                    self.history.lock().unwrap().accepted(&client_id, &accepted);
                    self.progress.written.fetch_add(1, Ordering::Relaxed);
                }
                Err(Failure::Refused(refused)) => {
                    assert!(refused.code.is_retryable(), "{refused:?}");
                    self.fate.open.push((client_id, body));
                }
                Err(Failure::Ended(ended)) => {
                    self.fate.open.push((client_id, body));
                    self.fate.ended = Some(ended);
                    break;
                }
            }
            let pause = rand::rng().random_range(200..600);
            if self.listen(Instant::now() + Duration::from_millis(pause)).await {
                return self.fate;
            }
        }
        // Frames that came before the end, while an answer was awaited.
        self.listen(Instant::now()).await;
        self.fate
    }

    /// Reads what comes, and tells whether the connection has ended.
    async fn listen(&mut self, deadline: Instant) -> bool {
        while let Some(incoming) = self.socket.next_before(deadline).await {
            match incoming {
                Incoming::Ended(ended) => {
                    self.fate.ended = Some(ended);
                    return true;
                }
                Incoming::Frame(frame) => {
                    if let Frame::Drain(drain) = *frame {
                        self.fate.reconnect_in_ms = Some(drain.reconnect_in_ms);
                        self.fate.told_at = Some(Instant::now());
                    }
                }
            }
        }
        false
    }
}
