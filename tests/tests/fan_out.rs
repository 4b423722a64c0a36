//! `parlor bench fan-out` and what is like it, with small loads: whatever the machine, everything
//! that is sent arrives once and in order, and is counted so. How fast it was is not looked at.
//!
//! Every test runs the real binary, which starts a server of its own: `cargo build -p parlor` first,
//! or name one in `PARLOR_BIN`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

use parlor_testkit::process::{Outcome, Parlor};
use serde_json::Value;

/// Runs a scenario to its end.
async fn bench(arguments: &str) -> Outcome {
    let mut all = vec!["bench", "--json", "--duration", "1", "--warm-up", "0"];
    all.extend(arguments.split_whitespace());
    Parlor::builder().arguments(&all).run().await
}

/// Runs a scenario and returns what it found.
async fn measure(arguments: &str) -> Value {
    let outcome = bench(arguments).await;
    assert_eq!(outcome.code(), 0, "{outcome:?}");
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    report["runs"][0]["measurements"][0].clone()
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

/// Returns a figure that only one scenario has.
fn figure(measurement: &Value, name: &str) -> f64 {
    let figures = measurement["figures"].as_array().unwrap();
    let found = figures.iter().find(|figure| figure["name"] == name);
    found.and_then(|figure| figure["value"].as_f64()).unwrap_or_else(|| {
        panic!("no figure {name:?} in {measurement:#}");
    })
}

/// Fails unless every message reached every reader once and in order; returns how many there were.
fn assert_everyone_got_everything(measurement: &Value, readers: u64) -> u64 {
    let delivery = &measurement["delivery"];
    for wrong in ["lost", "doubled", "out_of_order", "refused"] {
        assert_eq!(delivery[wrong], 0, "{measurement:#}");
    }
    let published = count(&delivery["published"]);
    assert_eq!(delivery["arrived"], published * readers, "{measurement:#}");
    assert_eq!(delivery["expected"], published * readers, "{measurement:#}");
    published
}

#[tokio::test]
async fn signals_at_a_fixed_rate_reach_every_member() {
    let measurement = measure("fan-out --rooms 2 --members 20 --messages 50").await;
    assert_eq!(assert_everyone_got_everything(&measurement, 20), 50);
    assert_eq!(measurement["connections"], 40);
    // Every message of the second was due in it, so each of its deliveries has a latency.
    assert_eq!(measurement["published"], 50);
    assert_eq!(measurement["latency"]["count"], 50 * 20);
    assert!(measurement["server_cpu"]["user"].as_f64().is_some(), "{measurement:#}");
    assert!(count(&measurement["memory"]["rss_connected"]) > 0);
}

#[tokio::test]
async fn durable_messages_reach_every_member() {
    let measurement = measure("fan-out --members 20 --rate 1000 --durable").await;
    assert_eq!(assert_everyone_got_everything(&measurement, 20), 50);
    assert_eq!(measurement["plan"]["messages"], "durable");
}

#[tokio::test]
async fn many_rooms_are_kept_busy_by_several_threads() {
    let measurement = measure("rooms --rooms 30 --members 5 --in-flight 30 --threads 2").await;
    let published = assert_everyone_got_everything(&measurement, 5);
    assert!(published >= 30, "each room got one: {measurement:#}");
}

#[tokio::test]
async fn readers_that_stall_are_cut_off_and_the_others_miss_nothing() {
    let measurement = measure(
        // Several times what the kernel keeps for a reader, which is 4 MiB.
        "stalled --members 5 --senders 4 --stalled 20 --messages 200 --payload 15000 --durable \
         --duration 10",
    )
    .await;
    assert_everyone_got_everything(&measurement, 4);
    assert!((figure(&measurement, "stalled readers") - 1.0).abs() < 0.5);
    assert!((figure(&measurement, "closed with 4001") - 1.0).abs() < 0.5, "{measurement:#}");
}

#[tokio::test]
async fn loads_that_cannot_be_are_refused_before_anything_starts() {
    for (wrong, word) in [
        ("fan-out --members 0", "--members"),
        ("fan-out --rate 0", "--rate"),
        ("fan-out --in-flight 0", "--in-flight"),
        ("fan-out --payload 10", "--payload"),
        ("stalled --stalled 100", "--stalled"),
        ("fan-out --dialect telegraph --address tcp://127.0.0.1:1", "--dialect"),
        ("fan-out --dialect bun", "--address"),
        ("fan-out --dialect bun --address https://127.0.0.1:1", "address"),
        ("fan-out --dialect bun --address ws://192.0.2.7:1", "--yes-i-own-this"),
        ("fan-out --dialect nats --address nats://192.0.2.7:1", "--yes-i-own-this"),
        ("fan-out --server http://192.0.2.7:1", "--yes-i-own-this"),
    ] {
        let outcome = bench(wrong).await;
        assert_eq!(outcome.code(), 64, "{wrong}: {outcome:?}");
        assert!(outcome.stderr.contains(word), "{wrong}: {outcome:?}");
    }
}
