//! What happens while a file is on its way.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use parlor_protocol::id::{RoomId, RoomRef};
use reqwest::{Body, Method};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{ADA, file, header, import, member, message, of, person};
use crate::harness::TestNode;
use crate::http::api::{Answer, Api, PASSWORD};

/// A file of which only the beginning was sent.
struct Sending {
    pieces: mpsc::UnboundedSender<io::Result<Bytes>>,
    rest: String,
    answer: JoinSet<Answer>,
    room: RoomId,
}

impl Sending {
    /// Sends half of the messages, and waits until the import has begun.
    async fn begin(node: &TestNode, root: &Api, query: &str, file: &str) -> Self {
        let (pieces, taken) = mpsc::unbounded_channel();
        let next = async |mut taken: mpsc::UnboundedReceiver<io::Result<Bytes>>| {
            taken.recv().await.map(|piece| (piece, taken))
        };
        let body = Body::wrap_stream(Box::pin(stream::unfold(taken, next)));
        let request = root.request(Method::POST, &format!("/v1/rooms/import{query}")).body(body);
        let (first, rest) = file.split_at(file.len() / 2);
        pieces.send(Ok(first.to_owned().into())).unwrap();
        let mut answer = JoinSet::new();
        answer.spawn(async move { Answer::read(request.send().await.unwrap()).await });
        let store = &node.node().store;
        let room = loop {
            let begun = store.list_idle_imports(Duration::ZERO).await.unwrap();
            match begun.first() {
                Some(room) => break *room,
                None => tokio::task::yield_now().await,
            }
        };
        Self { pieces, rest: rest.to_owned(), answer, room }
    }

    /// Sends the rest and returns the answer.
    async fn end(mut self) -> Answer {
        // Whoever was refused already does not take it.
        drop(self.pieces.send(Ok(self.rest.into())));
        drop(self.pieces);
        self.answer.join_next().await.unwrap().unwrap()
    }
}

/// Nothing is left of a file that was refused.
async fn assert_nothing_is_left(node: &TestNode, root: &Api) {
    assert_eq!(node.node().store.list_idle_imports(Duration::ZERO).await.unwrap(), []);
    assert_eq!(root.get("/v1/users/ada-imported").await.status, 404);
    assert_eq!(root.get("/v1/rooms/den").await.status, 404);
}

/// More than is written at once.
fn long() -> String {
    of((1..=2_000).map(|number| message(number, ADA, "hi")).collect())
}

#[tokio::test]
async fn upload_that_pauses_until_it_is_given_up_cannot_go_on() {
    let node = TestNode::start().await;
    let root = Api::admin(&node).await;
    let sending = Sending::begin(&node, &root, "", &long()).await;
    let store = &node.node().store;
    while root.get("/v1/users/ada-imported").await.status == 404 {
        tokio::task::yield_now().await;
    }
    // As whoever looks for idle imports does; they have come no further than one step.
    assert!(store.give_up_import(sending.room).await.unwrap());
    store.clear_import(sending.room).await.unwrap();
    sending.end().await.refused("unavailable");
    assert_nothing_is_left(&node, &root).await;
}

#[tokio::test]
async fn whoever_is_erased_while_a_file_is_read_does_not_become_a_member() {
    let node = TestNode::start().await;
    let root = Api::admin(&node).await;
    Api::register(&node, "eve").await;
    let sending = Sending::begin(&node, &root, "?map=ada=eve", &long()).await;
    let erase = json!({"messages": "keep"});
    let erased = root.call(Method::DELETE, "/v1/admin/users/eve", Some(erase)).await;
    assert!([202, 204].contains(&erased.status), "{}", erased.text);
    sending.end().await.refused("conflict");
    assert_nothing_is_left(&node, &root).await;
}

#[tokio::test]
async fn name_that_is_held_for_its_owner_is_not_given_to_somebody_of_a_file() {
    let node = TestNode::start().await;
    let root = Api::admin(&node).await;
    let eve = Api::register(&node, "ada-imported").await;
    let rename = json!({"username": "eve", "password": PASSWORD});
    eve.patch("/v1/users/me", rename).await.expect(200);
    let report = import(&root, "", of(vec![message(1, ADA, "hi")])).await.expect(201);
    assert_eq!(report["people"][0]["here"], "ada-imported-2");
}

