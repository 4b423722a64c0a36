//! The order of the log, idempotency, batches, and reading.

use std::collections::HashMap;

use parlor_protocol::event::EventBody;
use parlor_protocol::id::MessageId;

use super::Factory;
use super::world::{World, assert_dense, text_as};
use crate::append::{Appended, Intent};

/// 16 tasks write to one room, and every twentieth message is sent twice from two tasks: the log is
/// 1, 2, 3 … and both senders of a message get the same answer.
pub async fn seq_is_dense_under_concurrent_writers_and_repeats(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;

    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..16_u32 {
        let store = world.shared();
        let wishes: Vec<_> = (0..40_u32)
            .map(|n| {
                // Each twentieth is that of the next task, too.
                let author = if n % 20 == 0 { task / 2 * 2 } else { task };
                let message = text_as(&format!("{author}-{n}"), &format!("from {task}"));
                world.wish(room, &ada, Intent::Publish(message))
            })
            .collect();
        tasks.spawn(async move {
            let mut answers = Vec::new();
            for wish in wishes {
                answers.extend(store.append(vec![wish]).await.unwrap());
            }
            answers
        });
    }
    let mut seqs: HashMap<Option<String>, (u64, MessageId)> = HashMap::new();
    let (mut new, mut repeats) = (0, 0);
    while let Some(answers) = tasks.join_next().await {
        for answer in answers.unwrap() {
            let event = match answer.unwrap() {
                Appended::New { mut events, .. } => {
                    new += 1;
                    events.remove(0)
                }
                Appended::Repeat { event } => {
                    repeats += 1;
                    event
                }
                Appended::Unchanged => panic!("a message is never unchanged"),
            };
            let EventBody::MessageCreated(message) = event.body else {
                panic!("not a message");
            };
            let first = seqs.entry(message.client_id.clone()).or_insert((event.seq, message.id));
            assert_eq!(*first, (event.seq, message.id), "two answers to one message");
        }
    }

    assert_eq!((new, repeats), (16 * 40 - 16, 16));
    let events = world.events(room).await;
    assert_dense(&events, 1);
    assert_eq!(events.len(), 2 + new, "the room, its owner and the messages");
    assert_eq!(world.messages(room).await.len(), new);
}
