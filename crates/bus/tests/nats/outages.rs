//! NATS that is gone, frozen, cut off, full, or too fast.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use parlor_bus::{Bus, BusStatus, Control, NatsBus, NatsError, NatsOptions};
use parlor_protocol::id::JobId;
use parlor_testkit::services::Nats;
use parlor_testkit::tcp_proxy::{Direction, Mode, TcpProxy};
use prometheus::Registry;
use uuid::Uuid;

use crate::harness::{Node, PATIENCE, options};
use crate::make::{room, said, typing};

const DROPPED: &str = "parlor_bus_dropped_total";

/// Options that notice soon that the server does not answer any more.
fn watchful(nats: &Nats) -> NatsOptions {
    NatsOptions { ping_interval: Duration::from_secs(1), ..options(nats) }
}

async fn through_proxy(nats: &Nats) -> (TcpProxy, NatsOptions) {
    let proxy = TcpProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, nats.port()))).await;
    let options = NatsOptions { url: format!("nats://{}", proxy.addr()), ..watchful(nats) };
    (proxy, options)
}

#[tokio::test]
async fn crash_of_the_server_stops_nothing_and_is_made_up_for() {
    let nats = Nats::start().await;
    let here = Node::start(&nats).await;
    let mut there = Node::start(&nats).await;
    there.follow(room(1)).await;

    nats.kill().await;
    here.wait_status(BusStatus::Away).await;
    there.wait_status(BusStatus::Away).await;
    let started = Instant::now();
    here.bus.publish_events((1..=2_000).map(|seq| said(room(1), seq)).collect());
    assert!(started.elapsed() < PATIENCE / 2, "publishing goes on");
    assert!(here.metric(DROPPED, &[("kind", "event"), ("reason", "away")]) > 1_999.0);
    assert!(there.bus.list_streaming(room(1)).await.is_empty(), "nobody waits");
    there.heard();

    nats.restart().await;
    here.wait_status(BusStatus::Connected).await;
    there.hear_control(Control::StoreMayBeAhead).await;
    there.wait_status(BusStatus::Connected).await;
    here.bus.publish_events(vec![said(room(1), 2_001)]);
    assert_eq!(there.hear_event().await, 2_001);
    here.wait_metric("parlor_bus_reconnects_total", &[], 1.0).await;
    here.wait_metric("parlor_bus_connected", &[], 1.0).await;
}

#[tokio::test]
async fn follower_who_came_during_the_outage_hears_after_it() {
    let nats = Nats::start().await;
    let here = Node::start(&nats).await;
    let mut there = Node::start(&nats).await;
    nats.kill().await;
    there.wait_status(BusStatus::Away).await;
    let started = Instant::now();
    for n in 1..=100 {
        there.follow(room(n)).await;
    }
    assert!(started.elapsed() < PATIENCE / 2, "there is nothing to wait for");

    nats.restart().await;
    there.wait_status(BusStatus::Connected).await;
    here.wait_status(BusStatus::Connected).await;
    for n in 1..=100 {
        here.bus.publish_events(vec![said(room(n), 1)]);
        assert_eq!(there.hear_event().await, 1);
    }
}

#[tokio::test]
async fn black_hole_is_noticed_and_so_is_its_end() {
    let nats = Nats::start().await;
    let here = Node::start(&nats).await;
    for direction in [Direction::ToServer, Direction::ToClient] {
        let (proxy, options) = through_proxy(&nats).await;
        let mut there = Node::with(options).await;
        there.follow(room(1)).await;

        proxy.set_mode_for(direction, Mode::BlackHole);
        let started = Instant::now();
        there.wait_status(BusStatus::Away).await;
        // Three times the interval between two pings.
        assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());

        proxy.set_mode(Mode::Pass);
        // Connections that were in the hole do not come back to life.
        proxy.cut_all();
        there.wait_status(BusStatus::Connected).await;
        there.hear_control(Control::StoreMayBeAhead).await;
        here.bus.publish_events(vec![said(room(1), 1)]);
        assert_eq!(there.hear_event().await, 1);
    }
}

