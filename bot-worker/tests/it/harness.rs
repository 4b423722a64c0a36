//! A room with people and bots, workers, and an observer that notes what the room is told.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parlor_bot_worker::{BotWorker, BotWorkerConfig};
use parlor_bus::{Bus, Control, Delivery, LocalBus, Mailbox};
use parlor_llm::{Providers, RetryPolicy};
use parlor_protocol::event::{EventBody, MessageCompleted};
use parlor_protocol::http::Trigger;
use parlor_protocol::id::{JobId, MessageId, RoomId, UserId};
use parlor_protocol::message::Message;
use parlor_protocol::room::RoomKind;
use parlor_protocol::signal::{BotState, SignalBody};
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::{ServerRole, UserKind, UserRef};
use parlor_runtime::{Clock, SystemClock};
use parlor_store::postgres::{PostgresOptions, PostgresStore};
use parlor_store::record::{BotRecord, CancelOutcome, Checkpoint, NewRoom, NewUser};
use parlor_store::sqlite::{SqliteOptions, SqliteStore};
use parlor_store::{Append, Appended, Intent, NewMessage, Store};
use parlor_testkit::services::Postgres;
use prometheus::{Registry, TextEncoder};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Nothing in these tests takes as long.
const PATIENCE: Duration = Duration::from_mins(1);

