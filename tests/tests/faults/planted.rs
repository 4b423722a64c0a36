//! The check of the promises sees when one is broken: every planted bug is found by a short run.
//!
//! Needs a binary with the bugs: `make soak` builds it and names it in `PARLOR_PLANTED_BIN`.

use std::{path::PathBuf, time::Duration};

use parlor_testkit::{
    cluster::{ClusterBuilder, Node},
    fake_llm::Script,
    history::Violation,
    tcp_proxy::{Direction, Mode, TcpProxy},
};
use tokio::time::{Instant, sleep};

use crate::{
    MACHINE,
    actor::Habits,
    scene::{Cast, Scene},
    stage::LEASE,
    tell,
};

/// How long each bug may show.
const TIME: Duration = Duration::from_secs(8);
/// How long the end waits for what will never come.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is done to a cluster for a bug to show.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    /// Nothing.
    None,
    /// Connections of clients are reset, so that answers are lost.
    LostAnswers,
    /// What one broker tells the others is lost.
    LostHints,
    /// A worker sleeps for longer than its lease while it writes.
    SleepingWorker,
}

fn binary() -> PathBuf {
    let named = std::env::var_os("PARLOR_PLANTED_BIN").map(PathBuf::from);
    let path = named.expect("PARLOR_PLANTED_BIN names a binary with bugs; `make soak` makes one");
    assert!(path.is_file(), "{} is missing; `make soak` makes it", path.display());
    path
}

/// Runs a cluster with a bug and returns what was found.
async fn found(bug: &str, trouble: Trouble) -> Vec<Violation> {
    let _alone = MACHINE.lock().await;
    let calls = matches!(trouble, Trouble::SleepingWorker);
    let habits = || if calls { Habits::calling() } else { Habits::restless() };
    let cast = Cast {
        name: format!("planted-{bug}"),
        seed: 7,
        rooms: if calls { 1 } else { 2 },
        members: if calls { 1 } else { 4 },
        of_members: habits(),
        of_owners: if calls { Habits::reading() } else { Habits::of_owner() },
        owners_kick: true,
        checks_presence: false,
    };
    let build = |builder: ClusterBuilder| {
        builder.binary(&binary()).env("PARLOR_PLANTED_BUG", bug).env("RUST_LOG", "info")
    };
    let scene = Scene::begin(cast, build).await;
    match trouble {
        Trouble::None => sleep(TIME).await,
        Trouble::LostAnswers => lose_answers(&scene).await,
        Trouble::LostHints => lose_hints(&scene).await,
        Trouble::SleepingWorker => put_to_sleep(&scene).await,
    }
    // Nobody needs the history of what had to fail.
    scene.journal.held();
    let verdict = scene.verdict(Instant::now(), PATIENCE).await;
    let violations = verdict.err().unwrap_or_default();
    let first = violations.first().map(ToString::to_string).unwrap_or_default();
    tell(&format!("{bug}: {} violations, such as {first}", violations.len()));
    violations
}

async fn lose_answers(scene: &Scene) {
    let until = Instant::now() + TIME;
    while Instant::now() < until {
        for node in &scene.cluster.brokers {
            let clients = node.links.clients.as_ref().unwrap();
            // Messages go through, answers do not.
            clients.set_mode_for(Direction::ToClient, Mode::BlackHole);
            sleep(Duration::from_millis(150)).await;
            clients.set_mode(Mode::Pass);
            clients.reset_all();
        }
        sleep(Duration::from_millis(300)).await;
    }
}

async fn lose_hints(scene: &Scene) {
    let until = Instant::now() + TIME;
    let nats = scene.cluster.brokers[0].links.nats.as_ref().unwrap();
    while Instant::now() < until {
        nats.set_mode_for(Direction::ToClient, Mode::BlackHole);
        sleep(Duration::from_millis(700)).await;
        nats.set_mode(Mode::Pass);
        nats.reset_all();
        sleep(Duration::from_millis(500)).await;
    }
    // The last that is told is lost, too.
    nats.set_mode_for(Direction::ToClient, Mode::BlackHole);
    sleep(Duration::from_secs(2)).await;
}

async fn put_to_sleep(scene: &Scene) {
    scene.llm.set_script(Script::counting(30).with_delay(Duration::from_millis(80)));
    for _ in 0..2 {
        let worker = busy_worker(scene).await;
        worker.process.pause();
        sleep(LEASE + Duration::from_secs(5)).await;
        worker.process.resume();
        sleep(Duration::from_secs(3)).await;
    }
    scene.llm.set_script(crate::stage::healthy());
}

/// Waits until a reply begins and returns the worker that writes it.
async fn busy_worker(scene: &Scene) -> &Node {
    scene.llm.wait_open(0).await;
    let links = || scene.cluster.workers.iter().map(|node| node.links.model.as_ref().unwrap());
    // Whoever asks next needs a new connection.
    links().for_each(TcpProxy::cut_all);
    let before: Vec<_> = links().map(TcpProxy::accepted).collect();
    scene.llm.wait_open(1).await;
    let asked = links().zip(before).position(|(link, before)| link.accepted() > before);
    sleep(Duration::from_millis(300)).await;
    &scene.cluster.workers[asked.expect("a worker has asked")]
}

/// One test for each bug, which must be found by one of these violations.
macro_rules! planted {
    ($($test:ident: $bug:literal, $trouble:ident, [$($violation:pat),+];)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            let violations = found($bug, Trouble::$trouble).await;
            let is_wanted = |violation: &Violation| match violation {
                $($violation => true,)+
                _ => false,
            };
            assert!(violations.iter().any(is_wanted), "not found: {violations:?}");
        }
    )*};
}

planted! {
    acknowledgement_without_commit_is_found:
        "acknowledged-without-commit", None, [Violation::Lost { .. }];
    repeat_that_is_answered_elsewhere_is_found:
        "repeat-answered-elsewhere", LostAnswers,
        [Violation::Lost { .. }, Violation::AnswersDiffer(_)];
    ignored_fence_is_found:
        "fence-ignored", SleepingWorker, [Violation::Endings { count: 2.., .. }];
    redaction_that_keeps_events_is_found:
        "redaction-keeps-events", None, [Violation::RedactedText { .. }];
    ring_that_keeps_redacted_text_is_found:
        "ring-keeps-redacted-text", None, [Violation::RedactedText { .. }];
    refusal_of_what_is_stored_is_found:
        "stored-but-refused", None, [Violation::RefusedButStored { .. }];
    ignored_hole_is_found:
        "hole-ignored", LostHints, [Violation::NotNext { .. }];
    resume_that_skips_one_is_found:
        "resume-skips-one", None, [Violation::NotNext { .. }];
    delivery_after_removal_is_found:
        "told-after-removal", None, [Violation::ToldAfterRemoval { .. }];
    tail_that_nobody_follows_is_found:
        "tail-not-followed", LostHints,
        [Violation::Behind { .. }, Violation::SlowToConverge { .. }];
    text_in_a_log_is_found:
        "text-in-log", None, [Violation::Leaked { .. }];
    history_that_is_stale_is_found:
        "stale-history", None, [Violation::NotReadable { .. }];
    prompt_with_texts_of_other_rooms_is_found:
        "prompt-of-all-rooms", None, [Violation::Leaked { .. }];
}

/// The same run without a bug finds nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_found_without_a_bug() {
    for trouble in [Trouble::None, Trouble::LostAnswers, Trouble::LostHints] {
        assert_eq!(found("none", trouble).await, []);
    }
    assert_eq!(found("none", Trouble::SleepingWorker).await, []);
}
