//! What a shard looks after four times a second, and how it drains.
//!
//! A connection is looked at when something may be due for it, which its one timer on the wheel
//! tells; a frame that arrives only notes the time, and the timer finds that out when it fires. So a
//! tick costs what is due, not what there is.

use std::rc::Rc;
use std::time::Duration;

use parlor_protocol::close::CloseCode;
use parlor_protocol::frame::{Drain, Frame};
use parlor_protocol::signal::{Signal, SignalBody, Typing};
use rand::Rng as _;
use rand::seq::SliceRandom as _;
use tokio::time::Instant;

use super::conn::{CloseReason, Conn, MemberId};
use super::deadline::{Due, Life, Patience, due};
use super::outbox::{Batch, Class};
use super::room::Phase;
use super::wheel::{STEP, Step};
use super::{Shard, Sink, wire};

/// A room that nobody follows stays for as long, because people come back.
const ROOM_LINGER: Duration = Duration::from_secs(30);
/// Time for each connection when few are to be drained: enough that they do not return at once.
const DRAIN_PER_CONNECTION: Duration = Duration::from_millis(20);
/// What is due later is seen when it comes nearer.
const FORESEEN: Duration = Duration::from_hours(1);

impl Shard {
    /// Looks after connections and rooms, for ever.
    pub(crate) async fn run_housekeeping(self: Rc<Self>) {
        let mut tick = tokio::time::interval(STEP);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut revocations = self.node.revocations.changes();
        loop {
            tick.tick().await;
            let now = Instant::now();
            // The bus tells of each; this is for what it may have lost.
            let changes = self.node.revocations.changes();
            if std::mem::replace(&mut revocations, changes) != changes {
                self.cut_revoked();
            }
            self.turn_wheel(now);
            self.relieve();
            self.sweep_streams();
            self.sweep_typing(now);
            self.sweep_rooms(now);
            self.hand_over_counts();
        }
    }

    /// Sets a connection's timer to when it must be looked at next, unless it is looked at before.
    /// To be told when something may be due earlier than was known: at the start, after a login or a
    /// refresh, and when the socket takes nothing more.
    pub(crate) fn watch(&self, conn: &Conn) {
        let now = Instant::now();
        let at = match due(&self.life(conn, now), &Patience::from(&self.node.config.limits), now) {
            Due::At(at) => at,
            Due::Ping | Due::Close(_) => now,
        };
        let mut wheel = self.wheel.borrow_mut();
        let step = wheel.step(at);
        if conn.timer.get().is_none_or(|timer| step < timer) {
            conn.timer.set(Some(step));
            wheel.set(step, conn.id);
        }
    }

    fn turn_wheel(&self, now: Instant) {
        let turn = |now| self.wheel.borrow_mut().turn(now);
        while let Some((step, fired)) = turn(now) {
            for id in fired {
                self.fire(step, id, now);
            }
        }
    }

    fn fire(&self, step: Step, id: MemberId, now: Instant) {
        let conn = self.conns.borrow().get(&id).map(Rc::clone);
        // It is gone, or was to be looked at earlier.
        let Some(conn) = conn.filter(|conn| conn.timer.get() == Some(step)) else { return };
        conn.timer.set(None);
        if conn.closing().is_some() {
            return;
        }
        match due(&self.life(&conn, now), &Patience::from(&self.node.config.limits), now) {
            Due::Close(code) => return conn.close(CloseReason::Contract(code)),
            Due::Ping => {
                conn.pinged_at.set(Some(now));
                conn.push(Batch::one(Class::Durable, wire::ping()));
                self.mark_dirty(&conn);
            }
            Due::At(_) => {}
        }
        self.watch(&conn);
    }

    fn life(&self, conn: &Conn, now: Instant) -> Life {
        let left = conn.caller.borrow().as_ref().map(|caller| {
            let left = caller.expires_at.as_millis() - self.node.now().as_millis();
            Duration::from_millis(u64::try_from(left).unwrap_or(0)).min(FORESEEN)
        });
        Life {
            opened_at: conn.opened_at,
            expires_at: left.map(|left| now + left),
            heard_at: conn.heard_at.get(),
            pinged_at: conn.pinged_at.get(),
            blocked_since: conn.blocked_since(),
        }
    }

