//! Random intents against a small model, and the log against the messages.

use std::collections::{BTreeMap, BTreeSet};

use parlor_protocol::event::{Event, EventBody};
use parlor_protocol::id::{MessageId, RoomId};
use parlor_protocol::message::{Message, Pin, Reaction, Replies};
use parlor_protocol::user::UserRef;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::Factory;
use super::world::{World, assert_dense, text, text_as};
use crate::append::{Append, AppendRefused, Appended, Intent};

/// The owner, two members, and someone who is not.
const ACTORS: [&str; 4] = ["ada", "bob", "carol", "eve"];
/// Whom [`body`] mentions, in its order.
const MENTIONED: [usize; 2] = [3, 1];
const EMOJIS: [&str; 3] = ["👍", "🎉", "👀"];

/// One step; messages are named by the order in which they were tried.
#[derive(Debug, Clone)]
enum Step {
    Publish { actor: usize, key: Option<u8>, thread: Option<usize>, mention: bool },
    Edit { actor: usize, message: usize, body: u8 },
    Redact { actor: usize, message: usize },
    React { actor: usize, message: usize, emoji: usize, add: bool },
    Pin { actor: usize, message: usize, pin: bool },
    Join { actor: usize },
    Leave { actor: usize },
    Reset { actor: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let actor = 0..ACTORS.len();
    let message = 0..12_usize;
    prop_oneof![
        6 => (
            actor.clone(),
            prop::option::of(0..4_u8),
            prop::option::weighted(0.3, message.clone()),
            any::<bool>(),
        )
            .prop_map(|(actor, key, thread, mention)| Step::Publish { actor, key, thread, mention }),
        3 => (actor.clone(), message.clone(), 0..3_u8)
            .prop_map(|(actor, message, body)| Step::Edit { actor, message, body }),
        2 => (actor.clone(), message.clone())
            .prop_map(|(actor, message)| Step::Redact { actor, message }),
        2 => (actor.clone(), message.clone(), any::<bool>())
            .prop_map(|(actor, message, pin)| Step::Pin { actor, message, pin }),
        4 => (actor.clone(), message, 0..EMOJIS.len(), any::<bool>())
            .prop_map(|(actor, message, emoji, add)| Step::React { actor, message, emoji, add }),
        1 => actor.clone().prop_map(|actor| Step::Join { actor }),
        // The owner stays, so that the model need not know of roles.
        1 => (1..ACTORS.len()).prop_map(|actor| Step::Leave { actor }),
        1 => actor.prop_map(|actor| Step::Reset { actor }),
    ]
}

/// What comes of a step, as far as the model says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    New(u64),
    Repeat(u64),
    Unchanged,
    Refused,
}

struct Written {
    author: usize,
    key: Option<u8>,
    seq: u64,
    body: String,
    redacted: bool,
    pinned: bool,
    /// The step that wrote the root of its thread.
    thread: Option<usize>,
    /// Whom the text mentions.
    mentions: Vec<usize>,
    /// Emoji and actor, in the order of their events.
    reactions: Vec<(usize, usize)>,
}

/// What a new message says of its thread.
#[derive(Debug, Clone, Copy)]
enum Thread {
    None,
    /// It names a message that nobody has tried to write.
    Nowhere,
    /// It names what a step has tried to write.
    Of(usize),
}

/// What a room is, in the fewest words.
struct Model {
    seq: u64,
    members: BTreeSet<usize>,
    messages: BTreeMap<usize, Written>,
}

impl Model {
    fn add(&mut self) -> Came {
        self.seq += 1;
        Came::New(self.seq)
    }

