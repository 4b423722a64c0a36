//! Two nodes that share Redis, and what becomes of them without it.

use std::sync::Arc;
use std::time::Duration;

use parlor_cluster::ClusterStatus;
use parlor_cluster::redis::{ClusterOptions, ClusterState};
use parlor_runtime::Config;
use parlor_testkit::services::Redis;
use prometheus::Registry;
use serde_json::json;
use uuid::Uuid;

use super::api::{Api, PASSWORD};
use crate::harness::TestNode;

/// Two nodes with one store and one Redis.
struct Pair {
    redis: Redis,
    here: TestNode,
    there: TestNode,
}

impl Pair {
    async fn start(change: fn(&mut Config)) -> Self {
        let redis = Redis::start().await;
        let here = node(&redis, None, change).await;
        let there = node(&redis, Some(&here), change).await;
        Self { redis, here, there }
    }

    async fn wait_for(&self, status: ClusterStatus) {
        for node in [&self.here, &self.there] {
            let mut now = node.node().limits.status();
            let waited = tokio::time::timeout(Duration::from_secs(30), async {
                now.wait_for(|now| *now == status).await.map(drop)
            });
            waited.await.unwrap().unwrap();
        }
    }

    async fn stop(self) {
        self.here.stop().await;
        self.there.stop().await;
    }
}

async fn node(redis: &Redis, beside: Option<&TestNode>, change: fn(&mut Config)) -> TestNode {
    let options = ClusterOptions::new(redis.url(), Uuid::new_v4(), [7; 32]);
    let registry = Registry::new();
    let ClusterState { presence, tickets, limits, .. } =
        ClusterState::connect(options, &registry).await.unwrap();
    TestNode::start_as(change, |backends| {
        if let Some(other) = beside {
            backends.store = Arc::clone(other.store());
        }
        backends.presence = presence;
        backends.tickets = tickets;
        backends.limits = limits;
        backends.registry = registry;
    })
    .await
}

fn with_limits(config: &mut Config) {
    config.limits.enabled = true;
    config.limits.login_failures = 4;
    config.limits.register_per_hour = 3;
}

#[tokio::test]
async fn ticket_of_one_node_opens_a_socket_on_the_other_once() {
    let pair = Pair::start(|_| ()).await;
    let ada = Api::register(&pair.here, "ada").await;
    let ticket = ada.post("/v1/auth/ws-ticket", json!({})).await.expect(200);
    let url = format!("{}?ticket={}", pair.there.url(), ticket["ticket"].as_str().unwrap());
    let (socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
    for node in [&pair.here, &pair.there] {
        let url = url.replace(&pair.there.url(), &node.url());
        let spent = tokio_tungstenite::connect_async(url).await.unwrap_err();
        assert!(spent.to_string().contains("401"), "{spent}");
    }
    drop(socket);
    pair.stop().await;
}

#[tokio::test]
async fn presence_on_one_node_is_seen_on_the_other() {
    let pair = Pair::start(|_| ()).await;
    let ada = Api::register(&pair.here, "ada").await;
    let socket = ada.connect(&pair.here).await;
    let bob = Api::register(&pair.there, "bob").await;
    let seen = bob.get("/v1/users/ada/presence").await.expect(200);
    assert_eq!((&seen["status"], &seen["connections"]), (&json!("online"), &json!(1)));
    drop(socket);
    pair.stop().await;
}

#[tokio::test]
async fn guesses_and_registrations_are_counted_on_all_nodes_together() {
    let pair = Pair::start(with_limits).await;
    Api::register(&pair.here, "ada").await;
    let (here, there) = (Api::anonymous(&pair.here), Api::anonymous(&pair.there));
    let wrong = json!({"username": "ada", "password": "not the password"});
    for _ in 0..2 {
        here.post("/v1/auth/token", wrong.clone()).await.refused("unauthenticated");
        there.post("/v1/auth/token", wrong.clone()).await.refused("unauthenticated");
    }
    here.post("/v1/auth/token", wrong.clone()).await.refused("rate_limited");
    there.post("/v1/auth/token", wrong).await.refused("rate_limited");

    Api::register(&pair.here, "bob").await;
    Api::register(&pair.there, "eve").await;
    let account = json!({"username": "mallory", "password": PASSWORD});
    here.post("/v1/auth/register", account.clone()).await.refused("rate_limited");
    there.post("/v1/auth/register", account).await.refused("rate_limited");
    pair.stop().await;
}

#[tokio::test]
async fn without_redis_chat_goes_on_and_passwords_are_not_taken() {
    let pair = Pair::start(with_limits).await;
    let ada = Api::register(&pair.here, "ada").await;
    ada.room("tea", "public").await;
    pair.redis.kill().await;
    pair.wait_for(ClusterStatus::Away).await;

    let anyone = Api::anonymous(&pair.there);
    let login = json!({"username": "ada", "password": PASSWORD});
    anyone.post("/v1/auth/token", login.clone()).await.refused("unavailable");
    let account = json!({"username": "bob", "password": PASSWORD});
    anyone.post("/v1/auth/register", account).await.refused("unavailable");
    ada.say("tea", "still here").await;
    let renewed = anyone.post("/v1/auth/refresh", json!({"refresh_token": ada.refresh_token}));
    let ada = ada.with_tokens(&renewed.await.expect(200));
    let ticket = ada.post("/v1/auth/ws-ticket", json!({})).await.expect(200);
    let url = format!("{}?ticket={}", pair.there.url(), ticket["ticket"].as_str().unwrap());
    drop(tokio_tungstenite::connect_async(&url).await.unwrap());

    pair.redis.restart().await;
    pair.wait_for(ClusterStatus::Connected).await;
    anyone.post("/v1/auth/token", login).await.expect(200);
    pair.stop().await;
}
