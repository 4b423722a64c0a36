//! One session: reads commands, carries them out, writes what waits, and ends in one place.
//!
//! A session that waits is small, because there are many of them: what is rare (logging in, work on
//! a command, the farewell) is made when it is needed, on the heap, and given back after it.

use std::future::{Future, poll_fn};
use std::rc::Rc;

use bytes::Bytes;
use parlor_protocol::close::CloseCode;
use parlor_protocol::code::Code;
use parlor_protocol::command::Command;
use parlor_protocol::frame::Frame;
use parlor_runtime::Phase;
use tokio::time::Instant;

use super::command::{Action, execute};
use super::context::{Context, log_in};
use super::decode::decode;
use super::farewell::say_goodbye;
use super::flood::Flood;
use super::reading::{Next, Reading};
use super::socket::Received;
use crate::admission::Permit;
use crate::node::Caller;
use crate::refusal::{Outcome, Refusal};
use crate::shard::Shard;
use crate::shard::conn::{CloseReason, Conn};
use crate::shard::outbox::{Batch, Class};
use crate::shard::wire::{self, Encoding};

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
        shard.watch(conn);
        Self { shard: Rc::clone(shard), conn: Rc::clone(conn) }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.shard.remove(&self.conn);
    }
}

impl Session {
    /// Serves the connection to its end. `begun` are bytes that came with the request.
    ///
    /// What is needed only at the start is used up before the future is made, so that it does not
    /// hold it for ever.
    pub(super) fn run(
        mut self,
        begun: &Bytes,
        caller: Option<Caller>,
    ) -> impl Future<Output = ()> + use<> {
        let Context { shard, conn, places, .. } = &self.context;
        // Leaves everything also when the session panics.
        let registered = Registered::new(shard, conn);
        if shard.node.lifecycle.phase() >= Phase::Draining {
            conn.finish_and_close(CloseReason::Contract(CloseCode::Draining));
        }
        let mut reading = Reading::new(begun, &conn.socket, shard.node.config.limits.frame.get());
        let login = caller.map(|caller| {
            let (shard, conn, places) = (Rc::clone(shard), Rc::clone(conn), Rc::clone(places));
            Box::pin(async move {
                log_in(&shard, &conn, &places, caller).await;
                shard.watch(&conn);
            })
        });
        async move {
            if let Some(login) = login {
                login.await;
                self.flush();
            }
            let reason = self.serve(&mut reading).await;
            drop(reading);
            drop(registered);
            Box::pin(self.end(reason)).await;
        }
    }