    /// Does step `n`; messages that it may name are in `tried`.
    fn apply(&mut self, n: usize, step: &Step, tried: &[usize]) -> Came {
        let named = |message: usize| tried.get(message % tried.len().max(1)).copied();
        match *step {
            Step::Join { actor } if self.members.contains(&actor) => Came::Unchanged,
            Step::Join { actor } => {
                self.members.insert(actor);
                self.add()
            }
            Step::Publish { actor, .. }
            | Step::Edit { actor, .. }
            | Step::Redact { actor, .. }
            | Step::React { actor, .. }
            | Step::Pin { actor, .. }
            | Step::Leave { actor }
            | Step::Reset { actor }
                if !self.members.contains(&actor) =>
            {
                Came::Refused
            }
            Step::Publish { actor, key, thread, mention } => {
                let thread = match thread.map(named) {
                    None => Thread::None,
                    Some(named) => named.map_or(Thread::Nowhere, Thread::Of),
                };
                self.publish(n, (actor, key), thread, mention)
            }
            Step::Edit { actor, message, body } => {
                let named = named(message).and_then(|named| self.messages.get_mut(&named));
                let body = format!("edit {body}");
                match named {
                    Some(written) if written.author == actor && !written.redacted => {
                        if written.body == body {
                            return Came::Unchanged;
                        }
                        written.body = body;
                        written.mentions.clear();
                        self.add()
                    }
                    _ => Came::Refused,
                }
            }
            Step::Redact { actor, message } => {
                let named = named(message).and_then(|named| self.messages.get_mut(&named));
                match named {
                    Some(written) if written.author == actor || actor == 0 => {
                        if written.redacted {
                            return Came::Unchanged;
                        }
                        written.redacted = true;
                        written.body.clear();
                        written.mentions.clear();
                        written.pinned = false;
                        self.add()
                    }
                    _ => Came::Refused,
                }
            }
            Step::React { actor, message, emoji, add } => {
                self.react(named(message), actor, emoji, add)
            }
            // Only the owner keeps order.
            Step::Pin { actor: 0, message, pin } => self.pin(named(message), pin),
            Step::Leave { actor } => {
                self.members.remove(&actor);
                self.add()
            }
            Step::Reset { actor: 0 } => {
                self.messages.clear();
                self.add()
            }
            Step::Pin { .. } | Step::Reset { .. } => Came::Refused,
        }
    }

    fn react(&mut self, named: Option<usize>, actor: usize, emoji: usize, add: bool) -> Came {
        let named = named.and_then(|named| self.messages.get_mut(&named));
        let Some(written) = named.filter(|written| !written.redacted) else {
            return Came::Refused;
        };
        let given = written.reactions.iter().position(|r| *r == (emoji, actor));
        match (given, add) {
            (Some(_), true) | (None, false) => return Came::Unchanged,
            (Some(at), false) => {
                written.reactions.remove(at);
            }
            (None, true) => written.reactions.push((emoji, actor)),
        }
        self.add()
    }

    fn pin(&mut self, named: Option<usize>, pin: bool) -> Came {
        match named.and_then(|named| self.messages.get_mut(&named)) {
            Some(written) if written.pinned == pin => Came::Unchanged,
            Some(written) if !written.redacted => {
                written.pinned = pin;
                self.add()
            }
            _ => Came::Refused,
        }
    }

    fn publish(
        &mut self,
        n: usize,
        (author, key): (usize, Option<u8>),
        thread: Thread,
        mention: bool,
    ) -> Came {
        let first = self
            .messages
            .values()
            .find(|written| key.is_some() && (written.author, written.key) == (author, key));
        if let Some(first) = first {
            return Came::Repeat(first.seq);
        }
        let thread = match thread {
            Thread::None => None,
            Thread::Nowhere => return Came::Refused,
            Thread::Of(named) => match self.messages.get(&named) {
                Some(written) => Some(written.thread.unwrap_or(named)),
                None => return Came::Refused,
            },
        };
        let mentions: Vec<usize> = if mention {
            MENTIONED.into_iter().filter(|actor| self.members.contains(actor)).collect()
        } else {
            Vec::new()
        };
        let came = self.add();
        let (seq, body) = (self.seq, body(n, mention));
        let (redacted, pinned, reactions) = (false, false, Vec::new());
        let written =
            Written { author, key, seq, body, redacted, pinned, thread, mentions, reactions };
        self.messages.insert(n, written);
        came
    }

    /// The messages as lines: position, author, text, reactions.
    fn lines(&self) -> Vec<String> {
        let mut written: Vec<&Written> = self.messages.values().collect();
        written.sort_by_key(|written| written.seq);
        let lines = written.into_iter().map(|written| {
            let reactions: Vec<_> = written
                .reactions
                .iter()
                .map(|(emoji, actor)| (EMOJIS[*emoji].to_owned(), ACTORS[*actor].to_owned()))
                .collect();
            let author = ACTORS[written.author];
            let (seq, body, pinned) = (written.seq, &written.body, written.pinned);
            let thread = written.thread.and_then(|root| Some(self.messages.get(&root)?.seq));
            let mentions: Vec<_> = written.mentions.iter().map(|actor| ACTORS[*actor]).collect();
            let reactions = group(&reactions);
            format!("{seq} {author} {body:?} {thread:?} {pinned} {mentions:?} {reactions:?}")
        });
        lines.collect()
    }
}

