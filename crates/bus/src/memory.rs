//! The text so far of replies that are being written.
//!
//! What this process writes itself ([`Origin::Here`]) is always remembered, until it ends or another
//! process takes it over. What others write ([`Origin::Elsewhere`]) is remembered only for rooms that
//! are kept, because somebody here follows them. A room that is kept from the middle of a reply on
//! is seeded with what the writers answer; pieces and ends that arrive meanwhile are put in order.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use parlor_protocol::event::{Event, EventBody};
use parlor_protocol::frame::StreamingReply;
use parlor_protocol::id::{MessageId, RoomId};
use parlor_protocol::message::MessageStatus;
use parlor_protocol::signal::MessageDelta;
use tokio::time::Instant;

/// Pieces that may wait for a room's seed. Beyond it they are dropped, and the text stays behind
/// until it is asked for again.
const LATE_MAX: usize = 1_024;

/// Where something was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// By this process.
    Here,
    /// By another one.
    Elsewhere,
}

/// Remembers texts. Written a few times a second for each reply, so a plain lock will do.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    rooms: Mutex<HashMap<RoomId, Room>>,
}

#[derive(Debug, Default)]
struct Room {
    /// Somebody here follows the room.
    kept: bool,
    replies: HashMap<MessageId, Reply>,
    /// Present while the writers are being asked.
    seeding: Option<Seeding>,
}

#[derive(Debug)]
struct Reply {
    text: StreamingReply,
    origin: Origin,
    touched: Instant,
}

#[derive(Debug, Default)]
struct Seeding {
    askers: usize,
    ended: HashSet<MessageId>,
    all_ended: bool,
    late: Vec<MessageDelta>,
}

impl Memory {
    /// Keeps a room in step with an event. `true` when this process writes there since then, or no
    /// more.
    pub(crate) fn apply_event(&self, event: &Event, origin: Origin) -> bool {
        match &event.body {
            EventBody::MessageCreated(message) if message.status == MessageStatus::Streaming => {
                self.change(event.room, origin, |room| {
                    room.reply(message.id, 1, origin);
                })
            }
            EventBody::MessageCompleted(completed) => {
                self.change(event.room, Origin::Elsewhere, |room| {
                    room.replies.remove(&completed.message);
                    if let Some(seeding) = &mut room.seeding {
                        seeding.ended.insert(completed.message);
                    }
                })
            }
            EventBody::HistoryReset(_) => self.end_all(event.room),
            EventBody::MessageCreated(_)
            | EventBody::MessageEdited(_)
            | EventBody::MessageRedacted(_)
            | EventBody::MessagePinned(_)
            | EventBody::MessageUnpinned(_)
            | EventBody::ReactionAdded(_)
            | EventBody::ReactionRemoved(_)
            | EventBody::RoomCreated(_)
            | EventBody::RoomUpdated(_)
            | EventBody::RoomArchived(_)
            | EventBody::MemberJoined(_)
            | EventBody::MemberLeft(_)
            | EventBody::MemberRoleChanged(_)
            | EventBody::MemberUpdated(_)
            | EventBody::Unknown(_) => false,
        }
    }

    /// Keeps a room in step with a piece of text. Returns what [`Self::apply_event`] does.
    pub(crate) fn apply_delta(&self, id: RoomId, delta: &MessageDelta, origin: Origin) -> bool {
        self.change(id, origin, |room| room.apply(delta, origin))
    }

    /// Forgets all replies of a room: they are gone. Returns what [`Self::apply_event`] does.
    pub(crate) fn end_all(&self, room: RoomId) -> bool {
        self.change(room, Origin::Elsewhere, |room| {
            room.replies.clear();
            if let Some(seeding) = &mut room.seeding {
                seeding.all_ended = true;
            }
        })
    }

    /// Returns the replies of a room.
    pub(crate) fn list(&self, room: RoomId) -> Vec<StreamingReply> {
        self.lock().get(&room).map(Room::list).unwrap_or_default()
    }

