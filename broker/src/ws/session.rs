//! One session: reads commands, carries them out, writes what waits, and ends in one place.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use parlor_protocol::close::CloseCode;
use parlor_protocol::command::Command;
use parlor_protocol::frame::{Frame, Welcome};
use tokio::time::Instant;

use super::command::{Action, Flood, Places, decode, execute};
use super::socket::{Reader, Received};
use crate::admission::Permit;
use crate::node::Caller;
use crate::rate::AddressKey;
use crate::refusal::Refusal;
use crate::shard::Shard;
use crate::shard::conn::{CloseReason, Conn};
use crate::shard::outbox::Class;

/// Time for a farewell to reach a client that may be reading slowly.
const LINGER: Duration = Duration::from_secs(5);
/// Bytes that are read and thrown away while saying goodbye, so that the goodbye is not lost to a
/// reset.
const DISCARD_MAX: usize = 1024 * 1024;
/// Frames in a row before other sessions get a turn.
const FRAMES_BEFORE_YIELD: usize = 64;
/// Frames that cannot be understood before the connection is closed with 4500.
const BAD_FRAMES_MAX: u32 = 10;

/// Work on a command, ending in a frame to answer with.
pub(super) type Work = Pin<Box<dyn Future<Output = Option<Frame>>>>;

/// A session of one connection.
pub(super) struct Session {
    pub(super) shard: Rc<Shard>,
    pub(super) conn: Rc<Conn>,
    pub(super) address: AddressKey,
    pub(super) places: Rc<Places>,
    /// Held for the connection.
    pub(super) _connection: Rc<Permit>,
    pub(super) flood: Flood,
    pub(super) bad_frames: u32,
    pub(super) active_at: Option<Instant>,
}

impl Session {
    /// Serves the connection to its end.
    pub(super) async fn run(mut self, begun: Bytes, caller: Option<Caller>) {
        let shard = Rc::clone(&self.shard);
        let conn = Rc::clone(&self.conn);
        shard.add(&conn);
        if let Some(caller) = caller {
            log_in(&shard, &conn, &self.places, caller).await;
            self.flush();
        }
        let reason = self.serve(&begun).await;
        shard.remove(&conn);
        shard.node.metrics.ws.closed.with_label_values(&[reason.label()]).inc();
        let caller = conn.caller.borrow().clone();
        tracing::info!(
            session.id = caller.as_ref().map(|caller| caller.session.to_string()),
            user.id = caller.as_ref().map(|caller| caller.user.id.to_string()),
            close.reason = reason.label(),
            duration_ms = conn.opened_at.elapsed().as_millis(),
            "session ended"
        );
        if let Some(caller) = caller {
            let node = &shard.node;
            let transition = node.presence.disconnected(caller.user.id, node.now()).await;
            node.announce_presence(transition, &caller.user).await;
            // A convenience: without the store the time is simply not remembered.
            drop(node.store.touch_last_seen(caller.user.id, node.now()).await);
        }
        drop(self.places.user.take());
        drop(self.places.waiting.take());
        self.say_goodbye(reason).await;
    }

    async fn serve(&mut self, begun: &Bytes) -> CloseReason {
        let limits = &self.shard.node.config.limits;
        let in_flight = limits.commands_in_flight;
        let mut reader = Reader::new(begun, limits.frame.get());
        // Publishes: many at a time, answered as they are committed.
        let mut commits: FuturesUnordered<Work> = FuturesUnordered::new();
        // Everything that must be done in order: the next frame is read when it is done.
        let mut serial: Option<Work> = None;
        let conn = Rc::clone(&self.conn);
        // Bytes that came with the request are in the reader: the socket need not be readable.
        let mut readable = !begun.is_empty();
        loop {
            if let Some(reason) = conn.closing() {
                return reason;
            }
            let finishing = conn.finishing();
            if let Some(reason) = finishing.filter(|_| commits.is_empty() && serial.is_none()) {
                conn.close(reason);
                continue;
            }
            let may_read = serial.is_none() && commits.len() < in_flight && finishing.is_none();
            if readable && may_read {
                readable = self.read(&mut reader, &mut commits, &mut serial);
                self.flush();
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                biased;
                () = conn.wake.notified() => self.flush(),
                Some(answer) = commits.next(), if !commits.is_empty() => self.answer(answer),
                answer = poll_serial(&mut serial), if serial.is_some() => {
                    serial = None;
                    self.answer(answer);
                }
                _ = conn.socket.writable(), if conn.is_blocked() => self.flush(),
                ready = conn.socket.readable(), if may_read => match ready {
                    Ok(()) => readable = true,
                    Err(_) => conn.close(CloseReason::Lost),
                },
            }
        }
    }