/// What a step writes.
fn body(n: usize, mention: bool) -> String {
    if mention { format!("text {n} for @eve and @bob") } else { format!("text {n}") }
}

/// Groups reactions as the contract does.
fn group(reactions: &[(String, String)]) -> Vec<Reaction> {
    let mut groups: Vec<Reaction> = Vec::new();
    for (emoji, user) in reactions {
        let known = groups.iter().position(|group| group.emoji == *emoji);
        let known = known.unwrap_or_else(|| {
            groups.push(Reaction { emoji: emoji.clone(), count: 0, users: Vec::new() });
            groups.len() - 1
        });
        groups[known].count += 1;
        groups[known].users.push(user.clone());
    }
    groups
}

/// What a client that has seen all events since the last reset shows.
pub fn fold(events: &[Event]) -> Vec<Message> {
    let mut messages: BTreeMap<u64, Message> = BTreeMap::new();
    let mut reactions: Vec<(MessageId, String, String)> = Vec::new();
    for event in events {
        if let EventBody::MessageCreated(message) = &event.body {
            messages.insert(message.seq, (**message).clone());
            continue;
        }
        let about = event.body.message();
        let message = messages.values_mut().find(|message| Some(message.id) == about);
        match (&event.body, message) {
            (EventBody::MessageEdited(edited), Some(message)) => {
                message.body.clone_from(&edited.body);
                message.edited_at = Some(edited.edited_at);
                message.edits += 1;
                message.mentions.clone_from(&edited.mentions);
                message.mentions_room = edited.mentions_room;
            }
            (EventBody::MessageRedacted(_), Some(message)) => {
                message.body.clear();
                message.redacted_at = Some(event.at);
                message.mentions.clear();
                message.mentions_room = false;
                message.pinned = None;
            }
            (EventBody::MessageCompleted(completed), Some(message)) => {
                message.body.clone_from(&completed.body);
                message.status = completed.status;
                message.mentions.clone_from(&completed.mentions);
                message.usage = Some(completed.usage);
                message.error.clone_from(&completed.error);
            }
            (EventBody::MessagePinned(change), Some(message)) => {
                message.pinned = Some(Pin { by: change.user.clone(), at: event.at });
            }
            (EventBody::MessageUnpinned(_), Some(message)) => message.pinned = None,
            (EventBody::ReactionAdded(change), Some(_)) => {
                let user = change.user.username.clone();
                reactions.push((change.message, change.emoji.clone(), user));
            }
            (EventBody::ReactionRemoved(change), Some(_)) => reactions.retain(|given| {
                *given != (change.message, change.emoji.clone(), change.user.username.clone())
            }),
            (EventBody::HistoryReset(_), _) => {
                messages.clear();
                reactions.clear();
            }
            _ => {}
        }
    }
    let mut messages: Vec<Message> = messages.into_values().collect();
    for message in &mut messages {
        let own = reactions.iter().filter(|(id, ..)| *id == message.id);
        let own: Vec<_> = own.map(|(_, emoji, user)| (emoji.clone(), user.clone())).collect();
        message.reactions = group(&own);
    }
    let all = messages.clone();
    for root in &mut messages {
        let count =
            all.iter().filter(|one| one.thread == Some(root.id) && one.redacted_at.is_none());
        root.replies = count.clone().next_back().map(|newest| Replies {
            count: u64::try_from(count.count()).unwrap(),
            last_seq: newest.seq,
            last_at: newest.created_at,
        });
    }
    messages
}

fn intent(step: &Step, n: usize, id: MessageId, tried: &[(usize, MessageId)]) -> (usize, Intent) {
    let named = |message: usize| match tried.get(message % tried.len().max(1)) {
        Some((_, message)) => *message,
        None => id,
    };
    match step {
        Step::Publish { actor, key, thread, mention } => {
            let body = body(n, *mention);
            let message = match key {
                Some(key) => text_as(&format!("key {key}"), &body),
                None => text(&body),
            };
            (
                *actor,
                Intent::Publish(crate::append::NewMessage {
                    id,
                    thread: thread.map(named),
                    ..message
                }),
            )
        }
        Step::Edit { actor, message, body } => {
            (*actor, Intent::Edit { message: named(*message), body: format!("edit {body}") })
        }
        Step::Redact { actor, message } => (*actor, Intent::Redact { message: named(*message) }),
        Step::React { actor, message, emoji, add } => {
            let emoji = EMOJIS[*emoji].to_owned();
            (*actor, Intent::React { message: named(*message), emoji, add: *add })
        }
        Step::Pin { actor, message, pin } => {
            (*actor, Intent::Pin { message: named(*message), pin: *pin })
        }
        Step::Join { actor } => (*actor, Intent::Join { invite: None }),
        Step::Leave { actor } => (*actor, Intent::Leave),
        Step::Reset { actor } => (*actor, Intent::ResetHistory),
    }
}

