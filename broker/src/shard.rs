//! A shard: one thread with its own runtime, listener, sessions and hub.
//!
//! Invariants: nothing here is shared with another shard, so nothing on the path of a frame takes a
//! lock; no borrow of a shard's state is held across an await; an event reaches the shard as one
//! message and each socket as part of one write.

#[cfg(test)]
mod allocations;
#[cfg(feature = "bench-internals")]
pub mod bench_support;
pub(crate) mod conn;
mod deadline;
mod fan_out;
mod housekeeping;
mod hub;
pub(crate) mod intents;
mod join;
pub(crate) mod outbox;
mod recovery;
mod room;
mod run;
pub(crate) mod traffic;
pub(crate) mod transport;
pub(crate) mod typing;
mod wake;
mod wheel;
pub(crate) mod wire;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use indexmap::IndexMap;
use parlor_bus::SubscriberId;
use parlor_domain::permission::{Action, Membership, RoomFacts, authorize};
use parlor_protocol::id::{RoomId, UserId};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::node::Node;
use crate::stream::StreamQueue;
use conn::{Conn, MemberId};
use fan_out::{Queued, Sweep};
use room::Feed;
use run::Run;
use traffic::Traffic;
use typing::TypingNow;
use wheel::Wheel;

/// The state of one shard. Lives on its thread.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) node: Arc<Node>,
    subscriber: SubscriberId,
    rooms: RefCell<HashMap<RoomId, Room>>,
    conns: RefCell<HashMap<MemberId, Rc<Conn>>>,
    /// One timer for each connection.
    wheel: RefCell<Wheel<MemberId>>,
    /// The rooms that are followed from HTTP requests.
    streams: RefCell<Vec<(RoomId, MemberId, Arc<StreamQueue>)>>,
    /// Who writes, as far as they are connected here.
    pub(crate) typing: RefCell<TypingNow>,
    /// Rooms that have something to tell, in the order of their turns.
    ready: RefCell<VecDeque<RoomId>>,
    /// Rooms with pieces of replies that wait for others, and until when.
    corked: RefCell<Vec<RoomId>>,
    uncork_at: Cell<Option<Instant>>,
    /// Length of what waits in all rooms.
    run_bytes: Cell<usize>,
    /// Connections with something to write in this tick.
    dirty: RefCell<Vec<Rc<Conn>>>,
    /// Wakes the hub when something was queued outside a tick.
    hub_wake: Notify,
    pub(crate) traffic: Rc<Traffic>,
    /// Deliveries that the metrics do not know of yet.
    delivered: Cell<u64>,
    next_member: Cell<u64>,
    recovery: Cell<Recovery>,
}

/// Whether the rooms are being compared with the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recovery {
    None,
    /// They are.
    Once,
    /// They are, and must be once more.
    Again,
}

/// A room with members on this shard.
#[derive(Debug)]
struct Room {
    feed: Feed,
    members: IndexMap<MemberId, Member>,
    /// What the members are still to be told.
    run: Run,
    /// How far the members have been told what came before.
    sweep: Option<Sweep>,
    queued: Queued,
    /// When something was last told.
    told_at: Option<Instant>,
    /// A member wants pieces of replies at once.
    has_live: bool,
    /// What decides who may do what, and the position of the log that it was true at.
    facts: Option<(u64, RoomFacts)>,
    /// Wakes those who wait for the room to be ready.
    ready: Rc<Notify>,
    empty_since: Option<Instant>,
    /// When the texts so far of its replies were last asked for.
    refreshed_at: Option<Instant>,
}

impl Room {
    /// Notes what decides who may do what, unless something newer is known.
    fn learn(&mut self, seq: u64, facts: RoomFacts) {
        if self.facts.is_none_or(|(known, _)| known <= seq) {
            self.facts = Some((seq, facts));
        }
    }
}

/// Someone who follows a room.
#[derive(Debug)]
struct Member {
    user: UserId,
    sink: Sink,
    membership: Membership,
    /// Is being sent older events, by the task that this names, and gets no live ones yet.
    catching_up: Option<MemberId>,
}

/// Where frames for a member go.
#[derive(Debug, Clone)]
enum Sink {
    Session(Rc<Conn>),
    Stream(Arc<StreamQueue>),
}

impl Member {
    /// Tells whether pieces of replies are to come at once.
    fn wants_live(&self) -> bool {
        matches!(&self.sink, Sink::Session(conn) if conn.options.get().wants_live())
    }
}

impl Shard {
    pub(crate) fn new(node: Arc<Node>, subscriber: SubscriberId) -> Self {
        Self {
            node,
            subscriber,
            rooms: RefCell::default(),
            conns: RefCell::default(),
            wheel: RefCell::new(Wheel::new(Instant::now())),
            streams: RefCell::default(),
            typing: RefCell::default(),
            ready: RefCell::default(),
            corked: RefCell::default(),
            uncork_at: Cell::new(None),
            run_bytes: Cell::new(0),
            dirty: RefCell::default(),
            hub_wake: Notify::new(),
            traffic: Rc::default(),
            delivered: Cell::new(0),
            next_member: Cell::new(0),
            recovery: Cell::new(Recovery::None),
        }
    }

    /// Makes a name for a new member.
    pub(crate) fn next_member(&self) -> MemberId {
        let id = self.next_member.get();
        self.next_member.set(id + 1);
        MemberId(id)
    }

    /// Adds a connection, so that housekeeping, revocation and drain reach it.
    pub(crate) fn add(&self, conn: &Rc<Conn>) {
        self.conns.borrow_mut().insert(conn.id, Rc::clone(conn));
        self.node.metrics.ws.sessions.inc();
    }

    /// Removes a connection from everything.
    pub(crate) fn remove(&self, conn: &Conn) {
        if self.conns.borrow_mut().remove(&conn.id).is_some() {
            self.node.metrics.ws.sessions.dec();
        }
        let rooms = std::mem::take(&mut *conn.rooms.borrow_mut());
        for room in rooms.keys() {
            self.detach(*room, conn.id);
        }
    }

    /// Ends one member's deliveries of a room.
    pub(crate) fn detach(&self, room: RoomId, member: MemberId) {
        self.settle(room);
        if let Some(room) = self.rooms.borrow_mut().get_mut(&room) {
            let gone = room.members.swap_remove(&member);
            // Only then, because it looks at all of them.
            if gone.is_some_and(|gone| gone.wants_live()) {
                room.has_live = room.members.values().any(Member::wants_live);
            }
            if room.members.is_empty() {
                room.empty_since.get_or_insert_with(Instant::now);
            }
        }
    }

    /// Tells whether a member of this shard follows a room and may do something in it.
    pub(crate) fn may(&self, room: RoomId, member: MemberId, action: Action) -> Option<bool> {
        let rooms = self.rooms.borrow();
        let room = rooms.get(&room)?;
        let member = room.members.get(&member)?;
        let (_, facts) = room.facts?;
        Some(authorize(facts, Some(member.membership), action, self.node.now()).is_ok())
    }

    /// Returns how many connections there are.
    pub(crate) fn connections(&self) -> usize {
        self.conns.borrow().len()
    }
}
