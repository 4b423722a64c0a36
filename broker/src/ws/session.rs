//! One session: reads commands, carries them out, writes what waits, and ends in one place.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use parlor_protocol::close::CloseCode;
use parlor_protocol::command::Command;
use parlor_protocol::frame::Frame;
use parlor_runtime::Phase;
use tokio::time::Instant;

use super::command::{Action, execute};
use super::context::{Context, Work, log_in};
use super::decode::decode;
use super::flood::Flood;
use super::socket::{Reader, Received};
use crate::admission::Permit;
use crate::node::Caller;
use crate::refusal::Refusal;
use crate::shard::Shard;
use crate::shard::conn::{CloseReason, Conn};
use crate::shard::outbox::Class;

/// Time for a farewell to reach a client.
const LINGER: Duration = Duration::from_secs(5);
/// So many times the write timeout a reader that had stalled may take to come to its farewell: it
/// has the system's buffers to read first. It holds its place among the connections meanwhile, but
/// next to no memory.
const SLOW_LINGER: u32 = 3;
/// Bytes that are read and thrown away while saying goodbye, so that the goodbye is not lost to a
/// reset.
const DISCARD_MAX: usize = 1024 * 1024;
/// Frames in a row before other sessions get a turn.
const FRAMES_BEFORE_YIELD: usize = 64;
/// Frames that cannot be understood before the connection is closed with 4500.
const BAD_FRAMES_MAX: u32 = 10;

/// A session of one connection.
pub(super) struct Session {
    pub(super) context: Context,
    /// Held for the connection.
    pub(super) _connection: Rc<Permit>,
    pub(super) flood: Flood,
    pub(super) bad_frames: u32,
}

/// A connection's place in its shard; dropping it removes the connection from everything.
struct Registered {
    shard: Rc<Shard>,
    conn: Rc<Conn>,
}

impl Registered {
    fn new(shard: &Rc<Shard>, conn: &Rc<Conn>) -> Self {
        shard.add(conn);
        Self { shard: Rc::clone(shard), conn: Rc::clone(conn) }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.shard.remove(&self.conn);
    }
}

impl Session {
    /// Serves the connection to its end.
    pub(super) async fn run(mut self, begun: Bytes, caller: Option<Caller>) {
        let shard = Rc::clone(&self.context.shard);
        let conn = Rc::clone(&self.context.conn);
        // Leaves everything also when the session panics.
        let registered = Registered::new(&shard, &conn);
        if shard.node.lifecycle.phase() >= Phase::Draining {
            conn.finish_and_close(CloseReason::Contract(CloseCode::Draining));
        }
        if let Some(caller) = caller {
            log_in(&shard, &conn, &self.context.places, caller).await;
            self.flush();
        }
        let reason = self.serve(&begun).await;
        drop(registered);
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
        drop(self.context.places.user.take());
        drop(self.context.places.waiting.take());
        self.say_goodbye(reason).await;
    }

