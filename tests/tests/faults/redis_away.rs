//! Redis is gone: chat does not notice.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{
    MACHINE, delay_bound,
    scene::{Cast, Scene},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chat_does_not_need_redis() {
    let _alone = MACHINE.lock().await;
    let scene = Scene::begin(Cast::writing("redis-away"), |builder| builder).await;
    let begun = Instant::now();
    scene.more(50, Duration::from_secs(20)).await;
    let before = scene.p99(begun, Instant::now());
    let connections = scene.connections();

    scene.cluster.redis.kill().await;
    let from = Instant::now();
    sleep(Duration::from_secs(3)).await;
    scene.more(50, Duration::from_secs(20)).await;
    let p99 = scene.p99(from, Instant::now());
    // A new login and a new connection need it no more than the old ones.
    let owner = &scene.owners[0];
    let socket = owner.through(scene.cluster.addr(1)).socket().await;
    drop(socket);
    scene.cluster.redis.restart().await;
    let healed_at = Instant::now();

    crate::tell(&format!("without Redis: delivery p99 {p99:?}, before {before:?}"));
    assert_eq!(scene.put_off(), 0, "writing does not need Redis");
    assert_eq!(scene.connections(), connections, "connections stay");
    assert!(p99 <= delay_bound(before), "the slowest deliveries took {p99:?}, before {before:?}");
    scene.end(healed_at).await;
}
