//! Every broker and every worker is replaced under load, one after the other.

use std::time::Duration;

use parlor_testkit::cluster::Cluster;
use tokio::time::Instant;

use crate::{
    MACHINE,
    scene::{Cast, Scene},
};

/// People who only read.
const READERS: usize = 40;
/// Transactions of Postgres that a client may cost who comes back.
const EACH: u64 = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_restart_loses_and_doubles_nothing_and_makes_no_rush() {
    let _alone = MACHINE.lock().await;
    let mut scene = Scene::begin(Cast::writing("rolling"), |builder| builder).await;
    scene.add_readers(READERS).await;
    scene.more(50, Duration::from_secs(20)).await;
    let (came, cost) = (accepted(&scene.cluster), transactions(&scene.cluster));
    let written = scene.acknowledged();

    let mut moved = 0;
    for number in 0..3 {
        let broker = &mut scene.cluster.brokers[number];
        let clients = broker.links.clients.as_ref().unwrap();
        moved += clients.connections();
        let stopped = broker.process.terminate().await;
        assert!(stopped.success(), "{}: {stopped}", broker.name);
        broker.process.restart().await;
        broker.wait_ready().await;
        scene.more(30, Duration::from_secs(20)).await;
    }
    for worker in &mut scene.cluster.workers {
        let stopped = worker.process.terminate().await;
        assert!(stopped.success(), "{}: {stopped}", worker.name);
        worker.process.restart().await;
        worker.wait_ready().await;
    }
    let healed_at = Instant::now();

    let came = accepted(&scene.cluster) - came;
    let cost = transactions(&scene.cluster) - cost;
    let written = (scene.acknowledged() - written) as u64;
    crate::tell(&format!(
        "{moved} connections moved in {came} attempts, {cost} transactions, {written} written"
    ));
    // A client that meets the next node to go comes back twice.
    assert!(came <= moved * 3, "{moved} connections came back in {came} attempts");
    let bound = written * 3 + moved as u64 * EACH + 3_000;
    assert!(cost <= bound, "{cost} transactions for {moved} clients and {written} messages");
    scene.end(healed_at).await;
}

/// Returns how many connections of clients there were.
fn accepted(cluster: &Cluster) -> usize {
    cluster.brokers.iter().map(|node| node.links.clients.as_ref().unwrap().accepted()).sum()
}

/// Returns how many transactions Postgres has ended.
fn transactions(cluster: &Cluster) -> u64 {
    let counted = "SELECT xact_commit + xact_rollback FROM pg_stat_database \
                   WHERE datname = current_database()";
    cluster.postgres.query(counted).trim().parse().unwrap()
}
