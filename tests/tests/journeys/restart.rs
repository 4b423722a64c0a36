//! A second start: quick, and nothing of the first is gone.

use std::time::Duration;

use parlor_protocol::frame::Frame;
use parlor_testkit::{process::Parlor, socket::Socket};

use crate::{
    MACHINE,
    stage::{Place, in_both_places},
};

in_both_places! {
    start_after_a_crash_keeps_logins_too,
    page_of_readiness_names_what_it_depends_on,
}

/// The product promises two seconds; this is a debug build on a machine that does other things.
const PATIENCE: Duration = Duration::from_secs(15);

#[tokio::test]
async fn second_start_is_quick_and_keeps_logins_and_history() {
    let _alone = MACHINE.write().await;
    let mut server = Parlor::start().await;
    let ada = server.register("ada").await;
    for number in 0..50 {
        ada.say("general", &format!("message {number}")).await;
    }
    let (before, token) = (ada.log("general").await, ada.token().await);

    let stopped = server.terminate().await;
    server.restart().await;

    assert_eq!(stopped.code(), Some(0));
    assert!(server.started_in() < PATIENCE, "it took {:?}", server.started_in());
    let mut socket = Socket::open(server.addr(), &token).await;
    assert_eq!(socket.welcome().user.id, ada.id);
    let pong = async {
        socket.send(&parlor_protocol::command::Command::Ping {}).await.unwrap();
        socket.next_frame().await
    };
    assert_eq!(pong.await, Frame::Pong {});
    assert_eq!(ada.log("general").await, before);
    ada.http.renew(&token).await.unwrap();
    assert_eq!(ada.http.session().await.unwrap().user.id, ada.id);
}

async fn start_after_a_crash_keeps_logins_too(place: Place) {
    let _shared = MACHINE.read().await;
    let mut stage = place.start().await;
    let ada = stage.register("ada").await;
    ada.say("general", "the last words").await;

    stage.kill().await;
    stage.restart().await;

    assert_eq!(ada.history("general").await.last().unwrap().body, "the last words");
    assert_eq!(ada.http.me().await.unwrap().username, "ada");
}

async fn page_of_readiness_names_what_it_depends_on(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;

    let ready = stage.http().readyz().await.unwrap();

    assert!(ready.ready, "{ready:?}");
    assert!(!ready.dependencies.is_empty() && ready.dependencies.values().all(|one| one.ok));
}