    /// Returns those replies of a room that this process writes.
    pub(crate) fn list_own(&self, room: RoomId) -> Vec<StreamingReply> {
        let rooms = self.lock();
        let own = rooms.get(&room).into_iter().flat_map(|room| room.replies.values());
        own.filter(|reply| reply.origin == Origin::Here).map(|reply| reply.text.clone()).collect()
    }

    /// Tells whether this process writes a reply in the room.
    pub(crate) fn has_own(&self, room: RoomId) -> bool {
        self.lock().get(&room).is_some_and(Room::has_own)
    }

    /// Remembers from now on what others write in this room, or forgets it.
    pub(crate) fn keep(&self, id: RoomId, kept: bool) {
        let mut rooms = self.lock();
        if kept {
            rooms.entry(id).or_default().kept = true;
        } else if let Some(room) = rooms.get_mut(&id) {
            room.kept = false;
            room.replies.retain(|_, reply| reply.origin == Origin::Here);
            forget_if_empty(&mut rooms, id);
        }
    }

    /// Forgets what others write: some of it may have been missed.
    pub(crate) fn forget_received(&self) {
        self.lock().retain(|_, room| {
            room.replies.retain(|_, reply| reply.origin == Origin::Here);
            !room.is_empty()
        });
    }

    /// Forgets own replies without a new piece for so long, and returns their rooms. Whoever wrote
    /// them was overtaken and did not hear of the end.
    pub(crate) fn expire_own(&self, idle: Duration) -> Vec<RoomId> {
        let mut expired = Vec::new();
        self.lock().retain(|id, room| {
            let before = room.replies.len();
            room.replies.retain(|_, reply| {
                reply.origin == Origin::Elsewhere || reply.touched.elapsed() < idle
            });
            if room.replies.len() < before {
                expired.push(*id);
            }
            !room.is_empty()
        });
        expired
    }

