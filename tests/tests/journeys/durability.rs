//! What was acknowledged survives everything; what calls a bot is answered once.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parlor_protocol::{
    event::EventBody,
    frame::{Accepted, Frame},
};
use parlor_testkit::{
    fake_llm::{FakeLlm, Script},
    process::{User, draft},
    socket::{Ended, Failure, Incoming, Options, Socket, publish, with_id},
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use uuid::Uuid;

use crate::{
    MACHINE,
    follow::{Follower, Seen, SharedHistory, settle, shared_history},
    soak_factor,
    stage::{Place, in_both_places},
    until,
};

in_both_places! {
    acknowledged_messages_survive_being_killed_again_and_again,
    bursts_survive_being_killed,
}

const WRITERS: usize = 6;
const MESSAGES_EACH: usize = 50;
/// In a cluster each kill ends one machine of three.
const KILLS: (usize, usize) = (10, 4);
/// Every so many messages one calls the bot.
const CALL_EVERY: usize = 10;
const BURSTS: usize = 25;
const BURST: usize = 20;
/// How long a server may be away.
const OUTAGE: Duration = Duration::from_secs(40);

/// How far a test has come.
#[derive(Default)]
struct Progress {
    acknowledged: AtomicUsize,
    /// Where the log ends, once that is known.
    head: OnceLock<u64>,
}

async fn acknowledged_messages_survive_being_killed_again_and_again(place: Place) {
    let _alone = MACHINE.write().await;
    let llm = FakeLlm::start().await;
    llm.set_script(Script::counting(25).with_delay(Duration::from_millis(20)));
    let mut stage =
        place.builder().model(&llm).env("PARLOR_LIMITS__REPLAY_EVENTS", "100000").start().await;
    let history = shared_history();
    let kills = place.pick(KILLS.0, KILLS.1) * soak_factor();
    let total = WRITERS * MESSAGES_EACH * soak_factor();
    let progress = Arc::new(Progress::default());
    let mut writers = JoinSet::new();
    let mut users = Vec::new();
    for number in 0..WRITERS {
        users.push(stage.register(&format!("writer-{number}")).await);
    }
    let owner = stage.register("owner").await;
    let room = owner.create_room("durable", &["guide"]).await;
    let mut readers = JoinSet::new();
    for number in 0..2 {
        let reader = Follower::new(&owner, "durable", &history, &format!("reader-{number}"));
        readers.spawn(read(reader, Arc::clone(&progress)));
    }
    for user in &users {
        user.join("durable").await;
        let (history, progress) = (SharedHistory::clone(&history), Arc::clone(&progress));
        writers.spawn(write(user.clone(), room.id.to_string(), history, progress));
    }

    for kill in 1..=kills {
        let enough = total * kill / (kills + 1);
        let reached = async || progress.acknowledged.load(Ordering::Relaxed) >= enough;
        until(&format!("{enough} messages acknowledged"), OUTAGE, reached).await;
        stage.kill().await;
        stage.restart().await;
    }
    let written: Vec<(String, String)> = writers.join_all().await.into_iter().flatten().collect();
    assert_eq!(written.len(), total);

    repeat_all(&users, &written, &history).await;
    // A bot writes one reply at a time in one room.
    let patience = Duration::from_secs(60 + 2 * (total / CALL_EVERY) as u64);
    until("every reply has ended", patience, async || replies_ended(&owner).await).await;
    progress.head.set(owner.log("durable").await.len() as u64).unwrap();
    readers.join_all().await;
    let summary = settle(history, &owner, "durable").await;
    assert_eq!(summary.acknowledged, total);
    assert_eq!(summary.replies, total / CALL_EVERY);
}

/// Writes its messages, each again and again until it is acknowledged.
async fn write(
    user: User,
    room: String,
    history: SharedHistory,
    progress: Arc<Progress>,
) -> Vec<(String, String)> {
    let (mut socket, mut written) = (None, Vec::new());
    for number in 0..MESSAGES_EACH * soak_factor() {
        let client_id = Uuid::new_v4().to_string();
        let calls = number % CALL_EVERY == 0;
        let body = format!("{} {number}{}", user.name, if calls { " @guide" } else { "" });
        history.lock().unwrap().wrote(&client_id, &body, calls);
        let deadline = Instant::now() + OUTAGE;
        loop {
            assert!(Instant::now() < deadline, "{body:?} was not acknowledged in {OUTAGE:?}");
            match attempt(&user, &mut socket, &room, &client_id, &body).await {
                Ok(accepted) => {
                    history.lock().unwrap().accepted(&client_id, &accepted);
                    break;
                }
                Err(Failure::Refused(refused)) => {
                    assert!(refused.code.is_retryable(), "{refused:?}");
                }
                Err(Failure::Ended(_)) => socket = None,
            }
            sleep(Duration::from_millis(20)).await;
        }
        progress.acknowledged.fetch_add(1, Ordering::Relaxed);
        written.push((client_id, body));
    }
    written
}

async fn bursts_survive_being_killed(place: Place) {
    let _alone = MACHINE.write().await;
    let mut stage = place.builder().env("PARLOR_LIMITS__REPLAY_EVENTS", "100000").start().await;
    let owner = stage.register("owner").await;
    let room = owner.create_room("durable", &[]).await.id.to_string();
    let history = shared_history();
    let done = Arc::new(AtomicUsize::new(0));
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let user = stage.register(&format!("writer-{number}")).await;
        user.join("durable").await;
        let (history, done) = (SharedHistory::clone(&history), Arc::clone(&done));
        writers.spawn(write_bursts(user, room.clone(), history, done));
    }

    let total = WRITERS * BURSTS * BURST;
    for kill in 1..=4 {
        let enough = || done.load(Ordering::Relaxed) >= total * kill / 5;
        until("enough is acknowledged", OUTAGE, async || enough()).await;
        stage.kill().await;
        stage.restart().await;
    }
    writers.join_all().await;

    let summary = settle(history, &owner, "durable").await;
    assert_eq!(summary.acknowledged, total);
}

