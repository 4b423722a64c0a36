//! Leaving at any moment and coming back loses nothing and doubles nothing.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parlor_client::{Feed, Update, Updates};
use parlor_protocol::{
    command::{Position, Since},
    event::Event,
    frame::Frame,
};
use parlor_testkit::{
    process::User,
    tcp_proxy::{Mode, TcpProxy},
};
use rand::Rng as _;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use uuid::Uuid;

use crate::{
    MACHINE,
    cuts::cut,
    follow::{Follower, Seen, SharedHistory, settle, shared_history},
    soak_factor,
    sse::SseStream,
    stage::{Place, in_both_places},
};

in_both_places! {
    client_that_leaves_200_times_has_the_same_list_as_one_that_stays,
    client_that_missed_too_much_is_told_to_read_again,
    client_of_server_sent_events_resumes_after_its_last_one,
    feed_leaves_a_connection_that_swallows_everything,
    history_that_was_reset_is_not_replayed,
}

const DEPARTURES: usize = 200;
const CUTS: usize = 60;
const EVENT_STREAMS: usize = 60;
const PATIENCE: Duration = Duration::from_mins(1);

async fn client_that_leaves_200_times_has_the_same_list_as_one_that_stays(place: Place) {
    let _alone = MACHINE.write().await;
    // Few events are kept in memory, so that some of what was missed comes from the store.
    let stage = place
        .builder()
        .env("PARLOR_LIMITS__RING_EVENTS", "16")
        .env("PARLOR_LIMITS__REPLAY_EVENTS", "1000000")
        .start()
        .await;
    let (ada, bob) = (stage.register("ada").await, stage.register("bob").await);
    let proxy = TcpProxy::start(stage.addr()).await;
    let history = shared_history();
    let mut steady = Follower::start(&ada, "general", &history, "steady").await;
    let leaver = Follower::start(&bob, "general", &history, "leaver").await;
    let cut = Follower::start(&bob.through(proxy.addr()), "general", &history, "cut").await;
    let begin = steady.position().unwrap();
    let (feed, updates) = bob.through(proxy.addr()).feed();
    feed.subscribe("general", Some(Since::Seq(begin))).await.unwrap();
    let quiet = Arc::new(AtomicBool::new(false));

    let mut writing = JoinSet::new();
    writing.spawn(write(
        ada.clone(),
        SharedHistory::clone(&history),
        Arc::clone(&quiet),
        DEPARTURES + 1,
    ));
    let listed: Arc<Mutex<Vec<Event>>> = Arc::default();
    let mut listing = JoinSet::new();
    listing.spawn(list(feed, updates, Arc::clone(&listed)));
    let watch = async {
        let end = loop {
            tokio::select! {
                biased;
                end = write_ends(&mut writing) => break end,
                seen = steady.next() => assert!(!matches!(seen, Seen::Ended(_)), "{seen:?}"),
            }
        };
        steady.read_to(end).await;
        end
    };
    let leaving = async {
        let (leaver, cut) =
            tokio::join!(leave(leaver, DEPARTURES * soak_factor()), endure(cut, &proxy));
        quiet.store(true, Ordering::Relaxed);
        (leaver, cut)
    };
    let (end, (mut leaver, mut cut)) = tokio::join!(watch, leaving);
    for follower in [&mut leaver, &mut cut] {
        come_back(follower).await;
        follower.read_to(end).await;
    }
    let has_all = || listed.lock().unwrap().last().is_some_and(|event| event.seq >= end);
    crate::until("the feed has everything", PATIENCE, async || has_all()).await;

    let log = ada.log("general").await;
    let after: Vec<_> = log.into_iter().filter(|event| event.seq > begin).collect();
    assert!(after.len() > DEPARTURES, "only {} events", after.len());
    assert_eq!(*listed.lock().unwrap(), after, "the feed's list");
    settle(history, &ada, "general").await;
}

