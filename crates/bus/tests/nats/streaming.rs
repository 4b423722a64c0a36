//! The text so far of replies that another process writes.

use std::time::{Duration, Instant};

use parlor_bus::Bus;
use parlor_protocol::frame::StreamingReply;
use parlor_protocol::id::MessageId;
use parlor_testkit::services::Nats;

use crate::harness::{Node, until};
use crate::make::{begun, delta, ended, message, room};

fn reply(message: MessageId, turn: u32, chunk: u32, text: &str) -> StreamingReply {
    StreamingReply { message, turn, chunk, text: text.into() }
}

/// Begins a reply and waits until its writer can be asked for it.
async fn begin(writer: &Node, n: u128) -> MessageId {
    let id = message(n);
    writer.bus.publish_events(vec![begun(room(1), 1, id)]);
    // Behind the subscription that the reply brought about.
    writer.bus.list_streaming(room(2)).await;
    id
}

#[tokio::test]
async fn follower_in_the_middle_of_a_reply_gets_the_whole_text() {
    let nats = Nats::start().await;
    let writer = Node::start(&nats).await;
    let reader = Node::start(&nats).await;
    let id = begin(&writer, 7).await;
    for (chunk, text) in [(1, "Guten "), (2, "Tag, ")] {
        writer.bus.publish_signal(delta(room(1), id, 1, chunk, text));
    }

    reader.follow(room(1)).await;
    let replies = reader.bus.list_streaming(room(1)).await;
    assert_eq!(replies, [reply(id, 1, 2, "Guten Tag, ")]);

    // It goes on from there by what is told.
    writer.bus.publish_signal(delta(room(1), id, 1, 3, "Ada."));
    until(async || {
        reader.bus.list_streaming(room(1)).await == [reply(id, 1, 3, "Guten Tag, Ada.")]
    })
    .await;

    writer.bus.publish_events(vec![ended(room(1), 2, id)]);
    until(async || reader.bus.list_streaming(room(1)).await.is_empty()).await;
    // The writer is not asked any more.
    writer.wait_metric("parlor_bus_subscriptions", &[], 0.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_piece_is_lost_or_doubled_however_late_one_joins() {
    let nats = Nats::start().await;
    let writer = Node::start(&nats).await;
    let id = begin(&writer, 7).await;
    let mut readers = Vec::new();
    for n in 0..20_u32 {
        readers.push(Node::start(&nats).await);
        for chunk in n * 10 + 1..=n * 10 + 10 {
            writer.bus.publish_signal(delta(room(1), id, 1, chunk, &format!("{chunk},")));
            if chunk % 10 == 5 {
                let reader = &readers[n as usize];
                reader.follow(room(1)).await;
                assert_eq!(reader.bus.list_streaming(room(1)).await.len(), 1);
            }
        }
    }
    let all = (1..=200).fold(String::new(), |all, chunk| all + &format!("{chunk},"));
    for reader in &mut readers {
        reader.hear_chunk(200).await;
    }
    // From now on they know what they know without asking.
    writer.bus.close().await;
    for reader in &readers {
        assert_eq!(reader.bus.list_streaming(room(1)).await, [reply(id, 1, 200, &all)]);
    }
}

#[tokio::test]
async fn nobody_who_writes_is_known_at_once() {
    let nats = Nats::start().await;
    let reader = Node::start(&nats).await;
    reader.follow(room(1)).await;

    let started = Instant::now();
    // Waiting for an answer would take 15 s together.
    for _ in 0..100 {
        assert!(reader.bus.list_streaming(room(1)).await.is_empty());
    }
    assert!(started.elapsed() < Duration::from_secs(10), "the server says that nobody is there");
}

#[tokio::test]
async fn replies_of_several_writers_are_gathered() {
    let nats = Nats::start().await;
    let writers = [Node::start(&nats).await, Node::start(&nats).await];
    let reader = Node::start(&nats).await;
    for (writer, n) in writers.iter().zip([7_u128, 8]) {
        for n in [n, n + 10] {
            let id = begin(writer, n).await;
            writer.bus.publish_signal(delta(room(1), id, 1, 1, "a"));
        }
    }
    reader.follow(room(1)).await;

    let mut replies = reader.bus.list_streaming(room(1)).await;

    replies.sort_by_key(|reply| reply.message);
    let expected: Vec<_> = [7, 8, 17, 18].map(|n| reply(message(n), 1, 1, "a")).into();
    assert_eq!(replies, expected);
}

#[tokio::test]
async fn text_of_the_worker_that_took_over_replaces_the_other() {
    let nats = Nats::start().await;
    let first = Node::start(&nats).await;
    let second = Node::start(&nats).await;
    let reader = Node::start(&nats).await;
    let id = begin(&first, 7).await;
    first.bus.publish_signal(delta(room(1), id, 1, 1, "overtaken"));
    second.bus.publish_signal(delta(room(1), id, 2, 1, "anew"));
    second.bus.list_streaming(room(2)).await;

    reader.follow(room(1)).await;
    assert_eq!(reader.bus.list_streaming(room(1)).await, [reply(id, 2, 1, "anew")]);

    // Both hear of the end, so nobody tells of the reply any more.
    second.bus.publish_events(vec![ended(room(1), 2, id)]);
    first.wait_metric("parlor_bus_subscriptions", &[], 0.0).await;
    until(async || reader.bus.list_streaming(room(1)).await.is_empty()).await;
}

#[tokio::test]
async fn text_is_forgotten_with_the_last_follower() {
    let nats = Nats::start().await;
    let writer = Node::start(&nats).await;
    let reader = Node::start(&nats).await;
    let id = begin(&writer, 7).await;
    reader.follow(room(1)).await;
    writer.bus.publish_signal(delta(room(1), id, 1, 1, "a"));
    until(async || reader.bus.list_streaming(room(1)).await == [reply(id, 1, 1, "a")]).await;

    reader.unfollow(room(1));
    reader.wait_metric("parlor_bus_subscriptions", &[], 0.0).await;
    nats.kill().await;
    reader.wait_status(parlor_bus::BusStatus::Away).await;

    assert!(reader.bus.list_streaming(room(1)).await.is_empty());
}
