//! A large room is told what is said and who joins and leaves, and nothing of who types, reads, comes
//! and goes; who is there is counted for those who ask.

use std::time::Duration;

use parlor_client::MembersQuery;
use parlor_protocol::{command::Command, event::EventBody, frame::Frame, id::RoomRef};
use parlor_testkit::{process::User, socket::Socket};

use crate::{
    MACHINE,
    stage::{Place, Stage, in_both_places},
    until,
};

in_both_places!(large_room_is_told_no_more_than_it_can_read);

/// Members up to which a room is told all in this test.
const SMALL: usize = 3;
/// Those of the large room.
const NAMES: [&str; 6] = ["ada", "bob", "cyd", "dan", "eve", "fay"];
/// Longer than an answer about a large room is good.
const PATIENCE: Duration = Duration::from_mins(1);

/// Returns the names of a list, and how many are members and there.
async fn listed(user: &User, query: &MembersQuery) -> (Vec<String>, u64, u64) {
    let page = user.http.members_by("hall", query).await.unwrap();
    assert_eq!(page.next, None);
    let names = page.items.into_iter().map(|member| member.user.username).collect();
    (names, page.total, page.online)
}

/// Returns the events up to a message with this text; no signal of a member may be among them.
async fn events_until(socket: &mut Socket, text: &str) -> Vec<EventBody> {
    let mut events = Vec::new();
    loop {
        match socket.next_frame().await {
            Frame::Event(event) => {
                let is_last = matches!(&event.body, EventBody::MessageCreated(message)
                    if message.body == text);
                events.push(event.body);
                if is_last {
                    return events;
                }
            }
            Frame::Signal(signal) => panic!("the large room was told {signal:?}"),
            _ => {}
        }
    }
}

async fn withheld(stage: &Stage, words: &[&str]) -> u64 {
    stage.counts(words).await.into_iter().sum()
}

async fn large_room_is_told_no_more_than_it_can_read(place: Place) {
    let _shared = MACHINE.read().await;
    let builder = place.builder().env("PARLOR_LIMITS__PRESENCE_ROOM", &SMALL.to_string());
    // Whoever goes is gone at once.
    let stage = builder.env("PARLOR_CLUSTER__PRESENCE_GRACE", "1s").start().await;
    let mut people = Vec::new();
    for name in NAMES {
        people.push(stage.register(name).await);
    }
    let (ada, bob) = (people[0].clone(), people[1].clone());
    ada.create_room("hall", &[]).await;
    for user in &people[1..] {
        user.join("hall").await;
    }
    let mut reader = ada.socket().await;
    reader.subscribe("hall", None).await.unwrap();
    let mut writer = bob.socket().await;
    writer.subscribe("hall", None).await.unwrap();

    // Someone comes, types, reads and goes; someone joins and leaves; someone speaks.
    let mut comes = people[2].socket().await;
    comes.subscribe("hall", None).await.unwrap();
    let typing = Command::Typing { id: None, room: RoomRef::from("hall"), on: true };
    writer.send(&typing).await.unwrap();
    bob.http.mark_read("hall", 1).await.unwrap();
    let gus = stage.register("gus").await;
    gus.join("hall").await;
    gus.http.delete_member("hall", "gus").await.unwrap();
    comes.close().await;
    until("typing is counted", PATIENCE, async || {
        withheld(&stage, &["parlor_room_signals_dropped_total", "typing"]).await > 0
    })
    .await;
    bob.say("hall", "hello everyone").await;
    let events = events_until(&mut reader, "hello everyone").await;
    let told: Vec<&str> = events
        .iter()
        .filter_map(|event| match event {
            EventBody::MemberJoined(change) if change.user.username == "gus" => Some("joined"),
            EventBody::MemberLeft(change) if change.user.username == "gus" => Some("left"),
            EventBody::MessageCreated(_) => Some("said"),
            _ => None,
        })
        .collect();
    assert_eq!(told, ["joined", "left", "said"]);
    until("presence is counted", PATIENCE, async || {
        withheld(&stage, &["parlor_room_presence_total", "large_room"]).await > 0
    })
    .await;

    // Who is there is as of a moment ago, the same on every node.
    let online = MembersQuery { online: true, ..MembersQuery::default() };
    for _ in 0..3 {
        until("two are there", PATIENCE, async || {
            listed(&ada, &online).await == (vec!["ada".to_owned(), "bob".to_owned()], 6, 2)
        })
        .await;
        let (names, total, _) = listed(&ada, &MembersQuery::default()).await;
        assert_eq!(
            (names.iter().map(String::as_str).collect::<Vec<_>>(), total),
            (NAMES.into(), 6)
        );
    }
}