async fn client_that_missed_too_much_is_told_to_read_again(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.builder().env("PARLOR_LIMITS__REPLAY_EVENTS", "5").start().await;
    let ada = stage.register("ada").await;
    let epoch = ada.http.room("general").await.unwrap().epoch;
    for number in 0..20 {
        ada.say("general", &number.to_string()).await;
    }
    let mut socket = ada.socket().await;
    let since = |epoch: &str, seq| Position { epoch: epoch.to_owned(), seq };

    for (position, reason) in [
        (since(&epoch, 1), "too_far_behind"),
        (since("another", 20), "epoch_changed"),
        (since(&epoch, 4_000), "ahead_of_log"),
    ] {
        let subscribed = socket.subscribe("general", Some(position)).await.unwrap();
        let resync = loop {
            if let Frame::Resync(resync) = socket.next_frame().await {
                break resync;
            }
        };

        assert!(!subscribed.resumed);
        assert_eq!((resync.reason.as_str(), resync.from), (reason, subscribed.seq));
    }
}

async fn client_of_server_sent_events_resumes_after_its_last_one(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.builder().env("PARLOR_LIMITS__RING_EVENTS", "8").start().await;
    let (ada, bob) = (stage.register("ada").await, stage.register("bob").await);
    let begin = ada.http.room("general").await.unwrap().seq;
    let history = shared_history();
    let quiet = Arc::new(AtomicBool::new(false));
    let mut writing = JoinSet::new();
    writing.spawn(write(ada.clone(), SharedHistory::clone(&history), Arc::clone(&quiet), 0));

    let (mut last, mut listed) = (begin, Vec::new());
    for _ in 0..EVENT_STREAMS {
        let mut stream = SseStream::follow(&bob, "general", Some(last)).await;
        let wanted = rand::rng().random_range(0..12);
        listed.extend(read_events(&mut stream, wanted).await);
        last = listed.last().map_or(begin, |event: &Event| event.seq);
        drop(stream);
        let away = rand::rng().random_range(0..60);
        sleep(Duration::from_millis(away)).await;
    }
    quiet.store(true, Ordering::Relaxed);
    let end = write_ends(&mut writing).await;
    let mut stream = SseStream::follow(&bob, "general", Some(last)).await;
    let missing = usize::try_from(end - last).unwrap();
    listed.extend(read_events(&mut stream, missing).await);

    let log = ada.log("general").await;
    let after: Vec<_> = log.into_iter().filter(|event| event.seq > begin).collect();
    assert_eq!(listed, after);
}

/// Reads this many events of the log.
async fn read_events(stream: &mut SseStream, wanted: usize) -> Vec<Event> {
    let mut events = Vec::new();
    while events.len() < wanted {
        let next = stream.next().await.expect("the stream goes on");
        if let Frame::Event(event) = next.json() {
            assert_eq!(next.id, Some(event.seq.to_string()));
            events.push(*event);
        }
    }
    events
}

async fn feed_leaves_a_connection_that_swallows_everything(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place
        .builder()
        .env("PARLOR_LIMITS__HEARTBEAT", "200ms")
        .env("PARLOR_LIMITS__IDLE_TIMEOUT", "700ms")
        .start()
        .await;
    let (ada, bob) = (stage.register("ada").await, stage.register("bob").await);
    let proxy = TcpProxy::start(stage.addr()).await;
    let (feed, mut updates) = bob.through(proxy.addr()).feed();
    feed.subscribe("general", None).await.unwrap();
    while !matches!(updates.next().await.unwrap(), Update::Subscribed { .. }) {}

    proxy.set_mode(Mode::BlackHole);
    let said = ada.say("general", "into the void").await;
    let noticed =
        async { while !matches!(updates.next().await, Some(Update::Disconnected { .. })) {} };
    timeout(Duration::from_secs(10), noticed).await.expect("the silence is noticed");
    proxy.reset_all();
    proxy.set_mode(Mode::Pass);

    let arrived = async {
        loop {
            if let Some(Update::Event(event)) = updates.next().await
                && event.body.message() == Some(said.id)
            {
                return event.seq;
            }
        }
    };
    assert_eq!(timeout(PATIENCE, arrived).await.expect("it came back"), said.seq);
}

