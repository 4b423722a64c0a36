//! Replies end once, whatever happens to the workers that write them.

use std::time::Duration;

use parlor_protocol::{
    event::{Event, EventBody, MessageCompleted},
    frame::Frame,
    id::MessageId,
    message::MessageStatus,
    signal::SignalBody,
};
use parlor_testkit::{
    cluster::Cluster,
    fake_llm::{FakeLlm, Script},
    process::User,
    socket::{Incoming, Socket},
};
use tokio::time::{Instant, sleep};

use crate::{
    MACHINE,
    stage::{self, LEASE},
};

/// A worker's reply is another's so long after the lease has ended.
const TAKE_OVER: Duration = LEASE.saturating_add(Duration::from_secs(5));

struct Call {
    owner: User,
    socket: Socket,
    reply: MessageId,
    /// The worker that writes.
    worker: usize,
}

/// A cluster whose model takes a while for each reply.
async fn slow_talker() -> (FakeLlm, Cluster) {
    let llm = FakeLlm::start().await;
    llm.set_script(Script::counting(40).with_delay(Duration::from_millis(100)));
    let cluster = stage::builder(&llm).start().await;
    (llm, cluster)
}

/// Calls the bot and waits until its reply is under way.
async fn call(cluster: &Cluster) -> Call {
    let owner = cluster.register("owner").await;
    owner.create_room("den", &["guide"]).await;
    let mut socket = owner.through(cluster.addr(0)).socket().await;
    socket.subscribe("den", None).await.unwrap();
    let asked = |worker: usize| cluster.workers[worker].links.model.as_ref().unwrap().accepted();
    let before: Vec<_> = (0..cluster.workers.len()).map(asked).collect();
    socket.publish("den", "call-1", "hello @guide").await.unwrap();
    let reply = loop {
        if let Frame::Signal(signal) = socket.next_frame().await
            && let SignalBody::MessageDelta(delta) = signal.body
            && delta.chunk >= 3
        {
            break delta.message;
        }
    };
    let is_asked = |worker: &usize| asked(*worker) > before[*worker];
    let worker = (0..before.len()).find(is_asked).expect("a worker asked the model");
    Call { owner, socket, reply, worker }
}

/// Reads until the reply has ended.
async fn ended(socket: &mut Socket, patience: Duration) -> MessageCompleted {
    let deadline = Instant::now() + patience;
    loop {
        match socket.next_before(deadline).await {
            Some(Incoming::Frame(frame)) => {
                if let Frame::Event(event) = *frame
                    && let EventBody::MessageCompleted(completed) = event.body
                {
                    return completed;
                }
            }
            other => panic!("no end of the reply within {patience:?}: {other:?}"),
        }
    }
}

/// Makes sure that the log has one reply with one ending.
fn is_one_reply(log: &[Event], reply: MessageId) {
    let begun: Vec<_> = log
        .iter()
        .filter_map(|event| match &event.body {
            EventBody::MessageCreated(message) if message.bot.is_some() => Some(message.id),
            _ => None,
        })
        .collect();
    let is_end = |event: &&Event| matches!(event.body, EventBody::MessageCompleted(_));
    assert_eq!(begun, [reply]);
    assert_eq!(log.iter().filter(is_end).count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_killed_in_midstream_is_replaced_and_the_reply_ends_once() {
    let _alone = MACHINE.lock().await;
    let (_llm, mut cluster) = slow_talker().await;
    let mut call = call(&cluster).await;

    cluster.workers[call.worker].process.kill().await;
    let talk = Duration::from_secs(5);
    let completed = ended(&mut call.socket, TAKE_OVER + talk).await;

    assert_eq!(completed.message, call.reply);
    assert_eq!(completed.status, MessageStatus::Completed);
    assert_eq!(completed.body, Script::counting(40).text());
    is_one_reply(&call.owner.log("den").await, call.reply);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_that_wakes_up_after_its_lease_adds_nothing() {
    let _alone = MACHINE.lock().await;
    let (_llm, cluster) = slow_talker().await;
    let mut call = call(&cluster).await;

    cluster.workers[call.worker].process.pause();
    let talk = Duration::from_secs(5);
    let completed = ended(&mut call.socket, TAKE_OVER + talk).await;
    cluster.workers[call.worker].process.resume();
    sleep(LEASE).await;

    assert_eq!(completed.message, call.reply);
    assert_eq!(completed.status, MessageStatus::Completed);
    is_one_reply(&call.owner.log("den").await, call.reply);
    // It is of use again.
    call.socket.publish("den", "call-2", "hello again @guide").await.unwrap();
    let completed = ended(&mut call.socket, TAKE_OVER + talk).await;
    assert_eq!(completed.status, MessageStatus::Completed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reply_is_stopped_from_another_node() {
    let _alone = MACHINE.lock().await;
    let (_llm, cluster) = slow_talker().await;
    let mut call = call(&cluster).await;

    let elsewhere = call.owner.through(cluster.addr(2));
    elsewhere.http.cancel_reply("den", call.reply).await.unwrap();
    let completed = ended(&mut call.socket, TAKE_OVER).await;

    assert_eq!(completed.message, call.reply);
    assert_eq!(completed.status, MessageStatus::Cancelled);
    assert!(!completed.body.is_empty(), "what was written stays");
    is_one_reply(&call.owner.log("den").await, call.reply);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_that_is_stopped_hands_its_reply_over() {
    let _alone = MACHINE.lock().await;
    let (_llm, mut cluster) = slow_talker().await;
    let mut call = call(&cluster).await;

    // It may take two seconds, and the reply needs four.
    let stopped = cluster.workers[call.worker].process.terminate().await;
    let completed = ended(&mut call.socket, TAKE_OVER + Duration::from_secs(5)).await;

    assert!(stopped.success(), "{stopped}");
    assert_eq!(completed.message, call.reply);
    assert_eq!(completed.status, MessageStatus::Completed);
    is_one_reply(&call.owner.log("den").await, call.reply);
}
