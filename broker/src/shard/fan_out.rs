//! From a room to its members: what is to be told is gathered, made into bytes once, and written.
//!
//! A room with many members is served a slice at a time, in turn with the others, so that a giant
//! room delays a small one by a slice. Whoever changes a room's members calls [`Shard::settle`]
//! first: everybody who was a member until then has everything until then in their outbox, and nobody
//! gets it twice. That is done in one go, once for all who come or go before more is told.

use std::rc::Rc;

use bytes::Bytes;
use parlor_protocol::command::Deltas;
use parlor_protocol::frame::{Frame, Subscribed};
use parlor_protocol::id::RoomId;
use parlor_protocol::signal::SignalFamily;
use tokio::time::Instant;

use super::conn::{CloseReason, Conn, ConnOptions};
use super::outbox::Class;
use super::room::Feed;
use super::run::{BATCH_MAX, Frozen, Item, Run};
use super::{Member, Room, Shard, Sink};

/// Members that are served before others get their turn: one or two milliseconds.
const SLICE: usize = 256;

/// Where a room stands with what it has to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queued {
    /// Nothing waits, or all of it was settled.
    No,
    /// Pieces of replies wait for others that come soon.
    Corked,
    /// It waits for its turn.
    Ready,
}

/// The part of a room's members that has been served.
#[derive(Debug)]
pub(super) struct Sweep {
    frozen: Frozen,
    next: usize,
}

impl Shard {
    /// Takes a frame for the members of a room. It is told in this tick, or as a piece of a reply
    /// after the cork.
    pub(super) fn tell(&self, id: RoomId, family: Option<SignalFamily>, json: Bytes) {
        let mut rooms = self.rooms.borrow_mut();
        let Some(room) = rooms.get_mut(&id) else { return };
        if room.members.is_empty() {
            return;
        }
        let mut item = Item::new(family, json);
        let is_corked = item.class() == Class::Delta && self.is_corked(room);
        // Only when nothing waits that comes before it.
        if is_corked && room.has_live && room.queued != Queued::Ready {
            item.told_live = true;
            self.tell_live(room, &item);
        }
        self.run_bytes.set(self.run_bytes.get() + item.json.len());
        room.run.push(item);
        match room.queued {
            Queued::No if is_corked => {
                room.queued = Queued::Corked;
                self.corked.borrow_mut().push(id);
                if self.uncork_at.get().is_none() {
                    self.uncork_at.set(Some(Instant::now() + self.node.config.limits.delta_cork));
                    self.hub_wake.notify_one();
                }
            }
            Queued::No | Queued::Corked if !is_corked => {
                room.queued = Queued::Ready;
                self.ready.borrow_mut().push_back(id);
                self.hub_wake.notify_one();
            }
            Queued::No | Queued::Corked | Queued::Ready => {}
        }
    }

    /// Tells whether a piece of a reply is to wait: not when it is the first after a pause, nor when
    /// much waits already.
    fn is_corked(&self, room: &Room) -> bool {
        let cork = self.node.config.limits.delta_cork;
        room.run.bytes() < BATCH_MAX
            && room.told_at.is_some_and(|at| Instant::now().duration_since(at) < cork)
    }

    fn tell_live(&self, room: &Room, item: &Item) {
        let mut run = Run::default();
        run.push(item.clone());
        let frozen = run.take();
        for member in room.members.values().filter(|member| member.catching_up.is_none()) {
            if let Sink::Session(conn) = &member.sink
                && member.wants_live()
            {
                // In whichever way, it is all of the frame.
                let as_gathered = ConnOptions { deltas: Deltas::Gathered, ..conn.options.get() };
                for batch in frozen.batches(as_gathered).iter() {
                    conn.push(batch.clone());
                }
                self.mark_dirty(conn);
            }
        }
    }

