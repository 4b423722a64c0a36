//! A room of 100,000 members beside one of 2,000, with the same 2,000 connected to both.
//!
//! It takes minutes and tells figures, so it runs only when it is asked for:
//! `cargo test -p parlor-broker --test it giant -- --ignored --nocapture`

use std::time::{Duration, Instant};

use parlor_protocol::id::{RoomId, UserId};
use parlor_protocol::user::{ServerRole, UserKind};
use parlor_store::Intent;
use parlor_store::record::NewUser;
use reqwest::Method;
use serde_json::json;

use crate::harness::{TestClient, TestNode, TestUser};
use crate::http::api::Api;

/// Members of the giant room.
const MEMBERS: usize = 100_000;
/// Of them, those who are connected, who are all in the small room, too.
const CONNECTED: usize = 2_000;
/// How often each thing is done.
const TIMES: u32 = 20;

async fn seed(node: &TestNode, name: String) -> UserId {
    let id = UserId(node.node().clock.new_id());
    let account = NewUser {
        id,
        username: name.clone(),
        display_name: name,
        kind: UserKind::User,
        email: None,
        password_hash: None,
        role: ServerRole::User,
        at: node.node().now(),
    };
    node.store().create_user(account).await.unwrap().unwrap();
    id
}

/// Does something many times and tells the median.
async fn median(mut work: impl AsyncFnMut()) -> Duration {
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let start = Instant::now();
        work().await;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2]
}

/// Publishes, and waits until the last of those who are connected has it.
async fn fan_out(writer: &mut TestClient, readers: &mut [TestClient], room: RoomId) {
    let seq = writer.publish(room, "hello everyone").await["seq"].clone();
    for reader in readers {
        while reader.next_durable().await["seq"] != seq {}
    }
}

#[expect(clippy::print_stdout, reason = "figures are what it is for")]
fn tell(what: &str, small: Duration, giant: Duration) {
    let ratio = giant.as_secs_f64() / small.as_secs_f64();
    println!("| {what} | {small:.2?} | {giant:.2?} | {ratio:.2} |");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes, and tells figures"]
async fn giant_room_costs_little_more_than_a_small_one() {
    let node = TestNode::start_with(|config| config.limits.connections_per_address = 10_000).await;
    let ada = Api::register(&node, "ada").await;
    let mut users = Vec::new();
    for n in 0..MEMBERS / 500 {
        let batch = (0..500).map(|m| seed(&node, format!("member-{:06}", n * 500 + m)));
        users.extend(futures_util::future::join_all(batch).await);
    }
    let mut people = Vec::new();
    for user in &users[..CONNECTED] {
        people.push(node.login(*user, Duration::from_hours(1)).await);
    }
    let guest = node.user("zz-guest").await;
    let of = |ids: &[UserId]| -> Vec<TestUser> {
        let user = |id: &UserId| TestUser { id: *id, ..people[0].clone() };
        ids.iter().map(user).collect()
    };
    let (some, all) = (of(&users[..CONNECTED]), of(&users[..MEMBERS - 10]));
    let small = node.room("small", &some.iter().collect::<Vec<_>>()).await;
    let giant = node.room("giant", &all.iter().collect::<Vec<_>>()).await;
    let me = node.store().find_user_by_name("ada").await.unwrap().unwrap().user.id;
    for room in [small, giant] {
        node.append(&people[0], room, Intent::Invite { user: me }).await;
    }
    let mut readers = Vec::new();
    for person in &people {
        let mut client = node.connect(person).await;
        for room in [small, giant] {
            assert_eq!(client.subscribe(room, None).await["op"], "subscribed");
        }
        readers.push(client);
    }
    let mut writer = readers.remove(0);

    let mut figures = Vec::new();
    for room in [small, giant] {
        let mut of_room = Vec::new();
        // Everyone is told each of these.
        let begun = Instant::now();
        for _ in 0..TIMES {
            node.append(&people[0], room, Intent::Invite { user: guest.id }).await;
            node.append(&people[0], room, Intent::Kick { user: guest.id }).await;
        }
        of_room.push(("join and leave", begun.elapsed() / TIMES));
        let slug = if room == small { "small" } else { "giant" };
        for (what, query) in [
            ("first page of members", ""),
            ("page in the middle", "&cursor=bWVtYmVyLTAwMTAwMA"),
            ("those with a role", "&role=owner"),
            ("those who are there", "&status=online"),
            ("by the beginning of a name", "&q=member-0015"),
        ] {
            let path = format!("/v1/rooms/{slug}/members?limit=50{query}");
            let page = || async { drop(ada.call(Method::GET, &path, None).await.expect(200)) };
            of_room.push((what, median(async || page().await).await));
        }
        fan_out(&mut writer, &mut readers, room).await;
        let told = median(async || fan_out(&mut writer, &mut readers, room).await).await;
        of_room.push(("post, until the last has it", told));
        let posted = median(async || {
            let answer = writer.request(json!({"op": "publish", "room": room, "body": "x"})).await;
            assert_eq!(answer["op"], "ok");
        });
        of_room.push(("post, until it is acknowledged", posted.await));
        figures.push(of_room);
    }
    let giant_figures = figures.pop().unwrap();
    let small_figures = figures.pop().unwrap();
    for ((what, small), (_, giant)) in small_figures.into_iter().zip(giant_figures) {
        tell(what, small, giant);
        // A page that looked at every member would be a hundred times as dear.
        assert!(giant < small * 10, "{what}: {small:?} and {giant:?}");
    }
    let presence = &node.node().metrics.room.presence;
    assert!(presence.with_label_values(&["large_room"]).get() > 0, "nobody is told of presence");
}
