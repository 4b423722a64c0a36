//! What a giant room costs beside a smaller one: a room of 100,000 members and one of 2,000, with the
//! same 2,000 people connected to both.
//!
//! `cargo run --release --example giant_room -p parlor-broker`, or with other numbers of members and
//! of those who are connected after `--`. Node and clients share one process and one machine, so the
//! ratio of two columns says more than either. Each connection has two ends here: for 2,000 of them
//! 4,100 files must be allowed (`ulimit -n`).

#![expect(clippy::print_stdout, reason = "figures are what it is for")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "it ends when something fails")]
#![expect(clippy::large_futures, reason = "there are few of them")]

#[expect(dead_code, unused_imports, reason = "the tests of the broker use the rest")]
#[path = "../tests/it/harness.rs"]
mod harness;

#[expect(dead_code, reason = "the tests of the broker use the rest")]
#[path = "../tests/it/http/api.rs"]
mod api;

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parlor_protocol::id::{RoomId, UserId};
use parlor_protocol::user::{ServerRole, UserKind};
use parlor_runtime::Config;
use parlor_store::record::NewUser;
use parlor_store::{Intent, SqliteOptions, SqliteStore};
use reqwest::Method;
use serde_json::json;

use crate::api::Api;
use crate::harness::{TestClient, TestNode, TestUser};

/// How often each thing is done.
const TIMES: usize = 20;

/// Those who take part.
struct Cast {
    node: TestNode,
    /// Asks by HTTP.
    ada: Api,
    /// The owner of both rooms.
    owner: TestUser,
    /// Joins and leaves.
    guest: UserId,
    writer: TestClient,
    readers: Vec<TestClient>,
}

#[tokio::main]
async fn main() {
    let number = |nth, default| {
        std::env::args().nth(nth).map_or(default, |text| text.parse::<usize>().expect("a number"))
    };
    let (members, connected) = (number(1, 100_000), number(2, 2_000));
    let folder = tempfile::tempdir().unwrap();
    let mut options = SqliteOptions::new(folder.path());
    options.room_members = u32::try_from(members).expect("a number of members");
    let store = Arc::new(SqliteStore::open(options).unwrap());
    let patient = |config: &mut Config| {
        // Who is connected answers nothing while something else is measured.
        config.limits.heartbeat = Duration::from_hours(1);
        config.limits.idle_timeout = Duration::from_hours(2);
    };
    let node = TestNode::start_on(Some(store), patient).await;
    let ada = Api::register(&node, "ada").await;
    let begun = Instant::now();
    let mut users = Vec::new();
    for first in (0..members).step_by(500) {
        let batch = (first..members.min(first + 500)).map(|n| account(&node, n));
        users.extend(futures_util::future::join_all(batch).await);
    }
    let mut people = Vec::new();
    for user in users.iter().take(connected) {
        people.push(node.login(*user, Duration::from_hours(1)).await);
    }
    let guest = account(&node, members).await;
    let owner = people.first().expect("someone is connected").clone();
    let of = |ids: &[UserId]| -> Vec<TestUser> {
        ids.iter().map(|id| TestUser { id: *id, ..owner.clone() }).collect()
    };
    // Some places stay free for those who join.
    let all = of(users.get(..members.saturating_sub(10)).unwrap_or_default());
    let some = of(users.get(..connected).unwrap_or_default());
    let small = node.room("small", &some.iter().collect::<Vec<_>>()).await;
    let giant = node.room("giant", &all.iter().collect::<Vec<_>>()).await;
    let me = node.store().find_user_by_name("ada").await.unwrap().unwrap().user.id;
    let mut readers = Vec::new();
    for person in &people {
        let mut client = node.connect(person).await;
        for room in [small, giant] {
            assert_eq!(client.subscribe(room, None).await["op"], "subscribed");
        }
        readers.push(client);
    }
    for room in [small, giant] {
        node.append(&owner, room, Intent::Invite { user: me }).await;
    }
    println!("{members} members, {connected} connected: ready after {:.0?}", begun.elapsed());
    let writer = readers.remove(0);
    let mut cast = Cast { node, ada, owner, guest, writer, readers };
    let in_small = cast.measure("small", small).await;
    let in_giant = cast.measure("giant", giant).await;
    println!("| | {connected} members | {members} members | ratio |\n| --- | ---: | ---: | ---: |");
    for ((what, small), (_, giant)) in in_small.into_iter().zip(in_giant) {
        let ratio = giant.as_secs_f64() / small.as_secs_f64();
        println!("| {what} | {small:.1?} | {giant:.1?} | {ratio:.2} |");
    }
}

async fn account(node: &TestNode, n: usize) -> UserId {
    let id = UserId(node.node().clock.new_id());
    let name = format!("member-{n:06}");
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

/// Does something many times and returns the median.
async fn median(mut work: impl AsyncFnMut()) -> Duration {
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let begun = Instant::now();
        work().await;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    times.get(TIMES / 2).copied().unwrap_or_default()
}

impl Cast {
    async fn measure(&mut self, slug: &str, room: RoomId) -> Vec<(&'static str, Duration)> {
        let Self { node, ada, owner, guest, writer, readers } = self;
        let mut figures = Vec::new();
        let joins = median(async || {
            node.append(owner, room, Intent::Invite { user: *guest }).await;
            node.append(owner, room, Intent::Kick { user: *guest, reason: None }).await;
        });
        figures.push(("join and leave, until acknowledged", joins.await));
        // Everyone is told each of these.
        catch_up(writer, readers, room).await;
        let place = URL_SAFE_NO_PAD.encode(format!("members {} member-001000", room.0));
        for (what, query) in [
            ("first page of members", String::new()),
            ("a page in the middle", format!("&cursor={place}")),
            ("those with a role", "&role=owner".to_owned()),
            ("those who are there", "&status=online".to_owned()),
            ("by the beginning of a name", "&q=member-0015".to_owned()),
        ] {
            let path = format!("/v1/rooms/{slug}/members?limit=50{query}");
            let page = async || drop(ada.call(Method::GET, &path, None).await.expect(200));
            figures.push((what, median(page).await));
        }
        let told = median(async || catch_up(writer, readers, room).await);
        figures.push(("post, until the last has it", told.await));
        let posted = median(async || {
            let answer = writer.request(json!({"op": "publish", "room": room, "body": "x"})).await;
            assert_eq!(answer["op"], "ok");
        });
        figures.push(("post, until acknowledged", posted.await));
        catch_up(writer, readers, room).await;
        figures
    }
}

/// Posts, and waits until the last of those who are connected has it.
async fn catch_up(writer: &mut TestClient, readers: &mut [TestClient], room: RoomId) {
    let seq = writer.publish(room, "hello everyone").await["seq"].clone();
    let room = json!(room);
    for reader in readers {
        loop {
            let frame = reader.next_durable().await;
            if frame["room"] == room && frame["seq"] == seq {
                break;
            }
        }
    }
}
