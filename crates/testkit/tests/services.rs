//! Private services start, survive what they are said to survive, and end with their value.

use std::{path::Path, time::Duration};

use parlor_testkit::services::{Haproxy, Nats, Postgres, Prometheus, Redis, check_rules, faketime};
use tokio::{net::TcpStream, time::timeout};

const ROWS: &str = "SELECT count(*) FROM numbers";

fn is_gone(pid: u32) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test]
async fn postgres_keeps_what_it_committed_over_a_kill_and_a_stop() {
    let postgres = Postgres::start().await;
    let (port, first) = (postgres.port(), postgres.pid());
    postgres.query("CREATE TABLE numbers (n int); INSERT INTO numbers VALUES (1)");

    postgres.kill().await;
    assert!(!postgres.is_running());
    postgres.restart().await;
    postgres.query("INSERT INTO numbers VALUES (2)");
    postgres.stop().await;
    postgres.restart().await;

    assert_eq!(postgres.query(ROWS).trim(), "2");
    assert_eq!(postgres.port(), port);
    assert_ne!(postgres.pid(), first);
}

#[tokio::test]
async fn databases_of_one_postgres_are_apart_and_can_be_copied() {
    let postgres =
        Postgres::builder().password("s3cret").setting("max_connections=20").start().await;
    let url = postgres.create_database("one");
    postgres.sql("one", "CREATE TABLE numbers (n int); INSERT INTO numbers VALUES (1)");

    postgres.create_database_from("two", "one");
    postgres.sql("two", "INSERT INTO numbers VALUES (2)");

    assert_eq!(postgres.sql("one", ROWS).trim(), "1");
    assert_eq!(postgres.sql("two", ROWS).trim(), "2");
    assert_eq!(url, format!("postgres://parlor:s3cret@127.0.0.1:{}/one", postgres.port()));
    assert_eq!(postgres.query("SHOW max_connections").trim(), "20");
}

#[tokio::test]
async fn a_synchronous_standby_has_everything_when_it_is_promoted() {
    let postgres = Postgres::start().await;
    let standby = postgres.standby(true).await;
    postgres.query("CREATE TABLE numbers AS SELECT generate_series(1, 1000)");

    postgres.kill().await;
    standby.promote().await;

    assert_eq!(standby.sql("parlor", ROWS).trim(), "1000");
}

#[tokio::test]
async fn a_dropped_service_has_ended() {
    let postgres = Postgres::start().await;
    postgres.pause();
    let nats = Nats::start().await;
    let redis = Redis::start().await;
    let pids = [postgres.pid(), nats.pid(), redis.pid()];

    drop((postgres, nats, redis));

    assert!(pids.into_iter().all(is_gone), "{pids:?}");
}

#[tokio::test]
async fn nats_and_redis_come_back_where_they_were() {
    let nats = Nats::builder().config("max_payload: 65536").start().await;
    let redis = Redis::builder().arguments(&["--maxmemory", "8mb"]).start().await;
    assert_eq!(redis.command("SET key value").await, "+OK\r\n+OK\r\n");

    for _ in 0..3 {
        nats.kill().await;
        redis.kill().await;
        assert!(TcpStream::connect(("127.0.0.1", nats.port())).await.is_err());
        nats.restart().await;
        redis.restart().await;
    }

    assert!(redis.command("GET key").await.starts_with("$-1"), "nothing is kept");
    assert!(nats.url().ends_with(&nats.port().to_string()));
}

#[tokio::test]
async fn a_paused_service_answers_when_it_goes_on() {
    let redis = Redis::start().await;
    redis.pause();
    let asked = redis.command("PING");
    tokio::pin!(asked);

    assert!(timeout(Duration::from_millis(300), &mut asked).await.is_err());
    redis.resume();

    assert_eq!(asked.await, "+PONG\r\n+OK\r\n");
}

#[tokio::test]
async fn prometheus_and_haproxy_start_with_their_settings() {
    let prometheus = Prometheus::start("global: { scrape_interval: 1s }").await;
    let address = prometheus.url().replace("http://", "");
    let config = format!(
        "defaults\n mode http\n timeout connect 2s\n timeout client 5s\n timeout server 5s\n\
         frontend all\n bind 127.0.0.1:@PORT@\n default_backend one\n\
         backend one\n server one {address}\n"
    );
    let haproxy = Haproxy::start(&config).await;

    let asked = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = asked.get(format!("http://{}/-/ready", haproxy.addr())).send().await.unwrap();

    assert!(answer.status().is_success());
    assert!(prometheus.get("/api/v1/targets").await.contains("success"));
}

#[test]
fn rules_that_are_wrong_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yml");
    std::fs::write(&file, "groups: [{name: a, rules: [{record: b, expr: 'sum('}]}]").unwrap();

    assert!(check_rules(&file).unwrap_err().contains("could not parse expression"));
    assert!(faketime().is_file());
}
