//! The same intents come to the same on both backends.

use std::sync::Arc;
use std::time::Duration;

use parlor_domain::permission::Refused;
use parlor_protocol::http::Trigger;
use parlor_protocol::id::{MessageId, RoomId, UserId};
use parlor_protocol::message::{MessageStatus, Usage};
use parlor_protocol::room::{Role, RoomKind};
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::{UserKind, UserRef};
use parlor_store::record::{BotRecord, ClaimedJob, NewInvite, NewRoom, NewUser, Window};
use parlor_store::{
    Append, AppendRefused, Appended, Intent, NewMessage, ReplyEnd, SqliteOptions, SqliteStore,
    Store,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use uuid::Uuid;

use super::{at, database, open, person};

/// The owner, a moderator, two members, someone who is in no room at first, and two bots.
const PEOPLE: usize = 5;
const BOTS: usize = 2;
/// A public, a private and a direct room.
const ROOMS: usize = 3;
const BODIES: [&str; 5] = ["hello", "hello @guide", "@critic and @guide", "@eve look", "again"];
const EMOJIS: [&str; 3] = ["👍", "🎉", "👀"];

/// One wish. Messages are named by the order in which they were tried.
#[derive(Debug, Clone)]
enum Wish {
    Publish {
        client_id: Option<u8>,
        body: usize,
        reply_to: Option<usize>,
        thread: Option<usize>,
    },
    /// Once more, with the ids of an earlier one.
    Again {
        message: usize,
    },
    Edit {
        message: usize,
        body: usize,
    },
    Redact {
        message: usize,
    },
    React {
        message: usize,
        emoji: usize,
        add: bool,
    },
    Join {
        invited: bool,
    },
    Invite {
        user: usize,
    },
    Leave,
    Kick {
        user: usize,
    },
    Ban {
        user: usize,
        millis: Option<i64>,
    },
    Mute {
        user: usize,
        millis: Option<i64>,
    },
    SetRole {
        user: usize,
        role: u8,
    },
    Update {
        name: Option<u8>,
        archived: Option<bool>,
    },
    Reset,
}

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// Some wishes in one batch, each with its room and its actor.
    Batch(Vec<(usize, usize, Wish)>),
    /// The bots work at the jobs that are due.
    Work { begins: bool, ends: Option<(usize, bool)>, repeats: bool },
    /// Someone is switched off, or on again.
    Access { user: usize, active: bool },
    /// A bot answers otherwise.
    Trigger { bot: usize, trigger: u8 },
}