    /// Lets out what was corked, when its time has come or there is too much.
    pub(super) fn uncork(&self, now: Instant) {
        let is_due = self.uncork_at.get().is_some_and(|at| at <= now);
        if !is_due && self.run_bytes.get() < self.run_bytes_max() {
            return;
        }
        self.uncork_at.set(None);
        let mut rooms = self.rooms.borrow_mut();
        for id in self.corked.borrow_mut().drain(..) {
            if let Some(room) = rooms.get_mut(&id).filter(|room| room.queued == Queued::Corked) {
                room.queued = Queued::Ready;
                self.ready.borrow_mut().push_back(id);
            }
        }
    }

    /// Returns how many bytes may wait in all rooms before their members are served first.
    pub(super) fn run_bytes_max(&self) -> usize {
        self.node.config.limits.outbox.get() / 4
    }

    /// Serves rooms for one or two milliseconds. Other tasks are to have their turn after it.
    pub(super) fn serve_rooms(&self) {
        let mut served = 0;
        while served < SLICE {
            let Some(id) = self.ready.borrow_mut().pop_front() else { return };
            served += self.serve_slice(id).max(1);
        }
    }

    /// Serves the next members of a room and returns how many.
    fn serve_slice(&self, id: RoomId) -> usize {
        let mut rooms = self.rooms.borrow_mut();
        let Some(room) = rooms.get_mut(&id) else { return 0 };
        if room.sweep.is_none() {
            if room.run.is_empty() {
                room.queued = Queued::No;
                return 0;
            }
            room.queued = Queued::Ready;
            room.sweep = Some(self.begin_sweep(room));
        }
        let Some(mut sweep) = room.sweep.take() else { return 0 };
        let end = room.members.len().min(sweep.next + SLICE);
        let slice = room.members.get_range(sweep.next..end);
        let served = end - sweep.next;
        for member in slice.into_iter().flat_map(|slice| slice.values()) {
            self.serve(id, room.run.is_empty().then_some(&room.feed), member, &sweep.frozen, true);
        }
        sweep.next = end;
        if end < room.members.len() {
            room.sweep = Some(sweep);
            self.ready.borrow_mut().push_back(id);
        } else if room.run.is_empty() {
            room.queued = Queued::No;
        } else {
            self.ready.borrow_mut().push_back(id);
        }
        served
    }

    fn begin_sweep(&self, room: &mut Room) -> Sweep {
        self.run_bytes.set(self.run_bytes.get().saturating_sub(room.run.bytes()));
        room.told_at = Some(Instant::now());
        Sweep { frozen: room.run.take(), next: 0 }
    }

    /// Puts everything that a room has to tell into the outboxes of its members. To be called before
    /// the members change, or what they are known to have.
    pub(super) fn settle(&self, id: RoomId) {
        let mut rooms = self.rooms.borrow_mut();
        let room = rooms.get_mut(&id);
        if let Some(room) = room.filter(|room| room.sweep.is_some() || !room.run.is_empty()) {
            self.settle_room(id, room);
        }
    }

    fn settle_room(&self, id: RoomId, room: &mut Room) {
        while room.sweep.is_some() || !room.run.is_empty() {
            let sweep = match room.sweep.take() {
                Some(sweep) => sweep,
                None => self.begin_sweep(room),
            };
            let rest = room.members.get_range(sweep.next..room.members.len());
            let feed = room.run.is_empty().then_some(&room.feed);
            for member in rest.into_iter().flat_map(|rest| rest.values()) {
                self.serve(id, feed, member, &sweep.frozen, false);
            }
        }
        self.hub_wake.notify_one();
    }

