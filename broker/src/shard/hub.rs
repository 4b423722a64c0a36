//! The hub: takes what the bus brings, decides what it means for the members, and has them served.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use parlor_bus::{Control, Delivery, Mailbox};
use parlor_protocol::close::CloseCode;
use parlor_protocol::code::Code;
use parlor_protocol::frame::{Frame, Refused};
use parlor_protocol::id::{RoomId, SessionId, UserId};
use parlor_protocol::signal::SignalFamily;
use parlor_protocol::user::UserRef;
use parlor_runtime::Phase;
use tokio::time::Instant;

use super::conn::CloseReason;
use super::room::{Effect, Step};
use super::{Shard, Sink, wire};

/// Deliveries of one tick.
const TICK: usize = 256;
/// Longest pause before the store is asked again.
pub(super) const RETRY_MAX: Duration = Duration::from_secs(2);
/// How pieces of replies are told.
const DELTAS: Option<SignalFamily> = Some(SignalFamily::Deltas);
/// Events in one read from the store.
const FILL_PAGE: u32 = 256;

impl Shard {
    /// Delivers until the bus is gone.
    pub(crate) async fn run_hub(self: Rc<Self>, mut mailbox: Mailbox) {
        let mut batch = Vec::with_capacity(TICK);
        loop {
            let received = if self.has_work() {
                mailbox.receive(&mut batch, TICK).now_or_never()
            } else {
                tokio::select! {
                    biased;
                    received = mailbox.receive(&mut batch, TICK) => Some(received),
                    () = self.hub_wake.notified() => None,
                    () = until(self.uncork_at.get()) => None,
                }
            };
            if received == Some(0) {
                return;
            }
            for delivery in batch.drain(..) {
                self.dispatch(delivery);
                // A burst must not fill the outboxes of readers that would take it: they get their
                // turn, and streams pull from their queues.
                while self.run_bytes.get() > self.run_bytes_max() {
                    self.uncork(Instant::now());
                    if !self.has_work() {
                        break;
                    }
                    self.serve_rooms();
                    self.flush_dirty().await;
                    tokio::task::yield_now().await;
                }
            }
            if mailbox.take_overflow() {
                self.recover();
            }
            self.uncork(Instant::now());
            self.serve_rooms();
            self.flush_dirty().await;
            self.hand_over_counts();
            if self.has_work() {
                tokio::task::yield_now().await;
            }
        }
    }

    fn dispatch(self: &Rc<Self>, delivery: Delivery) {
        match delivery {
            Delivery::Event { ref event, .. } => self.deliver(event.room, delivery),
            Delivery::Signal { ref signal, .. } => self.deliver(signal.room, delivery),
            Delivery::Ahead { room, .. } => self.deliver(room, delivery),
            Delivery::Control(Control::SessionRevoked(session)) => self.cut_session(session),
            Delivery::Control(Control::UserRevoked(user)) => {
                self.cut_user(user);
                drop(tokio::task::spawn_local(Rc::clone(self).forget_erased(user)));
            }
            Delivery::Control(Control::RoomDeleted(room)) => self.close_room(room),
            Delivery::Control(Control::StoreMayBeAhead) => self.recover(),
            Delivery::Control(Control::JobQueued | Control::CancelReply(_)) => {}
        }
    }

    /// Tells whether a signal is told to nobody because the room is large, and counts it.
    pub(super) fn withholds(&self, room: RoomId, family: SignalFamily) -> bool {
        let withheld = self.is_too_large_for(room, family);
        if withheld {
            let name = match family {
                SignalFamily::Typing => "typing",
                SignalFamily::Presence => "presence",
                _ => "receipts",
            };
            self.node.metrics.room.signals_dropped.with_label_values(&[name]).inc();
        }
        withheld
    }

    /// Tells whether a room has so many members that signals of this family would be a flood which
    /// nobody can read.
    fn is_too_large_for(&self, room: RoomId, family: SignalFamily) -> bool {
        let is_about_members = match family {
            SignalFamily::Typing | SignalFamily::Presence | SignalFamily::Receipts => true,
            SignalFamily::Deltas
            | SignalFamily::Bots
            | SignalFamily::App
            | SignalFamily::Unknown => false,
        };
        let most = u64::try_from(self.node.config.limits.presence_room).unwrap_or(u64::MAX);
        is_about_members
            && self.rooms.borrow().get(&room).is_some_and(|room| room.feed.members() > most)
    }

