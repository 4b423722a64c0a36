//! Messages of people: a whole batch in one call of the database.

use std::collections::{BTreeMap, HashMap};

use parlor_domain::mention::{Named, named};
use parlor_domain::permission::{Action, Membership, RoomFacts, authorize};
use parlor_protocol::event::{Event, EventBody};
use parlor_protocol::id::{MessageId, RoomId, UserId};
use parlor_protocol::message::{Message, MessageStatus};
use parlor_protocol::room::{Role, RoomSettings};
use parlor_protocol::user::{UserKind, UserRef};
use tokio_postgres::Row;
use uuid::Uuid;

use super::Answer;
use super::called::{Called, Facts};
use super::publish::job_id;
use crate::append::{Append, AppendRefused, Appended, Intent, NewMessage, QueuedJob};
use crate::postgres::codec::{count, id, id_opt, time_opt, value, word, word_opt};
use crate::postgres::fault::{Fault, Outcome};
use crate::postgres::pools::Server;
use crate::postgres::query::Params;
use crate::postgres::rows;
use crate::postgres::sql::append as sql;

/// What came of a message.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are answers")]
pub(super) enum Came {
    /// The answer.
    Answered(Answer),
    /// What this node knew of the room was out of date; nothing of the room was written.
    Stale,
    /// It has to be carried out in another way; nothing of it was written.
    Odd,
}

/// A message of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish<'a> {
    pub(super) append: &'a Append,
    pub(super) message: &'a NewMessage,
}

impl<'a> Wish<'a> {
    /// Returns a message, if that is what is intended.
    pub(super) const fn of(append: &'a Append) -> Option<Self> {
        match &append.intent {
            // Files are looked at one by one.
            Intent::Publish(message) if message.attachments.is_empty() => {
                Some(Self { append, message })
            }
            _ => None,
        }
    }
}

/// Messages that are written together.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) facts: &'a Facts,
    pub(super) wishes: &'a [Wish<'a>],
    /// The bots that are called, with the number of the message.
    pub(super) called: &'a [(i64, Called)],
    /// Whether some may be there already under the same ids.
    pub(super) check_ids: bool,
}

impl Call<'_> {
    /// Writes the messages in order and returns what came of each. All commit together.
    pub(super) async fn run(&self, conn: &Server) -> Outcome<Vec<Came>> {
        let (facts, wishes) = (self.facts, self.wishes);
        if wishes.is_empty() {
            return Ok(Vec::new());
        }
        let mut verdicts: Vec<Option<Verdict>> = Vec::new();
        verdicts.resize_with(wishes.len(), || None);
        let mut jobs: HashMap<usize, Vec<QueuedJob>> = HashMap::new();
        let mut mentioned: HashMap<usize, Vec<(u64, UserRef)>> = HashMap::new();
        for row in &self.ask(conn).await? {
            let nth = usize::try_from(value::<i64>(row, 0)? - 1).unwrap_or(usize::MAX);
            let wish =
                wishes.get(nth).ok_or(Fault::Contradiction("a message has no such number"))?;
            if let Some(bot) = id_opt(row, 12)? {
                jobs.entry(nth).or_default().extend(job(facts, wish, bot, count(row, 13)?));
            } else if id_opt::<UserId>(row, 16)?.is_some() {
                mentioned.entry(nth).or_default().push((count(row, 13)?, member(row)?));
            } else if let Some(verdict) = verdicts.get_mut(nth) {
                *verdict = Some(Verdict::read(row, wish)?);
            }
        }
        answer(conn, facts, wishes, verdicts, Extras { jobs, mentioned }).await
    }

    async fn ask(&self, conn: &Server) -> Outcome<Vec<Row>> {
        let (wishes, called) = (self.wishes, self.called);
        let marks: BTreeMap<Uuid, Uuid> = wishes
            .iter()
            .filter_map(|wish| {
                let room = self.facts.rooms.get(&wish.append.room)?;
                Some((wish.append.room.0, room.mark))
            })
            .collect();
        let (rooms, marks): (Vec<Uuid>, Vec<Uuid>) = marks.into_iter().unzip();
        let named: Vec<Named> = column(wishes, |wish| named(&wish.message.body));
        let names = (1_i64..)
            .zip(&named)
            .flat_map(|(nth, named)| named.names.iter().map(move |name| (nth, name.as_str())));
        let (named_in, names): (Vec<i64>, Vec<&str>) = names.unzip();
        let params: Params<'_> = &[
            &rooms,
            &marks,
            &column(wishes, |wish| wish.append.room.0),
            &column(wishes, |wish| wish.append.actor.0),
            &column(wishes, |wish| wish.message.id.0),
            &column(wishes, |wish| wish.message.client_id.as_deref()),
            &column(wishes, |wish| wish.append.at.as_millis()),
            &column(wishes, |wish| wish.message.body.as_str()),
            &column(wishes, |wish| wish.message.reply_to.map(|message| message.0)),
            &column(wishes, |wish| wish.message.thread.map(|message| message.0)),
            &column(&named, |named| named.room),
            &named_in,
            &names,
            &column(called, |(nth, _)| *nth),
            &column(called, |(_, called)| called.job),
            &column(called, |(_, called)| called.bot),
            &column(called, |(_, called)| called.if_answered),
            &self.check_ids,
        ];
        let statement = conn.prepare_cached(sql::APPEND).await?;
        Ok(conn.query(&statement, params).await?)
    }
}

