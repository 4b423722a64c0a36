//! Jobs that several workers on several nodes reach for at the same time.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use parlor_protocol::http::Trigger;
use parlor_protocol::id::{JobId, MessageId, RoomId, UserId};
use parlor_protocol::message::{MessageStatus, Usage};
use parlor_store::record::ClaimedJob;
use parlor_store::{
    Append, Appended, Bots as _, Intent, Jobs as _, Log as _, PostgresStore, ReplyEnd, Users as _,
};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::writers::{message, new_bot, new_room, publish};
use super::{at, database, open, person, server, soon};

const LEASE: Duration = Duration::from_mins(10);

/// Some rooms with two bots that answer everything, and messages in all of them.
async fn busy_rooms(store: &PostgresStore, rooms: usize, messages: usize) -> Vec<RoomId> {
    let ada = store.create_user(person("ada")).await.unwrap().unwrap().user.id;
    let mut bots = Vec::new();
    for name in ["guide", "critic"] {
        let (user, bot) = new_bot(name, Trigger::Always);
        bots.push(store.create_bot(user, bot).await.unwrap().unwrap().user.id);
    }
    let mut made = Vec::new();
    for _ in 0..rooms {
        let room = new_room(store, ada, bots.clone()).await;
        let batch = (0..messages).map(|_| publish(room, ada, message(None, "hello")));
        store.append(batch.collect()).await.unwrap();
        made.push(room);
    }
    made
}

fn end(job: &ClaimedJob, body: &str) -> Append {
    let end = ReplyEnd {
        status: MessageStatus::Completed,
        body: body.to_owned(),
        usage: Usage::default(),
        error: None,
        provider: "demo".to_owned(),
        model: "demo".to_owned(),
    };
    let message = MessageId(Uuid::new_v4());
    let intent = Intent::CompleteReply { job: job.id, generation: job.generation, message, end };
    Append { room: job.room, actor: job.bot.user.id, at: at(), intent }
}

