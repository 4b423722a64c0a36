//! Services of a cluster that are wrong, missing, late or slow: a sentence that names the service and
//! the setting, an exit code, and never the password. What only answers slowly is used.

use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor_protocol::frame::Frame;
use parlor_testkit::process::{Builder, Outcome, Parlor, binary};
use parlor_testkit::services::{Nats, Postgres, Redis, free_port};
use parlor_testkit::tcp_proxy::{Mode, TcpProxy};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

/// The exit code for what only a person can put right.
const USAGE: i32 = 64;
/// The exit code for something that is not there.
const UNAVAILABLE: i32 = 69;
const PASSWORD: &str = "swordfish-in-the-address";
const SECRET: &str = "a-secret-that-all-nodes-have-in-common";
/// How long a start waits in these tests.
const WAIT: Duration = Duration::from_secs(1);

struct Services {
    postgres: Postgres,
    nats: Nats,
    redis: Redis,
}

impl Services {
    async fn start() -> Self {
        let postgres = Postgres::builder().password(PASSWORD).start();
        let (postgres, nats, redis) = tokio::join!(postgres, Nats::start(), Redis::start());
        Self { postgres, nats, redis }
    }

    /// Returns a node with everything in order.
    fn node(&self, verb: &str) -> Builder {
        Parlor::builder()
            .arguments(&[verb])
            .env("DATABASE_URL", &self.postgres.url())
            .env("NATS_URL", &self.nats.url())
            .env("REDIS_URL", &self.redis.url())
            .env("SECRET_KEY", SECRET)
            .env("PARLOR_BOTS__LISTEN", "127.0.0.1:0")
            .env("PARLOR_LIFECYCLE__START_TIMEOUT", "1s")
    }
}

/// Checks what a program said that cannot go on.
#[track_caller]
fn check(outcome: &Outcome, code: i32, parts: &[&str]) {
    let Outcome { status, stdout, stderr } = outcome;
    assert_eq!(status.code(), Some(code), "{stderr}");
    assert!(!stdout.contains("listening"), "{stdout}");
    let error = stderr.lines().find(|line| line.starts_with("error: "));
    let error = error.unwrap_or_else(|| panic!("no sentence: {stderr}"));
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
    for text in [stdout, stderr] {
        assert!(!text.contains(PASSWORD) && !text.contains(SECRET), "{text}");
        assert!(!text.contains("panicked"), "{text}");
    }
}

fn home() -> Arc<TempDir> {
    Arc::new(tempfile::tempdir().unwrap())
}

