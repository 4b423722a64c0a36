use parlor_protocol::id::UserId;
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::{ServerRole, UserKind};
use parlor_store::record::{NewUser, ProfileChange};
use parlor_store::{SqliteOptions, SqliteStore};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::*;
use crate::metrics::{Metrics, ReadMetrics};
use crate::reads::lookups::{LookupOptions, Lookups};

struct Node {
    store: Arc<dyn Store>,
    lookups: Lookups,
    metrics: ReadMetrics,
    user: UserId,
    _tasks: JoinSet<()>,
    _folder: tempfile::TempDir,
}

const OPTIONS: LookupOptions =
    LookupOptions { per_second: 1_000, remembered: 10, checks_per_second: 1_000 };

impl Node {
    async fn new(remembered: usize) -> Self {
        Self::with(LookupOptions { remembered, ..OPTIONS }).await
    }

    async fn with(options: LookupOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(SqliteOptions::new(folder.path())).unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let metrics = Metrics::new(prometheus::Registry::new()).unwrap().reads;
        let (lookups, workers) = Lookups::new(&store, options, &metrics);
        let mut tasks = JoinSet::new();
        tasks.spawn(workers.run());
        let user = UserId(Uuid::from_u128(1));
        let account = NewUser {
            id: user,
            username: "ada".to_owned(),
            display_name: "0".to_owned(),
            kind: UserKind::User,
            email: None,
            password_hash: None,
            role: ServerRole::User,
            at: Timestamp::from_millis(0),
        };
        store.create_user(account).await.unwrap().unwrap();
        Self { store, lookups, metrics, user, _tasks: tasks, _folder: folder }
    }

    async fn rename(&self, name: &str) {
        let display_name = Some(name.to_owned());
        let change = ProfileChange { display_name, ..ProfileChange::default() };
        self.store.update_profile(self.user, change).await.unwrap().unwrap().unwrap();
    }

    async fn name(&self) -> String {
        let found = self.lookups.find_user(self.user).await.unwrap().unwrap();
        found.user.display_name.clone()
    }

    fn hits(&self) -> u64 {
        self.metrics.cache.lookups.with_label_values(&["users", "hit"]).get()
    }
}

#[tokio::test]
async fn what_is_remembered_is_never_older_than_what_was_acknowledged() {
    let node = Node::new(10).await;
    for n in 0..50 {
        let name = n.to_string();
        node.rename(&name).await;
        // Also when others ask for it before, and meanwhile.
        let (first, second, third) = tokio::join!(node.name(), node.name(), node.name());
        assert_eq!([first, second, third], [&*name; 3]);
        assert_eq!(node.name().await, name);
    }
    assert!(node.hits() > 0, "nothing was remembered");
}

#[tokio::test]
async fn what_is_remembered_costs_no_read() {
    let node = Node::new(10).await;
    node.name().await;
    // The first check has found everything new.
    node.name().await;
    let reads = node.store.reads();
    for _ in 0..20 {
        node.name().await;
    }
    assert_eq!((node.store.reads(), node.hits() >= 20), (reads, true));
}

#[tokio::test]
async fn those_who_ask_at_once_share_a_check() {
    let node = Node::new(10).await;
    futures_util::future::join_all((0..200).map(|_| node.name())).await;
    let checks = node.metrics.cache.checks.with_label_values(&["ok"]).get();
    // One begins alone, and one beside it; the others gather.
    assert!(checks <= 4, "{checks} checks");
}

/// One who asks one thing after the other waits for no turn.
#[tokio::test(start_paused = true)]
async fn checks_are_not_paced_where_they_are_no_questions_to_a_database() {
    let mut options = OPTIONS;
    options.checks_per_second = 1;
    let node = Node::with(options).await;
    // The store answers from a thread of its own: time stands still for all of it.
    tokio::time::resume();
    node.name().await;
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    for _ in 0..100 {
        node.name().await;
    }
    assert_eq!(begun.elapsed(), std::time::Duration::ZERO);
    assert_eq!(node.hits(), 100);
}

#[tokio::test]
async fn nothing_is_remembered_where_that_is_not_wanted() {
    let node = Node::new(0).await;
    let reads = node.store.reads();
    for _ in 0..5 {
        node.name().await;
    }
    assert_eq!((node.store.reads() - reads, node.hits()), (5, 0));
    assert_eq!(node.metrics.cache.checks.with_label_values(&["ok"]).get(), 0);
}

#[tokio::test]
async fn nothing_is_used_when_the_store_does_not_tell_what_changed() {
    let node = Node::new(10).await;
    node.name().await;
    node.name().await;
    assert_eq!(node.metrics.cache.entries.with_label_values(&["users"]).get(), 1);
    node.store.close().await;
    assert!(node.lookups.find_user(node.user).await.is_err(), "not what was true before");
    assert_eq!(node.metrics.cache.entries.with_label_values(&["users"]).get(), 0);
    assert_eq!(node.metrics.cache.checks.with_label_values(&["failed"]).get(), 1);
    // It is not asked again with every lookup.
    assert!(node.lookups.find_user(node.user).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn checks_go_on_after_a_rest() {
    let resting = Resting::default();
    assert!(!resting.is_on());
    resting.begin();
    assert!(resting.is_on());
    tokio::time::advance(REST).await;
    assert!(!resting.is_on());
}