    async fn end(self, reason: CloseReason) {
        let Context { shard, conn, places, idle, .. } = &self.context;
        let idle = *idle;
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
            let transition = node.presence.disconnected(caller.user.id, idle, node.now()).await;
            node.announce_presence(transition, &caller.user);
            node.last_seen.note(caller.user.id, node.now());
        }
        drop(places.user.take());
        drop(places.waiting.take());
        say_goodbye(&self.context, reason).await;
    }

    async fn serve(&mut self, reading: &mut Reading) -> CloseReason {
        let conn = Rc::clone(&self.context.conn);
        let in_flight = self.context.shard.node.config.limits.commands_in_flight;
        loop {
            if let Some(reason) = conn.closing() {
                return reason;
            }
            let finishing = conn.finishing();
            if let Some(reason) = finishing.filter(|_| reading.is_idle()) {
                conn.close(reason);
                continue;
            }
            let may_read = reading.may_read(in_flight) && finishing.is_none();
            if reading.more && may_read {
                reading.more = self.read(reading);
                self.flush();
                tokio::task::yield_now().await;
                continue;
            }
            if conn.is_blocked() {
                self.context.shard.watch(&conn);
            }
            match poll_fn(|task| reading.poll(&conn, may_read, task)).await {
                Next::Write => {}
                Next::Committed(answer) => self.answer(answer),
                Next::Done(answer) => {
                    self.answer(answer);
                    // A login expires at a time of its own.
                    self.context.shard.watch(&conn);
                }
                Next::Read => reading.more = true,
                Next::Lost => conn.close(CloseReason::Lost),
            }
            self.flush();
        }
    }

    /// Reads what has arrived. `true` when there may be more.
    fn read(&mut self, reading: &mut Reading) -> bool {
        let in_flight = self.context.shard.node.config.limits.commands_in_flight;
        for _ in 0..FRAMES_BEFORE_YIELD {
            if !reading.may_read(in_flight) || self.context.conn.closing().is_some() {
                return true;
            }
            let received = reading.reader.read(&self.context.conn.socket);
            let goodbye = matches!(received, Received::Goodbye);
            if let Some(replies) = reading.reader.take_replies() {
                self.context.conn.push(Batch::one(Class::Durable, replies));
            }
            if !matches!(received, Received::WouldBlock) {
                self.context.conn.heard_at.set(Instant::now());
            }
            let begun = match &received {
                Received::Text(text) => self.take_text(text.as_str()),
                Received::Binary(packed) => self.take_packed(packed),
                _ => None,
            };
            match begun {
                Some(Action::Commit(work)) => {
                    reading.commits.get_or_insert_default().push(work);
                }
                Some(Action::Serial(work)) => reading.serial = Some(work),
                Some(Action::Answer(frame)) => self.context.conn.send(&frame),
                Some(Action::Done) | None => {}
            }
            match received {
                Received::Nothing => {
                    if let Err(refusal) = self.check_flood() {
                        self.refuse_flood(refusal, None);
                    }
                }
                Received::Text(_) | Received::Binary(_) | Received::Goodbye => {}
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

    fn take_text(&mut self, text: &str) -> Option<Action> {
        match self.context.conn.options.get().encoding {
            Encoding::Json => self.take(text),
            Encoding::MessagePack => self.refuse_kind("Commands are MessagePack in binary frames."),
        }
    }

    fn take_packed(&mut self, packed: &[u8]) -> Option<Action> {
        if self.context.conn.options.get().encoding == Encoding::Json {
            return self.refuse_kind("Commands are JSON in text frames.");
        }
        if let Ok(json) = wire::to_json(packed) {
            return self.take(&json);
        }
        let detail = "The frame is not one value in MessagePack.";
        self.refuse_frame(Refusal::new(Code::BadRequest, detail), None)
    }

    fn refuse_kind(&mut self, detail: &str) -> Option<Action> {
        self.refuse_frame(Refusal::new(Code::Unsupported, detail), None)
    }

    /// Answers a frame that is no command. A stranger gets no answer.
    fn refuse_frame(&mut self, refusal: Refusal, id: Option<String>) -> Option<Action> {
        if self.context.conn.caller.borrow().is_none() {
            self.context.conn.close(CloseReason::Contract(CloseCode::Unauthenticated));
            return None;
        }
        self.context.count("invalid", refusal.code.as_str());
        self.answer_bad_frame(refusal, id)
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
        if let Err(refusal) = self.check_flood() {
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

    fn check_flood(&mut self) -> Outcome<()> {
        self.flood.check(&self.context.shard.node.config.limits)
    }

    fn refuse_flood(&mut self, refusal: Refusal, id: Option<String>) {
        self.context.shard.node.metrics.auth.rate_limited.with_label_values(&["commands"]).inc();
        if self.flood.is_hopeless(&self.context.shard.node.config.limits) {
            self.context.conn.close(CloseReason::Contract(CloseCode::Flooding));
        } else {
            self.context.conn.send(&refusal.into_frame(id));
        }
    }

    fn answer(&self, frame: Option<Frame>) {
        if let Some(frame) = frame {
            self.context.conn.send(&frame);
        }
    }

    fn flush(&self) {
        if self.context.conn.flush().is_err() {
            self.context.conn.close(CloseReason::Lost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_output<T>(_: impl Fn(Session, &Bytes, Option<Caller>) -> T) -> usize {
        size_of::<T>()
    }

    /// Most of what a connection costs is here. Whoever needs more for something rare boxes it.
    #[test]
    fn session_that_waits_is_small() {
        let session = size_of_output(Session::run);
        assert!(session <= 400, "the future of a session has {session} bytes");
        let conn = size_of::<Conn>();
        assert!(conn <= 512, "a connection has {conn} bytes");
    }
}
