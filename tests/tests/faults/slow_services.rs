//! A service that is slow is not one that is down.

use std::time::Duration;

use parlor_testkit::tcp_proxy::Mode;
use tokio::time::{Instant, sleep};

use crate::{
    MACHINE,
    scene::{Cast, Scene},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_services_make_nothing_fail() {
    let _alone = MACHINE.lock().await;
    let scene = Scene::begin(Cast::writing("slow-services"), |builder| builder).await;
    scene.more(50, Duration::from_secs(20)).await;
    let connections = scene.connections();

    for node in scene.cluster.nodes() {
        for (name, link) in node.links.all() {
            if matches!(name, "postgres" | "nats" | "redis") {
                link.set_mode(Mode::Latency(Duration::from_millis(60)));
            }
        }
    }
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        for node in scene.cluster.nodes() {
            assert!(node.is_ready().await, "{} is not ready", node.name);
        }
        sleep(Duration::from_millis(200)).await;
    }
    scene.more(50, Duration::from_secs(30)).await;
    for node in scene.cluster.nodes() {
        node.links.all().for_each(|(_, link)| link.set_mode(Mode::Pass));
    }

    assert_eq!(scene.put_off(), 0, "nothing is refused");
    assert_eq!(scene.connections(), connections, "connections stay");
    scene.end(Instant::now()).await;
}
