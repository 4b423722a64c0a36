//! Writers whose connections are ended under them, again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parlor_protocol::event::Event;
use parlor_protocol::id::MessageId;
use parlor_store::{
    Append, Appended, Intent, Log as _, PostgresOptions, PostgresStore, StoreError,
};
use parlor_testkit::services::Postgres;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::writers::{Town, check_log, event_of, message, message_of, publish, renamed, repeated};
use super::{at, options, soon};

/// By so much each pause is longer than the one before, so that a slow machine gets through, too.
const SLOWING: Duration = Duration::from_millis(5);
/// For so long an append is tried.
const PATIENCE: Duration = Duration::from_secs(30);

async fn patient(server: &Postgres) -> Arc<PostgresStore> {
    let options = PostgresOptions { append_deadline: PATIENCE, ..options(&server.url()) };
    Arc::new(PostgresStore::open(options).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_do_not_notice_that_their_connections_were_ended() {
    let server = Postgres::start().await;
    let nodes = [patient(&server).await, patient(&server).await];
    let town = Arc::new(Town::build(&nodes[0], 2).await);
    let n_cut = Arc::new(AtomicUsize::new(0));
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        let (store, town) = (Arc::clone(&nodes[writer % 2]), Arc::clone(&town));
        let n_cut = Arc::clone(&n_cut);
        writers.spawn(async move {
            let mut acknowledged = Vec::new();
            for n in 0_usize.. {
                // However fast the machine is, connections are ended meanwhile.
                if n >= 150 && n_cut.load(Ordering::Relaxed) > 10 {
                    break;
                }
                let room = town.rooms[n % 2];
                // Half of them have no id of the client's: their own id has to do.
                let client_id = (n % 4 < 2).then(|| format!("{writer} {n}"));
                let batch = vec![
                    publish(room, town.ada, message(client_id, "hello")),
                    publish(room, town.bob, message(None, "hello")),
                ];
                let ids = batch.iter().map(|append| match &append.intent {
                    Intent::Publish(message) => message.id,
                    _ => unreachable!(),
                });
                let ids: Vec<MessageId> = ids.collect();
                let answers = soon(repeated(&store, batch)).await;
                assert_eq!(answers.len(), 2);
                for (id, answer) in ids.into_iter().zip(&answers) {
                    assert_eq!(message_of(event_of(answer)), id);
                    acknowledged.push((room, id, event_of(answer).seq));
                }
            }
            acknowledged
        });
    }

    let mut acknowledged = Vec::new();
    let mut pause = Duration::from_millis(60);
    while !writers.is_empty() {
        n_cut.fetch_add(server.cut_connections(), Ordering::Relaxed);
        sleep(pause).await;
        pause += SLOWING;
        while let Some(done) = writers.try_join_next() {
            acknowledged.extend(done.unwrap());
        }
    }

    assert!(acknowledged.len() >= 4 * 150 * 2, "{}", acknowledged.len());
    let mut n_messages = 0;
    for room in &town.rooms {
        let positions = check_log(&nodes[0], *room).await;
        n_messages += positions.len();
        for (_, message, seq) in acknowledged.iter().filter(|(of, ..)| of == room) {
            assert_eq!(positions.get(message), Some(seq));
        }
    }
    assert_eq!(n_messages, acknowledged.len(), "nothing is there that was not asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_idempotent_is_done_once_while_connections_are_ended() {
    let server = Postgres::start().await;
    let store = patient(&server).await;
    let town = Arc::new(Town::build(&store, 1).await);
    let room = town.rooms[0];
    let about = message(None, "about");
    let id = about.id;
    store.append(vec![publish(room, town.ada, about)]).await.unwrap();
    let before = store.find_head(room).await.unwrap().unwrap().seq;
    let n_cut = Arc::new(AtomicUsize::new(0));
    let writer = {
        let (store, town, n_cut) = (Arc::clone(&store), Arc::clone(&town), Arc::clone(&n_cut));
        tokio::spawn(async move {
            let mut told: Vec<Event> = Vec::new();
            for n in 0_usize.. {
                // However fast the machine is, connections are ended meanwhile.
                if n >= 200 && n_cut.load(Ordering::Relaxed) > 10 {
                    break;
                }
                // Done twice, each of these would add another event or be refused.
                let intents = [
                    Intent::React { message: id, emoji: "👍".to_owned(), add: n % 2 == 0 },
                    renamed(&format!("name {n}")),
                    Intent::Kick { user: town.bob, reason: None },
                    Intent::Invite { user: town.bob },
                ];
                let wish = |intent| Append { room, actor: town.ada, at: at(), intent };
                let batch: Vec<Append> = intents.map(wish).into();
                let answers = loop {
                    match soon(store.append(batch.clone())).await {
                        Ok(answers) => break answers,
                        // Nothing was kept, as it says.
                        Err(StoreError::Unavailable(_)) => {}
                        Err(other) => panic!("{other:?}"),
                    }
                };
                for answer in answers {
                    match answer {
                        Ok(Appended::New { events, .. }) => told.extend(events),
                        other => panic!("done twice or not at all: {other:?}"),
                    }
                }
            }
            told
        })
    };

    let mut pause = Duration::from_millis(40);
    while !writer.is_finished() {
        n_cut.fetch_add(server.cut_connections(), Ordering::Relaxed);
        sleep(pause).await;
        pause += SLOWING;
    }

    let told = writer.await.unwrap();
    assert!(told.len() >= 800, "{}", told.len());
    let stored = store.read_events(room, before, 1_000_000).await.unwrap();
    assert_eq!(stored.len(), told.len());
    for (stored, told) in stored.iter().zip(&told) {
        assert_eq!((stored.seq, stored.body.kind()), (told.seq, told.body.kind()));
    }
}
