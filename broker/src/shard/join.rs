//! Following a room: from the client's position to live, without hole or double.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use parlor_domain::log::{Start, start};
use parlor_domain::permission::{Action, authorize};
use parlor_protocol::command::Since;
use parlor_protocol::frame::{Frame, Resync, Subscribed};
use parlor_protocol::id::{RoomId, RoomRef, UserId};
use tokio::sync::Notify;

use super::conn::{Conn, MemberId, Subscription};
use super::fan_out::Queued;
use super::outbox::Class;
use super::room::{Feed, Phase, Replay};
use super::run::Run;
use super::{Member, Room, Shard, Sink, wire};
use crate::reads::known::Access;
use crate::refusal::{Outcome, Refusal};
use crate::stream::{OpenStream, RoomStream, StreamQueue};

/// Events that are read from the store and handed over at once; more are sent in pages, at the
/// reader's pace.
const AT_ONCE: u32 = 256;
/// How often a busy room may move on while a subscription is being prepared.
const ATTEMPTS: usize = 8;

/// Who wants to follow a room.
struct Joiner {
    id: MemberId,
    user: UserId,
    sink: Sink,
    re: Option<String>,
}

/// How a subscription goes on after it was attached.
enum Joined {
    /// It is live.
    Live,
    /// Older events are to be sent first.
    CatchUp { after: u64, turn: MemberId },
}

impl Shard {
    /// Follows a room for a session: `subscribed`, what it missed, then live.
    pub(crate) async fn subscribe(
        self: &Rc<Self>,
        conn: &Rc<Conn>,
        room: &RoomRef,
        since: Option<&Since>,
        re: Option<String>,
    ) -> Outcome<()> {
        let user = conn.caller.borrow().as_ref().map(|caller| caller.user.id);
        let user = user.ok_or_else(|| Refusal::unavailable("The connection is closing."))?;
        let joiner = Joiner { id: conn.id, user, sink: Sink::Session(Rc::clone(conn)), re };
        let (access, joined) = self.join(&joiner, room, since).await?;
        if let Joined::CatchUp { after, turn } = joined {
            let shard = Rc::clone(self);
            let room = access.room.id;
            drop(tokio::task::spawn_local(async move {
                shard.send_older(room, joiner, turn, after).await;
            }));
        }
        self.mark_dirty(conn);
        Ok(())
    }

    /// Follows a room for an HTTP request.
    pub(crate) async fn open_stream(self: Rc<Self>, request: OpenStream) {
        let OpenStream { caller, room, since, intents, answer } = request;
        let limit = self.node.config.limits.outbox.get();
        let queue = Arc::new(StreamQueue::new(limit, caller.session, intents));
        let joiner = Joiner {
            id: self.next_member(),
            user: caller.user.id,
            sink: Sink::Stream(Arc::clone(&queue)),
            re: None,
        };
        let outcome = self.join(&joiner, &room, since.as_ref()).await;
        let (opened, rest) = match outcome {
            Ok((access, joined)) => {
                // The first frame is `subscribed`; the caller wants it apart.
                let subscribed = queue.take_subscribed();
                let opened = subscribed
                    .map(|subscribed| RoomStream { subscribed, queue })
                    .ok_or_else(|| Refusal::unavailable("The room is too busy; try again."));
                (opened, Some((access.room.id, joined)))
            }
            Err(refusal) => (Err(refusal), None),
        };
        // A request that is gone drops the stream, which ends it.
        drop(answer.send(opened));
        if let Some((room, Joined::CatchUp { after, turn })) = rest {
            self.send_older(room, joiner, turn, after).await;
        }
    }

    async fn join(
        self: &Rc<Self>,
        joiner: &Joiner,
        room: &RoomRef,
        since: Option<&Since>,
    ) -> Outcome<(Access, Joined)> {
        let mut older: Vec<(u64, Bytes)> = Vec::new();
        for _ in 0..ATTEMPTS {
            let (access, head) = self.node.find_room_and_head(room, joiner.user).await?;
            let seq = head.seq;
            authorize(access.room.facts(), access.membership, Action::Read, self.node.now())?;
            let id = access.room.id;
            self.make_ready(id, seq).await?;
            match self.try_attach(joiner, &access, seq, since, &older)? {
                Attached::Yes(joined) => return Ok((access, joined)),
                Attached::NeedsOlder { after } => {
                    let events = self.node.reads.read(id, after, seq, AT_ONCE).await?;
                    older = events.iter().map(|event| (event.seq, wire::event(event))).collect();
                }
                Attached::NotYet => {}
            }
        }
        Err(Refusal::unavailable("The room is too busy; try again."))
    }