    /// Reads what has arrived. `true` when there may be more.
    fn read(
        &mut self,
        reader: &mut Reader,
        commits: &mut FuturesUnordered<Work>,
        serial: &mut Option<Work>,
    ) -> bool {
        let in_flight = self.shard.node.config.limits.commands_in_flight;
        for _ in 0..FRAMES_BEFORE_YIELD {
            if serial.is_some() || commits.len() >= in_flight || self.conn.closing().is_some() {
                return true;
            }
            let received = reader.read(&self.conn.socket);
            let goodbye = matches!(received, Received::Goodbye);
            if let Some(replies) = reader.take_replies() {
                self.conn.push(Class::Durable, replies);
            }
            if !matches!(received, Received::WouldBlock) {
                self.conn.heard_at.set(Instant::now());
            }
            match received {
                Received::Text(text) => match self.take(text.as_str()) {
                    Some(Action::Commit(work)) => commits.push(work),
                    Some(Action::Serial(work)) => *serial = Some(work),
                    Some(Action::Answer(frame)) => self.conn.send(&frame),
                    Some(Action::Done) | None => {}
                },
                Received::Binary => self.note_bad_frame(Refusal::new(
                    parlor_protocol::code::Code::Unsupported,
                    "Commands are JSON in text frames.",
                )),
                Received::Nothing => {
                    if let Err(refusal) = self.flood.check() {
                        self.refuse_flood(refusal, None);
                    }
                }
                Received::Goodbye => {}
                Received::WouldBlock => return false,
                Received::Paused => return true,
                Received::Endless => self.conn.close(CloseReason::Contract(CloseCode::Flooding)),
                Received::Broken(code) => self.conn.close(CloseReason::Protocol(code)),
                Received::TooLarge => {
                    self.conn.close(CloseReason::Contract(CloseCode::FrameTooLarge));
                }
                Received::Lost => self.conn.close(CloseReason::Lost),
            }
            if goodbye {
                self.conn.close(CloseReason::Client);
            }
        }
        true
    }

    /// Decodes one frame and begins its work.
    fn take(&mut self, text: &str) -> Option<Action> {
        let command = match decode(text) {
            Ok(command) => command,
            Err((refusal, id)) => {
                if self.conn.caller.borrow().is_none() {
                    self.conn.close(CloseReason::Contract(CloseCode::Unauthenticated));
                    return None;
                }
                self.count("invalid", refusal.code.as_str());
                return self.answer_bad_frame(refusal, id);
            }
        };
        if let Err(refusal) = self.flood.check() {
            self.refuse_flood(refusal, command.id().map(str::to_owned));
            return None;
        }
        if self.conn.caller.borrow().is_none() && !matches!(command, Command::Hello { .. }) {
            self.conn.close(CloseReason::Contract(CloseCode::Unauthenticated));
            return None;
        }
        Some(execute(self, command))
    }

    pub(super) fn count(&self, kind: &str, outcome: &str) {
        self.shard.node.metrics.ws.commands.with_label_values(&[kind, outcome]).inc();
    }

