//! The task behind a feed: connects, serves the connection, waits, and connects again.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::FutureExt as _;
use parlor_protocol::close::CloseCode;
use parlor_protocol::code::Code;
use parlor_protocol::command::Command;
use parlor_protocol::frame::{Frame, Refused};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::outbox::Outbox;
use super::rooms::{Rooms, Step};
use super::{Ask, Update};
use crate::backoff::Backoff;
use crate::connection::{Connection, Frames};
use crate::error::{ClientError, Ended};
use crate::http::Http;

/// A connection that lived for so long starts the pauses from the beginning.
const STABLE: Duration = Duration::from_secs(5);
/// Longest pause that a server may ask for.
const PAUSE_MAX: Duration = Duration::from_mins(2);
/// The pause before a token that could not be renewed on an open connection is tried again.
const RENEWAL_PAUSE: Duration = Duration::from_secs(5);
/// The pause before a subscription is asked for again, when the server names none.
const SUBSCRIBE_PAUSE: Duration = Duration::from_secs(1);

/// Why a connection is not served any more.
enum Left {
    /// It ended, or cannot go on.
    Error(ClientError),
    /// The server asked to come back, and the time has come.
    Moved,
    /// The program does not want it any more.
    Closed(Option<oneshot::Sender<()>>),
}

type Renewal = Pin<Box<dyn Future<Output = Result<String, ClientError>> + Send>>;

pub(super) struct Supervisor {
    http: Http,
    asks: mpsc::Receiver<Ask>,
    updates: mpsc::Sender<Update>,
    rooms: Rooms,
    outbox: Outbox,
    backoff: Backoff,
    /// The access token of the present or last connection.
    token: String,
    /// The token must be renewed before it is used again.
    stale: bool,
    /// When the server wants this client back.
    return_at: Option<Instant>,
    /// Subscriptions that are asked for again later.
    retries: Vec<(Instant, String)>,
}

impl Supervisor {
    pub(super) fn new(
        http: Http,
        asks: mpsc::Receiver<Ask>,
        updates: mpsc::Sender<Update>,
    ) -> Self {
        let backoff = Backoff::new(http.config().backoff_base, http.config().backoff_cap);
        Self {
            http,
            asks,
            updates,
            rooms: Rooms::default(),
            outbox: Outbox::default(),
            backoff,
            token: String::new(),
            stale: false,
            return_at: None,
            retries: Vec::new(),
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let left = match self.connect().await {
                Ok((connection, frames)) => self.live(connection, frames).await,
                Err(left) => left,
            };
            self.outbox.disconnected();
            self.retries.clear();
            let error = match left {
                Left::Moved => {
                    self.return_at = None;
                    continue;
                }
                // Whoever asked to close hears it by the drop.
                Left::Closed(_done) => return,
                Left::Error(error) => error,
            };
            if is_final(&error) {
                return self.tell(Update::Ended(error)).await;
            }
            let retry_in = self.pause(&error);
            let until = Instant::now() + retry_in;
            self.tell(Update::Disconnected { error, retry_in }).await;
            if self.meanwhile(sleep_until(until)).await.is_err() {
                return;
            }
        }
    }

    /// Returns how long to wait before the next attempt.
    fn pause(&mut self, error: &ClientError) -> Duration {
        self.stale = match error {
            ClientError::Ended(Ended::Closed { code, .. }) => {
                *code == CloseCode::TokenExpired.as_u16()
            }
            other => self.stale || other.code() == Some(Code::TokenExpired),
        };
        let fresh = self.backoff.is_fresh();
        let drawn = self.backoff.next(rand::random());
        let asked = match self.return_at.take() {
            Some(at) => at.saturating_duration_since(Instant::now()),
            // Each token has its own time to expire, so there is no crowd to spread.
            None if self.stale && fresh => Duration::ZERO,
            // The server's time is a bound for all; the drawn pause spreads them behind it.
            None => error.retry_after().map_or(drawn, |after| after + drawn),
        };
        asked.min(PAUSE_MAX)
    }

    /// Opens a connection with a valid token.
    async fn connect(&mut self) -> Result<(Connection, Frames), Left> {
        let http = self.http.clone();
        let stale = std::mem::take(&mut self.stale).then(|| self.token.clone());
        let opening = async move {
            let mut token = match stale {
                Some(stale) => http.renew(&stale).await?,
                None => http.access_token().await?,
            };
            let mut opened = Connection::open(http.config(), &token).await;
            if opened.as_ref().is_err_and(ClientError::wants_fresh_token) {
                token = http.renew(&token).await?;
                opened = Connection::open(http.config(), &token).await;
            }
            opened.map(|opened| (opened, token))
        };
        let (opened, token) = self.meanwhile(opening).await?.map_err(Left::Error)?;
        self.token = token;
        Ok(opened)
    }

