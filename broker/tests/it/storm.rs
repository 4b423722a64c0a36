//! Many people at once: the store sees few reads and writes, and those who are there go on talking.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use parlor_protocol::id::{MessageId, RoomId};
use parlor_runtime::config::ByteSize;
use parlor_store::{Intent, NewMessage, SqliteOptions, SqliteStore, Users as _};
use serde_json::json;

use crate::harness::{TestNode, TestUser, seqs};
use crate::http::api::{Api, PASSWORD};

/// Clients that come back at once.
const CLIENTS: usize = 500;
/// Reads of one kind in a second.
const PER_SECOND: u32 = 8;
/// Messages that each has missed.
const BEHIND: u64 = 50;

async fn start() -> TestNode {
    TestNode::start_with(|config| {
        config.server.shards = 1;
        config.limits.reads_per_second = PER_SECOND;
        // All at the same time, which is not what is admitted.
        config.limits.handshakes = CLIENTS;
        config.limits.upgrades_per_second = 10_000;
    })
    .await
}

async fn users(node: &TestNode) -> Vec<TestUser> {
    let names: Vec<String> = (0..CLIENTS).map(|n| format!("u{n}")).collect();
    join_all(names.iter().map(|name| node.user(name))).await
}

/// Has everyone come back to their room after a position and read what they have missed. The store
/// is read for `kinds` of questions.
async fn come_back(node: &TestNode, users: &[TestUser], rooms: &[(RoomId, u64)], kinds: u64) {
    let epoch = node.store().find_head(rooms[0].0).await.unwrap().unwrap().epoch;
    let (reads, started) = (node.store().reads(), Instant::now());
    let back = users.iter().zip(rooms.iter().cycle()).map(async |(user, (room, since))| {
        let mut client = node.connect(user).await;
        let position = json!({"epoch": epoch, "seq": since});
        assert_eq!(client.subscribe(*room, Some(position)).await["resumed"], true);
        let missed: Vec<u64> = (since + 1..=since + BEHIND).collect();
        let mut events = Vec::new();
        while seqs(&events).last() != missed.last() {
            events.push(client.next_durable().await);
        }
        assert_eq!(seqs(&events), missed);
        client
    });
    let _clients = join_all(back).await;

    let (reads, seconds) = (node.store().reads() - reads, started.elapsed().as_secs() + 1);
    // Each kind at the pace that is set; presence four times a second, for 128 users at a time.
    let pace = u64::from(PER_SECOND);
    let presence = 4 * seconds + CLIENTS as u64 / 128 + 1;
    let most = kinds * (pace / 4 + pace * seconds) + presence;
    assert!(reads <= most, "{reads} reads in {seconds} s, at most {most}");
}

#[tokio::test]
async fn many_who_come_back_to_a_room_cost_the_store_few_reads() {
    let node = start().await;
    let users = users(&node).await;
    let members: Vec<&TestUser> = users.iter().collect();
    let room = node.room("r", &members).await;
    let mut writer = node.connect(&users[0]).await;
    let since = writer.subscribe(room, None).await["seq"].as_u64().unwrap();
    for n in 0..BEHIND {
        writer.publish(room, &format!("m{n}")).await;
    }
    // Who they are, and whether they are members. What they missed is in memory.
    come_back(&node, &users, &[(room, since)], 2).await;
}

#[tokio::test]
async fn many_who_come_back_to_rooms_that_nobody_followed_cost_few_reads_too() {
    const ROOMS: usize = 25;
    let node = start().await;
    let users = users(&node).await;
    let rooms = (0..ROOMS).map(async |n| {
        let members: Vec<&TestUser> = users.iter().skip(n).step_by(ROOMS).collect();
        let room = node.room(&format!("r{n}"), &members).await;
        let head = node.store().find_head(room).await.unwrap().unwrap();
        for n in 0..BEHIND {
            let message = NewMessage {
                id: MessageId(node.node().clock.new_id()),
                client_id: None,
                body: format!("m{n}"),
                reply_to: None,
                thread: None,
                attachments: Vec::new(),
            };
            node.append(members[0], room, Intent::Publish(message)).await;
        }
        (room, head.seq)
    });
    let rooms = join_all(rooms).await;
    // Also how each room stands, who writes there, and the events.
    come_back(&node, &users, &rooms, 5).await;
}

#[tokio::test]
async fn login_storm_is_bounded_and_leaves_those_who_talk_alone() {
    let node = TestNode::start_with(|config| {
        config.auth.argon2_memory = ByteSize::mib(16);
        config.auth.argon2_iterations = 8;
        config.auth.hash_concurrency = 1;
        config.auth.hash_queue = 1;
    })
    .await;
    Api::register(&node, "ada").await;
    let bob = node.user("bob").await;
    let mut client = node.connect(&bob).await;
    let api = Api::anonymous(&node);
    let login = json!({"username": "ada", "password": PASSWORD});
    let storm = join_all((0..30).map(|_| api.post("/v1/auth/token", login.clone())));
    tokio::pin!(storm);

    let mut pongs = 0;
    let answers = loop {
        let talk = async {
            client.send(json!({"op": "ping"})).await;
            let pong = client.next_durable().await;
            let hasher = &node.node().passwords;
            assert!(hasher.running() <= 1 && hasher.waiting() <= 2, "{}", hasher.waiting());
            pong
        };
        tokio::select! {
            answers = &mut storm => break answers,
            pong = talk => {
                assert_eq!(pong["op"], "pong");
                pongs += 1;
            }
        }
    };

    assert!(pongs > 0, "nobody was answered while others logged in");
    let (admitted, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == 200);
    assert!(
        !admitted.is_empty() && !refused.is_empty(),
        "{} and {}",
        admitted.len(),
        refused.len()
    );
    for answer in refused {
        assert_eq!(answer.status, 503);
        answer.refused("unavailable");
    }
}

#[tokio::test]
async fn times_of_last_connections_are_written_together_at_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let open = || SqliteStore::open(SqliteOptions::new(folder.path())).unwrap();
    let store = Arc::new(open());
    let node = TestNode::start_on(Some(Arc::<SqliteStore>::clone(&store)), |_| {}).await;
    let names: Vec<String> = (0..20).map(|n| format!("u{n}")).collect();
    let users = join_all(names.iter().map(|name| node.user(name))).await;
    let clients = join_all(users.iter().map(|user| node.connect(user))).await;
    let commands = store.write_counts().commands;

    node.stop().await;
    drop(clients);

    // Not one for each.
    assert!(store.write_counts().commands - commands < 10);
    drop(store);
    let store = open();
    for user in users {
        let account = store.find_user(user.id).await.unwrap().unwrap();
        assert!(account.last_seen.is_some(), "{}", account.user.username);
    }
}