/// Sends many messages without waiting, then collects the answers; what is left is sent again.
async fn write_bursts(user: User, room: String, history: SharedHistory, done: Arc<AtomicUsize>) {
    let mut socket = None;
    for number in 0..BURSTS {
        let mut open: BTreeMap<String, String> = BTreeMap::new();
        for place in 0..BURST {
            let body = format!("{} {number}.{place}", user.name);
            let client_id = Uuid::new_v4().to_string();
            history.lock().unwrap().wrote(&client_id, &body, false);
            open.insert(client_id, body);
        }
        let deadline = Instant::now() + OUTAGE;
        while !open.is_empty() {
            assert!(Instant::now() < deadline, "{} are not acknowledged", open.len());
            if socket.is_none() {
                let token = user.token().await;
                let opened = Socket::try_open(user.addr(), &token, &Options::default()).await;
                socket = opened.ok();
                sleep(Duration::from_millis(20)).await;
            }
            let Some(connected) = &mut socket else { continue };
            let before = open.len();
            if burst(connected, &room, &mut open, &history).await.is_err() {
                socket = None;
            }
            done.fetch_add(before - open.len(), Ordering::Relaxed);
        }
    }
}

async fn burst(
    socket: &mut Socket,
    room: &str,
    open: &mut BTreeMap<String, String>,
    history: &SharedHistory,
) -> Result<(), Ended> {
    for (client_id, body) in open.iter() {
        // Each message's own id serves as the id of the command.
        let command = with_id(publish(room, client_id, body), client_id.clone());
        socket.send(&command).await?;
    }
    while !open.is_empty() {
        match socket.next().await {
            Incoming::Ended(ended) => return Err(ended),
            Incoming::Frame(frame) => match *frame {
                Frame::Ok(accepted) => {
                    let client_id = accepted.re.clone().unwrap();
                    history.lock().unwrap().accepted(&client_id, &accepted);
                    open.remove(&client_id);
                }
                Frame::Error(refused) => panic!("{refused:?}"),
                _ => {}
            },
        }
    }
    Ok(())
}

async fn attempt(
    user: &User,
    socket: &mut Option<Socket>,
    room: &str,
    client_id: &str,
    body: &str,
) -> Result<Accepted, Failure> {
    if socket.is_none() {
        let token = user.token().await;
        let opened = Socket::try_open(user.addr(), &token, &Options::default()).await;
        *socket = Some(opened.map_err(Failure::Ended)?);
    }
    let open = socket.as_mut().expect("it was opened");
    open.publish(room, client_id, body).await
}

/// Writes everything once more, half of it over HTTP, and gets the first answers again.
async fn repeat_all(users: &[User], written: &[(String, String)], history: &SharedHistory) {
    for user in users {
        let mut socket = user.socket().await;
        let theirs = |body: &str| body.split(' ').next() == Some(&user.name);
        for (number, (client_id, body)) in
            written.iter().filter(|(_, body)| theirs(body)).enumerate()
        {
            if number % 2 == 0 {
                let again = socket.publish("durable", client_id, body).await.unwrap();
                assert!(again.duplicate, "{client_id}");
                history.lock().unwrap().accepted(client_id, &again);
            } else {
                let again = user.http.publish("durable", &draft(body, Some(client_id))).await;
                let again = again.unwrap();
                history.lock().unwrap().acknowledged_at(client_id, again.seq, again.id);
            }
        }
    }
}

/// Follows the room through all outages to the end.
async fn read(mut reader: Follower, progress: Arc<Progress>) {
    while progress.head.get().is_none_or(|&head| reader.position().unwrap_or(0) < head) {
        if !reader.is_connected() {
            // The server may be away for the moment.
            drop(reader.connect().await);
            sleep(Duration::from_millis(20)).await;
            continue;
        }
        if let Some(Seen::Ended(ended)) =
            reader.next_before(Instant::now() + Duration::from_millis(200)).await
        {
            assert_eq!(ended.code(), None, "a killed server says nothing");
        }
    }
}

async fn replies_ended(user: &User) -> bool {
    let (mut begun, mut ended, mut calls) = (0, 0, 0);
    for event in user.log("durable").await {
        match event.body {
            EventBody::MessageCreated(message) if message.bot.is_some() => begun += 1,
            EventBody::MessageCreated(message) if message.body.contains("@guide") => calls += 1,
            EventBody::MessageCompleted(_) => ended += 1,
            _ => {}
        }
    }
    begun == calls && ended >= begun
}
