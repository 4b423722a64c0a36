//! The primary is lost for good and a standby takes its place.

use std::{net::SocketAddr, sync::atomic::Ordering, time::Duration};

use parlor_testkit::{cluster::Cluster, history::Violation};
use tokio::time::{Instant, sleep};

use crate::{
    MACHINE,
    actor::Habits,
    scene::{Cast, Scene},
    tell,
};

/// Writing goes on so long after the promotion.
const HEALS: Duration = Duration::from_secs(15);

fn cast(name: &str) -> Cast {
    let habits = || Habits::writing(20..60).that_expect_a_resync();
    Cast { of_members: habits(), of_owners: habits(), ..Cast::writing(name) }
}

/// Sends every node to another Postgres.
fn redirect(cluster: &Cluster, port: u16) {
    for node in cluster.nodes() {
        let link = node.links.postgres.as_ref().unwrap();
        link.set_upstream(SocketAddr::from(([127, 0, 0, 1], port)));
        link.reset_all();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promotion_of_a_synchronous_standby_loses_nothing() {
    let _alone = MACHINE.lock().await;
    let scene = Scene::begin(cast("promotion-sync"), |builder| builder).await;
    let standby = scene.cluster.postgres.standby(true).await;
    scene.more(100, Duration::from_secs(30)).await;

    scene.cluster.postgres.kill().await;
    standby.promote().await;
    redirect(&scene.cluster, standby.port());
    let took = scene.more(50, HEALS).await;

    tell(&format!("writing went on {took:?} after the promotion"));
    scene.end(Instant::now()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loss_by_promotion_of_a_standby_that_was_behind_is_told_to_everyone() {
    let _alone = MACHINE.lock().await;
    let scene = Scene::begin(cast("promotion-async"), |builder| builder).await;
    let standby = scene.cluster.postgres.standby(false).await;
    scene.more(100, Duration::from_secs(30)).await;

    standby.stop_following().await;
    scene.more(100, Duration::from_secs(30)).await;
    scene.cluster.postgres.kill().await;
    standby.promote().await;
    redirect(&scene.cluster, standby.port());
    scene.more(50, HEALS).await;
    sleep(Duration::from_secs(3)).await;

    let told = scene.counts.resyncs.load(Ordering::Relaxed);
    assert!(told >= scene.places.len(), "{told} of {} were told", scene.places.len());
    let violations = scene.verdict(Instant::now(), HEALS).await.err().unwrap_or_default();
    let lost = violations.iter().filter(|found| matches!(found, Violation::Lost { .. })).count();
    assert!(lost > 0, "the standby was not behind");
    // What was lost was delivered, and its positions now hold something else. Nothing but that.
    let others: Vec<_> = violations
        .iter()
        .filter(|found| {
            !matches!(
                found,
                Violation::Lost { .. }
                    | Violation::Disagree { .. }
                    | Violation::OutOfRealTime { .. }
                    | Violation::ListedElsewhere { .. }
            )
        })
        .collect();
    assert!(others.is_empty(), "{others:?}");
}
