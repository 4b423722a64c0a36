//! The journeys in a cluster mean something only when clients get around in it.

use std::collections::BTreeSet;

use crate::{MACHINE, stage::Place};

/// What a broker counts for each call of the test.
const CALLS: &[&str] = &["parlor_http_requests_total", "\"/v1/users/me\""];

#[tokio::test]
async fn each_connection_and_each_call_lands_on_another_broker() {
    let _shared = MACHINE.read().await;
    let stage = Place::Cluster.start().await;
    let ada = stage.register("ada").await;
    let before = stage.counts(CALLS).await;

    for _ in 0..before.len() {
        ada.http.me().await.unwrap();
    }
    let after = stage.counts(CALLS).await;
    let mut nodes = BTreeSet::new();
    for _ in 0..before.len() {
        nodes.insert(ada.socket().await.welcome().node.clone());
    }

    assert_eq!(before.len(), 3);
    assert_eq!(nodes.len(), 3, "{nodes:?}");
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(after - before, 1, "one call each");
    }
}