/// A store with one room, its owner `ada`, and a bus.
pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bus: Arc<LocalBus>,
    pub(crate) room: RoomId,
    pub(crate) ada: UserRef,
    folder: Option<tempfile::TempDir>,
    pub(crate) server: Option<Postgres>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(SqliteOptions::new(folder.path())).unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let mut world = Self::on(store).await;
        world.folder = Some(folder);
        world
    }

    pub(crate) async fn on_postgres() -> Self {
        let server = Postgres::start().await;
        let store = PostgresStore::open(PostgresOptions::new(server.url())).await.unwrap();
        let mut world = Self::on(Arc::new(store)).await;
        world.server = Some(server);
        world
    }

    async fn on(store: Arc<dyn Store>) -> Self {
        let ada = new_user("ada", UserKind::User);
        let user = store.create_user(ada).await.unwrap().unwrap().user.to_ref();
        let room = new_room(&*store, &user, "general").await;
        Self { store, bus: Arc::new(LocalBus::new()), room, ada: user, folder: None, server: None }
    }

    pub(crate) async fn add_room(&self, slug: &str) -> RoomId {
        new_room(&*self.store, &self.ada, slug).await
    }

    pub(crate) async fn add_bot(&self, name: &str, set: impl FnOnce(&mut BotRecord)) -> BotRecord {
        let user = new_user(name, UserKind::Bot);
        let mut bot = BotRecord {
            user: UserRef {
                id: user.id,
                username: name.to_owned(),
                display_name: name.to_owned(),
                kind: UserKind::Bot,
            },
            provider: None,
            model: None,
            system_prompt: format!("You are {name}."),
            trigger: Trigger::Mention,
            temperature: None,
            max_tokens: None,
            context_messages: 40,
            memory_ttl_seconds: 0,
            owner: None,
            created_at: now(),
        };
        set(&mut bot);
        let bot = self.store.create_bot(user, bot).await.unwrap().unwrap();
        self.bring(self.room, &bot).await;
        bot
    }

    pub(crate) async fn bring(&self, room: RoomId, bot: &BotRecord) {
        self.append(room, self.ada.id, now(), Intent::Invite { user: bot.user.id }).await;
    }

    /// Writes a message of ada, and queues and announces the jobs of the bots that it calls.
    pub(crate) async fn say(&self, body: &str) -> MessageId {
        self.say_at(self.room, body, now()).await
    }

    pub(crate) async fn say_at(&self, room: RoomId, body: &str, at: Timestamp) -> MessageId {
        let id = MessageId(SystemClock.new_id());
        let message = NewMessage {
            id,
            client_id: None,
            body: body.to_owned(),
            reply_to: None,
            thread: None,
            attachments: Vec::new(),
        };
        let jobs = self.append(room, self.ada.id, at, Intent::Publish(message)).await;
        if jobs > 0 {
            self.bus.publish_control(Control::JobQueued);
        }
        id
    }

    async fn append(&self, room: RoomId, actor: UserId, at: Timestamp, intent: Intent) -> usize {
        let append = Append { room, actor, at, intent };
        let mut answers = self.store.append(vec![append]).await.unwrap();
        let Appended::New { events, jobs } = answers.remove(0).unwrap() else {
            panic!("nothing was added")
        };
        self.bus.publish_events(events);
        jobs.len()
    }

    /// Does something that a member does to the room.
    pub(crate) async fn act(&self, intent: Intent) {
        self.append(self.room, self.ada.id, now(), intent).await;
    }

    /// Removes the text of a message.
    pub(crate) async fn redact(&self, message: MessageId) {
        self.append(self.room, self.ada.id, now(), Intent::Redact { message }).await;
    }

    /// Asks the store to stop a reply and returns the job whose holder is to be told.
    pub(crate) async fn ask_to_cancel(&self, message: MessageId) -> JobId {
        let asked = self.store.cancel_reply(self.room, message, self.ada.id, now()).await;
        let CancelOutcome::Requested(job) = asked.unwrap().unwrap() else {
            panic!("the reply had ended")
        };
        job
    }

    /// Stops a reply as a node does.
    pub(crate) async fn cancel(&self, message: MessageId) {
        let job = self.ask_to_cancel(message).await;
        self.bus.publish_control(Control::CancelReply(job));
    }

    pub(crate) async fn replies(&self, trigger: MessageId) -> Vec<Message> {
        self.store.list_replies(self.room, trigger).await.unwrap()
    }

    /// Waits until the store has this text of the reply that is being written.
    pub(crate) async fn stored(&self, text: &str) {
        within(async {
            let has = |replies: Vec<Checkpoint>| replies.iter().any(|reply| reply.text == text);
            while !has(self.store.list_streaming(self.room).await.unwrap()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    pub(crate) fn observe(&self) -> Observer {
        self.observe_room(self.room)
    }

    pub(crate) fn observe_room(&self, room: RoomId) -> Observer {
        let mailbox = self.bus.subscribe(100_000).unwrap();
        self.bus.follow(mailbox.id, room);
        Observer { mailbox, told: Told::default(), seen: HashSet::new() }
    }

    /// Starts a worker with the settings of [`quick`].
    pub(crate) fn start(&self, providers: Providers) -> RunningWorker {
        self.start_with(quick(), providers)
    }

    pub(crate) fn start_with(
        &self,
        config: BotWorkerConfig,
        providers: Providers,
    ) -> RunningWorker {
        self.start_on(Arc::clone(&self.store), config, providers)
    }

    pub(crate) fn start_on(
        &self,
        store: Arc<dyn Store>,
        config: BotWorkerConfig,
        providers: Providers,
    ) -> RunningWorker {
        let bus: Arc<LocalBus> = Arc::clone(&self.bus);
        let (worker, mut running) = RunningWorker::new(store, bus, config, providers);
        running.task.spawn(worker.run(running.stop.clone(), running.abort.clone()));
        running
    }

    /// Starts a worker that no bus connects with the rest of the world.
    pub(crate) fn start_apart(
        &self,
        config: BotWorkerConfig,
        providers: Providers,
    ) -> RunningWorker {
        let (store, bus) = (Arc::clone(&self.store), Arc::new(LocalBus::new()));
        let (worker, mut running) = RunningWorker::new(store, bus, config, providers);
        running.task.spawn(worker.run(running.stop.clone(), running.abort.clone()));
        running
    }

    /// Starts a worker on a thread of its own, which stands still when something in it blocks.
    pub(crate) fn start_in_thread(
        &self,
        store: Arc<dyn Store>,
        config: BotWorkerConfig,
        providers: Providers,
    ) -> RunningWorker {
        let bus: Arc<LocalBus> = Arc::clone(&self.bus);
        let (worker, mut running) = RunningWorker::new(store, bus, config, providers);
        let run = worker.run(running.stop.clone(), running.abort.clone());
        let thread = std::thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().build().unwrap().block_on(run);
        });
        running.task.spawn_blocking(move || thread.join().unwrap());
        running
    }
}

/// The store is closed before its folder is removed, so that its last writes do not bring it back.
impl Drop for World {
    fn drop(&mut self) {
        if self.folder.is_none() {
            return;
        }
        let store = Arc::clone(&self.store);
        let close = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(store.close());
        };
        std::thread::spawn(close).join().unwrap();
    }
}