fn wish() -> impl Strategy<Value = Wish> {
    let user = 0..PEOPLE + BOTS;
    let message = 0..30_usize;
    let body = 0..BODIES.len();
    let millis = prop::option::of(prop_oneof![Just(-1_i64), 1..6_i64]);
    prop_oneof![
        24 => (
            prop::option::of(0..6_u8),
            body.clone(),
            prop::option::weighted(0.2, message.clone()),
            prop::option::weighted(0.1, message.clone()),
        )
            .prop_map(|(client_id, body, reply_to, thread)| {
                Wish::Publish { client_id, body, reply_to, thread }
            }),
        2 => message.clone().prop_map(|message| Wish::Again { message }),
        3 => (message.clone(), body).prop_map(|(message, body)| Wish::Edit { message, body }),
        2 => message.clone().prop_map(|message| Wish::Redact { message }),
        4 => (message, 0..EMOJIS.len(), any::<bool>())
            .prop_map(|(message, emoji, add)| Wish::React { message, emoji, add }),
        2 => any::<bool>().prop_map(|invited| Wish::Join { invited }),
        2 => user.clone().prop_map(|user| Wish::Invite { user }),
        1 => Just(Wish::Leave),
        1 => user.clone().prop_map(|user| Wish::Kick { user }),
        1 => (user.clone(), millis.clone()).prop_map(|(user, millis)| Wish::Ban { user, millis }),
        1 => (user.clone(), millis).prop_map(|(user, millis)| Wish::Mute { user, millis }),
        1 => (user, 0..3_u8).prop_map(|(user, role)| Wish::SetRole { user, role }),
        1 => (prop::option::of(0..3_u8), prop::option::of(any::<bool>()))
            .prop_map(|(name, archived)| Wish::Update { name, archived }),
        1 => Just(Wish::Reset),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let batch = prop::collection::vec((0..ROOMS, 0..PEOPLE + BOTS, wish()), 1..12);
    let ends = prop::option::weighted(0.8, (0..BODIES.len(), any::<bool>()));
    prop_oneof![
        12 => batch.prop_map(Step::Batch),
        4 => (any::<bool>(), ends, any::<bool>())
            .prop_map(|(begins, ends, repeats)| Step::Work { begins, ends, repeats }),
        1 => (1..PEOPLE + BOTS, any::<bool>())
            .prop_map(|(user, active)| Step::Access { user, active }),
        1 => (0..BOTS, 0..4_u8).prop_map(|(bot, trigger)| Step::Trigger { bot, trigger }),
    ]
}

/// Both stores, with the same people, bots and rooms under the same ids.
struct Twins {
    stores: [Arc<dyn Store>; 2],
    users: Vec<UserId>,
    bots: Vec<BotRecord>,
    rooms: Vec<RoomId>,
    /// Messages that were tried, with all that was wished of them.
    tried: Vec<(RoomId, UserId, NewMessage)>,
    clock: i64,
    _folder: tempfile::TempDir,
}

/// What a call returns must be the same.
macro_rules! both {
    ($twins:expr, |$store:ident| $call:expr) => {{
        let [sqlite, postgres] = &$twins.stores;
        let one = {
            let $store = sqlite;
            $call
        };
        let two = {
            let $store = postgres;
            $call
        };
        assert_eq!(one, two, "SQLite and Postgres disagree");
        two
    }};
}

impl Twins {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = SqliteStore::open(SqliteOptions::new(folder.path())).unwrap();
        let postgres = open(&database().1).await;
        let mut twins = Self {
            stores: [Arc::new(sqlite), Arc::new(postgres)],
            users: Vec::new(),
            bots: Vec::new(),
            rooms: Vec::new(),
            tried: Vec::new(),
            clock: at().as_millis(),
            _folder: folder,
        };
        for name in ["ada", "mod", "bob", "carol", "eve"] {
            let user = person(name);
            twins.users.push(user.id);
            for store in &twins.stores {
                store.create_user(user.clone()).await.unwrap().unwrap();
            }
        }
        for (name, trigger) in [("guide", Trigger::Mention), ("critic", Trigger::Always)] {
            let user = NewUser { kind: UserKind::Bot, ..person(name) };
            let bot = record(&user, trigger);
            twins.users.push(user.id);
            for store in &twins.stores {
                store.create_bot(user.clone(), bot.clone()).await.unwrap().unwrap();
            }
            twins.bots.push(bot);
        }
        for kind in [RoomKind::Public, RoomKind::Private, RoomKind::Direct] {
            twins.make_room(kind).await;
        }
        twins
    }

    async fn make_room(&mut self, kind: RoomKind) {
        let id = RoomId(Uuid::new_v4());
        let members: Vec<UserId> = match kind {
            RoomKind::Direct => vec![self.users[2], self.users[PEOPLE]],
            RoomKind::Public | RoomKind::Private => {
                self.users.iter().skip(1).copied().filter(|user| *user != self.users[4]).collect()
            }
        };
        let room = NewRoom {
            id,
            slug: format!("room-{}", self.rooms.len()),
            name: "Room".to_owned(),
            kind,
            topic: String::new(),
            creator: self.users[0],
            members,
            at: at(),
            client_id: None,
            max_owned: 100,
        };
        let code = format!("code-{}", self.rooms.len());
        let invite = NewInvite {
            code,
            room: id,
            creator: self.users[0],
            at: at(),
            expires_at: Timestamp::from_millis(i64::MAX),
            max_uses: 2,
        };
        for store in &self.stores {
            store.create_room(room.clone()).await.unwrap().unwrap();
            if kind == RoomKind::Private {
                store.create_invite(invite.clone()).await.unwrap().unwrap();
            }
        }
        self.rooms.push(id);
    }

    fn now(&mut self) -> Timestamp {
        self.clock += 1;
        Timestamp::from_millis(self.clock)
    }

    fn message(&self, nth: usize) -> MessageId {
        let nth = nth.checked_rem(self.tried.len());
        nth.map_or(MessageId(Uuid::nil()), |nth| self.tried[nth].2.id)
    }

    fn append(&mut self, room: usize, actor: usize, wish: Wish) -> Append {
        let (mut room_id, mut actor) = (self.rooms[room], self.users[actor]);
        let at = self.now();
        let until = |millis: Option<i64>| {
            millis.map(|millis| Timestamp::from_millis(at.as_millis() + millis))
        };
        let intent = match wish {
            Wish::Publish { client_id, body, reply_to, thread } => {
                let message = NewMessage {
                    id: MessageId(Uuid::new_v4()),
                    client_id: client_id.map(|client_id| client_id.to_string()),
                    body: BODIES[body].to_owned(),
                    reply_to: reply_to.map(|message| self.message(message)),
                    thread: thread.map(|message| self.message(message)),
                    attachments: Vec::new(),
                };
                self.tried.push((room_id, actor, message.clone()));
                Intent::Publish(message)
            }
            Wish::Again { message } if !self.tried.is_empty() => {
                let (of, author, message) = self.tried[message % self.tried.len()].clone();
                (room_id, actor) = (of, author);
                Intent::Publish(message)
            }
            Wish::Edit { message, body } => {
                Intent::Edit { message: self.message(message), body: BODIES[body].to_owned() }
            }
            Wish::Redact { message } => Intent::Redact { message: self.message(message) },
            Wish::React { message, emoji, add } => {
                let emoji = EMOJIS[emoji].to_owned();
                Intent::React { message: self.message(message), emoji, add }
            }
            Wish::Join { invited } => {
                Intent::Join { invite: invited.then(|| format!("code-{room}")) }
            }
            Wish::Invite { user } => Intent::Invite { user: self.users[user] },
            Wish::Again { .. } | Wish::Leave => Intent::Leave,
            Wish::Kick { user } => Intent::Kick { user: self.users[user], reason: None },
            Wish::Ban { user, millis } => {
                Intent::Ban { user: self.users[user], until: until(millis), reason: None }
            }
            Wish::Mute { user, millis } => {
                Intent::Mute { user: self.users[user], until: until(millis), reason: None }
            }
            Wish::SetRole { user, role } => {
                let role = [Role::Member, Role::Moderator, Role::Owner][usize::from(role)];
                Intent::SetRole { user: self.users[user], role }
            }
            Wish::Update { name, archived } => Intent::Update {
                name: name.map(|n| format!("name {n}")),
                topic: None,
                archived,
                settings: None,
            },
            Wish::Reset => Intent::ResetHistory,
        };
        Append { room: room_id, actor, at, intent }
    }

    async fn carry_out(&mut self, step: Step) {
        match step {
            Step::Batch(wishes) => {
                let batch: Vec<Append> = wishes
                    .into_iter()
                    .map(|(room, actor, wish)| self.append(room, actor, wish))
                    .collect();
                both!(self, |store| store.append(batch.clone()).await.unwrap());
            }
            Step::Work { begins, ends, repeats } => self.work(begins, ends, repeats).await,
            Step::Access { user, active } => {
                let (user, at) = (self.users[user], self.now());
                both!(self, |store| store
                    .set_user_access(user, Some(active), None, at)
                    .await
                    .unwrap()
                    .unwrap());
            }
            Step::Trigger { bot, trigger } => {
                let trigger = [Trigger::Mention, Trigger::Always, Trigger::Direct, Trigger::Never]
                    [usize::from(trigger)];
                self.bots[bot].trigger = trigger;
                let bot = self.bots[bot].clone();
                both!(self, |store| store.update_bot(bot.clone()).await.unwrap());
            }
        }
    }

    /// Works at every job that is due. Which room comes first is left open, as the rooms of a batch
    /// are written in any order.
    async fn work(&mut self, begins: bool, ends: Option<(usize, bool)>, repeats: bool) {
        let (worker, lease) = (Uuid::new_v4(), Duration::from_mins(10));
        let claimed: Vec<ClaimedJob> = both!(self, |store| {
            let mut claimed = Vec::new();
            while let Some(job) = store.claim_job(worker, lease, &[]).await.unwrap() {
                claimed.push(job);
            }
            claimed.sort_by_key(|job| job.id);
            claimed
        });
        for job in claimed {
            self.work_at(job, begins, ends, repeats).await;
        }
    }

    async fn work_at(
        &mut self,
        job: ClaimedJob,
        begins: bool,
        ends: Option<(usize, bool)>,
        repeats: bool,
    ) {
        let message = MessageId(Uuid::new_v4());
        let (provider, model) = ("demo".to_owned(), "demo-1".to_owned());
        let (job_id, generation) = (job.id, job.generation);
        if begins {
            let (provider, model) = (provider.clone(), model.clone());
            let start = Intent::StartReply { job: job_id, generation, message, provider, model };
            self.reply(&job, start).await;
        }
        match ends {
            None => {
                let id = (job_id, generation);
                both!(self, |store| store.release_job(id.0, id.1, Duration::ZERO).await.unwrap());
            }
            Some((body, finished)) => {
                let status =
                    if finished { MessageStatus::Completed } else { MessageStatus::Cancelled };
                let end = ReplyEnd {
                    status,
                    body: BODIES[body].to_owned(),
                    usage: Usage { prompt_tokens: 7, completion_tokens: 3, estimated: false },
                    error: None,
                    provider,
                    model,
                };
                let end = Intent::CompleteReply { job: job_id, generation, message, end };
                self.reply(&job, end.clone()).await;
                if repeats {
                    self.reply(&job, end).await;
                }
            }
        }
    }

    async fn reply(&mut self, job: &ClaimedJob, intent: Intent) {
        let append = Append { room: job.room, actor: job.bot.user.id, at: self.now(), intent };
        both!(self, |store| store.append(vec![append.clone()]).await.unwrap());
    }

    /// All that can be read must be the same.
    async fn compare(&self) {
        for room in &self.rooms {
            let head = both!(self, |store| {
                let head = store.find_head(*room).await.unwrap().unwrap();
                (head.seq, head.reset_through)
            });
            let events = both!(self, |store| store.read_events(*room, 0, 10_000).await.unwrap());
            let first = events.first().map_or(head.0 + 1, |event| event.seq);
            let seqs: Vec<u64> = events.iter().map(|event| event.seq).collect();
            assert_eq!(seqs, (first..=head.0).collect::<Vec<_>>(), "a hole");
            let middle = first.midpoint(head.0);
            both!(self, |store| store.read_events(*room, middle, 3).await.unwrap());
            let window = Window::Before(None);
            both!(self, |store| store.list_messages(*room, window, 10_000).await.unwrap());
            both!(self, |store| store.list_members(*room, None, 100).await.unwrap());
            both!(self, |store| store.list_streaming(*room).await.unwrap());
            both!(self, |store| store.list_waiting(*room, 100).await.unwrap());
            for user in &self.users {
                both!(self, |store| {
                    let access = store.find_room(&(*room).into(), *user).await.unwrap().unwrap();
                    (access.membership, access.room.name, access.room.archived)
                });
            }
        }
        both!(self, |store| store.count_jobs().await.unwrap());
    }
}