    async fn serve(&mut self, begun: &Bytes) -> CloseReason {
        let limits = &self.context.shard.node.config.limits;
        let in_flight = limits.commands_in_flight;
        let mut reader = Reader::new(begun, limits.frame.get());
        // Publishes: many at a time, answered as they are committed.
        let mut commits: FuturesUnordered<Work> = FuturesUnordered::new();
        // Everything that must be done in order: the next frame is read when it is done.
        let mut serial: Option<Work> = None;
        let conn = Rc::clone(&self.context.conn);
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
        let in_flight = self.context.shard.node.config.limits.commands_in_flight;
        for _ in 0..FRAMES_BEFORE_YIELD {
            if serial.is_some()
                || commits.len() >= in_flight
                || self.context.conn.closing().is_some()
            {
                return true;
            }
            let received = reader.read(&self.context.conn.socket);
            let goodbye = matches!(received, Received::Goodbye);
            if let Some(replies) = reader.take_replies() {
                self.context.conn.push(Class::Durable, replies);
            }
            if !matches!(received, Received::WouldBlock) {
                self.context.conn.heard_at.set(Instant::now());
            }
            match received {
                Received::Text(text) => match self.take(text.as_str()) {
                    Some(Action::Commit(work)) => commits.push(work),
                    Some(Action::Serial(work)) => *serial = Some(work),
                    Some(Action::Answer(frame)) => self.context.conn.send(&frame),
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
                Received::Endless => {
                    self.context.conn.close(CloseReason::Contract(CloseCode::Flooding));
                }
                Received::Broken(code) => self.context.conn.close(CloseReason::Protocol(code)),
                Received::TooLarge => {
                    self.context.conn.close(CloseReason::Contract(CloseCode::FrameTooLarge));
                }
                Received::Lost => self.context.conn.close(CloseReason::Lost),
            }
            if goodbye {
                self.context.conn.close(CloseReason::Client);
            }
        }
        true
    }

    /// Decodes one frame and begins its work.
    fn take(&mut self, text: &str) -> Option<Action> {
        let command = match decode(text) {
            Ok(command) => command,
            Err((refusal, id)) => {
                if self.context.conn.caller.borrow().is_none() {
                    self.context.conn.close(CloseReason::Contract(CloseCode::Unauthenticated));
                    return None;
                }
                self.context.count("invalid", refusal.code.as_str());
                return self.answer_bad_frame(refusal, id);
            }
        };
        self.bad_frames = self.bad_frames.saturating_sub(1);
        if let Err(refusal) = self.flood.check() {
            self.refuse_flood(refusal, command.id().map(str::to_owned));
            return None;
        }
        if self.context.conn.caller.borrow().is_none() && !matches!(command, Command::Hello { .. })
        {
            self.context.conn.close(CloseReason::Contract(CloseCode::Unauthenticated));
            return None;
        }
        Some(execute(&mut self.context, command))
    }

    fn answer_bad_frame(&mut self, refusal: Refusal, id: Option<String>) -> Option<Action> {
        self.bad_frames += 1;
        if self.bad_frames > BAD_FRAMES_MAX {
            self.context.conn.close(CloseReason::Contract(CloseCode::BadFrame));
            return None;
        }
        Some(Action::Answer(refusal.into_frame(id)))
    }

    fn note_bad_frame(&mut self, refusal: Refusal) {
        if self.context.conn.caller.borrow().is_none() {
            self.context.conn.close(CloseReason::Contract(CloseCode::Unauthenticated));
        } else if let Some(Action::Answer(frame)) = self.answer_bad_frame(refusal, None) {
            self.context.conn.send(&frame);
        }
    }

    fn refuse_flood(&mut self, refusal: Refusal, id: Option<String>) {
        self.context.shard.node.metrics.auth.rate_limited.with_label_values(&["commands"]).inc();
        if self.flood.is_hopeless() {
            self.context.conn.close(CloseReason::Contract(CloseCode::Flooding));
        } else {
            self.context.conn.send(&refusal.into_frame(id));
        }
    }

    fn answer(&self, frame: Option<Frame>) {
        if let Some(frame) = frame {
            self.context.conn.send(&frame);
        }
        self.flush();
    }

    fn flush(&self) {
        if self.context.conn.flush().is_err() {
            self.context.conn.close(CloseReason::Lost);
        }
    }

    /// Lets the farewell out, then reads and throws away what the client had sent, so that the
    /// kernel does not answer it with a reset that would overtake the farewell.
    async fn say_goodbye(self, reason: CloseReason) {
        let conn = &self.context.conn;
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
        let node = &self.context.shard.node;
        let slow = reason == CloseReason::Contract(CloseCode::SlowConsumer);
        let patience = if slow { node.config.limits.write_timeout * SLOW_LINGER } else { LINGER };
        let draining = node.lifecycle.draining();
        tokio::pin!(farewell);
        tokio::select! {
            biased;
            () = farewell.as_mut() => {}
            // A client that does not take its farewell is left.
            () = tokio::time::sleep(patience) => {}
            // A stop does not wait for those who have been slow before.
            () = draining.cancelled(), if slow => {}
        }
    }
}

async fn poll_serial(serial: &mut Option<Work>) -> Option<Frame> {
    match serial {
        Some(work) => work.await,
        None => None,
    }
}