/// Makes answers of what the database says.
async fn answer(
    conn: &Server,
    facts: &Facts,
    wishes: &[Wish<'_>],
    verdicts: Vec<Option<Verdict>>,
    mut extras: Extras,
) -> Outcome<Vec<Came>> {
    let mut repeated = Vec::new();
    let mut came: Vec<Came> = Vec::with_capacity(wishes.len());
    for (nth, (wish, verdict)) in wishes.iter().zip(verdicts).enumerate() {
        let verdict = verdict.ok_or(Fault::Contradiction("a message has no answer"))?;
        came.push(match verdict {
            Verdict::Written(written) => {
                let mut mentioned = extras.mentioned.remove(&nth).unwrap_or_default();
                mentioned.sort_unstable_by_key(|(place, _)| *place);
                let mentions = mentioned.into_iter().map(|(_, user)| user).collect();
                let kind = facts.kind(wish.append.actor);
                let events = vec![written.into_event(wish, kind, mentions)];
                let jobs = extras.jobs.remove(&nth).unwrap_or_default();
                Came::Answered(Ok(Appended::New { events, jobs }))
            }
            Verdict::Repeated(seq) => {
                repeated.push((nth, (wish.append.room, seq)));
                Came::Odd
            }
            Verdict::Refused(refused) => Came::Answered(Err(refused)),
            Verdict::Odd => Came::Odd,
            Verdict::Stale => Came::Stale,
        });
    }
    repeat(conn, &repeated, &mut came).await?;
    Ok(came)
}

/// Returns the bots that each message calls, with the number of the message.
pub(super) fn called(facts: &Facts, wishes: &[Wish<'_>], max_hops: u32) -> Vec<(i64, Called)> {
    let mut called = Vec::new();
    for (nth, wish) in (1..).zip(wishes) {
        let Some(room) = facts.rooms.get(&wish.append.room) else { continue };
        let kind = facts.kind(wish.append.actor);
        let of_wish = room.called(wish.append.actor, kind, wish.message, max_hops);
        called.extend(of_wish.into_iter().map(|called| (nth, called)));
    }
    called
}

fn column<'a, T, V>(rows: &'a [T], value: impl FnMut(&'a T) -> V) -> Vec<V> {
    rows.iter().map(value).collect()
}

/// What messages have led to, by their numbers.
struct Extras {
    jobs: HashMap<usize, Vec<QueuedJob>>,
    /// Members who are mentioned, with their places.
    mentioned: HashMap<usize, Vec<(u64, UserRef)>>,
}

/// What the database says of a message.
enum Verdict {
    /// It was written.
    Written(Written),
    /// It had been written before.
    Repeated(u64),
    /// It was not written.
    Refused(AppendRefused),
    /// It was not written, for a reason that only a closer look tells.
    Odd,
    /// The bots of the room are others by now.
    Stale,
}

impl Verdict {
    fn read(row: &Row, wish: &Wish<'_>) -> Outcome<Self> {
        if let Some(seq) = value::<Option<i64>>(row, 1)? {
            return Ok(Self::Written(Written {
                seq: seq.cast_unsigned(),
                username: value(row, 4)?,
                display_name: value(row, 5)?,
                thread: id_opt(row, 14)?,
                mentions_room: value(row, 15)?,
            }));
        }
        if value(row, 3)? {
            return Ok(Self::Stale);
        }
        let (Some(kind), Some(true)) = (word_opt(row, 7)?, value::<Option<bool>>(row, 6)?) else {
            return Ok(Self::Refused(AppendRefused::NoSuchRoom));
        };
        // Rooms with other settings are written in another way.
        let settings = RoomSettings::default();
        let room = RoomFacts { kind, archived: value(row, 8)?, settings };
        let role: Option<Role> = word_opt(row, 9)?;
        let muted_until = time_opt(row, 10)?;
        let member = role.map(|role| Membership { role, muted_until });
        let first: Option<i64> = value(row, 2)?;
        let at = wish.append.at;
        Ok(match (authorize(room, member, Action::Read, at), first) {
            (Err(refused), _) => Self::Refused(refused.into()),
            // The first answer stays the answer, also for someone who may not write any more.
            (Ok(()), Some(first)) => Self::Repeated(first.cast_unsigned()),
            (Ok(()), None) => match authorize(room, member, Action::Post, at) {
                Err(refused) => Self::Refused(refused.into()),
                Ok(()) if value(row, 11)? => Self::Odd,
                Ok(()) => Self::Refused(AppendRefused::NoSuchMessage),
            },
        })
    }
}

/// What the database says of a message that was written.
struct Written {
    seq: u64,
    username: String,
    display_name: String,
    thread: Option<MessageId>,
    mentions_room: bool,
}

impl Written {
    fn into_event(self, wish: &Wish<'_>, kind: UserKind, mentions: Vec<UserRef>) -> Event {
        let Self { seq, username, display_name, thread, mentions_room } = self;
        let (Append { room, at, .. }, message) = (wish.append, wish.message);
        let sender = UserRef { id: wish.append.actor, username, display_name, kind };
        let message = Message {
            id: message.id,
            room: *room,
            seq,
            sender: sender.clone(),
            client_id: message.client_id.clone(),
            body: message.body.clone(),
            status: MessageStatus::Complete,
            reply_to: message.reply_to,
            thread,
            created_at: *at,
            edited_at: None,
            redacted_at: None,
            reactions: Vec::new(),
            attachments: Vec::new(),
            mentions,
            mentions_room,
            emote: false,
            edits: 0,
            replies: None,
            pinned: None,
            bot: None,
            usage: None,
            error: None,
        };
        let body = EventBody::MessageCreated(Box::new(message));
        Event { room: *room, seq, at: *at, actor: Some(sender), body }
    }
}

/// Reads a member who is mentioned.
fn member(row: &Row) -> Outcome<UserRef> {
    let (username, display_name) = (value(row, 4)?, value(row, 5)?);
    Ok(UserRef { id: id(row, 16)?, username, display_name, kind: word(row, 7)? })
}

fn job(facts: &Facts, wish: &Wish<'_>, bot: UserId, place: u64) -> Option<QueuedJob> {
    let user = facts.rooms.get(&wish.append.room)?.user(bot)?.clone();
    let position = u32::try_from(place).unwrap_or(u32::MAX);
    Some(QueuedJob { job: job_id(wish.message.id, bot), bot: user, position })
}

/// Answers what had been written before with the message as it is now. One that has been removed
/// since then stays without an answer.
async fn repeat(
    conn: &Server,
    repeated: &[(usize, (RoomId, u64))],
    came: &mut [Came],
) -> Outcome<()> {
    if repeated.is_empty() {
        return Ok(());
    }
    let places: Vec<(RoomId, u64)> = repeated.iter().map(|(_, place)| *place).collect();
    let messages = rows::list_messages_at(conn, &places).await?;
    let mut messages: HashMap<(RoomId, u64), Message> =
        messages.into_iter().map(|message| ((message.room, message.seq), message)).collect();
    for (nth, place) in repeated {
        let (Some(message), Some(came)) = (messages.get_mut(place), came.get_mut(*nth)) else {
            continue;
        };
        let event = Event {
            room: message.room,
            seq: message.seq,
            at: message.created_at,
            actor: Some(message.sender.clone()),
            body: EventBody::MessageCreated(Box::new(message.clone())),
        };
        *came = Came::Answered(Ok(Appended::Repeat { event }));
    }
    Ok(())
}
