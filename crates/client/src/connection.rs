//! One WebSocket: opened, authenticated, kept alive, and ended for a stated reason.
//!
//! A task reads and writes the socket until either side ends it. Frames wait in a bounded queue;
//! when the program does not take them, the network is not read, and the server may close with
//! 4001. A dead peer is noticed: a `ping` goes out at each heartbeat, and silence of two and a half
//! heartbeats ends the connection.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use parlor_protocol::code::{Code, Problem};
use parlor_protocol::command::Command;
use parlor_protocol::frame::{Accepted, Frame, Refused, Subscribed, Welcome};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::config::ClientConfig;
use crate::error::{ClientError, Ended};

mod handshake;
mod socket;

/// How long a polite goodbye may take.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// The server's answer to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It was carried out.
    Accepted(Accepted),
    /// The room is being followed.
    Subscribed(Box<Subscribed>),
    /// It was refused.
    Refused(Refused),
}

impl Reply {
    /// Turns a refusal into an error.
    pub fn accepted(self) -> Result<Accepted, ClientError> {
        match self {
            Self::Accepted(accepted) => Ok(accepted),
            Self::Refused(refused) => Err(refused.into()),
            Self::Subscribed(_) => Err(ClientError::Malformed("subscribed".to_owned())),
        }
    }

    /// Turns a refusal into an error.
    pub fn subscribed(self) -> Result<Subscribed, ClientError> {
        match self {
            Self::Subscribed(subscribed) => Ok(*subscribed),
            Self::Refused(refused) => Err(refused.into()),
            Self::Accepted(_) => Err(ClientError::Malformed("ok".to_owned())),
        }
    }
}

/// The sending side of one WebSocket. Dropping it ends the connection.
#[derive(Debug)]
pub struct Connection {
    welcome: Welcome,
    outgoing: mpsc::Sender<Outgoing>,
    pending: Arc<Pending>,
    last_id: AtomicU64,
    command_timeout: Duration,
    /// Ends the task when the connection is dropped.
    task: JoinSet<()>,
}

/// The receiving side of one WebSocket.
#[derive(Debug)]
pub struct Frames {
    frames: mpsc::Receiver<Result<Frame, Ended>>,
    ended: Option<Ended>,
}

enum Outgoing {
    Text(String),
    Close,
}

impl Connection {
    /// Opens a connection with an access token and waits for the server's `welcome`.
    pub async fn open(config: &ClientConfig, token: &str) -> Result<(Self, Frames), ClientError> {
        let opening = handshake::open(config, token);
        let (socket, welcome) =
            timeout(config.connect_timeout, opening).await.map_err(|_| ClientError::Timeout)??;
        let (outgoing, commands) = mpsc::channel(config.queued_commands);
        let (deliver, frames) = mpsc::channel(config.queued_frames);
        let pending = Arc::new(Pending::default());
        let heartbeat = Duration::from_millis(welcome.heartbeat_ms.clamp(20, 120_000));
        let life = socket::Life {
            heartbeat,
            silence: heartbeat.mul_f64(2.5),
            write_timeout: config.write_timeout,
            pending: Arc::clone(&pending),
        };
        let mut task = JoinSet::new();
        task.spawn(life.run(socket, commands, deliver));
        let connection = Self {
            welcome,
            outgoing,
            pending,
            last_id: AtomicU64::new(0),
            command_timeout: config.command_timeout,
            task,
        };
        Ok((connection, Frames { frames, ended: None }))
    }

    /// Returns what the server said at the beginning.
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// Sends a command; its answer, if it has an id, comes as a frame.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with `payload_too_large` when the frame is larger than the server
    /// takes, which would end the connection; [`ClientError::Ended`] when it has ended.
    pub async fn send(&self, command: &Command) -> Result<(), ClientError> {
        let text = self.encode(command)?;
        self.write(Outgoing::Text(text)).await
    }

