use parlor_protocol::code::Problem;
use serde_json::json;

use super::*;
use crate::fake::{FakeServer, ROOM, event, soon, subscribed, tokens};

/// Returns the next update of interest, stepping over the connection's ups and downs.
async fn next(updates: &mut Updates) -> Update {
    loop {
        match soon(updates.next()).await.expect("feed goes on") {
            Update::Connected(_) | Update::Disconnected { .. } => {}
            update => return update,
        }
    }
}

async fn seqs(updates: &mut Updates, count: usize) -> Vec<u64> {
    let mut seqs = Vec::new();
    while seqs.len() < count {
        match next(updates).await {
            Update::Event(event) => seqs.push(event.seq),
            Update::Subscribed { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    seqs
}

fn since(command: &Command) -> Option<Since> {
    match command {
        Command::Subscribe { since, .. } => since.clone(),
        other => panic!("{other:?}"),
    }
}

fn at(seq: u64) -> Since {
    Since::Position(Position { epoch: "a1".to_owned(), seq })
}

fn publish(command: &Command) -> (String, String, String) {
    match command {
        Command::Publish { id: Some(id), client_id: Some(client_id), body, .. } => {
            (id.clone(), client_id.clone(), body.clone())
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn lost_connection_resumes_after_the_last_event_without_doubles() {
    let server = FakeServer::bind().await;
    let (feed, mut updates) = Feed::start(server.http());
    feed.subscribe("general", None).await.unwrap();
    let mut peer = server.welcome().await;
    assert_eq!(since(&peer.subscribed(40, false).await), None);
    peer.send(event(41)).await;
    peer.send(event(42)).await;
    assert_eq!(seqs(&mut updates, 2).await, [41, 42]);
    drop(peer);

    let mut peer = server.welcome().await;
    assert_eq!(since(&peer.subscribed(44, true).await), Some(at(42)));
    for seq in [42, 43, 43, 44, 45] {
        peer.send(event(seq)).await;
    }
    assert_eq!(seqs(&mut updates, 3).await, [43, 44, 45]);
}

#[tokio::test]
async fn hole_is_filled_before_anything_after_it_is_delivered() {
    let server = FakeServer::bind().await;
    let (feed, mut updates) = Feed::start(server.http());
    feed.subscribe("general", Some(at(1))).await.unwrap();
    let mut peer = server.welcome().await;
    peer.subscribed(2, true).await;
    for seq in [2, 4, 5] {
        peer.send(event(seq)).await;
    }
    assert_eq!(since(&peer.subscribed(5, true).await), Some(at(2)));
    for seq in [3, 4, 5, 6] {
        peer.send(event(seq)).await;
    }
    assert_eq!(seqs(&mut updates, 5).await, [2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn server_that_keeps_leaving_holes_is_left() {
    let server = FakeServer::bind().await;
    let (feed, _updates) = Feed::start(server.http());
    feed.subscribe("general", Some(at(1))).await.unwrap();
    let mut peer = server.welcome().await;
    for _ in 0..6 {
        peer.subscribed(9, true).await;
        peer.send(event(9)).await;
    }
    peer.ended().await;
    server.welcome().await;
}

#[tokio::test]
async fn resync_is_told_and_events_go_on_after_it() {
    let server = FakeServer::bind().await;
    let (feed, mut updates) = Feed::start(server.http());
    feed.subscribe("general", Some(at(3))).await.unwrap();
    let mut peer = server.welcome().await;
    peer.command().await;
    peer.send(json!({"op": "resync", "room": ROOM, "from": 90, "reason": "too_far_behind"})).await;
    let update = next(&mut updates).await;
    assert!(
        matches!(&update, Update::Resynced { from: 90, reason, .. } if reason == "too_far_behind")
    );
    assert_eq!(since(&peer.subscribed(91, true).await), Some(Since::Seq(90)));
    peer.send(event(91)).await;
    assert_eq!(seqs(&mut updates, 1).await, [91]);
}

#[tokio::test]
async fn subscription_that_does_not_continue_is_told_after_the_reason() {
    let server = FakeServer::bind().await;
    let (feed, mut updates) = Feed::start(server.http());
    feed.subscribe("general", Some(at(3))).await.unwrap();
    let mut peer = server.welcome().await;
    peer.subscribed(90, false).await;
    peer.send(json!({"op": "resync", "room": ROOM, "from": 90, "reason": "epoch_changed"})).await;
    let update = next(&mut updates).await;
    assert!(
        matches!(&update, Update::Resynced { from: 90, reason, .. } if reason == "epoch_changed")
    );
    let update = next(&mut updates).await;
    assert!(matches!(update, Update::Subscribed { position: Position { seq: 90, .. }, .. }));
    peer.send(event(91)).await;
    assert_eq!(seqs(&mut updates, 1).await, [91]);
}

#[tokio::test]
async fn subscription_that_does_not_continue_is_told_also_without_a_reason() {
    let server = FakeServer::bind().await;
    let (feed, mut updates) = Feed::start(server.http());
    feed.subscribe("general", Some(at(3))).await.unwrap();
    let mut peer = server.welcome().await;
    peer.subscribed(90, false).await;
    peer.send(event(91)).await;
    assert!(matches!(next(&mut updates).await, Update::Resynced { from: 90, .. }));
    assert_eq!(seqs(&mut updates, 1).await, [91]);
}

#[tokio::test]
async fn publish_is_repeated_with_the_same_client_id_until_it_is_acknowledged() {
    let server = FakeServer::bind().await;
    let (feed, _updates) = Feed::start(server.http());
    let server = async {
        let mut peer = server.welcome().await;
        let (_, client_id, _) = publish(&peer.command().await);
        drop(peer);
        let mut peer = server.welcome().await;
        let (id, again, _) = publish(&peer.command().await);
        assert_eq!(client_id, again);
        let busy = json!({
            "op": "error", "re": id, "code": "unavailable", "detail": "", "retry_after_ms": 1
        });
        peer.send(busy).await;
        let (id, again, body) = publish(&peer.command().await);
        assert_eq!((client_id, "hi"), (again, body.as_str()));
        peer.send(json!({"op": "ok", "re": id, "seq": 5, "duplicate": true})).await;
        peer
    };
    let (accepted, _peer) = tokio::join!(soon(feed.publish("general", "hi")), server);
    assert_eq!(accepted.unwrap().seq, Some(5));
}

#[tokio::test]
async fn oversized_publish_fails_and_the_connection_lives() {
    let server = FakeServer::bind().await;
    let (feed, _updates) = Feed::start(server.http());
    let serve = async {
        let mut peer = server.welcome().await;
        let (id, _, body) = publish(&peer.command().await);
        assert_eq!(body, "small");
        peer.send(json!({"op": "ok", "re": id, "seq": 1})).await;
        peer
    };
    let asks = async {
        let large = soon(feed.publish("general", "x".repeat(100_000))).await;
        (large, soon(feed.publish("general", "small")).await)
    };
    let ((large, small), _peer) = tokio::join!(asks, serve);
    assert_eq!(large.unwrap_err().code(), Some(Code::PayloadTooLarge));
    assert_eq!(small.unwrap().seq, Some(1));
}

#[tokio::test]
async fn expired_token_is_renewed_before_the_next_connection() {
    let server = FakeServer::bind().await;
    let (feed, _updates) = Feed::start(server.http());
    feed.subscribe("general", None).await.unwrap();
    let peer = server.welcome().await;
    assert_eq!(peer.token, "old");
    peer.close(4004).await;
    let request = server.answer(200, "", tokens("new", "r2")).await;
    assert!(request.starts_with("POST /v1/auth/refresh"), "{request}");
    assert!(request.contains("\"r1\""), "{request}");
    assert_eq!(server.welcome().await.token, "new");
}

#[tokio::test]
async fn token_that_expires_on_a_connection_is_renewed_in_place() {
    let server = FakeServer::bind().await;
    let (_feed, _updates) = Feed::start(server.http());
    let mut peer = server.welcome().await;
    peer.send(json!({"op": "error", "code": "token_expired", "detail": ""})).await;
    server.answer(200, "", tokens("new", "r2")).await;
    let command = peer.command().await;
    assert_eq!(command, Command::Refresh { id: None, token: "new".to_owned() });
}

#[tokio::test]
async fn token_is_renewed_on_the_open_connection_before_it_expires() {
    let server = FakeServer::bind().await;
    let (_feed, _updates) = Feed::start(server.http());
    server.welcome().await.close(4004).await;
    let mut short = tokens("short", "r2");
    short["expires_in"] = json!(0);
    server.answer(200, "", short).await;
    let mut peer = server.welcome().await;
    assert_eq!(peer.token, "short");
    let request = server.answer(200, "", tokens("long", "r3")).await;
    assert!(request.contains("\"r2\""), "{request}");
    let command = peer.command().await;
    assert_eq!(command, Command::Refresh { id: None, token: "long".to_owned() });
}

#[tokio::test]
async fn ended_login_ends_the_feed() {
    let server = FakeServer::bind().await;
    let (feed, mut updates) = Feed::start(server.http());
    let problem = |code| serde_json::to_value(Problem::new(code, "no")).unwrap();
    server.answer(401, "", problem(Code::TokenExpired)).await;
    server.answer(401, "", problem(Code::Unauthenticated)).await;
    assert!(matches!(soon(updates.next()).await, Some(Update::Ended(ClientError::NotLoggedIn))));
    assert!(soon(updates.next()).await.is_none());
    assert!(soon(feed.publish("general", "x")).await.is_err());
}

#[tokio::test]
async fn terminal_close_code_ends_the_feed() {
    let server = FakeServer::bind().await;
    let (_feed, mut updates) = Feed::start(server.http());
    server.welcome().await.close(4509).await;
    assert!(matches!(
        next(&mut updates).await,
        Update::Ended(ClientError::Ended(Ended::Closed { code: 4509, .. }))
    ));
}

#[tokio::test]
async fn drain_moves_the_client_at_the_time_it_was_told() {
    let server = FakeServer::bind().await;
    let (feed, mut updates) = Feed::start(server.http());
    feed.subscribe("general", None).await.unwrap();
    let mut peer = server.welcome().await;
    peer.subscribed(1, false).await;
    peer.send(event(2)).await;
    assert_eq!(seqs(&mut updates, 1).await, [2]);
    peer.send(json!({"op": "drain", "reconnect_in_ms": 30})).await;
    peer.ended().await;
    let mut peer = server.welcome().await;
    assert_eq!(since(&peer.subscribed(2, true).await), Some(at(2)));
}

#[tokio::test]
async fn server_that_cannot_be_reached_is_tried_again() {
    let server = FakeServer::bind().await;
    let (_feed, mut updates) = Feed::start(server.http());
    server.answer(503, "", json!("from a proxy")).await;
    assert!(matches!(soon(updates.next()).await, Some(Update::Disconnected { .. })));
    server.welcome().await;
    assert!(matches!(soon(updates.next()).await, Some(Update::Connected(_))));
}

#[tokio::test]
async fn refused_room_is_told_and_not_tried_again() {
    let server = FakeServer::bind().await;
    let (feed, mut updates) = Feed::start(server.http());
    feed.subscribe("secret", None).await.unwrap();
    feed.subscribe("general", None).await.unwrap();
    let mut peer = server.welcome().await;
    let id = peer.command().await.id().unwrap().to_owned();
    peer.send(json!({"op": "error", "re": id, "code": "not_found", "detail": "no room"})).await;
    peer.subscribed(1, false).await;
    let refused = next(&mut updates).await;
    assert!(matches!(&refused, Update::Refused { room, .. } if room.0 == "secret"));
    drop(peer);
    let mut peer = server.welcome().await;
    let command = peer.command().await;
    assert!(matches!(&command, Command::Subscribe { room, .. } if room.0 == ROOM));
}

#[tokio::test]
async fn text_so_far_comes_with_a_new_subscription() {
    let server = FakeServer::bind().await;
    let (feed, mut updates) = Feed::start(server.http());
    feed.subscribe("general", None).await.unwrap();
    let mut peer = server.welcome().await;
    peer.subscribed(7, false).await;
    let Update::Subscribed { room, .. } = next(&mut updates).await else { panic!() };
    feed.resubscribe(room).await.unwrap();
    let command = peer.command().await;
    assert_eq!(since(&command), Some(at(7)));
    let mut answer = subscribed(command.id().unwrap(), 7, true);
    answer["streaming"] = json!([{"message": ROOM, "turn": 1, "chunk": 3, "text": "so far"}]);
    peer.send(answer).await;
    let update = next(&mut updates).await;
    assert!(
        matches!(&update, Update::Subscribed { streaming, .. } if streaming[0].text == "so far")
    );
}

#[tokio::test]
async fn dropped_feed_ends_its_connection() {
    let server = FakeServer::bind().await;
    let (feed, updates) = Feed::start(server.http());
    let peer = server.welcome().await;
    drop((feed, updates));
    peer.ended().await;
}