#[tokio::test]
async fn file_on_its_way_is_taken_back_when_the_server_stops() {
    let node = TestNode::start().await;
    let root = Api::admin(&node).await;
    let Sending { pieces, mut answer, room, .. } = Sending::begin(&node, &root, "", &long()).await;
    let draining = node.lifecycle.draining();
    let answered = async {
        draining.cancelled().await;
        drop(pieces);
        answer.join_next().await.unwrap().unwrap()
    };
    let (_, answer) = tokio::join!(node.lifecycle.shut_down(), answered);
    answer.refused("unavailable");
    // Whether or not there was time to take all of it back: nothing comes of it any more.
    let store = &node.node().store;
    assert!(store.give_up_import(room).await.unwrap());
    while store.clear_import(room).await.unwrap() {}
    assert_eq!(store.list_idle_imports(Duration::ZERO).await.unwrap(), []);
    assert_eq!(store.find_user_by_name("ada-imported").await.unwrap(), None);
}

/// People of a file of whom more than one step makes members.
const MANY: usize = 1_100;

fn crowd() -> String {
    let id = |number: usize| format!("00000000-0000-4000-a000-{number:012}");
    let people = (1..MANY).map(|number| person(&id(number), &format!("p{number}"), "user"));
    let members = (1..MANY).map(|number| member(&id(number), "member"));
    let ada = [person(ADA, "ada", "user"), member(ADA, "owner")];
    file(&[header()].into_iter().chain(ada).chain(people).chain(members).collect::<Vec<_>>())
}

/// Stops a node after so many turns of whoever reads a whole file, and looks what became of it.
async fn stop_after(turns: usize, stop: impl FnOnce(&TestNode)) {
    let node = TestNode::start().await;
    let root = Api::admin(&node).await;
    let store = &node.node().store;
    let admin = store.find_user_by_name("root").await.unwrap().unwrap().user.id;
    let mut rooms = store.list_room_ids_of(admin).await.unwrap();
    let request = root.request(Method::POST, "/v1/rooms/import").body(crowd());
    let mut answer = JoinSet::new();
    // Whoever is cut off has no answer.
    answer.spawn(async move { request.send().await.ok().map(|answer| answer.status().as_u16()) });
    // Until all but the end is written.
    let last = format!("p{}-imported", MANY - 1);
    while store.find_user_by_name(&last).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
    stop(&node);
    node.lifecycle.wait().await;
    let status = answer.join_next().await.unwrap().unwrap();

    // As the next process does.
    for room in store.list_idle_imports(Duration::ZERO).await.unwrap() {
        store.give_up_import(room).await.unwrap();
        while store.clear_import(room).await.unwrap() {}
    }
    assert_eq!(store.list_idle_imports(Duration::ZERO).await.unwrap(), []);
    let den = store.find_room(&RoomRef("den".to_owned()), admin).await.unwrap();
    let ada = store.find_user_by_name("ada-imported").await.unwrap();
    let last = store.find_user_by_name(&last).await.unwrap();
    let is_there = den.is_some();
    assert_eq!((ada.is_some(), last.is_some()), (is_there, is_there), "whole or not at all");
    assert!(is_there || status != Some(201), "what was answered was done");
    if let Some(den) = den {
        let listing = store.find_room_listing(den.room.id, admin).await.unwrap().unwrap();
        // Whoever brings the file is the owner who can log in.
        assert_eq!(usize::try_from(listing.members).unwrap(), MANY + 1);
        let of_ada = store.list_room_ids_of(ada.unwrap().user.id).await.unwrap();
        assert_eq!(of_ada, [den.room.id]);
        rooms.push(den.room.id);
    }
    assert_eq!(store.list_room_ids_of(admin).await.unwrap(), rooms);
}

/// Turns after which nodes are stopped, from before the end of the import to after it.
const TURNS: [usize; 4] = [0, 4, 40, 400];

#[tokio::test]
async fn import_is_whole_or_taken_back_when_the_node_is_told_to_stop_at_its_end() {
    for turns in TURNS {
        stop_after(turns, |node| node.lifecycle.begin_shutdown()).await;
    }
}

#[tokio::test]
async fn import_is_whole_or_taken_back_when_the_node_breaks_off_at_its_end() {
    for turns in TURNS {
        let stop = |node: &TestNode| {
            node.lifecycle.begin_shutdown();
            node.lifecycle.abort();
        };
        stop_after(turns, stop).await;
    }
}
