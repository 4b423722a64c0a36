//! NATS is gone: writing goes on, and what it would have told comes from the store.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{
    MACHINE, delay_bound,
    scene::{Cast, Scene},
    soak,
};

/// After so long every node has noticed.
const NOTICED: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writing_and_delivery_go_on_without_nats() {
    let _alone = MACHINE.lock().await;
    let scene = Scene::begin(Cast::writing("nats-away"), |builder| builder).await;
    let outage = if soak().is_some() { Duration::from_mins(1) } else { Duration::from_secs(8) };
    let begun = Instant::now();
    scene.more(100, Duration::from_secs(20)).await;
    let usual = scene.p99(begun, Instant::now());

    scene.cluster.nats.stop().await;
    sleep(NOTICED).await;
    let (before, from) = (scene.acknowledged(), Instant::now());
    sleep(outage).await;
    let (written, to) = (scene.acknowledged() - before, Instant::now());
    let p99 = scene.p99(from, to);
    scene.cluster.nats.restart().await;
    let healed_at = Instant::now();
    scene.more(50, Duration::from_secs(20)).await;

    crate::tell(&format!(
        "without NATS: {written} written in {outage:?}, delivery p99 {p99:?}, before {usual:?}"
    ));
    assert_eq!(scene.put_off(), 0, "writing does not need NATS");
    assert!(written > 0, "nothing was written in {outage:?}");
    assert!(p99 <= delay_bound(usual), "the slowest deliveries took {p99:?}, before {usual:?}");
    scene.end(healed_at).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_broker_told_nobody_before_it_died_is_delivered() {
    let _alone = MACHINE.lock().await;
    let mut scene = Scene::begin(Cast::writing("untold"), |builder| builder).await;
    scene.more(50, Duration::from_secs(20)).await;

    // It goes on to commit, but what it tells reaches nobody.
    let nats = scene.cluster.brokers[0].links.nats.as_ref().unwrap();
    nats.set_mode(parlor_testkit::tcp_proxy::Mode::BlackHole);
    scene.more(50, Duration::from_secs(20)).await;
    scene.cluster.brokers[0].process.kill().await;
    let died_at = Instant::now();
    scene.more(50, Duration::from_secs(20)).await;
    let nats = scene.cluster.brokers[0].links.nats.as_ref().unwrap();
    nats.set_mode(parlor_testkit::tcp_proxy::Mode::Pass);
    nats.reset_all();
    scene.cluster.brokers[0].process.restart().await;

    scene.end(died_at).await;
}
