//! A room with people and bots, workers, and an observer that notes what the room is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use parlor_bot_worker::{BotWorker, BotWorkerConfig};
use parlor_bus::{Bus, Control, Delivery, LocalBus, Mailbox};
use parlor_llm::{
    ApiKey, ChatChunk, ChatRequest, ChatStream, FinishReason, Model, Provider, ProviderConfig,
    ProviderError, ProviderKind, Providers, RetryPolicy, http_client,
};
use parlor_protocol::event::{EventBody, MessageCompleted};
use parlor_protocol::http::Trigger;
use parlor_protocol::id::{JobId, MessageId, RoomId, UserId};
use parlor_protocol::message::Message;
use parlor_protocol::room::RoomKind;
use parlor_protocol::signal::{BotState, SignalBody};
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::{ServerRole, UserKind, UserRef};
use parlor_runtime::{Clock, SystemClock};
use parlor_store::record::{BotRecord, CancelOutcome, NewRoom, NewUser};
use parlor_store::sqlite::{SqliteOptions, SqliteStore};
use parlor_store::{
    Append, Appended, Bots, Intent, Jobs, Log, NewMessage, Operations, Rooms, Store, Users,
};
use parlor_testkit::fake_llm::FakeLlm;
use prometheus::{Registry, TextEncoder};
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Nothing in these tests takes as long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A store with one room, its owner `ada`, and a bus.
pub(crate) struct World {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) bus: Arc<LocalBus>,
    pub(crate) room: RoomId,
    pub(crate) ada: UserRef,
    _folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(SqliteOptions::new(folder.path())).unwrap());
        let ada = new_user("ada", UserKind::User);
        let user = store.create_user(ada).await.unwrap().unwrap().user.to_ref();
        let room = new_room(&store, &user, "general").await;
        Self { store, bus: Arc::new(LocalBus::new()), room, ada: user, _folder: folder }
    }

    pub(crate) async fn add_room(&self, slug: &str) -> RoomId {
        new_room(&self.store, &self.ada, slug).await
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
        let message =
            NewMessage { id, client_id: None, body: body.to_owned(), reply_to: None, thread: None };
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

    pub(crate) fn observe(&self) -> Observer {
        let mailbox = self.bus.subscribe(100_000).unwrap();
        self.bus.follow(mailbox.id, self.room);
        Observer { mailbox, told: Told::default() }
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
        let store: Arc<SqliteStore> = Arc::clone(&self.store);
        self.start_on(store, config, providers)
    }

    pub(crate) fn start_on(
        &self,
        store: Arc<dyn Store>,
        config: BotWorkerConfig,
        providers: Providers,
    ) -> RunningWorker {
        let registry = Registry::new();
        let bus: Arc<LocalBus> = Arc::clone(&self.bus);
        let (providers, clock) = (Arc::new(providers), Arc::new(SystemClock));
        let worker = BotWorker::new(config, store, bus, providers, clock, &registry).unwrap();
        let (stop, abort) = (CancellationToken::new(), CancellationToken::new());
        let mut task = JoinSet::new();
        task.spawn(worker.run(stop.clone(), abort.clone()));
        RunningWorker { stop, abort, registry, task }
    }
}

/// The store is closed before its folder is removed, so that its last writes do not bring it back.
impl Drop for World {
    fn drop(&mut self) {
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
    /// Waits until it has ended by itself.
    pub(crate) async fn ended(&mut self) {
        within(self.task.join_next()).await.unwrap().unwrap();
    }

    /// Drops it in the middle of whatever it does.
    pub(crate) async fn crash(mut self) {
        self.task.shutdown().await;
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

async fn new_room(store: &SqliteStore, owner: &UserRef, slug: &str) -> RoomId {
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

/// Providers with the fake as default, under the name `fake`.
pub(crate) fn fake_providers(fake: &FakeLlm) -> Providers {
    let config = ProviderConfig {
        name: "fake".to_owned(),
        kind: ProviderKind::OpenAi,
        base_url: Some(fake.openai_url()),
        api_key: Some(ApiKey::new("sk-worker-test-key")),
        model: Some("fake-model".to_owned()),
        allow_pull: false,
    };
    Providers::build(&[config], "fake", &http_client(Duration::from_secs(2)).unwrap()).unwrap()
}

/// A provider whose replies the test writes piece by piece.
#[derive(Debug)]
pub(crate) struct Puppet {
    calls: mpsc::Sender<Call>,
    waiting: AsyncMutex<mpsc::Receiver<Call>>,
    panics: Mutex<u32>,
}

/// One call of a [`Puppet`].
#[derive(Debug)]
pub(crate) struct Call {
    pieces: mpsc::Sender<Result<ChatChunk, ProviderError>>,
}

impl Call {
    pub(crate) async fn text(&self, text: &str) {
        self.pieces.send(Ok(ChatChunk::Text(text.to_owned()))).await.unwrap();
    }

    pub(crate) async fn progress(&self, detail: &str, percent: Option<u8>) {
        let detail = detail.to_owned();
        self.pieces.send(Ok(ChatChunk::Progress { detail, percent })).await.unwrap();
    }

    pub(crate) async fn finish(self) {
        let usage = parlor_llm::Usage { prompt_tokens: 5, completion_tokens: 2, estimated: false };
        let end = ChatChunk::Finished { usage, reason: FinishReason::Stop };
        self.pieces.send(Ok(end)).await.unwrap();
    }

    /// Waits until the worker has dropped the reply.
    pub(crate) async fn dropped(&self) {
        within(self.pieces.closed()).await;
    }
}

impl Puppet {
    pub(crate) fn new() -> Arc<Self> {
        let (calls, waiting) = mpsc::channel(100);
        Arc::new(Self { calls, waiting: AsyncMutex::new(waiting), panics: Mutex::new(0) })
    }

    /// Returns providers with this one as default.
    pub(crate) fn providers(self: &Arc<Self>) -> Providers {
        let puppet: Arc<dyn Provider> = Arc::<Self>::clone(self);
        Providers::with_default(puppet)
    }

    /// Makes the next calls panic.
    pub(crate) fn panic_times(&self, times: u32) {
        *self.panics.lock().unwrap() = times;
    }

    /// Waits for the next call.
    pub(crate) async fn call(&self) -> Call {
        within(async { self.waiting.lock().await.recv().await }).await.unwrap()
    }

    /// Returns how many calls wait that no test has taken.
    pub(crate) async fn untaken(&self) -> usize {
        self.waiting.lock().await.len()
    }
}

#[async_trait]
impl Provider for Puppet {
    fn name(&self) -> &'static str {
        "puppet"
    }

    fn kind(&self) -> ProviderKind {
        ProviderKind::OpenAi
    }

    fn default_model(&self) -> &'static str {
        "wood"
    }

    async fn chat(&self, _: ChatRequest) -> Result<ChatStream, ProviderError> {
        {
            let mut panics = self.panics.lock().unwrap();
            if let Some(left) = panics.checked_sub(1) {
                *panics = left;
                drop(panics);
                panic!("a provider that panics");
            }
        }
        let (pieces, receiver) = mpsc::channel(1_000);
        self.calls.send(Call { pieces }).await.unwrap();
        let pieces = futures_util::stream::unfold(receiver, |mut receiver| async move {
            Some((receiver.recv().await?, receiver))
        });
        Ok(pieces.boxed())
    }

    async fn list_models(&self) -> Result<Vec<Model>, ProviderError> {
        Ok(Vec::new())
    }

    async fn check_health(&self) -> Result<Duration, ProviderError> {
        Ok(Duration::ZERO)
    }
}