    /// Closes the fullest connections when all together wait for too much.
    fn relieve(&self) {
        let most = self.node.config.limits.outbox_total.get() / self.node.shards();
        if self.traffic.waiting() <= most {
            return;
        }
        let mut fullest: Vec<Rc<Conn>> = self.conns.borrow().values().cloned().collect();
        fullest.sort_by_key(|conn| std::cmp::Reverse(conn.queued_bytes()));
        for conn in fullest {
            if self.traffic.waiting() <= most {
                return;
            }
            conn.close(CloseReason::Contract(CloseCode::SlowConsumer));
        }
    }

    /// Removes streams that have ended from their rooms.
    fn sweep_streams(&self) {
        let mut ended = Vec::new();
        self.streams.borrow_mut().retain(|(room, member, queue)| {
            // A login may have ended while its stream was being opened.
            if self.node.revocations.is_revoked(queue.session()) {
                queue.end();
            }
            let keep = !queue.is_ended();
            if !keep {
                ended.push((*room, *member));
            }
            keep
        });
        for (room, member) in ended {
            self.detach(room, member);
        }
    }

    /// Tells of those who wrote and have not said so again that they write no more.
    fn sweep_typing(&self, now: Instant) {
        let take = || self.typing.borrow_mut().take_over(now);
        while let Some((room, user)) = take() {
            let body = SignalBody::Typing(Typing { user, on: false });
            self.node.bus.publish_signal(Signal { room, body });
        }
    }

    fn sweep_rooms(&self, now: Instant) {
        let mut rooms = self.rooms.borrow_mut();
        rooms.retain(|id, room| {
            // A room that is being read must stay until that is done.
            if !room.members.is_empty() || room.feed.phase() != Phase::Live {
                return true;
            }
            let since = *room.empty_since.get_or_insert(now);
            let keep = now.duration_since(since) < ROOM_LINGER;
            if !keep {
                self.node.bus.unfollow(self.subscriber, *id);
                self.node.metrics.room.resident.dec();
                room.ready.notify_waiters();
            }
            keep
        });
    }

    /// Tells every client to come back at a time of its own, closes them one by one within the
    /// window, and waits until they are gone.
    pub(crate) async fn drain(self: Rc<Self>, window: Duration) {
        let mut conns: Vec<Rc<Conn>> = self.conns.borrow().values().cloned().collect();
        let count = u32::try_from(conns.len()).unwrap_or(u32::MAX);
        let window = window.min(DRAIN_PER_CONNECTION.saturating_mul(count));
        let spread = u64::try_from(window.as_millis()).unwrap_or(u64::MAX).max(1);
        for room in self.rooms.borrow().values() {
            for member in room.members.values() {
                if let Sink::Stream(queue) = &member.sink {
                    queue.end();
                }
            }
        }
        {
            let mut rng = rand::rng();
            conns.shuffle(&mut rng);
            for conn in &conns {
                // Counted from now, and after the connection is closed in any case.
                let reconnect_in_ms = spread + rng.random_range(0..=spread);
                conn.send(&Frame::Drain(Drain { reconnect_in_ms }));
                self.mark_dirty(conn);
            }
        }
        let start = Instant::now();
        for (position, conn) in (0_u32..).zip(conns) {
            let share = f64::from(position) / f64::from(count.max(1));
            tokio::time::sleep_until(start + window.mul_f64(share)).await;
            // Clients that went by themselves need no time of their own.
            if self.connections() == 0 {
                return;
            }
            conn.finish_and_close(CloseReason::Contract(CloseCode::Draining));
        }
        while self.connections() > 0 {
            // Those that came while others were being closed, and farewells that are on their way.
            for conn in self.conns.borrow().values() {
                conn.finish_and_close(CloseReason::Contract(CloseCode::Draining));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