#[tokio::test]
async fn frozen_server_is_noticed_and_so_is_its_waking() {
    let nats = Nats::start().await;
    let here = Node::with(watchful(&nats)).await;
    let mut there = Node::with(watchful(&nats)).await;
    there.follow(room(1)).await;

    nats.pause();
    there.wait_status(BusStatus::Away).await;
    here.wait_status(BusStatus::Away).await;
    nats.resume();
    there.wait_status(BusStatus::Connected).await;
    here.wait_status(BusStatus::Connected).await;

    there.heard();
    here.bus.publish_events(vec![said(room(1), 1)]);
    assert_eq!(there.hear_event().await, 1);
}

#[tokio::test]
async fn slow_server_is_not_away() {
    let nats = Nats::start().await;
    let here = Node::start(&nats).await;
    let (proxy, options) = through_proxy(&nats).await;
    let mut there = Node::with(options).await;
    there.follow(room(1)).await;

    proxy.set_mode(Mode::Latency(Duration::from_millis(200)));
    let status = there.bus.status();
    for seq in 1..=10 {
        here.bus.publish_events(vec![said(room(1), seq)]);
        assert_eq!(there.hear_event().await, seq);
    }
    assert!(!status.has_changed().unwrap());
}

#[tokio::test]
async fn full_queue_drops_and_counts() {
    let nats = Nats::start().await;
    let here = Node::with(NatsOptions { publish_queue: 16, ..options(&nats) }).await;

    // Nothing else runs in between.
    here.bus.publish_events((1..=100).map(|seq| said(room(1), seq)).collect());
    for _ in 0..100 {
        here.bus.publish_signal(typing(room(1)));
    }

    for kind in ["event", "signal"] {
        let full = here.metric(DROPPED, &[("kind", kind), ("reason", "full")]);
        assert!((full - 84.0).abs() < 0.5, "{kind}: {full}");
    }
    here.wait_metric("parlor_bus_published_total", &[], 32.0).await;
}

#[tokio::test]
async fn queue_behind_a_black_hole_is_bounded_and_publishing_does_not_wait() {
    let nats = Nats::start().await;
    let (proxy, options) = through_proxy(&nats).await;
    // It is never noticed.
    let blind = NatsOptions { ping_interval: PATIENCE * 10, publish_queue: 256, ..options };
    let here = Node::with(blind).await;
    proxy.set_mode(Mode::Stall);

    let started = Instant::now();
    while here.metric(DROPPED, &[("kind", "event"), ("reason", "full")]) < 1_000.0 {
        assert!(started.elapsed() < PATIENCE, "what waits is bounded");
        here.bus.publish_events((1..=500).map(|seq| said(room(1), seq)).collect());
        tokio::task::yield_now().await;
    }
    here.wait_metric("parlor_bus_queue_length", &[("queue", "events")], 256.0).await;
}

#[tokio::test]
async fn message_that_is_too_large_is_dropped_and_counted() {
    let nats = Nats::builder().config("max_payload: 4096").start().await;
    let here = Node::start(&nats).await;
    let mut there = Node::start(&nats).await;
    there.follow(room(1)).await;
    let mut large = serde_json::to_value(said(room(1), 1)).unwrap();
    large["data"]["body"] = "x".repeat(5_000).into();

    here.bus.publish_events(vec![serde_json::from_value(large).unwrap(), said(room(1), 2)]);

    assert_eq!(there.hear_event().await, 2);
    let dropped = here.metric(DROPPED, &[("kind", "event"), ("reason", "too_large")]);
    assert!((dropped - 1.0).abs() < 0.5);
}