    /// Sends a command under an id of this connection and waits for its answer.
    ///
    /// The `id` in the command is replaced. `subscribed` is also delivered as a frame, so that its
    /// place among the events is known.
    ///
    /// # Errors
    /// As [`Connection::send`], and [`ClientError::Timeout`] when there is no answer in time.
    pub async fn request(&self, command: Command) -> Result<Reply, ClientError> {
        let id = format!("r{}", self.last_id.fetch_add(1, Ordering::Relaxed) + 1);
        let text = self.encode(&with_id(command, id.clone()))?;
        let (answer, answered) = oneshot::channel();
        let _waiting = self.pending.wait(id, answer);
        self.write(Outgoing::Text(text)).await?;
        match timeout(self.command_timeout, answered).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(_)) => Err(ClientError::Ended(Ended::Lost("before the answer".to_owned()))),
            Err(_) => Err(ClientError::Timeout),
        }
    }

    /// Says goodbye and waits a moment for the server to have heard it.
    pub async fn close(mut self) {
        if self.write(Outgoing::Close).await.is_ok() {
            drop(timeout(CLOSE_PATIENCE, self.task.join_next()).await);
        }
    }

    fn encode(&self, command: &Command) -> Result<String, ClientError> {
        let text = serde_json::to_string(command)
            .map_err(|error| ClientError::Malformed(error.to_string()))?;
        let limit = self.welcome.limits.frame_bytes;
        if text.len() > limit {
            let detail = format!("a frame may have {limit} bytes");
            return Err(Problem::new(Code::PayloadTooLarge, detail).into());
        }
        Ok(text)
    }

    async fn write(&self, outgoing: Outgoing) -> Result<(), ClientError> {
        let sent = self.outgoing.send(outgoing).await;
        sent.map_err(|_| ClientError::Ended(Ended::Lost("already ended".to_owned())))
    }
}

impl Frames {
    /// Returns the next frame, or how the connection ended.
    ///
    /// # Cancel safety
    /// No frame is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Frame, Ended> {
        if let Some(ended) = &self.ended {
            return Err(ended.clone());
        }
        let next = self.frames.recv().await.unwrap_or(Err(Ended::Here));
        if let Err(ended) = &next {
            self.ended = Some(ended.clone());
        }
        next
    }
}

/// Returns the command under another id.
pub(crate) fn with_id(mut command: Command, new: String) -> Command {
    match &mut command {
        Command::Subscribe { id, .. }
        | Command::Unsubscribe { id, .. }
        | Command::Publish { id, .. }
        | Command::Typing { id, .. }
        | Command::Presence { id, .. }
        | Command::Signal { id, .. }
        | Command::Read { id, .. }
        | Command::Cancel { id, .. }
        | Command::Slash { id, .. }
        | Command::Refresh { id, .. } => *id = Some(new),
        Command::Hello { .. } | Command::Ping {} => {}
    }
    command
}

/// Requests that wait for their answer.
#[derive(Debug, Default)]
struct Pending {
    answers: Mutex<HashMap<String, oneshot::Sender<Reply>>>,
}

impl Pending {
    /// Registers a request until the returned guard is dropped.
    fn wait(self: &Arc<Self>, id: String, answer: oneshot::Sender<Reply>) -> Waiting {
        self.answers().insert(id.clone(), answer);
        Waiting { pending: Arc::clone(self), id }
    }

    /// Gives a frame to the request that it answers; returns it when it is for the program.
    fn offer(&self, frame: Frame) -> Option<Frame> {
        let re = match &frame {
            Frame::Ok(accepted) => accepted.re.as_deref(),
            Frame::Error(refused) => refused.re.as_deref(),
            Frame::Subscribed(subscribed) => subscribed.re.as_deref(),
            _ => None,
        };
        let Some(answer) = re.and_then(|re| self.answers().remove(re)) else {
            return Some(frame);
        };
        let (reply, rest) = match frame {
            Frame::Ok(accepted) => (Reply::Accepted(accepted), None),
            Frame::Error(refused) => (Reply::Refused(refused), None),
            Frame::Subscribed(subscribed) => {
                (Reply::Subscribed(subscribed.clone()), Some(Frame::Subscribed(subscribed)))
            }
            other => return Some(other),
        };
        // Whoever asked may have stopped waiting.
        drop(answer.send(reply));
        rest
    }

    /// Tells all that no answer will come.
    fn clear(&self) {
        self.answers().clear();
    }

    fn answers(&self) -> std::sync::MutexGuard<'_, HashMap<String, oneshot::Sender<Reply>>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Waiting {
    pending: Arc<Pending>,
    id: String,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.pending.answers().remove(&self.id);
    }
}

#[cfg(test)]
mod tests;
