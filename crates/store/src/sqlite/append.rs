//! Intents, carried out one after the other by the writer.
//!
//! Each looks at the room as its predecessors left it, refuses or adds events with the next `seq`,
//! and changes the projections. A refusal is rolled back to the state before, so it leaves no hole.

mod answer;
mod edit;
mod erase;
mod members;
mod mentions;
mod pins;
mod publish;
mod replies;
mod reset;
mod room;

pub(super) use members::{add as add_member, remove as remove_member};
pub(super) use room::state as room_state;

use self::publish::Kind;
use parlor_domain::permission::{Action, Membership, authorize};
use parlor_protocol::event::{Event, EventBody};
use parlor_protocol::id::{MessageId, RoomId, UserId};
use parlor_protocol::room::RoomKind;
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::UserRef;
use rusqlite::{Connection, params};

use super::Rules;
use super::codec::{bytes, integer};
use super::fault::{Fault, Outcome, Stop};
use super::sql::{messages, rooms};
use super::writer::in_savepoint;
use super::{query, rows};
use crate::append::{Append, AppendRefused, Appended, Intent, QueuedJob};
use crate::record::RoomRecord;

/// What the contract returns for one intent.
pub(super) type Answer = Result<Appended, AppendRefused>;
/// What comes of one step, which may stop.
pub(super) type Step<T> = Result<T, Stop>;

/// Carries out intents in order. Only a failure of the database stops those that follow.
pub(super) fn append_all(
    conn: &Connection,
    rules: &Rules,
    batch: Vec<Append>,
) -> Outcome<Vec<Answer>> {
    batch.into_iter().map(|append| append_one(conn, rules, append)).collect()
}

fn append_one(conn: &Connection, rules: &Rules, append: Append) -> Outcome<Answer> {
    // A message is refused before anything of it is written, so there is nothing to take back. A
    // savepoint for each would be half of the work: it is dearer the more the batch has changed.
    let result = match &append.intent {
        Intent::Publish(_) | Intent::Emote(_) | Intent::Answer { .. } => {
            without_trace(conn, || carry_out(conn, rules, append))
        }
        _ => in_savepoint(conn, || carry_out(conn, rules, append)),
    };
    match result {
        Ok(appended) => Ok(Ok(appended)),
        Err(Stop::Refused(refused)) => Ok(Err(refused)),
        Err(Stop::Fault(fault)) => Err(fault),
    }
}

/// Does what writes nothing when it is refused. If it does all the same, the batch is rolled back.
fn without_trace<T>(conn: &Connection, work: impl FnOnce() -> Step<T>) -> Step<T> {
    let before = conn.total_changes();
    let result = work();
    if matches!(result, Err(Stop::Refused(_))) && conn.total_changes() != before {
        return Err(Stop::Fault(Fault::Contradiction("a refused message has left a trace")));
    }
    result
}

fn carry_out(conn: &Connection, rules: &Rules, append: Append) -> Step<Appended> {
    let Append { room, actor, at, intent } = append;
    let mut desk = match intent {
        // What a bot owes is ended also when it may do nothing else any more.
        Intent::StartReply { .. }
        | Intent::CompleteReply { .. }
        | Intent::Depart
        | Intent::EraseMessage { .. } => Desk::open_for_anyone(conn, rules, room, actor, at)?.0,
        _ => Desk::open(conn, rules, room, actor, at)?,
    };
    match intent {
        Intent::Publish(message) => publish::publish(&mut desk, message, Kind::Said),
        Intent::Emote(message) => publish::publish(&mut desk, message, Kind::Emote),
        Intent::Answer { speaker, message } => answer::answer(&mut desk, speaker, message),
        Intent::Edit { message, body } => edit::edit(&mut desk, message, body),
        Intent::Redact { message } => edit::redact(&mut desk, message),
        Intent::React { message, emoji, add } => edit::react(&mut desk, message, emoji, add),
        Intent::Pin { message, pin } => pins::pin(&mut desk, message, pin),
        Intent::Join { invite } => members::join(&mut desk, invite.as_deref()),
        Intent::Invite { user } => members::invite(&mut desk, user),
        Intent::Leave => members::leave(&mut desk),
        Intent::Depart => members::depart(&mut desk),
        Intent::TellName => members::tell_name(&mut desk),
        Intent::EraseMessage { message } => edit::erase_message(&mut desk, message),
        Intent::Kick { user, reason } => members::kick(&mut desk, user, reason),
        Intent::Ban { user, until, reason } => members::ban(&mut desk, user, until, reason),
        Intent::Mute { user, until, reason } => members::mute(&mut desk, user, until, reason),
        Intent::SetRole { user, role } => members::set_role(&mut desk, user, role),
        Intent::Transfer { user } => members::transfer(&mut desk, user),
        Intent::Update { name, topic, archived, settings } => {
            room::update(&mut desk, room::Change { name, topic, archived, settings })
        }
        Intent::ResetHistory => reset::reset_history(&mut desk),
        Intent::StartReply { job, generation, message, provider, model } => {
            let claim = replies::Claim { job, generation, message };
            replies::start(&mut desk, &claim, provider, model)
        }
        Intent::CompleteReply { job, generation, message, end } => {
            replies::complete(&mut desk, &replies::Claim { job, generation, message }, end)
        }
    }
}

/// One room and one actor, while an intent is carried out.
pub(super) struct Desk<'a> {
    pub(super) conn: &'a Connection,
    pub(super) rules: &'a Rules,
    pub(super) room: RoomRecord,
    pub(super) actor: UserRef,
    pub(super) member: Option<Membership>,
    pub(super) at: Timestamp,
    pub(super) events: Vec<Event>,
    pub(super) jobs: Vec<QueuedJob>,
}

