//! A server that is asked to stop tells everyone, spreads them, and loses nothing.

use std::{sync::Arc, time::Duration};

use parlor_protocol::{close::CloseCode, frame::Frame};
use parlor_testkit::{
    fake_llm::{FakeLlm, Script},
    process::{Parlor, draft, raise_descriptor_limit},
    socket::{Options, Socket},
};
use tokio::{task::JoinSet, time::Instant};

mod writer;

use writer::{Fate, Progress, Writer};

use crate::{
    MACHINE,
    follow::{Follower, Seen, SharedHistory, settle, shared_history},
    stage::{Place, in_both_places},
    until,
};

in_both_places! {
    reply_that_is_being_written_is_finished_or_goes_on_after_the_start,
}

const USERS: usize = 20;
const CONNECTIONS_EACH: usize = 25;
/// Writers in a cluster, each with one connection.
const IN_CLUSTER: usize = 30;
const WINDOW: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_writers_are_told_spread_and_lose_nothing() {
    let _alone = MACHINE.write().await;
    raise_descriptor_limit();
    let mut server = Parlor::builder()
        .env("PARLOR_LIFECYCLE__DRAIN", "5s")
        .env("PARLOR_LIMITS__REPLAY_EVENTS", "1000000")
        .start()
        .await;
    let history = shared_history();
    let room = server.register("owner").await.http.room("general").await.unwrap().id.to_string();
    let mut fates = JoinSet::new();
    let mut users = Vec::new();
    let progress = Arc::new(Progress::default());
    for number in 0..USERS {
        let user = server.register(&format!("writer-{number}")).await;
        for _ in 0..CONNECTIONS_EACH {
            fates.spawn(Writer::open(&user, &room, &history, &progress).await.write());
        }
        users.push(user);
    }
    progress.reaches(2 * USERS * CONNECTIONS_EACH).await;

    let asked = Instant::now();
    let status = server.terminate().await;
    let took = asked.elapsed();
    let fates = fates.join_all().await;

    assert_eq!(status.code(), Some(0));
    assert!(took < WINDOW * 8, "it took {took:?}");
    assert_eq!(fates.len(), USERS * CONNECTIONS_EACH);
    assert_told_and_spread(&fates, asked);
    server.restart().await;
    repeat_open(&fates, &history).await;
    let summary = settle(history, &users[0], "general").await;
    assert!(summary.acknowledged >= 2 * USERS * CONNECTIONS_EACH, "{summary:?}");
}