    /// Begins to seed a room. What arrives until the guard is gone is put in order with the seed.
    pub(crate) fn start_seeding(&self, room: RoomId) -> SeedingGuard<'_> {
        let mut rooms = self.lock();
        rooms.entry(room).or_default().seeding.get_or_insert_default().askers += 1;
        SeedingGuard { memory: self, room }
    }

    /// Changes a room, which begins to be known only by what this process writes. `true` when this
    /// process writes there since then, or no more.
    fn change(&self, id: RoomId, origin: Origin, change: impl FnOnce(&mut Room)) -> bool {
        let mut rooms = self.lock();
        let room = match origin {
            Origin::Here => rooms.entry(id).or_default(),
            Origin::Elsewhere => match rooms.get_mut(&id) {
                Some(room) => room,
                None => return false,
            },
        };
        let before = room.has_own();
        change(room);
        let changed = room.has_own() != before;
        forget_if_empty(&mut rooms, id);
        changed
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RoomId, Room>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget_if_empty(rooms: &mut HashMap<RoomId, Room>, id: RoomId) {
    if rooms.get(&id).is_some_and(Room::is_empty) {
        rooms.remove(&id);
    }
}

impl Room {
    fn is_empty(&self) -> bool {
        !self.kept && self.seeding.is_none() && self.replies.is_empty()
    }

    fn has_own(&self) -> bool {
        self.replies.values().any(|reply| reply.origin == Origin::Here)
    }

    fn list(&self) -> Vec<StreamingReply> {
        self.replies.values().map(|reply| reply.text.clone()).collect()
    }

    /// Returns the reply, begun with this turn when it was not known.
    fn reply(&mut self, message: MessageId, turn: u32, origin: Origin) -> Option<&mut Reply> {
        // What others write is only remembered where somebody follows.
        if origin == Origin::Elsewhere && !self.kept {
            return self.replies.get_mut(&message);
        }
        let text = StreamingReply { message, turn, chunk: 0, text: String::new() };
        let new = Reply { text, origin, touched: Instant::now() };
        Some(self.replies.entry(message).or_insert(new))
    }

    fn apply(&mut self, delta: &MessageDelta, origin: Origin) {
        // A later turn may be the first that this process hears of a reply: it was begun before a
        // restart, or by another process. Any other piece of an unknown reply comes after its end,
        // or before the seed.
        let known = if delta.turn > 1 && delta.chunk == 1 {
            self.reply(delta.message, delta.turn, origin)
        } else {
            self.replies.get_mut(&delta.message)
        };
        let follows = known.is_some_and(|reply| reply.apply(delta, origin));
        if !self.kept {
            self.replies.retain(|_, reply| reply.origin == Origin::Here);
        }
        if let Some(seeding) = self.seeding.as_mut().filter(|_| !follows)
            && seeding.late.len() < LATE_MAX
        {
            seeding.late.push(delta.clone());
        }
    }

    fn seed(&mut self, answer: StreamingReply) {
        let Some(seeding) = &self.seeding else { return };
        if seeding.all_ended || seeding.ended.contains(&answer.message) {
            return;
        }
        let (message, turn) = (answer.message, answer.turn);
        let Some(known) = self.reply(message, turn, Origin::Elsewhere) else { return };
        if (answer.turn, answer.chunk) > (known.text.turn, known.text.chunk) {
            known.text = answer;
            known.origin = Origin::Elsewhere;
        }
    }

    /// Adds the pieces that came before the seed did. Those that do not fit may fit the seed of
    /// another asker.
    fn apply_late(&mut self) {
        let Some(seeding) = &mut self.seeding else { return };
        let replies = &mut self.replies;
        seeding.late.retain(|delta| {
            let known = replies.get_mut(&delta.message);
            !known.is_some_and(|reply| reply.apply(delta, Origin::Elsewhere))
        });
    }
}

impl Reply {
    /// Adds a piece; `false` when one before it is missing.
    fn apply(&mut self, delta: &MessageDelta, origin: Origin) -> bool {
        let text = &mut self.text;
        if delta.turn > text.turn {
            (text.turn, text.chunk) = (delta.turn, 0);
            text.text.clear();
            // Another process may have taken the reply over.
            self.origin = origin;
        }
        if delta.turn < text.turn || delta.chunk <= text.chunk {
            return true;
        }
        self.touched = Instant::now();
        if delta.chunk != text.chunk + 1 {
            return false;
        }
        text.chunk = delta.chunk;
        text.text.push_str(&delta.text);
        true
    }
}

/// A room that is being seeded. Dropping it ends the seeding.
#[derive(Debug)]
pub(crate) struct SeedingGuard<'a> {
    memory: &'a Memory,
    room: RoomId,
}

impl SeedingGuard<'_> {
    /// Merges what the writers answered and returns the replies of the room. The newest wins; what
    /// has ended meanwhile stays ended.
    pub(crate) fn finish(self, answers: Vec<StreamingReply>) -> Vec<StreamingReply> {
        let mut rooms = self.memory.lock();
        let Some(room) = rooms.get_mut(&self.room) else { return answers };
        if !room.kept {
            // Nobody follows, so nothing is to be remembered.
            let mut replies: HashMap<_, _> =
                room.list().into_iter().map(|reply| (reply.message, reply)).collect();
            for answer in answers {
                let place = replies.entry(answer.message).or_insert_with(|| answer.clone());
                if (answer.turn, answer.chunk) > (place.turn, place.chunk) {
                    *place = answer;
                }
            }
            return replies.into_values().collect();
        }
        for answer in answers {
            room.seed(answer);
        }
        room.apply_late();
        room.list()
    }
}

impl Drop for SeedingGuard<'_> {
    fn drop(&mut self) {
        let mut rooms = self.memory.lock();
        if let Some(room) = rooms.get_mut(&self.room)
            && let Some(seeding) = &mut room.seeding
        {
            seeding.askers -= 1;
            if seeding.askers == 0 {
                room.seeding = None;
                forget_if_empty(&mut rooms, self.room);
            }
        }
    }
}

#[cfg(test)]
mod tests;