    /// Waits for something without a connection, and takes what is asked for in the meantime.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Left> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                ask = self.asks.recv() => match ask {
                    Some(Ask::Subscribe { room, since }) => drop(self.rooms.follow(room, since)),
                    Some(Ask::Unsubscribe { room }) => drop(self.rooms.leave(&room)),
                    Some(Ask::Deliver(entry)) => self.outbox.push(entry),
                    // Every room is subscribed on the next connection.
                    Some(Ask::Resubscribe { .. } | Ask::Tell(_)) => {}
                    Some(Ask::Close { done }) => return Err(Left::Closed(Some(done))),
                    None => return Err(Left::Closed(None)),
                },
            }
        }
    }

    /// Serves one connection from its beginning to its end.
    async fn live(&mut self, connection: Connection, mut frames: Frames) -> Left {
        let since = Instant::now();
        self.tell(Update::Connected(Box::new(connection.welcome().clone()))).await;
        let left = match self.begin(&connection).await {
            Ok(()) => self.serve(&connection, &mut frames).await,
            Err(error) => self.rest(&mut frames, error).await,
        };
        if since.elapsed() >= STABLE {
            self.backoff.reset();
        }
        if matches!(left, Left::Moved | Left::Closed(_)) {
            connection.close().await;
        }
        left
    }

    async fn begin(&mut self, connection: &Connection) -> Result<(), ClientError> {
        for command in self.rooms.connected() {
            connection.send(&command).await?;
        }
        Ok(())
    }

    /// Finds out why a connection could not be written to: the last frames say it better.
    async fn rest(&mut self, frames: &mut Frames, error: ClientError) -> Left {
        if !matches!(error, ClientError::Ended(Ended::Lost(_))) {
            return Left::Error(error);
        }
        loop {
            match frames.next().await {
                Ok(Frame::Drain(drain)) => self.drain(drain.reconnect_in_ms),
                Ok(_) => {}
                Err(Ended::Here) => return Left::Error(error),
                Err(ended) => return Left::Error(ended.into()),
            }
        }
    }

    async fn serve(&mut self, connection: &Connection, frames: &mut Frames) -> Left {
        let patience = self.http.config().command_timeout;
        let mut renewal: Option<Renewal> = None;
        let mut renew_at = self.http.renew_at(&self.token);
        loop {
            if let Err(error) = self.send_ready(connection).await {
                return self.rest(frames, error).await;
            }
            let wake_at = self.outbox.wake_at(patience);
            let wake_at = wake_at.into_iter().chain(self.retries.iter().map(|retry| retry.0)).min();
            // Not biased: neither a busy room nor a busy program may keep the other waiting.
            let step = tokio::select! {
                () = at(self.return_at) => return Left::Moved,
                () = at(wake_at) => {
                    if self.outbox.is_overdue(Instant::now(), patience) {
                        return Left::Error(Ended::Silent.into());
                    }
                    Ok(())
                }
                () = at(renew_at), if renewal.is_none() => {
                    renewal = Some(self.renewal());
                    Ok(())
                }
                token = renewed(&mut renewal) => {
                    renewal = None;
                    let retry_at = Instant::now() + RENEWAL_PAUSE;
                    let outcome = self.renewed(connection, token).await;
                    renew_at = self.http.renew_at(&self.token).map(|at| at.max(retry_at));
                    outcome
                }
                ask = self.asks.recv() => match ask {
                    Some(Ask::Close { done }) => return Left::Closed(Some(done)),
                    None => return Left::Closed(None),
                    Some(ask) => self.take(connection, ask).await,
                },
                frame = frames.next() => match frame {
                    Ok(frame) => {
                        if expired(&frame) && renewal.is_none() {
                            renewal = Some(self.renewal());
                        }
                        self.frame(connection, frame).await
                    }
                    Err(ended) => return Left::Error(ended.into()),
                },
            };
            if let Err(error) = step {
                return self.rest(frames, error).await;
            }
        }
    }

    fn renewal(&self) -> Renewal {
        let (http, token) = (self.http.clone(), self.token.clone());
        async move { http.renew(&token).await }.boxed()
    }

    /// Sends what has become due.
    async fn send_ready(&mut self, connection: &Connection) -> Result<(), ClientError> {
        let now = Instant::now();
        while let Some(index) = self.retries.iter().position(|(due, _)| *due <= now) {
            let (_, id) = self.retries.swap_remove(index);
            if let Some(command) = self.rooms.retry(&id) {
                connection.send(&command).await?;
            }
        }
        while let Some(command) = self.outbox.next_ready(now) {
            match connection.send(&command).await {
                // It can never be sent; the connection is well.
                Err(error @ ClientError::Problem(_)) => self.outbox.fail(command.id(), error),
                sent => sent?,
            }
        }
        Ok(())
    }

    async fn renewed(
        &mut self,
        connection: &Connection,
        token: Result<String, ClientError>,
    ) -> Result<(), ClientError> {
        match token {
            Ok(token) => {
                self.token.clone_from(&token);
                connection.send(&Command::Refresh { id: None, token }).await
            }
            Err(ClientError::NotLoggedIn) => Err(ClientError::NotLoggedIn),
            // The server closes with 4004 when the time is up, and then it is tried again.
            Err(error) => {
                tracing::debug!(error.code = ?error.code(), "access token could not be renewed");
                Ok(())
            }
        }
    }

    async fn take(&mut self, connection: &Connection, ask: Ask) -> Result<(), ClientError> {
        let command = match ask {
            Ask::Subscribe { room, since } => Some(self.rooms.follow(room, since)),
            Ask::Resubscribe { room } => self.rooms.again(room),
            Ask::Unsubscribe { room } => self.rooms.leave(&room),
            Ask::Tell(command) => Some(command),
            Ask::Deliver(entry) => {
                self.outbox.push(entry);
                None
            }
            Ask::Close { .. } => None,
        };
        match command {
            Some(command) => connection.send(&command).await,
            None => Ok(()),
        }
    }

    async fn frame(&mut self, connection: &Connection, frame: Frame) -> Result<(), ClientError> {
        let step = match frame {
            Frame::Event(event) => self.rooms.event(event),
            Frame::Signal(signal) if self.rooms.follows(signal.room) => {
                Step::Tell(vec![Update::Signal(signal)])
            }
            Frame::Subscribed(subscribed) => self.rooms.subscribed(*subscribed),
            Frame::Resync(resync) => self.rooms.resync(resync),
            Frame::Ok(accepted) => {
                self.outbox.accepted(accepted);
                Step::Nothing
            }
            Frame::Error(refused) => self.refused(refused),
            Frame::Drain(drain) => {
                self.drain(drain.reconnect_in_ms);
                Step::Nothing
            }
            Frame::Signal(_) | Frame::Welcome(_) | Frame::Pong {} => Step::Nothing,
        };
        let (updates, command) = match step {
            Step::Nothing => return Ok(()),
            Step::Tell(updates) => (updates, None),
            Step::Send(updates, command) => (updates, Some(command)),
            Step::GiveUp => {
                let hole = "events are missing".to_owned();
                return Err(ClientError::Ended(Ended::Malformed(hole)));
            }
        };
        for update in updates {
            self.tell(update).await;
        }
        match command {
            Some(command) => connection.send(&command).await,
            None => Ok(()),
        }
    }

    fn refused(&mut self, refused: Refused) -> Step {
        let Some(refused) = self.outbox.refused(refused, Instant::now()) else {
            return Step::Nothing;
        };
        if refused.code.is_retryable() && self.rooms.is_asking(refused.re.as_deref()) {
            let pause = refused.retry_after_ms.map_or(SUBSCRIBE_PAUSE, Duration::from_millis);
            let due = Instant::now() + pause.min(PAUSE_MAX);
            self.retries.extend(refused.re.map(|id| (due, id)));
            return Step::Nothing;
        }
        match self.rooms.refused(refused) {
            Ok(update) => Step::Tell(vec![update]),
            Err(refused) => {
                tracing::debug!(error.code = %refused.code, "server has a complaint");
                Step::Nothing
            }
        }
    }

    fn drain(&mut self, reconnect_in_ms: u64) {
        let pause = Duration::from_millis(reconnect_in_ms).min(PAUSE_MAX);
        self.return_at = Some(Instant::now() + pause);
    }

    async fn tell(&self, update: Update) {
        // A program that only publishes does not listen.
        drop(self.updates.send(update).await);
    }
}

impl From<Ended> for ClientError {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

/// Tells whether there is no use in trying again.
fn is_final(error: &ClientError) -> bool {
    match error {
        ClientError::NotLoggedIn | ClientError::Address | ClientError::TokenStore(_) => true,
        ClientError::Ended(ended) => !ended.may_reconnect(),
        ClientError::Problem(problem) => matches!(
            problem.code,
            Code::Forbidden | Code::Unauthenticated | Code::NotFound | Code::Unsupported
        ),
        ClientError::Status { status, .. } => (400..500).contains(status) && *status != 429,
        ClientError::Unreachable(_)
        | ClientError::Timeout
        | ClientError::Malformed(_)
        | ClientError::File(_) => false,
    }
}

fn expired(frame: &Frame) -> bool {
    matches!(frame, Frame::Error(refused) if refused.code == Code::TokenExpired)
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

async fn renewed(renewal: &mut Option<Renewal>) -> Result<String, ClientError> {
    match renewal {
        Some(renewal) => renewal.await,
        None => std::future::pending().await,
    }
}
