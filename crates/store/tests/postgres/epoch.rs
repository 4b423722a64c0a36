//! When the epoch of the logs changes, and when it stays.

use std::time::Duration;

use parlor_store::postgres::OpenError;
use parlor_store::{PostgresStore, Users as _};
use parlor_testkit::services::Postgres;
use parlor_testkit::tcp_proxy::TcpProxy;
use tokio::time::{sleep, timeout};

use super::{database, nobody_uses, open, options, person, server};

#[tokio::test]
async fn epoch_stays_from_start_to_start_and_is_the_same_for_all() {
    let (_, url) = database();
    let first = open(&url).await.epoch();
    assert_eq!(open(&url).await.epoch(), first);
    assert!(first.ends_with(".1"), "{first}");
}

#[tokio::test]
async fn copy_in_another_database_has_an_epoch_of_its_own() {
    let (name, url) = database();
    let first = open(&url).await.epoch();
    nobody_uses(server(), &name).await;
    let copied = server().create_database_from("copied", &name);
    assert_ne!(open(&copied).await.epoch(), first);
}

#[tokio::test]
async fn operator_begins_a_new_epoch_after_a_restore() {
    let (_, url) = database();
    let first = open(&url).await.epoch();
    PostgresStore::renew_incarnation(&options(&url)).await.unwrap();
    assert_ne!(open(&url).await.epoch(), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn fail_over_to_a_standby_begins_a_new_epoch() {
    let primary = Postgres::start().await;
    let address = |port: u16| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let proxy = TcpProxy::start(address(primary.port())).await;
    let through = |url: String, port: u16| {
        url.replace(&format!(":{port}/"), &format!(":{}/", proxy.addr().port()))
    };
    let url = through(primary.url(), primary.port());
    let store = open(&url).await;
    store.create_user(person("ada")).await.unwrap().unwrap();
    let before = store.epoch();
    let standby = primary.standby(true).await;

    // Where an address still leads to a standby, nothing is read and nothing written.
    proxy.set_upstream(address(standby.port()));
    proxy.reset_all();
    let read = store.has_admin().await;
    assert!(matches!(read, Err(parlor_store::StoreError::Unavailable(_))), "{read:?}");
    let opened = PostgresStore::open(options(&url)).await;
    assert!(matches!(opened, Err(OpenError::Standby { .. })), "{opened:?}");

    primary.kill().await;
    standby.promote().await;
    let found = timeout(Duration::from_secs(15), async {
        loop {
            match store.find_user_by_name("ada").await {
                Ok(found) => break found,
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    });

    assert!(found.await.unwrap().is_some(), "a synchronous standby has everything");
    let after = store.epoch();
    assert_ne!(after, before);
    assert!(after.ends_with(".2"), "{after}");
    assert_eq!(after.split('.').next(), before.split('.').next());
}