    /// Opens the room if it is not open, and waits until it has delivered up to `seq`.
    async fn make_ready(self: &Rc<Self>, id: RoomId, seq: u64) -> Outcome<()> {
        match self.readiness(id, seq) {
            Ready::Yes => Ok(()),
            Ready::Behind => {
                // In a task of its own: a joiner that goes away must not leave the room half filled.
                let shard = Rc::clone(self);
                let filling = async move { shard.catch_up_with_store(id).await };
                let patience = self.node.config.limits.handshake_timeout;
                drop(tokio::time::timeout(patience, tokio::task::spawn_local(filling)).await);
                Ok(())
            }
            // Whoever opens the room, or fills it, wakes all who wait; the caller looks again.
            Ready::Soon(ready) => {
                let patience = self.node.config.limits.handshake_timeout;
                drop(tokio::time::timeout(patience, ready.notified()).await);
                Ok(())
            }
            Ready::Absent => {
                self.add_room(id)?;
                let shard = Rc::clone(self);
                let opening = async move { shard.open(id).await };
                let opened = tokio::task::spawn_local(opening).await;
                opened.unwrap_or_else(|_| Err(Refusal::unavailable("The room cannot be opened.")))
            }
        }
    }

    fn readiness(&self, id: RoomId, seq: u64) -> Ready {
        match self.rooms.borrow().get(&id) {
            None => Ready::Absent,
            Some(room) if room.feed.phase() != Phase::Live => Ready::Soon(Rc::clone(&room.ready)),
            Some(room) if room.feed.delivered() < seq => Ready::Behind,
            Some(_) => Ready::Yes,
        }
    }

    fn add_room(&self, id: RoomId) -> Outcome<()> {
        let mut rooms = self.rooms.borrow_mut();
        self.check_resident(rooms.len())?;
        rooms.insert(id, self.new_room());
        self.node.metrics.room.resident.inc();
        Ok(())
    }

    fn check_resident(&self, rooms: usize) -> Outcome<()> {
        if rooms < self.node.config.limits.resident_rooms {
            return Ok(());
        }
        Err(Refusal::unavailable("The node holds as many rooms as it may; try again later."))
    }

    fn new_room(&self) -> Room {
        let limits = &self.node.config.limits;
        Room {
            feed: Feed::new(limits.ring_events, limits.ring_bytes.get()),
            members: indexmap::IndexMap::new(),
            run: Run::default(),
            sweep: None,
            queued: Queued::No,
            told_at: None,
            facts: None,
            has_live: false,
            ready: Rc::new(Notify::new()),
            empty_since: Some(tokio::time::Instant::now()),
            refreshed_at: None,
        }
    }

    /// Reads the room's position. What arrives meanwhile is held back by the feed.
    async fn open(self: &Rc<Self>, id: RoomId) -> Outcome<()> {
        self.node.bus.follow(self.subscriber, id);
        // Before the head: what is committed after it is told.
        self.node.bus.wait_followed(id).await;
        let head = self.node.lookups.find_head(id).await;
        // After the head: a reply that ends in between is then known to have ended.
        let streams = self.node.list_streaming(id).await;
        let members = self.node.store.count_members(id).await;
        match head {
            Ok(Some(head)) => {
                if let Some(room) = self.rooms.borrow_mut().get_mut(&id) {
                    room.feed.open(head, streams);
                    // A room whose size is not known is told everything.
                    room.feed.set_members(members.ok().flatten().unwrap_or_default());
                }
                self.resume_live(id);
                Ok(())
            }
            absent_or_failed => {
                self.node.bus.unfollow(self.subscriber, id);
                if let Some(room) = self.rooms.borrow_mut().remove(&id) {
                    self.node.metrics.room.resident.dec();
                    room.ready.notify_waiters();
                }
                Err(absent_or_failed.map_or_else(Refusal::from, |_| Refusal::not_found("room")))
            }
        }
    }

