//! One room and one actor, while an intent is carried out.

use std::collections::{BTreeMap, HashMap};

use parlor_domain::permission::{Action, Membership, authorize};
use parlor_protocol::event::{Event, EventBody};
use parlor_protocol::id::{MessageId, RoomId, UserId};
use parlor_protocol::message::MessageStatus;
use parlor_protocol::room::RoomKind;
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::UserRef;
use tokio_postgres::Row;
use uuid::Uuid;

use super::Step;
use crate::append::{Append, AppendRefused, Appended, QueuedJob};
use crate::postgres::codec::{count, id, id_opt, small, value, word};
use crate::postgres::fault::Outcome;
use crate::postgres::pools::Server;
use crate::postgres::sql::messages;
use crate::postgres::{PostgresOptions, events, query, rows};
use crate::record::RoomRecord;

/// What the rules need to know and the database does not hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// Replies of bots that may follow one message of a person.
    pub(super) max_hops: u32,
    /// Members that a room may have.
    pub(super) room_members: u32,
}

impl Rules {
    /// Returns those of a store.
    pub(super) const fn of(options: &PostgresOptions) -> Self {
        Self { max_hops: options.max_hops, room_members: options.room_members }
    }
}

/// What one transaction has done so far.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// The rooms that are locked, as they are now.
    pub(super) rooms: HashMap<RoomId, RoomRecord>,
    /// Events that are numbered and not yet written.
    pub(super) unwritten: Vec<Event>,
    /// Where the logs that have grown stand now.
    pub(super) heads: BTreeMap<RoomId, u64>,
}

/// One room and one actor, while an intent is carried out. The room's row is locked.
pub(super) struct Desk<'a> {
    pub(super) conn: &'a Server,
    pub(super) rules: Rules,
    pub(super) ledger: &'a mut Ledger,
    pub(super) room: RoomRecord,
    pub(super) actor: UserRef,
    pub(super) member: Option<Membership>,
    pub(super) at: Timestamp,
    pub(super) events: Vec<Event>,
    pub(super) jobs: Vec<QueuedJob>,
    /// Whether anything was written: then it is too late to refuse.
    written: bool,
}

impl<'a> Desk<'a> {
    /// Finds the room and the actor, and tells whether the actor is active.
    pub(super) async fn open(
        conn: &'a Server,
        rules: Rules,
        ledger: &'a mut Ledger,
        append: &Append,
    ) -> Step<(Self, bool)> {
        let room = ledger.rooms.get(&append.room).cloned().ok_or(AppendRefused::NoSuchRoom)?;
        let (actor, member) = tokio::try_join!(
            rows::find_user_ref(conn, append.actor),
            rows::find_membership(conn, append.room, append.actor),
        )?;
        let (actor, active) = actor.ok_or(AppendRefused::NoSuchRoom)?;
        let (at, events, jobs) = (append.at, Vec::new(), Vec::new());
        let desk =
            Self { conn, rules, ledger, room, actor, member, at, events, jobs, written: false };
        Ok((desk, active))
    }

    /// Checks that the actor may do this.
    pub(super) fn authorize(&self, action: Action) -> Step<Membership> {
        authorize(self.room.facts(), self.member, action, self.at)?;
        Ok(self.member.ok_or(AppendRefused::NoSuchRoom)?)
    }

    /// Returns the id of the room as it is stored.
    pub(super) const fn room_key(&self) -> Uuid {
        self.room.id.0
    }

    /// Returns the position of the next event.
    pub(super) const fn next_seq(&self) -> u64 {
        self.room.head.seq + 1
    }

    /// Carries out a statement that changes something.
    pub(super) async fn write(&mut self, sql: &str, params: query::Params<'_>) -> Outcome<u64> {
        self.written = true;
        query::execute(self.conn, sql, params).await
    }

    /// Tells whether anything was written.
    pub(super) const fn has_written(&self) -> bool {
        self.written
    }

    /// Adds an event to the log.
    pub(super) fn add_event(&mut self, body: EventBody) {
        let actor = Some(self.actor.clone());
        let event = Event { room: self.room.id, seq: self.next_seq(), at: self.at, actor, body };
        self.room.head.seq = event.seq;
        self.events.push(event);
    }

    /// Writes the events of earlier intents, for what has to find them.
    pub(super) async fn flush(&mut self) -> Outcome<()> {
        self.ledger.flush(self.conn).await
    }

    /// Keeps what an intent has done that was carried out.
    pub(super) fn close(self, appended: &Appended) {
        if let Appended::New { events, .. } = appended {
            self.ledger.unwritten.extend(events.iter().cloned());
            self.ledger.heads.insert(self.room.id, self.room.head.seq);
        }
        self.ledger.rooms.insert(self.room.id, self.room);
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
    pub(super) async fn repeat(&mut self, seq: u64) -> Step<Appended> {
        self.flush().await?;
        let event = rows::find_event_with_message(self.conn, self.room.id, seq).await?;
        Ok(Appended::Repeat { event })
    }

    /// Finds what deciding about a message of the room needs.
    pub(super) async fn message_facts(&self, message: MessageId) -> Step<MessageFacts> {
        let params: query::Params<'_> = &[&message.0, &self.room.id.0];
        let facts = query::find(self.conn, messages::FIND_FACTS, params, MessageFacts::read);
        Ok(facts.await?.ok_or(AppendRefused::NoSuchMessage)?)
    }

    /// Finds what deciding about a message of the room needs, where one is named.
    pub(super) async fn message_facts_opt(
        &self,
        message: Option<MessageId>,
    ) -> Step<Option<MessageFacts>> {
        match message {
            Some(message) => self.message_facts(message).await.map(Some),
            None => Ok(None),
        }
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
    pub(super) status: MessageStatus,
    pub(super) redacted: bool,
    pub(super) hops: u32,
    pub(super) body: String,
    /// The root of the thread that it belongs to.
    pub(super) thread: Option<MessageId>,
    /// Whether the event that announced it has a row of its own.
    pub(super) logged: bool,
    /// Whether it mentions anybody.
    pub(super) mentions: bool,
    pub(super) pinned: bool,
}

impl MessageFacts {
    fn read(row: &Row) -> Outcome<Self> {
        Ok(Self {
            seq: count(row, 0)?,
            sender: id(row, 1)?,
            status: word(row, 2)?,
            redacted: value::<Option<i64>>(row, 3)?.is_some(),
            hops: small(row, 4)?,
            body: value(row, 5)?,
            thread: id_opt(row, 6)?,
            logged: value(row, 7)?,
            mentions: value(row, 8)?,
            pinned: value(row, 9)?,
        })
    }
}

impl Ledger {
    /// Writes the events that are numbered.
    pub(super) async fn flush(&mut self, conn: &Server) -> Outcome<()> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        // A message of a person is its own event.
        self.unwritten.retain(|event| !is_in_messages(event));
        events::insert(conn, &self.unwritten).await?;
        self.unwritten.clear();
        Ok(())
    }
}

/// Tells whether an event is held by the row of its message.
fn is_in_messages(event: &Event) -> bool {
    matches!(&event.body, EventBody::MessageCreated(message)
        if message.bot.is_none() && message.attachments.is_empty())
}