    fn deliver(self: &Rc<Self>, room: RoomId, delivery: Delivery) {
        let step = match self.rooms.borrow_mut().get_mut(&room) {
            Some(state) => state.feed.accept(delivery),
            None => return,
        };
        self.carry_out(room, step);
    }

    /// Does what the room's feed has decided.
    pub(super) fn carry_out(self: &Rc<Self>, room: RoomId, step: Step) {
        match step {
            Step::Nothing => {}
            Step::Signal(family, json) => {
                if !self.withholds(room, family) {
                    self.tell(room, Some(family), json);
                }
            }
            Step::Delta(json) => self.tell(room, DELTAS, json),
            Step::DeltaAfterHole(json) => {
                self.tell(room, DELTAS, json);
                self.refresh_streams(room);
            }
            Step::Event(event) => {
                let age = self.node.now().as_millis() - event.at.as_millis();
                let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
                self.node.metrics.room.publish_to_deliver.observe(age.as_secs_f64());
                self.tell(room, None, event.json);
                for delta in event.then {
                    self.tell(room, DELTAS, delta);
                }
                match event.effect {
                    Effect::None => {}
                    Effect::Left(user) => self.end_membership(room, user),
                    Effect::Changed(user, membership) => {
                        let mut rooms = self.rooms.borrow_mut();
                        let members = rooms.get_mut(&room).map(|room| room.members.values_mut());
                        for member in members.into_iter().flatten() {
                            if member.user == user {
                                member.membership = membership;
                            }
                        }
                    }
                    Effect::Renamed(user) => self.rename(room, &user),
                    Effect::Facts(seq, facts) => {
                        if let Some(room) = self.rooms.borrow_mut().get_mut(&room) {
                            room.learn(seq, facts);
                        }
                    }
                }
            }
            Step::Fill => {
                drop(tokio::task::spawn_local(Rc::clone(self).fill(room)));
            }
        }
    }