    /// Attaches in one step, without an await, so that nothing happens in between.
    fn try_attach(
        &self,
        joiner: &Joiner,
        access: &Access,
        seen: u64,
        since: Option<&Since>,
        older: &[(u64, Bytes)],
    ) -> Outcome<Attached> {
        self.settle(access.room.id);
        let mut rooms = self.rooms.borrow_mut();
        let Some(room) = rooms.get_mut(&access.room.id) else { return Ok(Attached::NotYet) };
        let feed = &room.feed;
        // The membership was read before this position: read it again if someone has left since.
        if feed.phase() != Phase::Live || !feed.is_current(seen) || feed.delivered() < seen {
            return Ok(Attached::NotYet);
        }
        self.check_subscriptions(joiner, access.room.id)?;
        let head = feed.head();
        let limits = &self.node.config.limits;
        let start = start(since, &head, limits.replay_events as u64);
        let room_left = joiner.sink.room_left(limits.outbox.get());
        let mut catching_up = None;
        let mut replay = Vec::new();
        if let Start::Replay { after } = start {
            let assembled = assemble(feed, after, older);
            let few = head.seq - after <= u64::from(AT_ONCE);
            match assembled.filter(|replay| fits(replay, room_left)) {
                Some(events) => replay = events,
                None if older.is_empty() && few => return Ok(Attached::NeedsOlder { after }),
                None => catching_up = Some(after),
            }
        }
        let streaming = if catching_up.is_some() { Vec::new() } else { feed.streaming() };
        let (label, resumed) = match start {
            Start::Live => ("live", false),
            Start::Replay { .. } => ("replay", true),
            Start::Resync(_) => ("resync", false),
        };
        self.node.metrics.room.subscriptions.with_label_values(&[label]).inc();
        joiner.push_frame(&Frame::Subscribed(Box::new(Subscribed {
            re: joiner.re.clone(),
            room: access.room.id,
            slug: access.room.slug.clone(),
            epoch: head.epoch,
            seq: head.seq,
            resumed,
            streaming,
        })));
        if let Start::Resync(reason) = start {
            joiner.push_frame(&Frame::Resync(Resync {
                room: access.room.id,
                from: head.seq,
                reason: reason.to_owned(),
            }));
        }
        for json in &replay {
            joiner.sink.push(Class::Durable, json);
        }
        let catching_up = catching_up.map(|after| (after, self.next_member()));
        room.learn(seen, access.room.facts());
        let Some(membership) = access.membership else { return Ok(Attached::NotYet) };
        let member = Member {
            user: joiner.user,
            sink: joiner.sink.clone(),
            membership,
            catching_up: catching_up.map(|(_, turn)| turn),
        };
        room.empty_since = None;
        room.has_live |= member.wants_live();
        room.members.insert(joiner.id, member);
        match &joiner.sink {
            Sink::Session(conn) => {
                let subscription =
                    Subscription { slug: access.room.slug.clone(), missed_deltas: false };
                conn.rooms.borrow_mut().insert(access.room.id, subscription);
            }
            Sink::Stream(queue) => {
                let stream = (access.room.id, joiner.id, Arc::clone(queue));
                self.streams.borrow_mut().push(stream);
            }
        }
        let joined =
            catching_up.map_or(Joined::Live, |(after, turn)| Joined::CatchUp { after, turn });
        Ok(Attached::Yes(joined))
    }

    fn check_subscriptions(&self, joiner: &Joiner, room: RoomId) -> Outcome<()> {
        let Sink::Session(conn) = &joiner.sink else { return Ok(()) };
        if conn.closing().is_some() {
            return Err(Refusal::unavailable("The connection is closing."));
        }
        let rooms = conn.rooms.borrow();
        let most = self.node.config.limits.subscriptions;
        if rooms.len() < most || rooms.contains_key(&room) {
            return Ok(());
        }
        let detail = format!("One connection may follow {most} rooms; unsubscribe from some.");
        Err(Refusal::new(parlor_protocol::code::Code::Conflict, detail))
    }

