//! Postgres is gone for a while: nobody loses a connection or anything that was acknowledged.

use std::time::Duration;

use parlor_client::ClientError;
use parlor_protocol::code::Code;
use parlor_testkit::process::draft;
use tokio::time::{Instant, sleep};

use crate::{
    MACHINE,
    scene::{Cast, Scene},
    until,
};

/// All is well so long after Postgres is back.
const HEALS: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_of_postgres_costs_no_connection_and_no_acknowledged_message() {
    let _alone = MACHINE.lock().await;
    let scene = Scene::begin(Cast::writing("postgres-away"), |builder| builder).await;
    scene.more(100, Duration::from_secs(20)).await;
    let connections = scene.connections();

    scene.cluster.postgres.kill().await;
    let owner = &scene.owners[0];
    let draft = draft("nobody keeps this", None);
    let (refused, ()) =
        tokio::join!(owner.http.publish(&scene.rooms[0].id, &draft), sleep(Duration::from_secs(3)));
    scene.cluster.postgres.restart().await;
    let healed_at = Instant::now();
    scene.more(50, HEALS).await;

    let Err(ClientError::Problem(problem)) = refused else { panic!("{refused:?}") };
    assert_eq!(problem.code, Code::Unavailable);
    assert!(problem.retry_after_ms.is_some(), "{problem:?} does not say when to try again");
    assert_eq!(scene.connections(), connections, "connections stay");
    for node in scene.cluster.nodes() {
        let left = HEALS.saturating_sub(healed_at.elapsed());
        until(&format!("{} is ready", node.name), left, async || node.is_ready().await).await;
    }
    crate::tell(&format!("healed in {:?}", healed_at.elapsed()));
    let healed_at = Instant::now();
    scene.end(healed_at).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_postgres_ends_cost_nothing() {
    let _alone = MACHINE.lock().await;
    let scene = Scene::begin(Cast::writing("sessions-cut"), |builder| builder).await;
    scene.more(50, Duration::from_secs(20)).await;
    let connections = scene.connections();

    for _ in 0..5 {
        assert!(scene.cluster.postgres.cut_connections() > 0);
        scene.more(50, HEALS).await;
    }

    assert_eq!(scene.connections(), connections, "connections stay");
    scene.end(Instant::now()).await;
}