fn assert_told_and_spread(fates: &[Fate], asked: Instant) {
    let (mut pauses, mut told) = (Vec::new(), Vec::new());
    for fate in fates {
        assert_eq!(fate.code(), Some(CloseCode::Draining.as_u16()), "{:?}", fate.ended);
        told.extend(fate.told_at.map(|at| at.saturating_duration_since(asked)));
        pauses.push(fate.reconnect_in_ms.expect("everyone is told when to come back"));
    }
    told.sort_unstable();
    let median = told[told.len() / 2];
    assert!(median < WINDOW, "half of them were told only after {median:?}");
    pauses.sort_unstable();
    let at = |share: usize| pauses[(pauses.len() - 1) * share / 100];
    let spread = at(95) - at(5);
    assert!(spread >= 2_000, "from {} to {} ms for all but a tenth", at(5), at(95));
    // No tenth of the time has much more than its share of those who come back.
    let slice = (at(100) - at(0)) / 10 + 1;
    for start in (at(0)..=at(100)).step_by(usize::try_from(slice).unwrap()) {
        let crowd = pauses.iter().filter(|&&pause| (start..start + slice).contains(&pause)).count();
        assert!(crowd <= fates.len() / 4, "{crowd} come back within {slice} ms");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_on_a_broker_that_drains_find_another_and_the_rest_notice_nothing() {
    let _alone = MACHINE.write().await;
    let mut stage = Place::Cluster
        .builder()
        .env("PARLOR_LIFECYCLE__DRAIN", "2s")
        .env("PARLOR_LIMITS__REPLAY_EVENTS", "1000000")
        .start()
        .await;
    let history = shared_history();
    let owner = stage.register("owner").await;
    let room = owner.http.room("general").await.unwrap().id.to_string();
    let progress = Arc::new(Progress::default());
    let mut fates = JoinSet::new();
    for number in 0..IN_CLUSTER {
        let user = stage.register(&format!("writer-{number}")).await;
        fates.spawn(Writer::open(&user, &room, &history, &progress).await.write());
    }
    progress.reaches(2 * IN_CLUSTER).await;

    for status in stage.terminate().await {
        assert_eq!(status.code(), Some(0));
    }
    progress.reaches(progress.written() + IN_CLUSTER).await;
    progress.end();
    let (told, rest): (Vec<_>, Vec<_>) =
        fates.join_all().await.into_iter().partition(|fate| fate.ended.is_some());

    assert!(!told.is_empty() && rest.len() > IN_CLUSTER / 3, "{} were told", told.len());
    for fate in &told {
        assert_eq!(fate.code(), Some(CloseCode::Draining.as_u16()), "{:?}", fate.ended);
        assert!(fate.reconnect_in_ms.is_some(), "everyone is told when to come back");
    }
    for fate in &rest {
        assert!(fate.told_at.is_none() && fate.open.is_empty(), "the others go on");
    }
    repeat_open(&told, &history).await;
    for fate in &told {
        fate.user.socket().await.subscribe("general", None).await.unwrap();
    }
    stage.restart().await;
    settle(history, &owner, "general").await;
}

/// Sends what was not answered once more.
async fn repeat_open(fates: &[Fate], history: &SharedHistory) {
    for fate in fates {
        for (client_id, body) in &fate.open {
            let again =
                fate.user.http.publish("general", &draft(body, Some(client_id))).await.unwrap();
            history.lock().unwrap().acknowledged_at(client_id, again.seq, again.id);
        }
    }
}

#[tokio::test]
async fn server_that_drains_is_not_ready_and_takes_no_new_connections() {
    let _shared = MACHINE.read().await;
    let mut server = Parlor::builder().env("PARLOR_LIFECYCLE__PRE_STOP", "8s").start().await;
    let ada = server.register("ada").await;
    let (mut socket, token) = (ada.socket().await, ada.token().await);

    server.ask_to_stop();
    let http = server.http();
    let not_ready = async || http.readyz().await.is_ok_and(|readiness| !readiness.ready);
    until("the server is not ready", Duration::from_secs(8), not_ready).await;

    let late = Socket::try_open(server.addr(), &token, &Options::default()).await;
    assert!(late.is_err(), "a node that goes away takes nobody in");
    socket.publish("general", "late", "those who are there go on").await.unwrap();
    let (frames, ended) = socket.read_to_end().await;
    assert!(frames.iter().any(|frame| matches!(frame, Frame::Drain(_))), "{frames:?}");
    assert_eq!(ended.code(), Some(CloseCode::Draining.as_u16()));
    assert_eq!(server.wait(Duration::from_secs(30)).await.code(), Some(0));
}

#[tokio::test]
async fn second_request_to_stop_ends_at_once() {
    let _shared = MACHINE.read().await;
    let mut server = Parlor::builder()
        .env("PARLOR_LIFECYCLE__PRE_STOP", "20s")
        .env("PARLOR_LIFECYCLE__DRAIN", "20s")
        .env("PARLOR_LIFECYCLE__ABORT_AFTER", "50s")
        .start()
        .await;
    let ada = server.register("ada").await;
    let mut sockets = Vec::new();
    for _ in 0..20 {
        sockets.push(ada.socket().await);
    }
    let accepted = sockets[0].publish("general", "kept", "kept").await.unwrap();

    server.ask_to_stop();
    let http = server.http();
    let not_ready = async || !http.readyz().await.is_ok_and(|readiness| readiness.ready);
    until("the first request was heard", Duration::from_secs(5), not_ready).await;
    let asked = Instant::now();
    server.ask_to_stop();
    let status = server.wait(Duration::from_secs(20)).await;

    assert!(asked.elapsed() < Duration::from_secs(15), "it took {:?}", asked.elapsed());
    assert!(status.code().is_some(), "it ended by itself: {status:?}");
    server.restart().await;
    let last = ada.history("general").await.pop().unwrap();
    assert_eq!((Some(last.seq), last.body.as_str()), (accepted.seq, "kept"));
}

async fn reply_that_is_being_written_is_finished_or_goes_on_after_the_start(place: Place) {
    let _shared = MACHINE.read().await;
    let llm = FakeLlm::start().await;
    let script = Script::counting(150).with_delay(Duration::from_millis(20));
    llm.set_script(script.clone());
    let mut stage = place.builder().model(&llm).env("PARLOR_LIFECYCLE__DRAIN", "1s").start().await;
    let ada = stage.register("ada").await;
    let history = shared_history();
    let mut follower = Follower::start(&ada, "general", &history, "ada").await;
    history.lock().unwrap().wrote("call", "@guide count", true);
    follower.socket().publish("general", "call", "@guide count").await.unwrap();
    follower.piece(5).await;

    for status in stage.terminate().await {
        assert_eq!(status.code(), Some(0));
    }
    while !matches!(follower.next().await, Seen::Ended(_)) {}
    stage.restart().await;
    follower.connect().await.unwrap();
    let (_, completed) = follower.reply_ends().await;

    assert_eq!(completed.body, script.text());
    settle(history, &ada, "general").await;
}
