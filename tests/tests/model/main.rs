//! A long random walk of twenty people through thirty rooms, beside a model that is simple enough to
//! be believed. At the end both hold the same: members, unread counts, reactions, threads, pins and
//! what a search finds.
//!
//! `PARLOR_SEED` repeats a walk.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

mod check;
mod deed;
mod room;
mod walk;

use parlor_testkit::{api::Api, cluster::Cluster, process::Parlor};

use crate::walk::Walk;

/// How many deeds one walk has.
const DEEDS: usize = 10_000;
/// The walk that everyone takes; `PARLOR_SEED` names another.
const SEED: u64 = 20_261_121;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_agrees_with_the_model() {
    let server = Parlor::start().await;
    take_a_walk(vec![server.url()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_agrees_with_the_model_whichever_node_is_asked() {
    let cluster = Cluster::builder().brokers(3).workers(1).start().await;
    let nodes = cluster.addrs().iter().map(|addr| format!("http://{addr}")).collect();
    take_a_walk(nodes).await;
}

async fn take_a_walk(nodes: Vec<String>) {
    let seed = seed_of_environment().unwrap_or(SEED);
    let mut walk = Walk::begin(Api::new(nodes), seed).await;
    for number in 1..=DEEDS {
        walk.step(number).await;
        if number.is_multiple_of(DEEDS / 4) {
            check::everything_agrees(&walk).await;
        }
    }
    walk.tell(seed);
}

fn seed_of_environment() -> Option<u64> {
    std::env::var_os("PARLOR_SEED")?.to_str()?.parse().ok()
}
