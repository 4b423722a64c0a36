use parlor_bus::{Delivery, LocalBus, Mailbox};
use parlor_protocol::id::RoomId;
use parlor_protocol::room::RoomKind;
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::{ServerRole, UserKind};
use parlor_store::record::{NewRoom, NewUser};
use parlor_store::{SqliteOptions, SqliteStore};
use prometheus::Opts;
use tempfile::TempDir;
use uuid::Uuid;

use super::PresenceStatus::{Idle, Offline, Online};
use super::*;

fn at() -> Timestamp {
    Timestamp::from_millis(0)
}

/// Rooms and users of a store, and someone who listens.
struct Stage {
    store: Arc<dyn Store>,
    bus: Arc<LocalBus>,
    news: PresenceNews,
    mailbox: Mailbox,
    _folder: TempDir,
}

impl Stage {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(SqliteOptions::new(folder.path())).unwrap());
        let bus = Arc::new(LocalBus::new());
        let outcomes = IntCounterVec::new(Opts::new("outcomes", "outcomes"), &["outcome"]).unwrap();
        let mailbox = bus.subscribe(1_000).unwrap();
        Self { store, news: PresenceNews::new(outcomes), mailbox, bus, _folder: folder }
    }

    async fn user(&self, name: &str) -> UserRef {
        let user = NewUser {
            id: UserId(Uuid::new_v4()),
            username: name.to_owned(),
            display_name: name.to_owned(),
            kind: UserKind::User,
            email: None,
            password_hash: None,
            role: ServerRole::User,
            at: at(),
        };
        self.store.create_user(user).await.unwrap().unwrap().user.to_ref()
    }

    async fn room(&self, slug: &str, members: &[&UserRef]) -> RoomId {
        let room = NewRoom {
            id: RoomId(Uuid::new_v4()),
            slug: slug.to_owned(),
            name: slug.to_owned(),
            kind: RoomKind::Private,
            topic: String::new(),
            creator: members[0].id,
            members: members[1..].iter().map(|user| user.id).collect(),
            at: at(),
            client_id: None,
            max_owned: 1_000,
        };
        self.store.create_room(room).await.unwrap().unwrap().room.id
    }

    async fn followed(&self, slug: &str, members: &[&UserRef]) -> RoomId {
        let room = self.room(slug, members).await;
        self.bus.follow(self.mailbox.id, room);
        room
    }

    fn tell(&self, user: &UserRef, status: PresenceStatus) {
        self.news.tell(Transition { user: user.id, status }, Some(user));
    }

    /// Tells what has gathered, and returns what arrived.
    async fn told(&mut self, room_max: usize) -> Vec<(RoomId, String, PresenceStatus)> {
        self.news.close();
        let store = Arc::clone(&self.store);
        let bus: Arc<dyn Bus> = Arc::<LocalBus>::clone(&self.bus);
        self.news.teller(store, bus, room_max).run().await;
        // Something that is certain to arrive after it.
        self.bus.deliver_control(parlor_bus::Control::StoreMayBeAhead);
        let (mut told, mut batch) = (Vec::new(), Vec::new());
        loop {
            self.mailbox.receive(&mut batch, 100).await;
            for delivery in batch.drain(..) {
                let Delivery::Signal { signal, .. } = delivery else { return told };
                let SignalBody::Presence(presence) = &signal.body else { panic!("{signal:?}") };
                told.push((signal.room, presence.user.username.clone(), presence.status));
            }
        }
    }

    fn count(&self, outcome: &str) -> u64 {
        self.news.outcomes.with_label_values(&[outcome]).get()
    }
}

#[tokio::test]
async fn last_status_is_told_to_each_followed_room_once() {
    let mut stage = Stage::open();
    let (ada, bob) = (stage.user("ada").await, stage.user("bob").await);
    let tea = stage.followed("tea", &[&ada, &bob]).await;
    let _unheard = stage.room("unheard", &[&ada]).await;
    stage.tell(&ada, Online);
    stage.tell(&ada, Offline);
    stage.tell(&ada, Online);
    // Known by the id alone.
    stage.news.tell(Transition { user: bob.id, status: Idle }, None);
    let before = stage.store.reads();

    let mut told = stage.told(10).await;

    told.sort_by(|a, b| a.1.cmp(&b.1));
    assert_eq!(told, [(tea, "ada".to_owned(), Online), (tea, "bob".to_owned(), Idle)]);
    assert_eq!(stage.count("told"), 2);
    assert_eq!(stage.store.reads() - before, 2, "names once, rooms once");
}

#[tokio::test]
async fn whoever_is_back_within_the_moment_is_told_of_once_at_most() {
    let mut stage = Stage::open();
    let (ada, bob) = (stage.user("ada").await, stage.user("bob").await);
    let tea = stage.followed("tea", &[&ada, &bob]).await;
    stage.tell(&ada, Offline);
    stage.tell(&ada, Online);
    stage.tell(&bob, Idle);
    stage.tell(&bob, Online);

    assert_eq!(stage.told(10).await, [(tea, "ada".to_owned(), Online)]);
}

#[tokio::test]
async fn large_room_is_not_told_who_comes_and_goes() {
    let mut stage = Stage::open();
    let (ada, bob, cyd) =
        (stage.user("ada").await, stage.user("bob").await, stage.user("cyd").await);
    let small = stage.followed("small", &[&ada, &bob]).await;
    stage.followed("large", &[&ada, &bob, &cyd]).await;
    stage.tell(&ada, Online);

    assert_eq!(stage.told(2).await, [(small, "ada".to_owned(), Online)]);
    assert_eq!(stage.count("large_room"), 1);
}

#[tokio::test]
async fn rooms_of_many_users_are_read_by_few_calls() {
    let mut stage = Stage::open();
    let mut users = Vec::new();
    for n in 0..300 {
        users.push(stage.user(&format!("u{n}")).await);
    }
    let all: Vec<&UserRef> = users.iter().collect();
    stage.followed("all", &all).await;
    for user in &users {
        stage.tell(user, Online);
    }
    let before = stage.store.reads();

    assert_eq!(stage.told(1_000).await.len(), 300);
    assert_eq!(stage.store.reads() - before, 3);
}

#[tokio::test]
async fn changes_that_wait_are_bounded_and_counted() {
    let stage = Stage::open();
    for n in 0..USERS_MAX + 3 {
        let user = UserId(Uuid::from_u128(n as u128));
        stage.news.tell(Transition { user, status: Online }, None);
    }
    assert_eq!(stage.count("dropped"), 3);
}

#[tokio::test]
async fn store_that_is_away_is_counted_and_ends_nothing() {
    let mut stage = Stage::open();
    let ada = stage.user("ada").await;
    stage.followed("tea", &[&ada]).await;
    stage.tell(&ada, Online);
    stage.store.close().await;

    assert_eq!(stage.told(10).await, []);
    assert_eq!(stage.count("failed"), 1);
}