#[tokio::test(flavor = "multi_thread")]
async fn job_is_claimed_once_and_a_bot_works_once_in_a_room() {
    let (_, url) = database();
    let nodes = [Arc::new(open(&url).await), Arc::new(open(&url).await)];
    let rooms = busy_rooms(&nodes[0], 4, 5).await;
    let held: Arc<Mutex<HashSet<(RoomId, UserId)>>> = Arc::default();
    let claims: Arc<Mutex<HashMap<JobId, u32>>> = Arc::default();
    let mut workers = JoinSet::new();
    for worker in 0..6 {
        let store = Arc::clone(&nodes[worker % 2]);
        let (held, claims) = (Arc::clone(&held), Arc::clone(&claims));
        workers.spawn(async move {
            let id = Uuid::new_v4();
            while claims.lock().unwrap().len() < 40 {
                let Some(job) = soon(store.claim_job(id, LEASE, &[])).await.unwrap() else {
                    tokio::task::yield_now().await;
                    continue;
                };
                let pair = (job.room, job.bot.user.id);
                assert!(held.lock().unwrap().insert(pair), "the bot works twice in a room");
                *claims.lock().unwrap().entry(job.id).or_default() += 1;
                // Not held any more before the store knows: the other order would be a race here.
                let append = end(&job, "done");
                held.lock().unwrap().remove(&pair);
                let answers = soon(store.append(vec![append])).await.unwrap();
                assert!(matches!(answers[0], Ok(Appended::New { .. })), "{answers:?}");
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended.unwrap();
    }

    assert!(claims.lock().unwrap().values().all(|claims| *claims == 1), "claimed twice");
    assert_eq!(nodes[0].count_jobs().await.unwrap(), (0, 0));
    for room in rooms {
        let messages = nodes[1]
            .list_messages(room, parlor_store::record::Window::Before(None), 100)
            .await
            .unwrap();
        assert_eq!(messages.iter().filter(|message| message.bot.is_some()).count(), 10);
    }
}

#[tokio::test]
async fn job_whose_row_is_being_written_is_passed_over() {
    let (_, url) = database();
    let store = open(&url).await;
    busy_rooms(&store, 1, 1).await;
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute("BEGIN").await.unwrap();
    let lock = "SELECT id FROM bot_jobs ORDER BY num LIMIT 1 FOR UPDATE";
    let locked: Uuid = client.query_one(lock, &[]).await.unwrap().get(0);

    let claimed = soon(store.claim_job(Uuid::new_v4(), LEASE, &[])).await.unwrap().unwrap();
    assert_ne!(claimed.id.0, locked);
    assert_eq!(soon(store.claim_job(Uuid::new_v4(), LEASE, &[])).await.unwrap(), None);
    client.batch_execute("COMMIT").await.unwrap();
    let claimed = soon(store.claim_job(Uuid::new_v4(), LEASE, &[])).await.unwrap().unwrap();
    assert_eq!(claimed.id.0, locked);
    drop(client);
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn bot_is_not_called_to_the_same_room_while_a_claim_is_under_way() {
    let (_, url) = database();
    let store = open(&url).await;
    busy_rooms(&store, 1, 3).await;
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute("BEGIN").await.unwrap();
    let claim = "SELECT claim_job(gen_random_uuid(), 600000, '{}')";
    let under_way: Uuid = client.query_one(claim, &[]).await.unwrap().get(0);

    let other = soon(store.claim_job(Uuid::new_v4(), LEASE, &[])).await.unwrap().unwrap();
    let bot = "SELECT bot FROM bot_jobs WHERE id = $1";
    let busy: Uuid = client.query_one(bot, &[&under_way]).await.unwrap().get(0);
    assert_ne!(other.bot.user.id.0, busy, "both would hold a job of the same bot");
    assert_eq!(soon(store.claim_job(Uuid::new_v4(), LEASE, &[])).await.unwrap(), None);
    client.batch_execute("ROLLBACK").await.unwrap();
    let again = soon(store.claim_job(Uuid::new_v4(), LEASE, &[])).await.unwrap().unwrap();
    assert_eq!((again.id.0, again.bot.user.id.0), (under_way, busy));
    drop(client);
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn job_that_belongs_to_nothing_any_more_holds_nobody_up() {
    let (name, url) = database();
    let store = open(&url).await;
    let rooms = busy_rooms(&store, 2, 1).await;
    let gone = rooms[0].0;
    // As in the moment after a room was deleted, while its log is still being removed.
    server().sql(&name, &format!("DELETE FROM messages WHERE room = '{gone}'"));
    server().sql(&name, &format!("DELETE FROM rooms WHERE id = '{gone}'"));

    let mut claimed = Vec::new();
    while let Some(job) = soon(store.claim_job(Uuid::new_v4(), LEASE, &[])).await.unwrap() {
        claimed.push(job.room);
    }

    assert_eq!(claimed, [rooms[1], rooms[1]]);
}

#[tokio::test]
async fn reply_ends_even_if_the_model_writes_what_cannot_be_stored() {
    let (_, url) = database();
    let store = open(&url).await;
    let rooms = busy_rooms(&store, 1, 1).await;
    let job = store.claim_job(Uuid::new_v4(), LEASE, &[]).await.unwrap().unwrap();
    let text = "so \0 far".to_owned();

    store.checkpoint_reply(job.id, job.generation, 1, text.clone(), LEASE).await.unwrap();
    let ending = end(&job, &text);
    let ended = store.append(vec![ending.clone()]).await.unwrap();
    let repeated = store.append(vec![ending]).await.unwrap();

    assert!(matches!(&ended[0], Ok(Appended::New { events, .. }) if events.len() == 2));
    assert!(matches!(repeated[0], Ok(Appended::Repeat { .. })));
    let replies = store.list_replies(rooms[0], job.trigger.id).await.unwrap();
    assert_eq!(replies[0].body, "so \u{fffd} far");
}