impl<'a> Desk<'a> {
    /// Finds the room and the actor. An actor that is unknown or not active finds no room.
    pub(super) fn open(
        conn: &'a Connection,
        rules: &'a Rules,
        room: RoomId,
        actor: UserId,
        at: Timestamp,
    ) -> Step<Self> {
        match Self::open_for_anyone(conn, rules, room, actor, at)? {
            (desk, true) => Ok(desk),
            (_, false) => Err(AppendRefused::NoSuchRoom.into()),
        }
    }

    /// Finds the room and the actor, and tells whether the actor is active.
    fn open_for_anyone(
        conn: &'a Connection,
        rules: &'a Rules,
        room: RoomId,
        actor: UserId,
        at: Timestamp,
    ) -> Step<(Self, bool)> {
        let room = rows::find_room(conn, room, &rules.epoch)?.ok_or(AppendRefused::NoSuchRoom)?;
        let (actor, active) = rows::find_user_ref(conn, actor)?.ok_or(AppendRefused::NoSuchRoom)?;
        let member = rows::find_membership(conn, room.id, actor.id)?;
        let (events, jobs) = (Vec::new(), Vec::new());
        Ok((Self { conn, rules, room, actor, member, at, events, jobs }, active))
    }

    /// Checks that the actor may do this.
    pub(super) fn authorize(&self, action: Action) -> Step<Membership> {
        authorize(self.room.facts(), self.member, action, self.at)?;
        Ok(self.member.ok_or(AppendRefused::NoSuchRoom)?)
    }

    /// Returns the id of the room as it is stored.
    pub(super) fn room_key(&self) -> [u8; 16] {
        *self.room.id.0.as_bytes()
    }

    /// Returns the position of the next event.
    pub(super) fn next_seq(&self) -> u64 {
        self.room.head.seq + 1
    }

    /// Adds an event to the log.
    pub(super) fn add_event(&mut self, body: EventBody) -> Step<()> {
        let actor = Some(self.actor.clone());
        self.add_event_of(actor, body)
    }

    /// Adds an event that the server caused when there is no actor.
    pub(super) fn add_event_of(&mut self, actor: Option<UserRef>, body: EventBody) -> Step<()> {
        let seq = self.next_seq();
        let event = Event { room: self.room.id, seq, at: self.at, actor, body };
        insert_event(self.conn, &event)?;
        query::execute(self.conn, rooms::SET_LAST_SEQ, params![self.room_key(), integer(seq)])?;
        self.room.head.seq = seq;
        self.events.push(event);
        Ok(())
    }

    /// Returns what was added.
    pub(super) fn added(&mut self) -> Appended {
        if self.events.is_empty() {
            return Appended::Unchanged;
        }
        Appended::New {
            events: std::mem::take(&mut self.events),
            jobs: std::mem::take(&mut self.jobs),
        }
    }

    /// Returns the first answer to what is repeated now.
    pub(super) fn repeat(&self, seq: u64) -> Step<Appended> {
        let event = rows::find_event_with_message(self.conn, self.room.id, seq)?;
        Ok(Appended::Repeat { event })
    }

    /// Finds what deciding about a message of the room needs.
    pub(super) fn message_facts(&self, message: MessageId) -> Step<MessageFacts> {
        let key = [message.0.as_bytes(), self.room.id.0.as_bytes()];
        let facts = query::find(self.conn, messages::FIND_FACTS, key, MessageFacts::read)?;
        Ok(facts.ok_or(AppendRefused::NoSuchMessage)?)
    }

    /// Refuses what a direct room does not know: its participants stay.
    pub(super) fn refuse_in_direct_room(&self) -> Step<()> {
        if self.room.kind == RoomKind::Direct {
            return Err(parlor_domain::permission::Refused::Direct.into());
        }
        Ok(())
    }
}

/// What deciding about a message needs.
pub(super) struct MessageFacts {
    pub(super) seq: u64,
    pub(super) sender: UserId,
    pub(super) status: parlor_protocol::message::MessageStatus,
    pub(super) redacted: bool,
    pub(super) hops: u32,
    pub(super) body: String,
    /// The root of the thread that it belongs to.
    pub(super) thread: Option<MessageId>,
    /// Whether it mentions anybody.
    pub(super) mentions: bool,
    pub(super) pinned: bool,
}

impl MessageFacts {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: super::codec::count(row, 0)?,
            sender: super::codec::id(row, 1)?,
            status: super::codec::word(row, 2)?,
            redacted: row.get::<_, Option<i64>>(3)?.is_some(),
            hops: row.get(4)?,
            body: row.get(5)?,
            thread: super::codec::id_opt(row, 6)?,
            mentions: row.get(7)?,
            pinned: row.get(8)?,
        })
    }
}

/// Adds an event as it is numbered.
pub(super) fn insert_event(conn: &Connection, event: &Event) -> Outcome<()> {
    query::execute(
        conn,
        messages::INSERT_EVENT,
        params![
            event.room.0.as_bytes(),
            integer(event.seq),
            event.at.as_millis(),
            event.body.kind(),
            bytes(event.actor.as_ref().map(|actor| actor.id.0)),
            bytes(rows::event_subject(&event.body).map(|subject| subject.0)),
            bytes(event.body.message().map(|message| message.0)),
            rows::event_document(&event.body)?,
        ],
    )?;
    Ok(())
}