#[tokio::test]
async fn slow_consumer_is_noticed_and_made_up_for() {
    let nats = Nats::start().await;
    let here = Node::start(&nats).await;
    let mut there = Node::with(NatsOptions { receive_queue: 8, ..options(&nats) }).await;
    there.follow(room(1)).await;

    here.bus.publish_events((1..=5_000).map(|seq| said(room(1), seq)).collect());

    there.hear_control(Control::StoreMayBeAhead).await;
    assert!(there.metric("parlor_bus_slow_consumer_total", &[]) > 0.5);
    assert_eq!(*there.bus.status().borrow(), BusStatus::Connected);
}

#[tokio::test]
async fn control_that_was_published_during_the_outage_is_sent_after_it() {
    let nats = Nats::start().await;
    let here = Node::start(&nats).await;
    let (proxy, options) = through_proxy(&nats).await;
    let there = Node::with(options).await;
    let mut here = here;
    proxy.set_mode(Mode::Refuse);
    proxy.cut_all();
    there.wait_status(BusStatus::Away).await;
    let cancel = Control::CancelReply(JobId(Uuid::from_u128(7)));

    there.bus.publish_control(cancel);
    proxy.set_mode(Mode::Pass);

    here.hear_control(cancel).await;
}

#[tokio::test]
async fn server_that_is_not_there_at_the_start_is_an_error_or_awaited() {
    let nats = Nats::start().await;
    nats.stop().await;
    let options = options(&nats);
    let error = NatsBus::connect(options.clone(), &Registry::new()).await.unwrap_err();
    assert!(matches!(error, NatsError::Unreachable { .. }), "{error:?}");
    let address = format!("nats://127.0.0.1:{}", nats.port());
    let expected = format!("reach NATS at {address}: is it running, and is the address right?");
    assert_eq!(error.to_string(), expected);
    assert!(!error.is_setting());

    let node = Node::with(NatsOptions { start_away: true, ..options }).await;
    assert_eq!(*node.bus.status().borrow(), BusStatus::Away);
    nats.restart().await;
    node.wait_status(BusStatus::Connected).await;
}

#[tokio::test]
async fn server_that_does_not_answer_at_the_start_is_an_error() {
    let nats = Nats::start().await;
    let (proxy, options) = through_proxy(&nats).await;
    proxy.set_mode(Mode::Stall);

    let error = NatsBus::connect(options, &Registry::new()).await.unwrap_err();

    assert!(matches!(error, NatsError::Silent { .. }), "{error:?}");
}

#[tokio::test]
async fn any_of_several_servers_will_do() {
    let nats = Nats::start().await;
    let gone = Nats::start().await;
    gone.kill().await;
    let url = format!("{},{}", gone.url(), nats.url());

    for _ in 0..5 {
        let node = Node::with(NatsOptions { url: url.clone(), ..options(&nats) }).await;
        node.bus.close().await;
    }
}

#[tokio::test]
async fn login_that_is_refused_for_a_while_is_tried_again() {
    let folder = tempfile::Builder::new().prefix("parlor-users-").tempdir().unwrap();
    let users = folder.path().join("users.conf");
    let write = |password: &str| {
        let text = format!("authorization {{ user: ada, password: \"{password}\" }}");
        std::fs::write(&users, text).unwrap();
    };
    write("right");
    let name = folder.path().file_name().unwrap().to_str().unwrap();
    let include = format!("include \"../{name}/users.conf\"");
    let nats = Nats::builder().config(&include).start().await;
    let url = format!("nats://ada:right@127.0.0.1:{}", nats.port());
    let node = Node::with(NatsOptions { url, ..options(&nats) }).await;

    nats.kill().await;
    node.wait_status(BusStatus::Away).await;
    write("wrong");
    nats.restart().await;
    let refused = "authentication error";
    crate::harness::until(async || nats.log().contains(refused)).await;
    nats.kill().await;
    write("right");
    nats.restart().await;

    node.wait_status(BusStatus::Connected).await;
}