    /// Hands frames to one member. With `feed`, which then stands right after these frames, someone
    /// who missed pieces of replies is told the texts so far instead of further pieces.
    fn serve(
        &self,
        id: RoomId,
        feed: Option<&Feed>,
        member: &Member,
        frozen: &Frozen,
        at_once: bool,
    ) {
        if member.catching_up.is_some() {
            return;
        }
        let conn = match &member.sink {
            Sink::Session(conn) => conn,
            Sink::Stream(queue) => {
                let wanted = frozen.items().iter().filter(|item| item.is_for(queue.intents()));
                for item in wanted {
                    self.delivered.set(self.delivered.get() + 1);
                    // A stream that falls behind ends itself, so there is nothing to do.
                    if queue.push(item.class(), item.json.clone()).is_err() {
                        break;
                    }
                }
                return;
            }
        };
        let batches = frozen.batches(conn.options.get());
        let frames: u64 = batches.iter().map(|batch| u64::from(batch.frames)).sum();
        self.delivered.set(self.delivered.get() + frames);
        let has_deltas = batches.iter().any(|batch| batch.class == Class::Delta);
        if let Some(feed) = feed.filter(|_| has_deltas && conn.take_missed_deltas(id)) {
            for batch in batches.iter().filter(|batch| batch.class != Class::Delta) {
                conn.push(batch.clone());
            }
            tell_texts(id, feed, conn);
            return self.add_dirty(conn);
        }
        // What is in one room only has nothing else to wait for in this tick.
        if at_once && !conn.is_dirty.get() && conn.rooms.borrow().len() == 1 {
            match &*batches {
                [] => {}
                [batch] => conn.write(batch),
                batches => {
                    for batch in batches {
                        conn.push(batch.clone());
                    }
                    write_out(conn);
                }
            }
        } else {
            for batch in batches.iter() {
                conn.push(batch.clone());
            }
            if !batches.is_empty() {
                self.add_dirty(conn);
            }
        }
    }

    /// Has a connection written in this tick.
    pub(super) fn mark_dirty(&self, conn: &Rc<Conn>) {
        self.add_dirty(conn);
        self.hub_wake.notify_one();
    }

    fn add_dirty(&self, conn: &Rc<Conn>) {
        if !conn.is_dirty.replace(true) {
            self.dirty.borrow_mut().push(Rc::clone(conn));
        }
    }

    /// Writes the connections that have something from more than one room, or from elsewhere.
    pub(super) async fn flush_dirty(&self) {
        let mut dirty = std::mem::take(&mut *self.dirty.borrow_mut());
        for (count, conn) in dirty.drain(..).enumerate() {
            conn.is_dirty.set(false);
            write_out(&conn);
            if count % SLICE == SLICE - 1 {
                tokio::task::yield_now().await;
            }
        }
        let mut place = self.dirty.borrow_mut();
        if place.is_empty() {
            *place = dirty;
        }
    }

    /// Tells whether somebody waits to be served.
    pub(super) fn has_work(&self) -> bool {
        !self.ready.borrow().is_empty() || !self.dirty.borrow().is_empty()
    }

    /// Hands what was counted to the metrics.
    pub(super) fn hand_over_counts(&self) {
        self.traffic.hand_over(&self.node.metrics.ws);
        let delivered = self.delivered.take();
        if delivered > 0 {
            self.node.metrics.room.deliveries.inc_by(delivered);
        }
    }
}

/// Writes what waits for a connection, as far as the socket takes it.
fn write_out(conn: &Conn) {
    // The session's own task waits for a blocked socket.
    if conn.is_blocked() {
        return;
    }
    match conn.flush() {
        Ok(true) => {}
        Ok(false) => conn.wake.notify_one(),
        Err(_) => conn.close(CloseReason::Lost),
    }
}

/// Tells a reader who missed pieces of replies their texts so far, as when it had followed the room
/// again.
fn tell_texts(id: RoomId, feed: &Feed, conn: &Conn) {
    let Some(slug) = conn.rooms.borrow().get(&id).map(|room| room.slug.clone()) else { return };
    let head = feed.head();
    conn.send(&Frame::Subscribed(Box::new(Subscribed {
        re: None,
        room: id,
        slug,
        epoch: head.epoch,
        seq: head.seq,
        resumed: true,
        streaming: feed.streaming(),
    })));
}
