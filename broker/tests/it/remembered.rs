//! What one node remembers, and another one changes: two nodes on one store, with no bus between them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parlor_broker::node::{Caller, Node};
use parlor_broker::reads::known::Access;
use parlor_broker::refusal::Outcome;
use parlor_domain::permission::Membership;
use parlor_protocol::http::PatchRoomSettings;
use parlor_protocol::id::{RoomId, RoomRef, UserId};
use parlor_protocol::room::Role;
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::{ServerRole, UserKind, UserRef};
use parlor_store::Intent;
use parlor_store::postgres::{PostgresOptions, PostgresStore};
use parlor_store::record::{NewUser, ProfileChange};
use tokio::task::JoinSet;

use crate::harness::{TestNode, TestUser};
use crate::nodes::Pair;

/// Each change is made so often.
const ROUNDS: i64 = 8;

/// People who ask a node for the same things all the time.
struct Crowd {
    asking: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Crowd {
    fn gather(node: &TestNode, users: &[&TestUser], room: RoomId) -> Self {
        let asking = Arc::new(AtomicBool::new(true));
        let mut tasks = JoinSet::new();
        for user in users.iter().copied().cloned() {
            let (node, asking) = (Arc::clone(node.node()), Arc::clone(&asking));
            tasks.spawn(async move {
                while asking.load(Ordering::Relaxed) {
                    // Whatever the answer is.
                    drop(node.find_room(&room.into(), user.id).await);
                    drop(identify(&node, &user).await);
                    // Also where nothing has to be waited for.
                    tokio::task::yield_now().await;
                }
            });
        }
        Self { asking, tasks }
    }

    async fn leave(self) {
        self.asking.store(false, Ordering::Relaxed);
        self.tasks.join_all().await;
    }
}

async fn identify(node: &Node, user: &TestUser) -> Outcome<Caller> {
    node.identify(user.id, user.session, Timestamp::from_millis(i64::MAX / 2)).await
}

async fn access(node: &TestNode, room: RoomId, user: &TestUser) -> Access {
    node.node().find_room(&room.into(), user.id).await.unwrap()
}

async fn membership(node: &TestNode, room: RoomId, user: &TestUser) -> Option<Membership> {
    access(node, room, user).await.membership
}

fn hits(node: &TestNode, kind: &str) -> u64 {
    node.node().metrics.reads.cache.lookups.with_label_values(&[kind, "hit"]).get()
}

#[tokio::test]
async fn changed_membership_counts_on_the_other_node_at_once() {
    let pair = Pair::start().await;
    let (here, there) = (&pair.here, &pair.there);
    let (ada, bob) = (here.user("ada").await, here.user("bob").await);
    let room = here.room("tea", &[&ada, &bob]).await;
    let crowd = Crowd::gather(there, &[&ada, &bob, &bob], room);
    for round in 0..ROUNDS {
        here.append(&ada, room, Intent::Kick { user: bob.id, reason: None }).await;
        assert_eq!(membership(there, room, &bob).await, None, "kicked, {round}");
        here.append(&ada, room, Intent::Invite { user: bob.id }).await;
        assert!(membership(there, room, &bob).await.is_some(), "invited, {round}");
        for role in [Role::Moderator, Role::Member] {
            here.append(&ada, room, Intent::SetRole { user: bob.id, role }).await;
            let found = membership(there, room, &bob).await.unwrap();
            assert_eq!(found.role, role, "{round}");
        }
        let until = Some(Timestamp::from_millis(here.node().now().as_millis() + 60_000 + round));
        here.append(&ada, room, Intent::Mute { user: bob.id, until, reason: None }).await;
        let found = membership(there, room, &bob).await.unwrap();
        assert_eq!(found.muted_until, until, "{round}");
        here.append(&ada, room, Intent::Ban { user: bob.id, until: None, reason: None }).await;
        assert_eq!(membership(there, room, &bob).await, None, "banned, {round}");
        // With a time that has passed it is lifted.
        let lifted = Some(Timestamp::from_millis(0));
        here.append(&ada, room, Intent::Ban { user: bob.id, until: lifted, reason: None }).await;
        here.append(&ada, room, Intent::Invite { user: bob.id }).await;
        assert!(membership(there, room, &bob).await.is_some(), "back, {round}");
    }
    assert!(hits(there, "accesses") > 0, "nothing was remembered");
    crowd.leave().await;
    pair.stop([]).await;
}

#[tokio::test]
async fn changed_room_counts_on_the_other_node_at_once() {
    let pair = Pair::start().await;
    let (here, there) = (&pair.here, &pair.there);
    let ada = here.user("ada").await;
    let room = here.room("tea", &[&ada]).await;
    let crowd = Crowd::gather(there, &[&ada, &ada], room);
    for round in 0..ROUNDS {
        let text = format!("t{round}");
        let archived = round % 2 == 0;
        let post = if archived { Role::Owner } else { Role::Member };
        let settings = PatchRoomSettings { post: Some(post), ..Default::default() };
        let update = Intent::Update {
            name: Some(text.clone()),
            topic: Some(text.clone()),
            archived: Some(archived),
            settings: Some(settings),
        };
        here.append(&ada, room, update).await;
        let found = access(there, room, &ada).await.room;
        assert_eq!((&found.name, &found.topic), (&text, &text));
        assert_eq!((found.archived, found.settings.post), (archived, post), "{round}");

        // A room goes, and another one gets its name.
        let one = here.room("cake", &[&ada]).await;
        let name = RoomRef::from("cake");
        let found = there.node().find_room(&name, ada.id).await.unwrap();
        assert_eq!(found.room.id, one, "{round}");
        let now = here.node().now();
        here.store().delete_room(one, ada.id, now).await.unwrap().unwrap();
        assert!(there.node().find_room(&name, ada.id).await.is_err(), "by name, {round}");
        assert!(there.node().find_room(&one.into(), ada.id).await.is_err(), "by id, {round}");
    }
    assert!(hits(there, "accesses") > 0, "nothing was remembered");
    crowd.leave().await;
    pair.stop([]).await;
}

#[tokio::test]
async fn changed_account_counts_on_the_other_node_at_once() {
    let pair = Pair::start().await;
    let (here, there) = (&pair.here, &pair.there);
    let mut ada = here.user("ada").await;
    // The last administrator could not be changed at will.
    let root = NewUser {
        id: UserId(here.node().clock.new_id()),
        username: "root".to_owned(),
        display_name: "root".to_owned(),
        kind: UserKind::User,
        email: None,
        password_hash: Some("of no password".to_owned()),
        role: ServerRole::Admin,
        at: here.node().now(),
    };
    here.store().create_user(root).await.unwrap().unwrap();
    let room = here.room("tea", &[&ada]).await;
    let crowd = Crowd::gather(there, &[&ada, &ada], room);
    for round in 0..ROUNDS {
        // Few names, since those one had are kept for oneself.
        let (username, name) = (format!("ada{}", round % 2), format!("Ada {round}"));
        let change = ProfileChange {
            username: Some(username.clone()),
            display_name: Some(name.clone()),
            ..ProfileChange::default()
        };
        here.store().update_profile(ada.id, change).await.unwrap().unwrap().unwrap();
        let caller = identify(there.node(), &ada).await.unwrap();
        let UserRef { username: found, display_name, .. } = &caller.user;
        assert_eq!((found, display_name), (&username, &name));
        for role in [ServerRole::Admin, ServerRole::User] {
            let now = here.node().now();
            here.store().set_user_access(ada.id, None, Some(role), now).await.unwrap().unwrap();
            assert_eq!(identify(there.node(), &ada).await.unwrap().role, role, "{round}");
        }
        for active in [false, true] {
            let now = here.node().now();
            here.store().set_user_access(ada.id, Some(active), None, now).await.unwrap().unwrap();
            // The login ends as well, but that comes a moment later.
            let found = there.node().lookups.find_user(ada.id).await.unwrap().unwrap();
            assert_eq!(found.active, active, "{round}");
        }
        ada = here.login(ada.id, Duration::from_mins(15)).await;
    }
    assert!(hits(there, "users") > 0, "nothing was remembered");
    crowd.leave().await;
    pair.stop([]).await;
}

/// Whoever comes back is told nothing of what they may not see any more, and all of what is new.
#[tokio::test]
async fn who_was_sent_away_here_cannot_subscribe_there() {
    let pair = Pair::start().await;
    let (here, there) = (&pair.here, &pair.there);
    let (ada, bob) = (here.user("ada").await, here.user("bob").await);
    let room = here.room("tea", &[&ada, &bob]).await;
    let mut follower = there.connect(&bob).await;
    let mut writer = here.connect(&ada).await;
    for round in 0..ROUNDS {
        let seq = writer.publish(room, "news").await["seq"].as_u64().unwrap();
        let subscribed = follower.subscribe(room, None).await;
        assert!(subscribed["seq"].as_u64().unwrap() >= seq, "{round}: {subscribed}");
        let left = serde_json::json!({"op": "unsubscribe", "room": room});
        follower.request(left).await;
        here.append(&ada, room, Intent::Kick { user: bob.id, reason: None }).await;
        let again = serde_json::json!({"op": "subscribe", "room": room});
        assert_eq!(follower.request(again).await["code"], "not_found", "{round}");
        here.append(&ada, room, Intent::Invite { user: bob.id }).await;
    }
    pair.stop([follower, writer]).await;
}

/// Changes that no program makes, and a server that may have lost the last of them.
#[tokio::test]
async fn what_an_operator_changes_counts_at_once() {
    let pair = Pair::start().await;
    let (here, there) = (&pair.here, &pair.there);
    let ada = here.user("ada").await;
    let room = here.room("tea", &[&ada]).await;
    for round in 0..ROUNDS {
        access(there, room, &ada).await;
        pair.postgres.query(&format!("UPDATE rooms SET name = 'n{round}' WHERE slug = 'tea'"));
        assert_eq!(access(there, room, &ada).await.room.name, format!("n{round}"));
    }
    assert!(hits(there, "accesses") > 0, "nothing was remembered");

    let forgotten = || {
        let cache = &there.node().metrics.reads.cache;
        cache.changes.with_label_values(&["everything"]).get()
    };
    let before = forgotten();
    let options = PostgresOptions::new(pair.postgres.url());
    PostgresStore::renew_incarnation(&options).await.unwrap();
    // As a server would that puts an older state back: without noting it.
    pair.postgres.query(
        "SET session_replication_role = replica; UPDATE rooms SET name = 'old' WHERE slug = 'tea'",
    );
    pair.postgres.cut_connections();
    assert_eq!(access(there, room, &ada).await.room.name, "old");
    assert!(forgotten() > before);
    pair.stop([]).await;
}
