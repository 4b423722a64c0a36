//! Servers that restart, cut connections, or are slow.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use parlor_store::{
    Bots as _, Operations as _, PostgresOptions, PostgresStore, StoreError, Users as _,
};
use parlor_testkit::services::Postgres;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{open, options, person, soon};

#[tokio::test(flavor = "multi_thread")]
async fn readers_do_not_notice_that_all_connections_were_ended() {
    let server = Postgres::start().await;
    let store = Arc::new(open(&server.url()).await);
    let ada = store.create_user(person("ada")).await.unwrap().unwrap();
    let mut readers = JoinSet::new();
    let until = Instant::now() + Duration::from_secs(2);
    for _ in 0..4 {
        let (store, id) = (Arc::clone(&store), ada.user.id);
        readers.spawn(async move {
            let mut n_reads = 0_u32;
            while Instant::now() < until {
                assert!(store.find_user(id).await.unwrap().is_some());
                n_reads += 1;
            }
            n_reads
        });
    }

    let mut n_cut = 0;
    while Instant::now() < until {
        n_cut += server.cut_connections();
        sleep(Duration::from_millis(250)).await;
    }

    let n_reads: u32 = readers.join_all().await.into_iter().sum();
    assert!(n_cut >= 4 && n_reads > 20, "{n_cut} connections cut, {n_reads} reads");
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_done_once_while_connections_are_cut() {
    let server = Postgres::start().await;
    let store = Arc::new(open(&server.url()).await);
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            for n in 0..60 {
                let user = person(&format!("user{writer}_{n}"));
                let made = soon(store.create_user(user.clone())).await.unwrap().unwrap();
                assert_eq!(made.user.id, user.id);
            }
        });
    }

    let mut n_cut = 0;
    while !writers.is_empty() {
        n_cut += server.cut_connections();
        sleep(Duration::from_millis(50)).await;
        while let Some(done) = writers.try_join_next() {
            done.unwrap();
        }
    }

    assert!(n_cut > 0);
    assert_eq!(server.query("SELECT count(*) FROM users").trim(), "240");
}

#[tokio::test]
async fn store_heals_after_a_restart_of_the_server() {
    let server = Postgres::start().await;
    let store = open(&server.url()).await;
    let epoch = store.epoch();
    store.create_user(person("ada")).await.unwrap().unwrap();

    server.kill().await;
    let read = store.has_admin().await;
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    let write = store.create_user(person("bob")).await;
    assert!(matches!(write, Err(StoreError::Unavailable(_))), "{write:?}");
    assert!(store.check_health().await.is_err());

    server.restart().await;
    assert!(store.find_user_by_name("ada").await.unwrap().is_some());
    store.create_user(person("bob")).await.unwrap().unwrap();
    store.check_health().await.unwrap();
    assert_eq!(store.epoch(), epoch, "the same logs");
}

#[tokio::test]
async fn slow_server_is_not_a_server_that_is_down() {
    let server = Postgres::start().await;
    let store = open(&server.url()).await;
    store.create_user(person("ada")).await.unwrap().unwrap();

    server.pause();
    let resume = async {
        sleep(Duration::from_millis(1500)).await;
        server.resume();
    };
    let (read, write, ()) =
        tokio::join!(store.find_user_by_name("ada"), store.create_user(person("bob")), resume);

    assert!(read.unwrap().is_some());
    write.unwrap().unwrap();
}

