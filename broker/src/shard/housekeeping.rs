//! What a shard looks after four times a second, and how it drains.

use std::rc::Rc;
use std::time::Duration;

use parlor_protocol::close::CloseCode;
use parlor_protocol::frame::{Drain, Frame};
use rand::Rng as _;
use rand::seq::SliceRandom as _;
use tokio::time::Instant;

use super::conn::{CloseReason, Conn};
use super::outbox::Class;
use super::room::Phase;
use super::{Shard, Sink, wire};

const TICK: Duration = Duration::from_millis(250);
/// A room that nobody follows stays for as long, because people come back.
const ROOM_LINGER: Duration = Duration::from_secs(30);
/// Time for each connection when few are to be drained: enough that they do not return at once.
const DRAIN_PER_CONNECTION: Duration = Duration::from_millis(20);

impl Shard {
    /// Looks after connections and rooms, for ever.
    pub(crate) async fn run_housekeeping(self: Rc<Self>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let now = Instant::now();
            let mut waiting = 0;
            let conns: Vec<Rc<Conn>> = self.conns.borrow().values().cloned().collect();
            for conn in &conns {
                if conn.closing().is_none() {
                    self.look_after(conn, now);
                }
                waiting += conn.queued_bytes();
            }
            self.relieve(&conns, waiting);
            self.sweep_rooms(now);
        }
    }

    fn look_after(&self, conn: &Rc<Conn>, now: Instant) {
        let limits = &self.node.config.limits;
        let timeout = CloseReason::Contract(CloseCode::HeartbeatTimeout);
        let Some(expiry) = conn.caller.borrow().as_ref().map(|caller| {
            (caller.expires_at <= self.node.now(), self.node.revocations.is_revoked(caller.session))
        }) else {
            if now.duration_since(conn.opened_at) >= limits.hello_timeout {
                conn.close(timeout);
            }
            return;
        };
        let (expired, revoked) = expiry;
        let silence = now.duration_since(conn.heard_at.get());
        let blocked = conn.blocked_since().map(|since| now.duration_since(since));
        if revoked {
            conn.close(CloseReason::Contract(CloseCode::SessionRevoked));
        } else if expired {
            conn.close(CloseReason::Contract(CloseCode::TokenExpired));
        } else if blocked.is_some_and(|blocked| blocked >= limits.write_timeout) {
            conn.close(CloseReason::Contract(CloseCode::SlowConsumer));
        } else if silence >= limits.idle_timeout {
            conn.close(timeout);
        } else if silence >= limits.heartbeat && !conn.was_pinged(now, limits.heartbeat) {
            conn.push(Class::Durable, wire::ping());
            self.mark_dirty(conn);
        }
    }

    /// Closes the fullest connections when all together wait for too much.
    fn relieve(&self, conns: &[Rc<Conn>], mut waiting: usize) {
        let most = self.node.config.limits.outbox_total.get() / self.node.shards();
        if waiting <= most {
            return;
        }
        let mut fullest: Vec<&Rc<Conn>> = conns.iter().collect();
        fullest.sort_by_key(|conn| std::cmp::Reverse(conn.queued_bytes()));
        for conn in fullest {
            if waiting <= most {
                return;
            }
            let before = conn.queued_bytes();
            conn.close(CloseReason::Contract(CloseCode::SlowConsumer));
            waiting -= before.saturating_sub(conn.queued_bytes());
        }
    }

    fn sweep_rooms(&self, now: Instant) {
        let mut rooms = self.rooms.borrow_mut();
        rooms.retain(|id, room| {
            room.members.retain(|_, member| match &member.sink {
                Sink::Stream(queue) => {
                    // A login may have ended while its stream was being opened.
                    if self.node.revocations.is_revoked(queue.session()) {
                        queue.end();
                    }
                    !queue.is_ended()
                }
                Sink::Session(_) => true,
            });
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