fn record(user: &NewUser, trigger: Trigger) -> BotRecord {
    BotRecord {
        user: UserRef {
            id: user.id,
            username: user.username.clone(),
            display_name: user.display_name.clone(),
            kind: UserKind::Bot,
        },
        provider: None,
        model: None,
        system_prompt: String::new(),
        trigger,
        temperature: None,
        max_tokens: None,
        context_messages: 20,
        memory_ttl_seconds: 0,
        owner: None,
        created_at: at(),
    }
}

#[test]
fn random_intents_come_to_the_same_on_both_backends() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = Config {
        cases: cases.unwrap_or(12),
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let steps = prop::collection::vec(step(), 1..25);
    let mut runner = TestRunner::new(config);
    let result = runner.run(&steps, |steps| {
        runtime.block_on(async {
            let mut twins = Twins::open().await;
            for step in steps {
                twins.carry_out(step).await;
            }
            twins.compare().await;
            for store in &twins.stores {
                store.close().await;
            }
        });
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

/// Refusals are compared above; here is that they are seen at all.
#[tokio::test]
async fn refusals_of_messages_say_why() {
    let mut twins = Twins::open().await;
    let publish = Wish::Publish { client_id: None, body: 0, reply_to: None, thread: None };
    let absent = Wish::Publish { client_id: None, body: 0, reply_to: Some(0), thread: None };
    let batch = vec![
        twins.append(0, 4, publish.clone()),
        twins.append(1, 4, publish.clone()),
        twins.append(0, 0, Wish::Mute { user: 2, millis: None }),
    ];
    drop(both!(twins, |store| store.append(batch.clone()).await.unwrap()));
    twins.tried.clear();
    let batch = vec![
        twins.append(0, 4, publish.clone()),
        twins.append(1, 4, publish.clone()),
        twins.append(0, 2, publish.clone()),
        twins.append(0, 3, publish),
    ];
    twins.tried.clear();
    let mut absent = twins.append(0, 3, absent);
    if let Intent::Publish(message) = &mut absent.intent {
        message.reply_to = Some(MessageId(Uuid::new_v4()));
    }
    let batch: Vec<Append> = batch.into_iter().chain([absent]).collect();

    let answers = both!(twins, |store| store.append(batch.clone()).await.unwrap());

    assert_eq!(answers[0], Err(AppendRefused::Rule(Refused::NotAMember)));
    assert_eq!(answers[1], Err(AppendRefused::NoSuchRoom));
    assert!(matches!(answers[2], Err(AppendRefused::Rule(Refused::Muted { .. }))));
    assert!(matches!(answers[3], Ok(Appended::New { .. })));
    assert_eq!(answers[4], Err(AppendRefused::NoSuchMessage));
}