#[tokio::test]
async fn nothing_waits_for_a_silent_server_without_end() {
    let server = Postgres::start().await;
    let limits = PostgresOptions {
        statement_timeout: Duration::from_millis(500),
        connect_timeout: Duration::from_secs(2),
        pool_wait: Duration::from_millis(300),
        append_deadline: Duration::from_secs(2),
        ..options(&server.url())
    };
    let store = PostgresStore::open(limits).await.unwrap();
    store.has_admin().await.unwrap();
    store.check_health().await.unwrap();

    server.pause();
    let begun = Instant::now();
    let answers = soon(async {
        tokio::join!(store.has_admin(), store.check_health(), store.create_user(person("ada")))
    });
    let (read, health, write) = answers.await;
    let took = begun.elapsed();
    server.resume();

    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    // The statement was sent and commits by itself: nobody knows.
    assert!(matches!(health, Err(StoreError::UnknownOutcome)), "{health:?}");
    assert!(matches!(write, Err(StoreError::Unavailable(_))), "{write:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[tokio::test]
async fn statement_that_takes_too_long_is_ended_by_the_server() {
    let server = Postgres::start().await;
    let limits =
        PostgresOptions { statement_timeout: Duration::from_millis(100), ..options(&server.url()) };
    let store = PostgresStore::open(limits).await.unwrap();
    let (client, connection) =
        tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await.unwrap();
    let _connection = JoinSet::from_iter([connection]);
    client.batch_execute("BEGIN; LOCK TABLE users").await.unwrap();

    let read = store.has_admin().await;

    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    // A store that gives up by itself does so a little later, and answers the same.
    assert!(server.log().contains("due to statement timeout"), "{}", server.log());
    client.batch_execute("COMMIT").await.unwrap();
    store.has_admin().await.unwrap();
}

/// Keeps all readers of `bots` waiting until it is told otherwise.
async fn hold_bots(server: &Postgres) -> (tokio_postgres::Client, JoinSet<()>) {
    let (client, connection) =
        tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await.unwrap();
    let driver = JoinSet::from_iter([async { drop(connection.await) }]);
    client.batch_execute("BEGIN; LOCK TABLE bots").await.unwrap();
    (client, driver)
}

#[tokio::test]
async fn caller_that_gets_no_connection_in_time_is_told_to_come_back() {
    let server = Postgres::start().await;
    let limits = PostgresOptions {
        readers: 1,
        pool_wait: Duration::from_millis(100),
        ..options(&server.url())
    };
    let store = PostgresStore::open(limits).await.unwrap();
    let (client, _driver) = hold_bots(&server).await;

    let reads = futures_util::future::join(store.list_bots(), async {
        let late = store.list_bots().await;
        assert!(matches!(late, Err(StoreError::Unavailable(_))), "{late:?}");
        client.batch_execute("COMMIT").await.unwrap();
    });

    soon(reads).await.0.unwrap();
}

#[tokio::test]
async fn callers_who_wait_for_a_connection_are_bounded() {
    let server = Postgres::start().await;
    let limits = PostgresOptions { readers: 1, ..options(&server.url()) };
    let store = PostgresStore::open(limits).await.unwrap();
    let (client, _driver) = hold_bots(&server).await;
    let waiting = (0..=4096).map(|_| store.list_bots());
    let mut waiting = futures_util::future::join_all(waiting);

    let one_more = async {
        loop {
            match store.list_bots().now_or_never() {
                Some(Err(StoreError::Overloaded)) => break,
                Some(other) => panic!("{other:?}"),
                None => tokio::task::yield_now().await,
            }
        }
    };
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("nobody waits"),
        () = soon(one_more) => {}
    }
    let reads = store.connections()[2];
    assert_eq!((reads.purpose, reads.limit, reads.waiting), ("reads", 1, 4096));
    drop(waiting);
    client.batch_execute("COMMIT").await.unwrap();
    store.list_bots().await.unwrap();
}

#[tokio::test]
async fn callers_who_leave_cost_no_connection_and_hold_nothing_up() {
    let server = Postgres::start().await;
    let limits = PostgresOptions { readers: 1, writers: 1, ..options(&server.url()) };
    let store = PostgresStore::open(limits).await.unwrap();
    store.has_admin().await.unwrap();
    let readers = "SELECT pid FROM pg_stat_activity WHERE application_name = 'parlor reads'";
    let before = server.query(readers);

    for n in 0..100 {
        let user = person(&format!("user{n}"));
        let patience = Duration::from_micros(n * 30);
        drop(tokio::time::timeout(patience, store.list_bots()).await);
        drop(tokio::time::timeout(patience, store.create_user(user)).await);
    }

    store.list_bots().await.unwrap();
    assert_eq!(server.query(readers), before, "the same connection");
    store.create_user(person("ada")).await.unwrap().unwrap();
    let open = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'";
    let closed = async {
        while server.query(open).trim() != "0" {
            sleep(Duration::from_millis(10)).await;
        }
    };
    soon(closed).await;
}

#[tokio::test]
async fn readers_that_are_busy_do_not_hold_up_writers() {
    let server = Postgres::start().await;
    let store = open(&server.url()).await;
    let (client, _driver) = hold_bots(&server).await;

    let reads = (0..8).map(|_| store.list_bots());
    let mut reads = futures_util::future::join_all(reads);
    let write = async {
        sleep(Duration::from_millis(200)).await;
        store.create_user(person("ada")).await.unwrap().unwrap();
    };
    tokio::select! {
        biased;
        _ = &mut reads => panic!("the readers are not busy"),
        () = write => {}
    }
    client.batch_execute("COMMIT").await.unwrap();
    for read in reads.await {
        read.unwrap();
    }
}
