//! One room on one shard: which events its members have had, and what to do with what arrives.
//!
//! A pure state machine; [`super::hub`] carries out what it decides. Invariants: events leave in the
//! order of `seq`, without hole or double; a signal of a reply leaves only when it is the next piece
//! of what the members have; nothing is delivered to a member after the event that removed them.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use parlor_bus::Delivery;
use parlor_domain::log::{Arrival, Head, classify};
use parlor_domain::permission::{Membership, RoomFacts};
use parlor_protocol::event::{Event, EventBody, LeaveReason, RoomState};
use parlor_protocol::frame::StreamingReply;
use parlor_protocol::id::{MessageId, UserId};
use parlor_protocol::message::MessageStatus;
use parlor_protocol::signal::{MessageDelta, SignalBody, SignalFamily};
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::UserRef;

/// Deliveries that may wait while the room is opened or a hole is filled. Beyond it they are
/// dropped; what is missing then is read from the store like any other hole.
const PENDING_MAX: usize = 1_024;
/// Pieces of replies whose beginning has not arrived. Beyond it the oldest are dropped; members see
/// the hole and ask again.
const EARLY_MAX: usize = 64;

/// Whether the room is ready to deliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its position is being read from the store.
    Opening,
    /// It delivers.
    Live,
    /// Missing events are being read from the store.
    Filling,
}

/// A room's position and newest events.
#[derive(Debug)]
pub(crate) struct Feed {
    phase: Phase,
    epoch: String,
    delivered: u64,
    reset_through: u64,
    /// Memberships that were read before this position may be outdated.
    memberships_changed_at: u64,
    ring: Ring,
    streams: HashMap<MessageId, Stream>,
    /// First pieces of replies that came before the event that begins them.
    early: VecDeque<(MessageDelta, Bytes)>,
    pending: VecDeque<Delivery>,
    /// An event found no place among those that wait.
    lost: bool,
    /// The store has events at least up to here; the largest number when that is not known.
    known: u64,
    /// Where the log stood when the room was opened.
    opened_at: u64,
    /// How many members the room has, about: those who came or went while it was being opened may be
    /// counted twice.
    members: u64,
}

/// A reply that is being written.
#[derive(Debug)]
struct Stream {
    /// As far as the members have it.
    so_far: StreamingReply,
    /// A piece after that came, so some before it were lost.
    has_hole: bool,
}

impl Stream {
    fn new(so_far: StreamingReply) -> Self {
        Self { so_far, has_hole: false }
    }
}

/// What to do with a delivery.
#[derive(Debug)]
pub(crate) enum Step {
    /// Tell the members this event.
    Event(Box<EventStep>),
    /// Tell the members this signal.
    Signal(SignalFamily, Bytes),
    /// Tell the members this piece of a reply.
    Delta(Bytes),
    /// Tell the members this piece of a reply; pieces before it were lost.
    DeltaAfterHole(Bytes),
    /// Read what is missing from the store and pass it to [`Feed::fill`].
    Fill,
    /// Nothing.
    Nothing,
}

/// An event to tell, and what it means for the members.
#[derive(Debug)]
pub(crate) struct EventStep {
    /// The frame as JSON.
    pub(crate) json: Bytes,
    /// When it was committed.
    pub(crate) at: Timestamp,
    /// What changes besides.
    pub(crate) effect: Effect,
    /// Pieces of the reply that were waiting for it, to be told after it.
    pub(crate) then: Vec<Bytes>,
}

/// What an event means for the members on this shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    None,
    /// This user gets nothing after it.
    Left(UserId),
    /// This user has another role, or may not write until then.
    Changed(UserId, Membership),
    /// This user is called differently now.
    Renamed(UserRef),
    /// From this position on, this decides who may do what.
    Facts(u64, RoomFacts),
}

/// What a subscription can be given at once.
#[derive(Debug)]
pub(crate) enum Replay {
    /// All events after the position, from memory.
    Ready(Vec<Bytes>),
    /// They are older than what is in memory.
    FromStore,
}