fn came(answer: &Result<Appended, AppendRefused>) -> Came {
    match answer {
        Ok(Appended::New { events, .. }) => Came::New(events[0].seq),
        Ok(Appended::Repeat { event }) => Came::Repeat(event.seq),
        Ok(Appended::Unchanged) => Came::Unchanged,
        Err(_) => Came::Refused,
    }
}

/// Whatever happens in a room, in whatever batches: each answer is that of the model, the log is
/// dense, and what a client makes of the log is what the store lists.
pub async fn random_histories_agree_with_the_model_and_the_log(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let mut actors = Vec::new();
    for name in ACTORS {
        actors.push(world.user(name).await);
    }
    let strategy = (prop::collection::vec(step(), 1..60), 1..20_usize);
    let config = Config { cases: 48, failure_persistence: None, ..Config::default() };
    tokio::task::block_in_place(|| {
        let handle = tokio::runtime::Handle::current();
        let result = TestRunner::new(config).run(&strategy, |(steps, batch)| {
            handle.block_on(check_history(&world, &actors, &steps, batch));
            Ok(())
        });
        if let Err(failure) = result {
            panic!("{failure}");
        }
    });
}

async fn check_history(world: &World, actors: &[UserRef], steps: &[Step], batch: usize) {
    let room = world.public(&actors[0], &[&actors[1], &actors[2]]).await;
    let mut model = Model { seq: 4, members: BTreeSet::from([0, 1, 2]), messages: BTreeMap::new() };
    let (wishes, expected) = plan(world, room, actors, steps, &mut model);

    let mut answers = Vec::new();
    for wishes in wishes.chunks(batch) {
        answers.extend(world.store().append(wishes.to_vec()).await.unwrap());
    }

    let answers: Vec<_> = answers.iter().map(came).collect();
    assert_eq!(answers, expected);
    let events = world.events(room).await;
    let head = world.store().find_head(room).await.unwrap().unwrap();
    assert_dense(&events, head.reset_through + 1);
    assert_eq!(events.last().map(|event| event.seq), Some(head.seq));
    let messages = world.messages(room).await;
    assert_eq!(fold(&events), messages);
    let lines: Vec<_> = messages
        .iter()
        .map(|message| {
            let (author, reactions) = (&message.sender.username, &message.reactions);
            let (seq, body, pinned) = (message.seq, &message.body, message.pinned.is_some());
            let root = |id| messages.iter().find(|one| one.id == id).map(|root| root.seq);
            let thread = message.thread.and_then(root);
            let mentions: Vec<_> = message.mentions.iter().map(|user| &user.username).collect();
            format!("{seq} {author} {body:?} {thread:?} {pinned} {mentions:?} {reactions:?}")
        })
        .collect();
    assert_eq!(lines.len(), model.lines().len());
    assert_eq!(lines, model.lines());
    let members: BTreeSet<_> = world
        .store()
        .list_members(room, None, 10)
        .await
        .unwrap()
        .into_iter()
        .map(|member| member.user.username)
        .collect();
    let expected: BTreeSet<_> =
        model.members.iter().map(|member| ACTORS[*member].to_owned()).collect();
    assert_eq!(members, expected);
}

fn plan(
    world: &World,
    room: RoomId,
    actors: &[UserRef],
    steps: &[Step],
    model: &mut Model,
) -> (Vec<Append>, Vec<Came>) {
    let mut tried: Vec<(usize, MessageId)> = Vec::new();
    let mut wishes = Vec::new();
    let mut expected = Vec::new();
    for (n, step) in steps.iter().enumerate() {
        let id = MessageId(uuid::Uuid::new_v4());
        let (actor, intent) = intent(step, n, id, &tried);
        let names: Vec<usize> = tried.iter().map(|(n, _)| *n).collect();
        expected.push(model.apply(n, step, &names));
        wishes.push(world.wish(room, &actors[actor], intent));
        if matches!(step, Step::Publish { .. }) {
            tried.push((n, id));
        }
    }
    (wishes, expected)
}