    /// Sends older events in pages, at the reader's pace, and then joins the live ones.
    async fn send_older(
        self: Rc<Self>,
        id: RoomId,
        joiner: Joiner,
        turn: MemberId,
        mut after: u64,
    ) {
        let outbox = self.node.config.limits.outbox.get();
        while !self.finish_catching_up(id, &joiner, turn, after) {
            let delivered = self.delivered_to(id, &joiner, turn).unwrap_or(after);
            match self.node.reads.read(id, after, delivered, AT_ONCE / 4).await {
                Ok(events) => {
                    for event in events.iter() {
                        let seq = event.seq;
                        let json = wire::event(event);
                        joiner.sink.wait_for_room(json.len(), outbox).await;
                        // In one step with the push. Up to what the room has delivered the member is
                        // known to be one; the store may be ahead.
                        match self.delivered_to(id, &joiner, turn) {
                            Some(delivered) if seq <= delivered => {}
                            Some(_) => break,
                            None => return,
                        }
                        after = seq;
                        joiner.sink.push(Class::Durable, &json);
                        joiner.sink.mark_dirty(&self);
                    }
                    joiner.sink.wait_for_room(outbox / 2, outbox).await;
                }
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(500)).await,
            }
        }
    }

    /// Returns how far the room has delivered, if the member is still being sent older events by
    /// this turn.
    fn delivered_to(&self, id: RoomId, joiner: &Joiner, turn: MemberId) -> Option<u64> {
        let rooms = self.rooms.borrow();
        let room = rooms.get(&id)?;
        let member = room.members.get(&joiner.id)?;
        let goes_on = member.catching_up == Some(turn) && !joiner.sink.is_closed();
        goes_on.then(|| room.feed.delivered())
    }

    /// Makes the member live when what is left is in memory. `true` when there is nothing more to
    /// do, also because the member is gone.
    fn finish_catching_up(&self, id: RoomId, joiner: &Joiner, turn: MemberId, after: u64) -> bool {
        if self.delivered_to(id, joiner, turn).is_none() {
            return true;
        }
        self.settle(id);
        let mut rooms = self.rooms.borrow_mut();
        let Some(room) = rooms.get_mut(&id) else { return true };
        let Replay::Ready(rest) = room.feed.replay(after) else { return false };
        if !fits(&rest, joiner.sink.room_left(self.node.config.limits.outbox.get())) {
            return false;
        }
        let (head, streaming) = (room.feed.head(), room.feed.streaming());
        let Some(member) = room.members.get_mut(&joiner.id) else { return true };
        member.catching_up = None;
        for json in &rest {
            joiner.sink.push(Class::Durable, json);
        }
        // Pieces of replies were held back meanwhile: tell the texts so far.
        if !streaming.is_empty() {
            let slug = match &joiner.sink {
                Sink::Session(conn) => conn.rooms.borrow().get(&id).map(|room| room.slug.clone()),
                Sink::Stream(_) => None,
            };
            joiner.push_frame(&Frame::Subscribed(Box::new(Subscribed {
                re: None,
                room: id,
                slug: slug.unwrap_or_default(),
                epoch: head.epoch,
                seq: head.seq,
                resumed: true,
                streaming,
            })));
        }
        drop(rooms);
        joiner.sink.mark_dirty(self);
        true
    }
}

/// Whether a room can be joined.
enum Ready {
    Yes,
    /// The store is known to be ahead of it.
    Behind,
    /// It is being opened or filled; the notice comes when that has ended.
    Soon(Rc<Notify>),
    Absent,
}

/// What came of an attempt to attach.
enum Attached {
    Yes(Joined),
    /// Events are missing that are not in memory.
    NeedsOlder {
        after: u64,
    },
    /// The room was not ready, or moved on.
    NotYet,
}

/// Joins what was read from the store with what is in memory, without a hole.
fn assemble(feed: &Feed, after: u64, older: &[(u64, Bytes)]) -> Option<Vec<Bytes>> {
    if let Replay::Ready(replay) = feed.replay(after) {
        return Some(replay);
    }
    let mut last = after;
    let mut replay = Vec::new();
    for (seq, json) in older.iter().filter(|(seq, _)| *seq > after && *seq <= feed.delivered()) {
        if *seq != last + 1 {
            return None;
        }
        last = *seq;
        replay.push(json.clone());
    }
    match feed.replay(last) {
        Replay::Ready(rest) => {
            replay.extend(rest);
            Some(replay)
        }
        Replay::FromStore => None,
    }
}

fn fits(replay: &[Bytes], room_left: usize) -> bool {
    replay.iter().map(Bytes::len).sum::<usize>() <= room_left
}

impl Joiner {
    fn push_frame(&self, frame: &Frame) {
        self.sink.push(Class::Durable, &wire::json(frame));
    }
}

impl Sink {
    fn push(&self, class: Class, json: &Bytes) {
        match self {
            Self::Session(conn) => conn.send_json(class, json),
            // A stream that falls behind ends itself.
            Self::Stream(queue) => drop(queue.push(class, json.clone())),
        }
    }

    fn mark_dirty(&self, shard: &Shard) {
        if let Self::Session(conn) = self {
            shard.mark_dirty(conn);
        }
    }

    /// Returns the bytes that a replay may take: half of the outbox is for what comes live.
    fn room_left(&self, outbox: usize) -> usize {
        let waiting = match self {
            Self::Session(conn) => conn.queued_bytes(),
            Self::Stream(queue) => queue.queued_bytes(),
        };
        (outbox / 2).saturating_sub(waiting)
    }

    fn is_closed(&self) -> bool {
        match self {
            Self::Session(conn) => conn.closing().is_some(),
            Self::Stream(queue) => queue.is_ended(),
        }
    }

    /// Waits until `len` more bytes leave half of the outbox to what comes live, or nothing waits.
    async fn wait_for_room(&self, len: usize, outbox: usize) {
        let below = (outbox / 2).saturating_sub(len);
        match self {
            Self::Session(conn) => {
                while conn.queued_bytes() > below && conn.closing().is_none() {
                    conn.drained.notified().await;
                }
            }
            Self::Stream(queue) => queue.wait_until_below(below).await,
        }
    }
}
