//! Who is there, as the others see it, while connections and nodes come and go.

use std::time::Duration;

use parlor_client::{Update, Updates};
use parlor_protocol::{event::EventBody, signal::SignalBody, user::PresenceStatus};
use parlor_testkit::process::User;
use tokio::time::{sleep, timeout};

use crate::{
    MACHINE,
    stage::{Place, in_both_places},
    until,
};

in_both_places! {
    who_comes_back_at_once_was_never_away,
}

const ROOM: &str = "den";
/// Presence is told four times a second.
const AWAY: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_mins(1);

async fn who_comes_back_at_once_was_never_away(place: Place) {
    let _shared = MACHINE.read().await;
    let mut stage = place
        .builder()
        .env("PARLOR_CLUSTER__PRESENCE_GRACE", "20s")
        .env("PARLOR_LIFECYCLE__DRAIN", "1s")
        .start()
        .await;
    let (ada, bob) = (stage.register("ada").await, stage.register("bob").await);
    ada.create_room(ROOM, &[]).await;
    bob.join(ROOM).await;
    let (watching, mut seen) = ada.feed();
    watching.subscribe(ROOM, None).await.unwrap();
    subscribed(&mut seen).await;
    let mut socket = bob.socket().await;
    assert_eq!(next_status(&mut seen).await, PresenceStatus::Online);

    // The only connection is lost, again and again, for longer than it takes to tell of it.
    for _ in 0..3 {
        drop(socket);
        sleep(AWAY).await;
        socket = bob.socket().await;
    }
    // Then every node in turn is restarted, with both people on them.
    let (present, own) = bob.feed();
    present.subscribe(ROOM, None).await.unwrap();
    drop(socket);
    stage.roll().await;
    // A single server forgets who was there when it ends.
    until("bob is back", PATIENCE, async || status(&ada).await == PresenceStatus::Online).await;
    bob.say(ROOM, "still here").await;

    let told = statuses_until(&mut seen, "still here").await;
    assert!(!told.contains(&PresenceStatus::Offline), "{told:?}");
    // Whoever goes for good is missed.
    drop(own);
    present.close().await;
    while next_status(&mut seen).await != PresenceStatus::Offline {}
    assert_eq!(status(&ada).await, PresenceStatus::Offline);
}

/// Returns what one who asks is told of bob.
async fn status(asks: &User) -> PresenceStatus {
    asks.http.presence("bob").await.unwrap().status
}

async fn subscribed(updates: &mut Updates) {
    while !matches!(next(updates).await, Update::Subscribed { .. }) {}
}

async fn next(updates: &mut Updates) -> Update {
    timeout(PATIENCE, updates.next()).await.expect("something is told").expect("the feed goes on")
}

async fn next_status(updates: &mut Updates) -> PresenceStatus {
    loop {
        if let Some(status) = of_bob(&next(updates).await) {
            return status;
        }
    }
}

/// Returns all that is told of bob before he has said this.
async fn statuses_until(updates: &mut Updates, body: &str) -> Vec<PresenceStatus> {
    let mut told = Vec::new();
    loop {
        let update = next(updates).await;
        told.extend(of_bob(&update));
        if let Update::Event(event) = update
            && let EventBody::MessageCreated(created) = &event.body
            && created.body == body
        {
            return told;
        }
    }
}

fn of_bob(update: &Update) -> Option<PresenceStatus> {
    let Update::Signal(signal) = update else { return None };
    match &signal.body {
        SignalBody::Presence(presence) if presence.user.username == "bob" => Some(presence.status),
        _ => None,
    }
}