async fn history_that_was_reset_is_not_replayed(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.builder().env("PARLOR_LIMITS__RING_EVENTS", "4").start().await;
    let (ada, bob) = (stage.register("ada").await, stage.register("bob").await);
    let room = ada.create_room("ours", &[]).await;
    bob.join("ours").await;
    for number in 0..10 {
        ada.say("ours", &format!("gone {number}")).await;
    }
    ada.http.reset_history("ours").await.unwrap();
    ada.say("ours", "a new beginning").await;

    for seq in [0, 3, 8] {
        let mut socket = bob.socket().await;
        let since = Position { epoch: room.epoch.clone(), seq };
        let subscribed = socket.subscribe("ours", Some(since)).await.unwrap();
        bob.say("ours", "the end").await;
        let mut told = subscribed.resumed;
        loop {
            match socket.next_frame().await {
                Frame::Resync(resync) => {
                    assert_eq!(resync.reason, "history_reset");
                    told = true;
                }
                Frame::Event(event) => {
                    let text = format!("{event:?}");
                    assert!(!text.contains("gone"), "{text}");
                    if text.contains("the end") {
                        break;
                    }
                }
                _ => {}
            }
        }
        assert!(told, "a client at {seq} has to know");
    }
    let bodies: Vec<_> =
        bob.history("ours").await.into_iter().map(|message| message.body).collect();
    assert_eq!(bodies.first().map(String::as_str), Some("a new beginning"));
}

/// Writes so many messages at least, and until nobody leaves any more; returns the last position.
async fn write(user: User, history: SharedHistory, quiet: Arc<AtomicBool>, least: usize) -> u64 {
    let mut socket = user.socket().await;
    let mut last = 0;
    let mut number = 0;
    while number < least || !quiet.load(Ordering::Relaxed) {
        number += 1;
        let (client_id, body) = (Uuid::new_v4().to_string(), format!("message {number}"));
        history.lock().unwrap().wrote(&client_id, &body, false);
        let accepted = socket.publish("general", &client_id, &body).await.unwrap();
        history.lock().unwrap().accepted(&client_id, &accepted);
        last = accepted.seq.unwrap();
        let pause = rand::rng().random_range(0..10);
        sleep(Duration::from_millis(pause)).await;
    }
    last
}

async fn write_ends(writing: &mut JoinSet<u64>) -> u64 {
    writing.join_next().await.unwrap().unwrap()
}

/// Leaves at random moments, in every way there is, and comes back.
async fn leave(mut follower: Follower, times: usize) -> Follower {
    for _ in 0..times {
        let (stay, away, how) = {
            let mut rng = rand::rng();
            (rng.random_range(0..25), rng.random_range(0..25), rng.random_range(0..3))
        };
        read_for(&mut follower, Duration::from_millis(stay)).await;
        let socket = follower.disconnect();
        match how {
            0 => socket.close().await,
            1 => socket.abort(),
            _ => drop(socket),
        }
        sleep(Duration::from_millis(away)).await;
        follower.connect().await.unwrap();
    }
    drop(follower.disconnect());
    follower
}

async fn read_for(follower: &mut Follower, time: Duration) {
    let deadline = Instant::now() + time;
    while let Some(seen) = follower.next_before(deadline).await {
        assert!(!matches!(seen, Seen::Ended(_)), "{seen:?}");
    }
}

/// Connects. What is left of the last cut may end the first attempt.
async fn come_back(follower: &mut Follower) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(failure) = follower.connect().await {
        assert!(Instant::now() < deadline, "{failure:?}");
    }
}

/// Stays, while the network does what networks do.
async fn endure(mut follower: Follower, proxy: &TcpProxy) -> Follower {
    for number in 0..CUTS * soak_factor() {
        let pause = rand::rng().random_range(10..80);
        sleep(Duration::from_millis(pause)).await;
        cut(proxy, number);
        loop {
            if !follower.is_connected() {
                // The next cut may hit the attempt.
                drop(timeout(Duration::from_secs(5), follower.connect()).await);
                continue;
            }
            let deadline = Instant::now() + Duration::from_millis(5);
            if follower.next_before(deadline).await.is_none() {
                break;
            }
        }
    }
    if follower.is_connected() {
        drop(follower.disconnect());
    }
    follower
}

/// Notes what a feed delivers, until it is dropped.
async fn list(feed: Feed, mut updates: Updates, listed: Arc<Mutex<Vec<Event>>>) {
    while let Some(update) = updates.next().await {
        match update {
            Update::Event(event) => listed.lock().unwrap().push(*event),
            Update::Ended(error) => panic!("the feed ended: {error:?}"),
            Update::Resynced { from, reason, .. } => panic!("resync at {from}: {reason}"),
            _ => {}
        }
    }
    drop(feed);
}