impl Feed {
    pub(crate) fn new(max_events: usize, max_bytes: usize) -> Self {
        Self {
            phase: Phase::Opening,
            epoch: String::new(),
            delivered: 0,
            reset_through: 0,
            memberships_changed_at: 0,
            ring: Ring { events: VecDeque::new(), bytes: 0, max_events, max_bytes },
            streams: HashMap::new(),
            early: VecDeque::new(),
            pending: VecDeque::new(),
            lost: false,
            known: 0,
            opened_at: 0,
            members: 0,
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    pub(crate) fn head(&self) -> Head {
        Head { epoch: self.epoch.clone(), reset_through: self.reset_through, seq: self.delivered }
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Returns how far a room that is being filled must be read; the largest number means to the end.
    pub(crate) fn known(&self) -> u64 {
        self.known
    }

    /// Tells whether a membership that was read when the log stood at `seq` still says the truth.
    pub(crate) fn is_current(&self, seq: u64) -> bool {
        seq >= self.memberships_changed_at
    }

    /// Sets the position; from now on, what arrives is delivered. `streams` must have been read
    /// after `head`.
    pub(crate) fn open(&mut self, head: Head, streams: Vec<StreamingReply>) {
        self.phase = Phase::Live;
        self.memberships_changed_at = head.seq;
        self.opened_at = head.seq;
        self.delivered = head.seq;
        self.reset_through = head.reset_through;
        self.epoch = head.epoch;
        self.streams =
            streams.into_iter().map(|reply| (reply.message, Stream::new(reply))).collect();
    }

    /// Takes down how many members there are.
    pub(crate) fn set_members(&mut self, members: u64) {
        self.members = members;
    }

    /// Returns how many members the room has, about.
    pub(crate) fn members(&self) -> u64 {
        self.members
    }

    /// Returns the replies that are being written, as far as the members have them.
    pub(crate) fn streaming(&self) -> Vec<StreamingReply> {
        let mut replies: Vec<_> =
            self.streams.values().map(|stream| stream.so_far.clone()).collect();
        replies.sort_by_key(|reply| reply.message);
        replies
    }

    /// Returns the events after `after`, if they are all in memory.
    pub(crate) fn replay(&self, after: u64) -> Replay {
        if after >= self.delivered {
            return Replay::Ready(Vec::new());
        }
        match self.ring.events.front() {
            Some((oldest, _)) if *oldest <= after + 1 => Replay::Ready(
                self.ring
                    .events
                    .iter()
                    .filter(|(seq, _)| {
                        #[cfg(feature = "planted-bugs")]
                        if parlor_domain::planted::is("resume-skips-one") {
                            return *seq > after + 1;
                        }
                        *seq > after
                    })
                    .map(|(_, json)| json.clone())
                    .collect(),
            ),
            _ => Replay::FromStore,
        }
    }

    /// Forgets what is in memory, which still tells who an erased user was. The store does not.
    pub(crate) fn forget_ring(&mut self) {
        self.ring.clear();
    }

    /// Decides what to do with a delivery.
    pub(crate) fn accept(&mut self, delivery: Delivery) -> Step {
        match self.phase {
            Phase::Opening | Phase::Filling => {
                self.hold(delivery);
                Step::Nothing
            }
            Phase::Live => self.accept_live(delivery),
        }
    }

    /// Takes what was held back while the room was not ready.
    pub(crate) fn take_pending(&mut self) -> VecDeque<Delivery> {
        std::mem::take(&mut self.pending)
    }

    /// Takes one event that was read from the store.
    pub(crate) fn fill(&mut self, event: &Event, json: Bytes) -> Step {
        match classify(self.delivered, event.seq) {
            Arrival::Next => self.advance(event, json),
            // The store may have removed what was before: the log goes on at the reset.
            Arrival::Hole { .. } if matches!(event.body, EventBody::HistoryReset(_)) => {
                self.advance(event, json)
            }
            Arrival::Seen | Arrival::Hole { .. } => Step::Nothing,
        }
    }

    /// Starts filling to the end of the store if an event was lost, once. A room that is being filled
    /// already may be so by a read that began too early to have it: it is filled anew afterwards.
    pub(crate) fn start_filling_lost(&mut self) -> bool {
        let starts = self.lost && self.start_filling(u64::MAX);
        self.lost &= !starts;
        starts
    }

    /// Ends filling: what comes next is delivered again.
    pub(crate) fn filled(&mut self) {
        self.phase = Phase::Live;
    }

    /// Starts filling because the store has events up to `known`. `false` when the room is not live.
    pub(crate) fn start_filling(&mut self, known: u64) -> bool {
        let starts = self.phase == Phase::Live;
        if starts {
            self.phase = Phase::Filling;
            self.known = known;
        }
        starts
    }

    /// Forgets what was announced and is not in the store although it was read to its end since: it is
    /// of a log that is gone. `true` when that is so.
    pub(crate) fn forget_beyond_store(&mut self) -> bool {
        if self.known == u64::MAX || self.known <= self.delivered {
            return false;
        }
        let gone = self.delivered + 1..=self.known;
        self.pending.retain(|delivery| match delivery {
            Delivery::Event { event, .. } => !gone.contains(&event.seq),
            Delivery::Ahead { seq, .. } => !gone.contains(seq),
            Delivery::Signal { .. } | Delivery::Control(_) => true,
        });
        true
    }

    /// Tells whether pieces of a reply that is being written are known to be lost.
    pub(crate) fn has_holes(&self) -> bool {
        self.streams.values().any(|stream| stream.has_hole)
    }

    /// Corrects the texts of which pieces were lost. The others are left alone: pieces that these
    /// replies have already may be on their way, and would then not be told to the members.
    pub(crate) fn refresh_streams(&mut self, replies: Vec<StreamingReply>) {
        for reply in replies {
            if let Some(stream) = self.streams.get_mut(&reply.message)
                && stream.has_hole
                && (reply.turn, reply.chunk) > (stream.so_far.turn, stream.so_far.chunk)
            {
                *stream = Stream::new(reply);
            }
        }
    }

    fn begin_stream(&mut self, message: MessageId) {
        let reply = StreamingReply { message, turn: 1, chunk: 0, text: String::new() };
        self.streams.entry(message).or_insert_with(|| Stream::new(reply));
    }

    fn hold(&mut self, delivery: Delivery) {
        if self.pending.len() < PENDING_MAX {
            self.pending.push_back(delivery);
        } else {
            self.lost |= matches!(delivery, Delivery::Event { .. } | Delivery::Ahead { .. });
        }
    }

    fn accept_live(&mut self, delivery: Delivery) -> Step {
        match delivery {
            Delivery::Event { event, json } => match classify(self.delivered, event.seq) {
                Arrival::Next => self.advance(&event, json),
                Arrival::Seen => {
                    // The end of a reply may have been read from the store before its text so far
                    // was asked for.
                    match &event.body {
                        EventBody::MessageCompleted(completed) => {
                            self.streams.remove(&completed.message);
                        }
                        // Committed before the room was opened and told after: the bus did not
                        // know it when the texts so far were asked for.
                        EventBody::MessageCreated(message)
                            if message.status == MessageStatus::Streaming
                                && event.seq <= self.opened_at =>
                        {
                            self.begin_stream(message.id);
                        }
                        _ => {}
                    }
                    Step::Nothing
                }
                #[cfg(feature = "planted-bugs")]
                Arrival::Hole { .. } if parlor_domain::planted::is("hole-ignored") => {
                    self.advance(&event, json)
                }
                Arrival::Hole { .. } => {
                    self.start_filling(event.seq);
                    self.hold(Delivery::Event { event, json });
                    Step::Fill
                }
            },
            Delivery::Signal { signal, json } => match &signal.body {
                SignalBody::MessageDelta(delta) => self.accept_delta(delta, json),
                SignalBody::Typing(_)
                | SignalBody::Presence(_)
                | SignalBody::Receipt(_)
                | SignalBody::BotStatus(_)
                | SignalBody::App(_) => Step::Signal(signal.body.family(), json),
            },
            Delivery::Ahead { seq, .. } if seq > self.delivered => {
                self.start_filling(seq);
                Step::Fill
            }
            Delivery::Ahead { .. } | Delivery::Control(_) => Step::Nothing,
        }
    }

    /// Keeps the text so far in step with what the members are told.
    fn accept_delta(&mut self, delta: &MessageDelta, json: Bytes) -> Step {
        let Some(stream) = self.streams.get_mut(&delta.message) else {
            return self.accept_delta_of_unknown(delta, json);
        };
        let reply = &mut stream.so_far;
        if delta.turn > reply.turn {
            (reply.turn, reply.chunk) = (delta.turn, 0);
            reply.text.clear();
            stream.has_hole = false;
        }
        if delta.turn < reply.turn || delta.chunk <= reply.chunk {
            return Step::Nothing;
        }
        if delta.chunk == reply.chunk + 1 {
            reply.chunk = delta.chunk;
            reply.text.push_str(&delta.text);
            Step::Delta(json)
        } else {
            stream.has_hole = true;
            // Told all the same: clients see the hole and subscribe again.
            Step::DeltaAfterHole(json)
        }
    }

    /// A piece of a reply that has ended, that was begun before a restart, or whose beginning has not
    /// arrived yet.
    fn accept_delta_of_unknown(&mut self, delta: &MessageDelta, json: Bytes) -> Step {
        if delta.turn > 1 && delta.chunk == 1 {
            // The members know the reply as streaming, and this is a new turn.
            let (turn, chunk) = (delta.turn, delta.chunk);
            let text = delta.text.clone();
            let reply = StreamingReply { message: delta.message, turn, chunk, text };
            self.streams.insert(delta.message, Stream::new(reply));
            return Step::Delta(json);
        }
        // Events and signals travel apart, so a piece may be here before its beginning. After the
        // end it is never asked for.
        if self.early.len() >= EARLY_MAX {
            self.early.pop_front();
        }
        self.early.push_back((delta.clone(), json));
        Step::Nothing
    }

    /// Returns the pieces of a reply that came before its beginning, in order.
    fn take_early(&mut self, message: MessageId) -> Vec<Bytes> {
        let early = std::mem::take(&mut self.early);
        let (mut ours, others): (VecDeque<_>, VecDeque<_>) =
            early.into_iter().partition(|(delta, _)| delta.message == message);
        self.early = others;
        ours.make_contiguous().sort_by_key(|(delta, _)| (delta.turn, delta.chunk));
        ours.into_iter()
            .filter_map(|(delta, json)| match self.accept_delta(&delta, json) {
                Step::Delta(json) | Step::DeltaAfterHole(json) => Some(json),
                Step::Event(_) | Step::Signal(..) | Step::Fill | Step::Nothing => None,
            })
            .collect()
    }

    #[cfg(feature = "planted-bugs")]
    fn advance_with_bug(&mut self, event: &Event, json: &Bytes) -> Option<Step> {
        let is_planted = match &event.body {
            EventBody::MessageRedacted(_) => parlor_domain::planted::is("ring-keeps-redacted-text"),
            EventBody::MemberLeft(_) => parlor_domain::planted::is("told-after-removal"),
            _ => false,
        };
        is_planted.then(|| {
            self.ring.push(event.seq, json.clone());
            let (json, at) = (json.clone(), event.at);
            Step::Event(Box::new(EventStep { json, at, effect: Effect::None, then: Vec::new() }))
        })
    }

    fn advance(&mut self, event: &Event, json: Bytes) -> Step {
        self.delivered = event.seq;
        #[cfg(feature = "planted-bugs")]
        if let Some(step) = self.advance_with_bug(event, &json) {
            return step;
        }
        let mut effect = Effect::None;
        let mut then = Vec::new();
        match &event.body {
            EventBody::MessageCreated(message) if message.status == MessageStatus::Streaming => {
                self.begin_stream(message.id);
                then = self.take_early(message.id);
            }
            EventBody::MessageCompleted(completed) => {
                self.streams.remove(&completed.message);
            }
            // What is in memory still holds the removed text; the store does not.
            EventBody::MessageRedacted(_) => self.ring.clear(),
            EventBody::HistoryReset(_) => {
                self.ring.clear();
                self.streams.clear();
                self.early.clear();
                self.reset_through = event.seq - 1;
            }
            EventBody::MemberLeft(change) => {
                self.memberships_changed_at = event.seq;
                self.members = self.members.saturating_sub(1);
                effect = Effect::Left(change.user.id);
                // Nothing in memory may go on telling who they were.
                if change.reason == Some(LeaveReason::Deleted) {
                    self.ring.clear();
                }
            }
            EventBody::MemberRoleChanged(change) => {
                // A membership that was read before does not know of it.
                self.memberships_changed_at = event.seq;
                let membership = Membership { role: change.role, muted_until: change.muted_until };
                effect = Effect::Changed(change.user.id, membership);
            }
            EventBody::RoomCreated(state)
            | EventBody::RoomUpdated(state)
            | EventBody::RoomArchived(state) => {
                let RoomState { kind, archived, settings, .. } = *state;
                effect = Effect::Facts(event.seq, RoomFacts { kind, archived, settings });
            }
            EventBody::MessageCreated(_)
            | EventBody::MessageEdited(_)
            | EventBody::MessagePinned(_)
            | EventBody::MessageUnpinned(_)
            | EventBody::ReactionAdded(_)
            | EventBody::ReactionRemoved(_)
            | EventBody::Unknown(_) => {}
            EventBody::MemberUpdated(change) => effect = Effect::Renamed(change.user.clone()),
            EventBody::MemberJoined(_) => self.members += 1,
        }
        self.ring.push(event.seq, json.clone());
        Step::Event(Box::new(EventStep { json, at: event.at, effect, then }))
    }
}

/// The newest events of a room, for those who resume.
#[derive(Debug)]
struct Ring {
    events: VecDeque<(u64, Bytes)>,
    bytes: usize,
    max_events: usize,
    max_bytes: usize,
}

impl Ring {
    fn push(&mut self, seq: u64, json: Bytes) {
        self.bytes += json.len();
        self.events.push_back((seq, json));
        while self.events.len() > self.max_events || self.bytes > self.max_bytes {
            let Some((_, oldest)) = self.events.pop_front() else { break };
            self.bytes -= oldest.len();
        }
    }

    fn clear(&mut self) {
        self.events = VecDeque::new();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests;