    fn answer_bad_frame(&mut self, refusal: Refusal, id: Option<String>) -> Option<Action> {
        self.bad_frames += 1;
        if self.bad_frames > BAD_FRAMES_MAX {
            self.conn.close(CloseReason::Contract(CloseCode::BadFrame));
            return None;
        }
        Some(Action::Answer(refusal.into_frame(id)))
    }

    fn note_bad_frame(&mut self, refusal: Refusal) {
        if self.conn.caller.borrow().is_none() {
            self.conn.close(CloseReason::Contract(CloseCode::Unauthenticated));
        } else if let Some(Action::Answer(frame)) = self.answer_bad_frame(refusal, None) {
            self.conn.send(&frame);
        }
    }

    fn refuse_flood(&mut self, refusal: Refusal, id: Option<String>) {
        self.shard.node.metrics.auth.rate_limited.with_label_values(&["commands"]).inc();
        if self.flood.is_hopeless() {
            self.conn.close(CloseReason::Contract(CloseCode::Flooding));
        } else {
            self.conn.send(&refusal.into_frame(id));
        }
    }

    fn answer(&self, frame: Option<Frame>) {
        if let Some(frame) = frame {
            self.conn.send(&frame);
        }
        self.flush();
    }

    fn flush(&self) {
        if self.conn.flush().is_err() {
            self.conn.close(CloseReason::Lost);
        }
    }

    /// Lets the farewell out, then reads and throws away what the client had sent, so that the
    /// kernel does not answer it with a reset that would overtake the farewell.
    async fn say_goodbye(self, reason: CloseReason) {
        let conn = &self.conn;
        if reason == CloseReason::Lost {
            return;
        }
        let farewell = async {
            while matches!(conn.flush(), Ok(false)) {
                if conn.socket.writable().await.is_err() {
                    return;
                }
            }
            let stream = socket2::SockRef::from(&conn.socket);
            if stream.shutdown(std::net::Shutdown::Write).is_err() {
                return;
            }
            let (mut discarded, mut buffer) = (0, [0; 4096]);
            while discarded < DISCARD_MAX && conn.socket.readable().await.is_ok() {
                match conn.socket.try_read(&mut buffer) {
                    Ok(0) => return,
                    Ok(read) => discarded += read,
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(_) => return,
                }
            }
        };
        // A client that does not take its farewell is left.
        drop(tokio::time::timeout(LINGER, farewell).await);
    }
}

async fn poll_serial(serial: &mut Option<Work>) -> Option<Frame> {
    match serial {
        Some(work) => work.await,
        None => None,
    }
}

/// Makes a connection the user's: takes a place, welcomes, tells presence.
pub(super) async fn log_in(shard: &Rc<Shard>, conn: &Rc<Conn>, places: &Places, caller: Caller) {
    let node = &shard.node;
    match node.admission.log_in(caller.user.id) {
        Ok(permit) => {
            drop(places.user.replace(Some(permit)));
            drop(places.waiting.take());
        }
        Err(none) => {
            node.metrics.http.refused.with_label_values(&[none.reason()]).inc();
            conn.close(CloseReason::Contract(CloseCode::Overloaded));
            return;
        }
    }
    conn.send(&Frame::Welcome(Box::new(Welcome {
        session: caller.session,
        user: caller.user.clone(),
        node: node.name.clone(),
        heartbeat_ms: u64::try_from(node.config.limits.heartbeat.as_millis()).unwrap_or(u64::MAX),
        limits: node.limits(),
    })));
    let user = caller.user.clone();
    *conn.caller.borrow_mut() = Some(caller);
    // The login may have ended while this was under way; housekeeping would notice later.
    let session = conn.caller.borrow().as_ref().map(|caller| caller.session);
    if session.is_some_and(|session| node.revocations.is_revoked(session)) {
        conn.close(CloseReason::Contract(CloseCode::SessionRevoked));
    }
    let transition = node.presence.connected(user.id, node.now()).await;
    node.announce_presence(transition, &user).await;
}
