//! Many writers on several nodes, servers that die under them, and intents that cannot be stored.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parlor_protocol::event::{Event, EventBody};
use parlor_protocol::http::Trigger;
use parlor_protocol::id::{MessageId, RoomId, UserId};
use parlor_protocol::room::RoomKind;
use parlor_protocol::user::{UserKind, UserRef};
use parlor_store::record::{BotRecord, NewRoom, NewUser};
use parlor_store::{
    Append, AppendRefused, Appended, Bots as _, Intent, Jobs as _, Log as _, NewMessage,
    PostgresOptions, PostgresStore, Rooms as _, StoreError, Users as _,
};
use parlor_testkit::services::Postgres;
use tokio::task::JoinSet;
use tokio::time::sleep;
use uuid::Uuid;

use super::{at, database, open, options, person, soon};

/// Two people and some rooms that both are in.
pub(super) struct Town {
    pub(super) ada: UserId,
    pub(super) bob: UserId,
    pub(super) rooms: Vec<RoomId>,
}

impl Town {
    pub(super) async fn build(store: &PostgresStore, rooms: usize) -> Self {
        let ada = store.create_user(person("ada")).await.unwrap().unwrap().user.id;
        let bob = store.create_user(person("bob")).await.unwrap().unwrap().user.id;
        let mut made = Vec::new();
        for _ in 0..rooms {
            made.push(new_room(store, ada, vec![bob]).await);
        }
        Self { ada, bob, rooms: made }
    }
}

pub(super) async fn new_room(
    store: &PostgresStore,
    creator: UserId,
    members: Vec<UserId>,
) -> RoomId {
    let id = RoomId(Uuid::new_v4());
    let room = NewRoom {
        id,
        slug: format!("room-{}", id.0.simple()),
        name: "Room".to_owned(),
        kind: RoomKind::Public,
        topic: String::new(),
        creator,
        members,
        at: at(),
        client_id: None,
        max_owned: 100,
    };
    store.create_room(room).await.unwrap().unwrap().room.id
}

pub(super) fn message(client_id: Option<String>, body: &str) -> NewMessage {
    NewMessage {
        id: MessageId(Uuid::new_v4()),
        client_id,
        body: body.to_owned(),
        reply_to: None,
        thread: None,
        attachments: Vec::new(),
    }
}

pub(super) fn publish(room: RoomId, actor: UserId, message: NewMessage) -> Append {
    Append { room, actor, at: at(), intent: Intent::Publish(message) }
}

pub(super) fn event_of(answer: &Result<Appended, AppendRefused>) -> &Event {
    match answer {
        Ok(Appended::New { events, .. }) => &events[0],
        Ok(Appended::Repeat { event }) => event,
        other => panic!("not written: {other:?}"),
    }
}

pub(super) fn message_of(event: &Event) -> MessageId {
    event.body.message().unwrap()
}

/// Checks that a room's log is dense and that each message and each client id is there once, and
/// returns the positions of the messages.
pub(super) async fn check_log(store: &PostgresStore, room: RoomId) -> HashMap<MessageId, u64> {
    let events = store.read_events(room, 0, 1_000_000).await.unwrap();
    let head = store.find_head(room).await.unwrap().unwrap();
    let seqs: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..=head.seq).collect::<Vec<_>>(), "a hole or a double");
    let mut client_ids = HashSet::new();
    let mut positions = HashMap::new();
    for event in &events {
        let EventBody::MessageCreated(message) = &event.body else { continue };
        assert_eq!(message.seq, event.seq);
        assert!(positions.insert(message.id, event.seq).is_none(), "a message is there twice");
        if let Some(client_id) = &message.client_id {
            let key = (message.sender.id, client_id.clone());
            assert!(client_ids.insert(key), "a client id is there twice");
        }
    }
    positions
}