/// Settings with which nothing takes long, but nothing is given up early on a busy machine.
pub(crate) fn quick() -> BotWorkerConfig {
    BotWorkerConfig {
        lease: Duration::from_secs(10),
        checkpoint_every: Duration::from_millis(50),
        renew_every: Duration::from_millis(50),
        cork: Duration::from_millis(10),
        poll_every: Duration::from_millis(100),
        retry: RetryPolicy { attempts: 1, ..RetryPolicy::default() },
        ..BotWorkerConfig::default()
    }
}

/// A worker in its own task; dropping it is a crash.
pub(crate) struct RunningWorker {
    pub(crate) stop: CancellationToken,
    pub(crate) abort: CancellationToken,
    registry: Registry,
    task: JoinSet<()>,
}

impl RunningWorker {
    fn new(
        store: Arc<dyn Store>,
        bus: Arc<LocalBus>,
        config: BotWorkerConfig,
        providers: Providers,
    ) -> (BotWorker, Self) {
        let registry = Registry::new();
        let (providers, clock) = (Arc::new(providers), Arc::new(SystemClock));
        let worker = BotWorker::new(config, store, bus, providers, clock, &registry).unwrap();
        let (stop, abort) = (CancellationToken::new(), CancellationToken::new());
        (worker, Self { stop, abort, registry, task: JoinSet::new() })
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ended(&mut self) {
        within(self.task.join_next()).await.unwrap().unwrap();
    }

    /// Drops it in the middle of whatever it does.
    pub(crate) async fn crash(mut self) {
        self.task.shutdown().await;
    }

    /// Waits until the metrics show this.
    pub(crate) async fn shows(&self, line: &str) {
        let shown = within(async {
            while !self.metrics().contains(line) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        shown.await;
    }

    pub(crate) fn metrics(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap()
    }
}

/// What the room was told.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) created: Vec<Message>,
    pub(crate) completed: Vec<MessageCompleted>,
    pub(crate) states: Vec<BotState>,
    /// The places of those that wait, in the order in which they were told.
    pub(crate) places: Vec<(String, u32)>,
    pub(crate) details: Vec<String>,
    /// For each reply and turn the chunks in the order of their arrival.
    pub(crate) deltas: BTreeMap<(MessageId, u32), Vec<(u32, String)>>,
}

impl Told {
    /// Returns the text of the last turn, after checking that its chunks are dense.
    pub(crate) fn streamed(&self, message: MessageId) -> String {
        let turns = self.deltas.iter().filter(|((of, _), _)| *of == message);
        let (_, chunks) = turns.max_by_key(|((_, turn), _)| *turn).unwrap();
        for (expected, (chunk, _)) in (1..).zip(chunks) {
            assert_eq!(*chunk, expected, "chunks are dense");
        }
        chunks.iter().map(|(_, text)| text.as_str()).collect()
    }

    pub(crate) fn turns(&self, message: MessageId) -> Vec<u32> {
        let turns = self.deltas.keys().filter(|(of, _)| *of == message);
        turns.map(|(_, turn)| *turn).collect()
    }
}

/// Follows the room.
pub(crate) struct Observer {
    mailbox: Mailbox,
    pub(crate) told: Told,
    /// An event may be told again, and whoever has it already drops it.
    seen: HashSet<u64>,
}

impl Observer {
    /// Waits until what was told satisfies the condition.
    pub(crate) async fn until(&mut self, reached: impl Fn(&Told) -> bool) -> &Told {
        within(async {
            let mut batch = Vec::new();
            while !reached(&self.told) {
                self.mailbox.receive(&mut batch, 1).await;
                batch.drain(..).for_each(|delivery| self.note(&delivery));
            }
        })
        .await;
        &self.told
    }

    /// Waits for the next ending and returns it, after checking the deltas against it.
    pub(crate) async fn ending(&mut self) -> MessageCompleted {
        let before = self.told.completed.len();
        self.until(|told| told.completed.len() > before).await;
        let ending = self.told.completed[before].clone();
        if self.told.deltas.keys().any(|(message, _)| *message == ending.message) {
            assert_eq!(self.told.streamed(ending.message), ending.body, "deltas are the body");
        } else {
            assert_eq!(ending.body, "", "a body was told in deltas");
        }
        ending
    }

    /// Waits for the first reply to begin and for some of its text.
    pub(crate) async fn streaming(&mut self) -> MessageId {
        let told = self.until(|told| !told.deltas.is_empty()).await;
        told.deltas.keys().next().unwrap().0
    }

    /// Notes everything that waits already.
    pub(crate) async fn catch_up(&mut self) -> &Told {
        let mut batch = Vec::new();
        while timeout(Duration::ZERO, self.mailbox.receive(&mut batch, 100)).await.is_ok() {
            batch.drain(..).for_each(|delivery| self.note(&delivery));
        }
        &self.told
    }

    fn note(&mut self, delivery: &Delivery) {
        match delivery {
            Delivery::Event { event, .. } if !self.seen.insert(event.seq) => {}
            Delivery::Event { event, .. } => match &event.body {
                EventBody::MessageCreated(message) => self.told.created.push(*message.clone()),
                EventBody::MessageCompleted(ended) => self.told.completed.push(ended.clone()),
                _ => {}
            },
            Delivery::Signal { signal, .. } => match &signal.body {
                SignalBody::MessageDelta(delta) => self
                    .told
                    .deltas
                    .entry((delta.message, delta.turn))
                    .or_default()
                    .push((delta.chunk, delta.text.clone())),
                SignalBody::BotStatus(status) => {
                    self.told.states.push(status.state);
                    let name = status.bot.username.clone();
                    self.told.places.extend(status.position.map(|position| (name, position)));
                    self.told.details.extend(status.detail.clone());
                }
                _ => {}
            },
            Delivery::Ahead { .. } | Delivery::Control(_) => {}
        }
    }
}

/// Fails a test that hangs.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("the test hangs")
}

pub(crate) fn now() -> Timestamp {
    SystemClock.now().into()
}

fn new_user(name: &str, kind: UserKind) -> NewUser {
    NewUser {
        id: UserId(SystemClock.new_id()),
        username: name.to_owned(),
        display_name: name.to_owned(),
        kind,
        email: None,
        password_hash: None,
        role: ServerRole::User,
        at: now(),
    }
}

async fn new_room(store: &dyn Store, owner: &UserRef, slug: &str) -> RoomId {
    let room = NewRoom {
        id: RoomId(SystemClock.new_id()),
        slug: slug.to_owned(),
        name: slug.to_owned(),
        kind: RoomKind::Public,
        topic: String::new(),
        creator: owner.id,
        members: Vec::new(),
        at: now(),
        client_id: None,
        max_owned: 100,
    };
    store.create_room(room).await.unwrap().unwrap().room.id
}