#[tokio::test]
async fn wrong_setting_of_a_service_is_told_at_once() {
    let services = Services::start().await;
    services.postgres.sql("postgres", "CREATE ROLE guest LOGIN PASSWORD 'guest'");
    let port = services.postgres.port();
    let redis = Redis::start().await;
    redis.command(&format!("CONFIG SET requirepass {PASSWORD}")).await;
    let nats = format!("authorization {{ user: parlor, password: \"{PASSWORD}\" }}");
    let nats = Nats::builder().config(&nats).start().await;
    let database = |rest: &str| format!("postgres://parlor:{PASSWORD}{rest}");
    let cases = [
        ("DATABASE_URL", format!("postgres://parlor:wrong@127.0.0.1:{port}/parlor"), "password"),
        ("DATABASE_URL", database(&format!("@127.0.0.1:{port}/nowhere")), "no database nowhere"),
        ("DATABASE_URL", database(&format!("@127.0.0.1:{port}/parlor?sslmode=require")), "TLS"),
        ("DATABASE_URL", database(&format!("@127.0.0.1:{port}/parlor?sslmode=maybe")), "sslmode"),
        ("DATABASE_URL", format!("postgres://guest:guest@127.0.0.1:{port}/parlor"), "guest"),
        ("NATS_URL", nats.url(), "password"),
        ("NATS_URL", nats.url().replace("//", "//parlor:wrong@"), "password"),
        ("REDIS_URL", redis.url(), "password"),
        ("REDIS_URL", redis.url().replace("//", "//:wrong@"), "password"),
        ("REDIS_URL", services.nats.url().replace("nats", "redis"), "is not Redis"),
    ];
    let mut wrong = Vec::new();
    for (variable, url, expected) in cases {
        let node = services.node("broker").env(variable, &url);
        // Long, so that waiting would be noticed.
        let node = node.env("PARLOR_LIFECYCLE__START_TIMEOUT", "30s");
        let begun = Instant::now();
        let outcome = node.run().await;
        assert!(begun.elapsed() < Duration::from_secs(25), "{variable} was waited for");
        let told = outcome.stderr.lines().find(|line| line.starts_with("error: "));
        let told = told.unwrap_or_default();
        let ok = outcome.code() == USAGE && told.contains(variable) && told.contains(expected);
        if !ok {
            wrong.push(format!("{variable} {expected}: {} {}", outcome.code(), outcome.stderr));
        }
        assert!(!outcome.stderr.contains(PASSWORD), "{}", outcome.stderr);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn service_that_is_not_there_is_waited_for_and_then_named() {
    let services = Services::start().await;
    let closed = free_port();
    let silent = TcpProxy::start(format!("127.0.0.1:{closed}").parse().unwrap()).await;
    silent.set_mode(Mode::BlackHole);
    let silent = silent.addr();
    let cases = [
        ("DATABASE_URL", format!("postgres://parlor:{PASSWORD}@127.0.0.1:{closed}/parlor")),
        ("DATABASE_URL", format!("postgres://parlor:{PASSWORD}@db.invalid/parlor")),
        ("DATABASE_URL", format!("postgres://parlor:{PASSWORD}@{silent}/parlor")),
        ("DATABASE_URL", format!("postgres://parlor@127.0.0.1:{}/parlor", services.redis.port())),
        ("NATS_URL", format!("nats://127.0.0.1:{closed}")),
        ("NATS_URL", format!("nats://{silent}")),
        ("REDIS_URL", format!("redis://127.0.0.1:{closed}")),
        ("REDIS_URL", format!("redis://:{PASSWORD}@{silent}")),
    ];
    for (variable, url) in cases {
        let begun = Instant::now();
        let node = services.node("broker").env("PARLOR_STORE__CONNECT_TIMEOUT", "1s");
        let outcome = node.env(variable, &url).run().await;
        assert!(begun.elapsed() >= WAIT / 2, "{variable} was not waited for");
        check(&outcome, UNAVAILABLE, &[variable, "cannot use"]);
    }
}

#[tokio::test]
async fn services_may_come_after_the_nodes() {
    let services = Services::start().await;
    services.postgres.stop().await;
    services.nats.stop().await;
    services.redis.stop().await;
    let late = |verb| services.node(verb).env("PARLOR_LIFECYCLE__START_TIMEOUT", "30s").start();
    let come = async {
        // In an order in which every node finds something missing several times.
        for pause in [700, 700, 700] {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            match pause {
                _ if !services.nats.is_running() => services.nats.restart().await,
                _ if !services.redis.is_running() => services.redis.restart().await,
                _ => services.postgres.restart().await,
            }
        }
    };
    let (mut broker, mut worker, ()) = tokio::join!(late("broker"), late("bot-worker"), come);
    assert!(broker.log().contains("waiting") && worker.log().contains("waiting"));
    assert!(broker.terminate().await.success());
    assert!(worker.terminate().await.success());
}

#[tokio::test]
async fn node_that_waits_obeys_a_request_to_stop() {
    let services = Services::start().await;
    services.nats.stop().await;
    let home = home();
    let mut node = Command::new(binary())
        .args(["broker", "--wait", "10m"])
        .env_clear()
        .env("HOME", home.path())
        .env("PARLOR_LISTEN", "127.0.0.1:0")
        .env("DATABASE_URL", services.postgres.url())
        .env("NATS_URL", services.nats.url())
        .env("REDIS_URL", services.redis.url())
        .env("SECRET_KEY", SECRET)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(node.stderr.take().unwrap()).lines();
    while !said.next_line().await.unwrap().unwrap().contains("waiting") {}
    let id = Pid::from_raw(node.id().unwrap().cast_signed()).unwrap();
    kill_process(id, Signal::TERM).unwrap();
    let ended = timeout(Duration::from_secs(10), node.wait()).await;
    assert!(ended.unwrap().unwrap().success());
}

#[tokio::test]
async fn slow_services_are_used_and_told_to_be_slow() {
    let services = Services::start().await;
    let slow = async |port: u16| {
        let proxy = TcpProxy::start(format!("127.0.0.1:{port}").parse().unwrap()).await;
        proxy.set_mode(Mode::Latency(Duration::from_millis(50)));
        proxy
    };
    let nats = slow(services.nats.port()).await;
    let redis = slow(services.redis.port()).await;
    let postgres = slow(services.postgres.port()).await;
    let through = |verb: &str| {
        let database = services.postgres.url().replace(
            &format!(":{}/", services.postgres.port()),
            &format!(":{}/", postgres.addr().port()),
        );
        services
            .node(verb)
            .env("DATABASE_URL", &database)
            .env("NATS_URL", &format!("nats://{}", nats.addr()))
            .env("REDIS_URL", &format!("redis://{}", redis.addr()))
    };
    // What a start makes at the first time takes many steps, one after the other.
    let mut first = services.node("broker").start().await;
    assert!(first.terminate().await.success());
    let mut broker = through("broker").start().await;
    // A login has many questions for the database, one after the other.
    for (proxy, delay) in [(&nats, 300), (&redis, 300), (&postgres, 100)] {
        proxy.set_mode(Mode::Latency(Duration::from_millis(delay)));
    }
    broker.get_text("/readyz").await;
    let admin = broker.admin().await;
    admin.say("general", "slow and steady").await;
    assert!(broker.terminate().await.success());
    let doctor = through("doctor").arguments(&["doctor", "--for", "broker"]).run().await;
    assert_eq!(doctor.code(), 0, "{}", doctor.stdout);
    for service in ["postgres", "nats", "redis"] {
        let told = doctor.stdout.lines().any(|line| {
            line.starts_with("warn") && line.contains(service) && line.contains("slow: ")
        });
        assert!(told, "{service}: {}", doctor.stdout);
    }
}

#[tokio::test]
async fn schema_of_another_version_is_refused_and_an_older_one_waited_for() {
    let postgres = Postgres::builder().password(PASSWORD).start().await;
    let (nats, redis) = tokio::join!(Nats::start(), Redis::start());
    let services = Services { postgres, nats, redis };
    let outcome = services.node("broker").env("PARLOR_STORE__MIGRATE", "false").run().await;
    check(&outcome, UNAVAILABLE, &["DATABASE_URL", "parlor migrate"]);

    // Needs neither NATS nor Redis nor the secret.
    let migrate = |more: &'static [&'static str]| {
        Parlor::builder()
            .arguments(&[&["migrate"], more].concat())
            .env("DATABASE_URL", &services.postgres.url())
            .run()
    };
    assert_eq!(migrate(&["--check"]).await.code(), 1);
    let first = migrate(&[]).await;
    assert_eq!(first.code(), 0, "{}", first.stderr);
    assert!(!first.stderr.contains(PASSWORD) && first.stderr.contains("127.0.0.1"));
    assert_eq!(migrate(&["--check"]).await.code(), 0);
    let mut broker = services.node("broker").env("PARLOR_STORE__MIGRATE", "false").start().await;
    assert!(broker.terminate().await.success());

    services.postgres.query(
        "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) \
         SELECT 999, 'from_the_future', applied_on, checksum FROM refinery_schema_history LIMIT 1; \
         UPDATE meta SET value = '999' WHERE key = 'compatible_from'",
    );
    for verb in ["broker", "bot-worker", "serve"] {
        let outcome = services.node(verb).env("PARLOR_LIFECYCLE__START_TIMEOUT", "10m").run().await;
        check(&outcome, UNAVAILABLE, &["schema 999", "use the newer version"]);
    }
    check(&migrate(&[]).await, UNAVAILABLE, &["schema 999"]);
    let doctor = services.node("broker").arguments(&["doctor", "--for", "broker"]).run().await;
    assert!(doctor.stdout.contains("schema 999, newer than"), "{}", doctor.stdout);
}

#[tokio::test]
async fn nodes_with_different_secrets_do_not_run_together() {
    let services = Services::start().await;
    let mut first = services.node("broker").start().await;
    let other = "another-secret-that-is-also-long-enough";
    for verb in ["broker", "serve", "bot-worker"] {
        let outcome = services.node(verb).env("SECRET_KEY", other).run().await;
        check(&outcome, USAGE, &["SECRET_KEY", "not the one that other nodes use"]);
        assert!(!outcome.stderr.contains(other), "{}", outcome.stderr);
    }
    let missing = services.node("broker").without("SECRET_KEY").run().await;
    assert_eq!(missing.code(), USAGE, "{}", missing.stderr);
    assert!(missing.stderr.contains("auth.secret_key"), "{}", missing.stderr);
    let short = services.node("broker").env("SECRET_KEY", "short").run().await;
    assert_eq!(short.code(), USAGE, "{}", short.stderr);
    assert!(short.stderr.contains("at least 32 bytes"), "{}", short.stderr);
    // It has no use for the secret.
    let mut worker = services.node("bot-worker").without("SECRET_KEY").start().await;
    assert!(worker.terminate().await.success());

    let doctor = services.node("doctor").env("SECRET_KEY", other);
    let doctor = doctor.arguments(&["doctor", "--for", "broker"]).run().await;
    assert_eq!(doctor.code(), USAGE, "{}", doctor.stdout);
    assert!(doctor.stdout.contains("--accept-new-secret"), "{}", doctor.stdout);

    let admin = first.admin().await;
    let old = admin.token().await;
    assert!(first.terminate().await.success());
    let accept = services.node("migrate").env("SECRET_KEY", other);
    let accept = accept.arguments(&["migrate", "--accept-new-secret"]).run().await;
    assert_eq!(accept.code(), 0, "{}", accept.stderr);
    let outcome = services.node("broker").run().await;
    check(&outcome, USAGE, &["not the one that other nodes use"]);
    let mut second = services.node("broker").env("SECRET_KEY", other).start().await;
    // Whoever knew the old key can make no tokens, and people stay logged in.
    let asked = reqwest::Client::builder().no_proxy().build().unwrap();
    let asked = asked.get(format!("{}/v1/rooms", second.url())).bearer_auth(old).send().await;
    assert_eq!(asked.unwrap().status(), 401);
    let admin = admin.through(second.addr());
    admin.http.session().await.unwrap();
    assert!(second.terminate().await.success());
}

#[tokio::test]
async fn database_that_was_put_back_gets_another_epoch() {
    let services = Services::start().await;
    let incarnation = || {
        services
            .postgres
            .query("SELECT value FROM meta WHERE key = 'incarnation'")
            .trim()
            .to_owned()
    };
    let migrate = services.node("migrate").run().await;
    assert_eq!(migrate.code(), 0, "{}", migrate.stderr);
    let before = incarnation();
    let restored = services.node("migrate").arguments(&["migrate", "--restored"]).run().await;
    assert_eq!(restored.code(), 0, "{}", restored.stderr);
    assert!(!before.is_empty() && incarnation() != before, "{before}");
}

#[tokio::test]
async fn program_of_a_cluster_says_which_services_it_needs() {
    let needs =
        [("DATABASE_URL", "store.url"), ("NATS_URL", "bus.url"), ("REDIS_URL", "cluster.url")];
    for (verb, count) in [("broker", 3), ("bot-worker", 2)] {
        let outcome = Parlor::builder().arguments(&[verb]).env("SECRET_KEY", SECRET).run().await;
        assert_eq!(outcome.code(), USAGE, "{}", outcome.stderr);
        for (variable, key) in &needs[..count] {
            assert!(outcome.stderr.contains(variable), "{verb}: {}", outcome.stderr);
            assert!(outcome.stderr.contains(key), "{verb}: {}", outcome.stderr);
        }
        let check = Parlor::builder().arguments(&["config", "check", "--for", verb]);
        let check = check.env("SECRET_KEY", SECRET).run().await;
        assert_eq!((check.code(), check.stderr), (USAGE, outcome.stderr));
    }
    for (variable, url) in
        [("NATS_URL", "nats://127.0.0.1:1"), ("REDIS_URL", "redis://127.0.0.1:1")]
    {
        let outcome = Parlor::builder().env(variable, url).run().await;
        assert_eq!(outcome.code(), USAGE, "{}", outcome.stderr);
        assert!(outcome.stderr.contains("belongs to one process"), "{}", outcome.stderr);
    }
}

#[tokio::test]
async fn cluster_without_an_administrator_serves_nobody() {
    let services = Services::start().await;
    let node = services.node("broker").without("PARLOR_ADMIN_USERNAME");
    let node = node.without("PARLOR_ADMIN_PASSWORD");
    let (mut one, mut other) = tokio::join!(node.clone().start(), node.clone().start());
    for broker in [&one, &other] {
        assert!(!broker.log().contains("/setup#"), "a link of one node is of no use at another");
        assert!(broker.log().contains("parlor admin create"), "{}", broker.log());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        for (path, status) in
            [("healthz", 200), ("readyz", 200), ("metrics", 200), ("v1/rooms", 503), ("v1/ws", 503)]
        {
            let answer = client.get(format!("{}/{path}", broker.url())).send().await.unwrap();
            assert_eq!(answer.status(), status, "{path}");
        }
        let refused = broker.http().log_in("ada", "correct horse battery").await;
        assert!(refused.unwrap_err().to_string().contains("administrator"));
    }
    let create = node.clone().env("PARLOR_PASSWORD", "correct horse battery");
    let create = create.arguments(&["admin", "create", "root"]).run().await;
    assert_eq!(create.code(), 0, "{}", create.stderr);
    for broker in [&one, &other] {
        let begun = Instant::now();
        while broker.http().log_in("root", "correct horse battery").await.is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "the node stays closed");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    assert!(one.terminate().await.success() && other.terminate().await.success());
}

#[tokio::test]
async fn nodes_that_start_together_make_everything_once() {
    let services = Arc::new(Services::start().await);
    let migrated = services.node("migrate").run().await;
    assert_eq!(migrated.code(), 0, "{}", migrated.stderr);
    // Lets nobody write until all three have seen that nothing is there.
    let held = Arc::clone(&services);
    let holding = tokio::task::spawn_blocking(move || {
        held.postgres.query(
            "DO $$ BEGIN LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE; FOR i IN 1..80 LOOP \
             EXIT WHEN (SELECT count(*) FROM pg_locks WHERE NOT granted) >= 3; \
             PERFORM pg_sleep(0.05); END LOOP; END $$",
        )
    });
    let start = || services.node("broker").env("PARLOR_LIFECYCLE__START_TIMEOUT", "30s").start();
    let (one, two, three) = tokio::join!(start(), start(), start());
    holding.await.unwrap();
    let count = |sql: &str| services.postgres.query(sql).trim().to_owned();
    assert_eq!(count("SELECT count(*) FROM rooms"), "1");
    assert_eq!(count("SELECT count(*) FROM users WHERE kind = 'bot'"), "1");
    assert_eq!(count("SELECT count(*) FROM users WHERE role = 'admin'"), "1");
    for mut broker in [one, two, three] {
        broker.admin().await;
        assert!(broker.terminate().await.success());
    }
}

#[tokio::test]
async fn everything_in_one_process_works_over_any_services() {
    let services = Services::start().await;
    let alone = services.node("serve").without("NATS_URL").without("REDIS_URL");
    for (node, is_alone) in [(alone, true), (services.node("serve"), false)] {
        let mut server = node.start().await;
        let admin = server.admin().await;
        let asked = admin.say("general", "hi @guide").await;
        let begun = Instant::now();
        let answered = loop {
            let history = admin.history("general").await;
            if let Some(reply) = history.into_iter().rev().find(|it| it.reply_to == Some(asked.id))
            {
                break reply;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{}", server.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!(answered.sender.username, "guide");
        let log = server.log();
        assert_eq!(log.contains("the only node"), is_alone, "{log}");
        assert!(log.contains(&format!("postgres://127.0.0.1:{}", services.postgres.port())));
        assert!(!log.contains(PASSWORD), "{log}");
        assert!(server.terminate().await.success());
    }
}

#[tokio::test]
async fn second_signal_ends_a_node_at_once() {
    let services = Services::start().await;
    let node = services.node("broker").env("PARLOR_LIFECYCLE__DRAIN", "20s");
    let mut broker = node.env("PARLOR_LIFECYCLE__ABORT_AFTER", "30s").start().await;
    let mut socket = broker.admin().await.socket().await;
    broker.ask_to_stop();
    // It has heard the first one when clients have.
    while !matches!(socket.next_frame().await, Frame::Drain(_)) {}
    let begun = Instant::now();
    broker.ask_to_stop();
    let status = broker.wait(Duration::from_secs(20)).await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!(status.code(), Some(1), "what was dropped is told");
}