pub(super) fn renamed(name: &str) -> Intent {
    Intent::Update { name: Some(name.to_owned()), topic: None, archived: None, settings: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_have_no_hole_with_doubles_from_several_nodes() {
    let (_, url) = database();
    let nodes = [Arc::new(open(&url).await), Arc::new(open(&url).await)];
    let town = Arc::new(Town::build(&nodes[0], 3).await);
    let mut writers = JoinSet::new();
    for writer in 0..4_u64 {
        let (store, town) = (Arc::clone(&nodes[writer as usize % 2]), Arc::clone(&town));
        writers.spawn(async move {
            let mut acknowledged = Vec::new();
            for round in 0..60_u64 {
                let batch: Vec<Append> = (0..20_u64)
                    .map(|n| {
                        // Every twentieth is one that other writers have sent, too.
                        let own = format!("{writer} {round} {n}");
                        let client_id = if n == 7 { format!("all {round}") } else { own };
                        let room = town.rooms[((n + round) % 3) as usize];
                        publish(room, town.ada, message(Some(client_id), "hello"))
                    })
                    .collect();
                let rooms: Vec<RoomId> = batch.iter().map(|append| append.room).collect();
                let answers = soon(store.append(batch)).await.unwrap();
                let mut last: BTreeMap<RoomId, u64> = BTreeMap::new();
                for (room, answer) in rooms.into_iter().zip(&answers) {
                    let event = event_of(answer);
                    acknowledged.push((room, message_of(event), event.seq));
                    if let Ok(Appended::New { .. }) = answer {
                        let before = last.insert(room, event.seq).unwrap_or(0);
                        assert!(before < event.seq, "the order of the batch");
                    }
                }
            }
            acknowledged
        });
    }
    let acknowledged: Vec<_> = writers.join_all().await.into_iter().flatten().collect();

    assert_eq!(acknowledged.len(), 4 * 60 * 20);
    let mut n_messages = 0;
    for room in &town.rooms {
        let positions = check_log(&nodes[1], *room).await;
        n_messages += positions.len();
        for (_, message, seq) in acknowledged.iter().filter(|(of, ..)| of == room) {
            assert_eq!(positions.get(message), Some(seq), "acknowledged at another place");
        }
    }
    assert_eq!(n_messages, 4 * 60 * 19 + 60, "each double is one message");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_give_the_same_answer_to_the_same_message() {
    let (_, url) = database();
    let nodes = [open(&url).await, open(&url).await];
    let town = Town::build(&nodes[0], 1).await;
    for n in 0..30 {
        let ask = |node: &'static str| {
            let client_id = Some(format!("same {n}"));
            publish(town.rooms[0], town.ada, message(client_id, node))
        };

        let (one, two) =
            tokio::join!(nodes[0].append(vec![ask("one")]), nodes[1].append(vec![ask("two")]));

        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!(event_of(&one[0]), event_of(&two[0]));
        let news = [&one[0], &two[0]]
            .into_iter()
            .filter(|answer| matches!(answer, Ok(Appended::New { .. })));
        assert_eq!(news.count(), 1);
    }
    assert_eq!(check_log(&nodes[0], town.rooms[0]).await.len(), 30);
}

#[tokio::test]
async fn what_cannot_be_stored_fails_no_neighbor() {
    let (_, url) = database();
    let store = open(&url).await;
    let town = Town::build(&store, 2).await;
    let mut batch: Vec<Append> = (0..64)
        .map(|n| publish(town.rooms[n % 2], town.ada, message(Some(n.to_string()), "hello")))
        .collect();
    for (nth, append) in [(5, "a zero \0 byte"), (40, "another \0")] {
        batch[nth] = publish(town.rooms[nth % 2], town.ada, message(None, append));
    }
    // An index does not take it.
    let long: String =
        (0..4_000).map(|n| char::from_u32(0x4e00 + n * 7 % 20_000).unwrap()).collect();
    batch[17] = publish(town.rooms[1], town.ada, message(Some(long), "hello"));
    // Intents that go one by one stand beside them.
    let about = message(None, "first");
    let id = about.id;
    store.append(vec![publish(town.rooms[0], town.ada, about)]).await.unwrap();
    let bad = Intent::Edit { message: id, body: "\0".to_owned() };
    let good = Intent::React { message: id, emoji: "👍".to_owned(), add: true };
    let mixed =
        [bad, good].map(|intent| Append { room: town.rooms[0], actor: town.ada, at: at(), intent });

    let answers = store.append(batch).await.unwrap();
    let mixed = store.append(mixed.into()).await.unwrap();

    for (nth, answer) in answers.iter().enumerate() {
        if [5, 17, 40].contains(&nth) {
            assert_eq!(*answer, Err(AppendRefused::NotStorable), "number {nth}");
        } else {
            assert!(matches!(answer, Ok(Appended::New { .. })), "number {nth}: {answer:?}");
        }
    }
    assert_eq!(mixed[0], Err(AppendRefused::NotStorable));
    assert!(matches!(mixed[1], Ok(Appended::New { .. })));
    assert_eq!(check_log(&store, town.rooms[0]).await.len(), 32);
    assert_eq!(check_log(&store, town.rooms[1]).await.len(), 30);
}

#[tokio::test]
async fn id_that_is_taken_is_a_repeat_or_refused() {
    let (_, url) = database();
    let store = open(&url).await;
    let town = Town::build(&store, 2).await;
    let first = message(None, "first");
    let [one, two] = [town.rooms[0], town.rooms[1]];
    let written = store.append(vec![publish(one, town.ada, first.clone())]).await.unwrap();

    let answers = store
        .append(vec![
            publish(two, town.ada, message(None, "before")),
            publish(one, town.ada, first.clone()),
            publish(two, town.ada, first.clone()),
            publish(one, town.bob, first),
            publish(two, town.ada, message(None, "after")),
        ])
        .await
        .unwrap();

    assert_eq!(answers[1], Ok(Appended::Repeat { event: event_of(&written[0]).clone() }));
    assert_eq!(answers[2], Err(AppendRefused::NotChangeable));
    assert_eq!(answers[3], Err(AppendRefused::NotChangeable));
    assert_eq!(event_of(&answers[4]).seq, event_of(&answers[0]).seq + 1);
}

/// Repeats a batch with the same ids until it is answered, as a caller does.
pub(super) async fn repeated(
    store: &PostgresStore,
    batch: Vec<Append>,
) -> Vec<Result<Appended, AppendRefused>> {
    loop {
        match store.append(batch.clone()).await {
            Ok(answers) => return answers,
            Err(StoreError::Unavailable(_) | StoreError::UnknownOutcome) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_messages_survive_the_death_of_the_server() {
    let server = Postgres::start().await;
    let limits = PostgresOptions {
        append_deadline: Duration::from_millis(400),
        pool_wait: Duration::from_millis(400),
        connect_timeout: Duration::from_secs(2),
        ..options(&server.url())
    };
    // A store with more patience: nothing is tried yet.
    let town = Arc::new(Town::build(&open(&server.url()).await, 2).await);
    let store = Arc::new(PostgresStore::open(limits).await.unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        let (store, town, stop) = (Arc::clone(&store), Arc::clone(&town), Arc::clone(&stop));
        writers.spawn(async move {
            let (mut acknowledged, mut failed, mut n_unknown) = (Vec::new(), Vec::new(), 0);
            for n in 0_usize.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let room = town.rooms[n % 2];
                let batch: Vec<Append> = (0..8)
                    .map(|k| {
                        let client_id = Some(format!("{writer} {n} {k}"));
                        publish(room, town.ada, message(client_id, "hello"))
                    })
                    .collect();
                let ids: Vec<MessageId> = batch
                    .iter()
                    .map(|append| match &append.intent {
                        Intent::Publish(message) => message.id,
                        _ => unreachable!(),
                    })
                    .collect();
                match store.append(batch).await {
                    Ok(answers) => {
                        for answer in &answers {
                            let event = event_of(answer);
                            acknowledged.push((room, message_of(event), event.seq));
                        }
                    }
                    // Another one takes its place: this one must never appear.
                    Err(StoreError::Unavailable(_)) => failed.extend(ids),
                    Err(StoreError::UnknownOutcome) => n_unknown += 1,
                    Err(other) => panic!("{other:?}"),
                }
            }
            (acknowledged, failed, n_unknown)
        });
    }
    for _ in 0..3 {
        sleep(Duration::from_millis(700)).await;
        server.kill().await;
        sleep(Duration::from_millis(600)).await;
        server.restart().await;
    }
    sleep(Duration::from_millis(700)).await;
    stop.store(true, Ordering::Relaxed);

    let (mut acknowledged, mut failed, mut n_unknown) = (Vec::new(), Vec::new(), 0);
    for (of_writer, failed_of_writer, unknown) in writers.join_all().await {
        acknowledged.extend(of_writer);
        failed.extend(failed_of_writer);
        n_unknown += unknown;
    }
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
    assert!(!failed.is_empty() || n_unknown > 0, "the server was never missed");
    for room in &town.rooms {
        let positions = check_log(&store, *room).await;
        for (_, message, seq) in acknowledged.iter().filter(|(of, ..)| of == room) {
            assert_eq!(positions.get(message), Some(seq), "an acknowledged message is gone");
        }
        for message in &failed {
            assert!(!positions.contains_key(message), "it was said to have failed");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_that_did_not_reach_the_standby_is_not_acknowledged() {
    let server = Postgres::start().await;
    let limits =
        PostgresOptions { append_deadline: Duration::from_secs(50), ..options(&server.url()) };
    let store = Arc::new(PostgresStore::open(limits).await.unwrap());
    let town = Town::build(&store, 1).await;
    let standby = server.standby(true).await;
    let room = town.rooms[0];
    let first = store.append(vec![publish(room, town.ada, message(None, "first"))]).await.unwrap();
    assert!(matches!(first[0], Ok(Appended::New { .. })));

    standby.pause();
    let intents = [Intent::Publish(message(Some("one".to_owned()), "hello")), renamed("another")];
    let writers = intents.map(|intent| {
        let (store, actor) = (Arc::clone(&store), town.ada);
        let wish = Append { room, actor, at: at(), intent };
        tokio::spawn(async move { soon(store.append(vec![wish])).await })
    });
    // An operator who ends the wait makes the server call it a success, with a warning.
    let cancel = "SELECT count(*) FILTER (WHERE pg_cancel_backend(pid)) FROM pg_stat_activity \
                  WHERE wait_event = 'SyncRep' AND backend_type = 'client backend'";
    let mut n_cancelled = 0;
    while n_cancelled < 6 {
        n_cancelled += server.query(cancel).trim().parse::<u32>().unwrap();
        sleep(Duration::from_millis(20)).await;
    }
    assert!(!writers.iter().any(tokio::task::JoinHandle::is_finished), "the standby has nothing");
    standby.resume();

    for writer in writers {
        let answers = writer.await.unwrap().unwrap();
        assert!(answers[0].is_ok(), "{answers:?}");
    }
    let head = store.find_head(room).await.unwrap().unwrap().seq;
    let kinds: Vec<_> = store.read_events(room, head - 2, 10).await.unwrap();
    let mut kinds: Vec<_> = kinds.iter().map(|event| event.body.kind()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["message.created", "room.updated"], "each once");
}

/// Describes a bot.
pub(super) fn new_bot(username: &str, trigger: Trigger) -> (NewUser, BotRecord) {
    let user = NewUser { kind: UserKind::Bot, ..person(username) };
    let bot = BotRecord {
        user: UserRef {
            id: user.id,
            username: user.username.clone(),
            display_name: user.display_name.clone(),
            kind: UserKind::Bot,
        },
        provider: None,
        model: None,
        system_prompt: String::new(),
        trigger,
        temperature: None,
        max_tokens: None,
        context_messages: 20,
        memory_ttl_seconds: 0,
        owner: None,
        created_at: at(),
    };
    (user, bot)
}

#[tokio::test]
async fn repeat_beside_a_new_message_calls_nobody_again() {
    let (_, url) = database();
    let store = open(&url).await;
    let town = Town::build(&store, 1).await;
    let room = town.rooms[0];
    let (user, bot) = new_bot("guide", Trigger::Always);
    let guide = store.create_bot(user, bot).await.unwrap().unwrap().user;
    let invite = Intent::Invite { user: guide.id };
    store.append(vec![Append { room, actor: town.ada, at: at(), intent: invite }]).await.unwrap();
    let first = message(None, "first");
    store.append(vec![publish(room, town.ada, first.clone())]).await.unwrap();

    let batch =
        vec![publish(room, town.ada, first), publish(room, town.ada, message(None, "second"))];
    let answers = store.append(batch).await.unwrap();

    assert!(matches!(answers[0], Ok(Appended::Repeat { .. })));
    let Ok(Appended::New { jobs, .. }) = &answers[1] else { panic!("{answers:?}") };
    assert_eq!(jobs.iter().map(|job| job.position).collect::<Vec<_>>(), [2]);
    assert_eq!(store.count_jobs().await.unwrap(), (2, 0));
}

#[tokio::test]
async fn node_notices_what_another_node_did_with_the_bots_of_a_room() {
    let (_, url) = database();
    let (here, there) = (open(&url).await, open(&url).await);
    let town = Town::build(&there, 1).await;
    let room = town.rooms[0];
    let (user, bot) = new_bot("guide", Trigger::Mention);
    let guide = there.create_bot(user, bot.clone()).await.unwrap().unwrap().user;
    let called = async |body: &str| {
        let batch = vec![publish(room, town.ada, message(None, body))];
        match here.append(batch).await.unwrap().remove(0) {
            Ok(Appended::New { jobs, .. }) => {
                jobs.into_iter().map(|job| job.bot.username).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        }
    };
    let elsewhere = async |intent| {
        let wish = Append { room, actor: town.ada, at: at(), intent };
        assert!(there.append(vec![wish]).await.unwrap()[0].is_ok());
    };

    assert!(called("hello @guide").await.is_empty(), "it is not in the room");
    elsewhere(Intent::Invite { user: guide.id }).await;
    assert_eq!(called("hello @guide").await, ["guide"]);
    assert!(called("hello").await.is_empty());
    let always = BotRecord { trigger: Trigger::Always, ..bot };
    there.update_bot(always).await.unwrap().unwrap();
    assert_eq!(called("hello").await, ["guide"]);
    there.set_user_access(guide.id, Some(false), None, at()).await.unwrap().unwrap().unwrap();
    assert!(called("hello").await.is_empty(), "it is switched off");
    there.set_user_access(guide.id, Some(true), None, at()).await.unwrap().unwrap().unwrap();
    assert_eq!(called("hello").await, ["guide"]);
    elsewhere(Intent::Kick { user: guide.id, reason: None }).await;
    assert!(called("hello @guide").await.is_empty());
    check_log(&here, room).await;
}