    /// Reads missing events from the store until the room is live again.
    pub(super) async fn fill(self: Rc<Self>, room: RoomId) {
        self.node.metrics.room.gaps.inc();
        let mut pause = Duration::from_millis(50);
        let mut unflushed = 0;
        loop {
            let position = self.rooms.borrow().get(&room).map(|room| {
                let feed = &room.feed;
                (feed.delivered(), feed.known())
            });
            let Some((after, known)) = position else { return };
            let events = match self.node.reads.read(room, after, known, FILL_PAGE).await {
                Ok(events) => events,
                // Clients stay connected while the store is away.
                Err(_) if self.node.lifecycle.phase() < Phase::Draining => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY_MAX);
                    continue;
                }
                // They resume elsewhere, from what they have.
                Err(_) => return,
            };
            let is_last = events.len() < FILL_PAGE as usize;
            for event in events.iter() {
                let json = wire::event(event);
                let length = json.len();
                let step = match self.rooms.borrow_mut().get_mut(&room) {
                    Some(state) => state.feed.fill(event, json),
                    None => return,
                };
                self.carry_out(room, step);
                // Streams pull from their queues only when others have their turn.
                unflushed += length;
                if unflushed > self.run_bytes_max() {
                    unflushed = 0;
                    self.settle(room);
                    self.flush_dirty().await;
                    tokio::task::yield_now().await;
                }
            }
            if is_last {
                break;
            }
        }
        // Otherwise it would wait for ever for what comes no more.
        let is_beyond = self
            .rooms
            .borrow_mut()
            .get_mut(&room)
            .is_some_and(|state| state.feed.forget_beyond_store());
        self.resume_live(room);
        if is_beyond {
            self.look_again(room);
        }
    }

    /// Delivers what was held back while the room was not ready.
    pub(super) fn resume_live(self: &Rc<Self>, room: RoomId) {
        let pending = match self.rooms.borrow_mut().get_mut(&room) {
            Some(state) => {
                state.feed.filled();
                state.ready.notify_waiters();
                state.feed.take_pending()
            }
            None => return,
        };
        for delivery in pending {
            self.deliver(room, delivery);
        }
        let behind = self
            .rooms
            .borrow_mut()
            .get_mut(&room)
            .is_some_and(|state| state.feed.start_filling_lost());
        if behind {
            self.carry_out(room, Step::Fill);
        }
        self.hub_wake.notify_one();
    }

    /// A user is called differently: so are their connections, in what they tell others from now on.
    fn rename(&self, room: RoomId, user: &UserRef) {
        let rooms = self.rooms.borrow();
        let members = rooms.get(&room).into_iter().flat_map(|room| room.members.values());
        for member in members.filter(|member| member.user == user.id) {
            if let Sink::Session(conn) = &member.sink
                && let Some(caller) = &mut *conn.caller.borrow_mut()
            {
                caller.user.clone_from(user);
            }
        }
    }

    /// A user's membership has ended: nothing more for them.
    fn end_membership(&self, id: RoomId, user: UserId) {
        let left = Frame::Error(Refused {
            re: None,
            code: Code::NotAMember,
            detail: format!("You are not a member of the room {id} any more."),
            retry_after_ms: None,
        });
        self.settle(id);
        let mut rooms = self.rooms.borrow_mut();
        let Some(room) = rooms.get_mut(&id) else { return };
        // Most of those who leave are not connected, and what follows moves all who are.
        if room.members.values().all(|member| member.user != user) {
            return;
        }
        room.members.retain(|_, member| {
            if member.user != user {
                return true;
            }
            match &member.sink {
                Sink::Session(conn) => {
                    conn.rooms.borrow_mut().remove(&id);
                    // Whoever was still being sent older events does not come to this one.
                    if member.catching_up.is_some() {
                        conn.send(&left);
                        self.mark_dirty(conn);
                    }
                }
                Sink::Stream(queue) => queue.end(),
            }
            false
        });
        if room.members.is_empty() {
            room.empty_since.get_or_insert_with(Instant::now);
        }
    }

    /// A room is gone: its members are told and removed.
    pub(super) fn close_room(&self, id: RoomId) {
        self.settle(id);
        let Some(room) = self.rooms.borrow_mut().remove(&id) else { return };
        self.node.bus.unfollow(self.subscriber, id);
        self.node.metrics.room.resident.dec();
        let gone = Frame::Error(Refused {
            re: None,
            code: Code::NotFound,
            detail: format!("The room {id} was deleted."),
            retry_after_ms: None,
        });
        for member in room.members.into_values() {
            match member.sink {
                Sink::Session(conn) => {
                    conn.rooms.borrow_mut().remove(&id);
                    conn.send(&gone);
                    self.mark_dirty(&conn);
                }
                Sink::Stream(queue) => queue.end(),
            }
        }
    }

    fn cut_session(&self, session: SessionId) {
        self.cut(|_, conn_session| conn_session == session);
    }

    fn cut_user(&self, user: UserId) {
        self.cut(|conn_user, _| conn_user == user);
    }

    /// Forgets what is in memory of all rooms when a user was erased: also rooms that they had left
    /// may tell who they were.
    async fn forget_erased(self: Rc<Self>, user: UserId) {
        // When nobody can say, it is better to read from the store once too often.
        let erased = match self.node.lookups.find_user(user).await {
            Ok(Some(account)) => account.user.username.starts_with(parlor_auth::ERASED_PREFIX),
            Ok(None) | Err(_) => true,
        };
        if erased {
            for room in self.rooms.borrow_mut().values_mut() {
                room.feed.forget_ring();
            }
        }
    }

    /// Cuts every connection whose login has ended.
    pub(super) fn cut_revoked(&self) {
        let node = Arc::clone(&self.node);
        self.cut(|_, session| node.revocations.is_revoked(session));
    }

    fn cut(&self, is_cut: impl Fn(UserId, SessionId) -> bool) {
        let conns = self.conns.borrow();
        for conn in conns.values() {
            let cut = conn
                .caller
                .borrow()
                .as_ref()
                .is_some_and(|caller| is_cut(caller.user.id, caller.session));
            if cut {
                // Nothing more may reach them: remove first, then say goodbye.
                let rooms = std::mem::take(&mut *conn.rooms.borrow_mut());
                for room in rooms.keys() {
                    self.detach(*room, conn.id);
                }
                conn.close(CloseReason::Contract(CloseCode::SessionRevoked));
            }
        }
        drop(conns);
        self.end_streams(is_cut);
    }

    fn end_streams(&self, is_cut: impl Fn(UserId, SessionId) -> bool) {
        for room in self.rooms.borrow().values() {
            for member in room.members.values() {
                if let Sink::Stream(queue) = &member.sink
                    && is_cut(member.user, queue.session())
                {
                    queue.end();
                }
            }
        }
    }
}

/// Waits until a time, or for ever.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
