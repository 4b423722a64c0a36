use parlor_protocol::id::RoomRef;
use serde_json::json;

use super::*;
use crate::fake::{FakeServer, event, soon, subscribed, welcome};

fn read(seq: u64) -> Command {
    Command::Read { id: None, room: RoomRef::from("general"), seq }
}

async fn open(config: &ClientConfig) -> (Connection, Frames) {
    soon(Connection::open(config, "t")).await.unwrap()
}

#[tokio::test]
async fn token_goes_into_the_header_and_welcome_comes_first() {
    let server = FakeServer::bind().await;
    let config = server.config();
    let (peer, (connection, _frames)) = tokio::join!(server.welcome(), open(&config));
    assert_eq!(peer.token, "t");
    assert_eq!(connection.welcome().user.username, "ada");
}

#[tokio::test]
async fn answers_find_their_requests_in_any_order() {
    let server = FakeServer::bind().await;
    let config = server.config();
    let (mut peer, (connection, _frames)) = tokio::join!(server.welcome(), open(&config));
    let serve = async {
        let first = peer.command().await.id().unwrap().to_owned();
        let second = peer.command().await.id().unwrap().to_owned();
        peer.send(json!({"op": "error", "re": second, "code": "forbidden", "detail": "no"})).await;
        peer.send(json!({"op": "ok", "re": first, "seq": 7})).await;
    };
    let (one, two, ()) =
        tokio::join!(soon(connection.request(read(1))), soon(connection.request(read(2))), serve);
    assert_eq!(one.unwrap().accepted().unwrap().seq, Some(7));
    assert_eq!(two.unwrap().accepted().unwrap_err().code(), Some(Code::Forbidden));
}

#[tokio::test]
async fn subscribed_is_an_answer_and_keeps_its_place_among_the_frames() {
    let server = FakeServer::bind().await;
    let config = server.config();
    let (mut peer, (connection, mut frames)) = tokio::join!(server.welcome(), open(&config));
    let serve = async {
        let id = peer.command().await.id().unwrap().to_owned();
        peer.send(event(4)).await;
        peer.send(subscribed(&id, 5, false)).await;
        peer.send(event(6)).await;
    };
    let subscribe = Command::Subscribe { id: None, room: "general".into(), since: None };
    let (reply, ()) = tokio::join!(soon(connection.request(subscribe)), serve);
    assert_eq!(reply.unwrap().subscribed().unwrap().seq, 5);
    assert!(matches!(soon(frames.next()).await, Ok(Frame::Event(event)) if event.seq == 4));
    assert!(matches!(soon(frames.next()).await, Ok(Frame::Subscribed(_))));
    assert!(matches!(soon(frames.next()).await, Ok(Frame::Event(event)) if event.seq == 6));
}

#[tokio::test]
async fn close_code_is_told_and_the_waiting_request_fails() {
    let server = FakeServer::bind().await;
    let config = server.config();
    let (mut peer, (connection, mut frames)) = tokio::join!(server.welcome(), open(&config));
    let serve = async {
        peer.command().await;
        peer.close(4509).await;
    };
    let (reply, ended, ()) =
        tokio::join!(soon(connection.request(read(1))), soon(frames.next()), serve);
    assert!(matches!(reply, Err(ClientError::Ended(_))));
    let ended = ended.unwrap_err();
    assert_eq!(ended, Ended::Closed { code: 4509, reason: String::new() });
    assert!(!ended.may_reconnect());
    assert_eq!(frames.next().await.unwrap_err(), ended, "the end is told again");
}

#[tokio::test]
async fn unknown_frames_and_signals_are_stepped_over() {
    let server = FakeServer::bind().await;
    let config = server.config();
    let (mut peer, (_connection, mut frames)) = tokio::join!(server.welcome(), open(&config));
    peer.send(json!({"op": "hologram", "x": 1})).await;
    peer.send(json!({"op": "signal", "room": "nonsense", "type": "smell", "data": {}})).await;
    peer.send(json!({"op": "pong", "new_field": true})).await;
    assert_eq!(soon(frames.next()).await, Ok(Frame::Pong {}));
}

#[tokio::test]
async fn broken_event_ends_the_connection() {
    let server = FakeServer::bind().await;
    let config = server.config();
    let (mut peer, (_connection, mut frames)) = tokio::join!(server.welcome(), open(&config));
    peer.send(json!({"op": "event", "seq": "many"})).await;
    assert!(matches!(soon(frames.next()).await, Err(Ended::Malformed(_))));
}

#[tokio::test]
async fn heartbeat_goes_out_and_silence_is_noticed() {
    let server = FakeServer::bind().await;
    let config = server.config();
    let accepting = async {
        let mut peer = server.accept().await;
        peer.send(welcome(20)).await;
        peer
    };
    let (mut peer, (_connection, mut frames)) = tokio::join!(accepting, open(&config));
    assert_eq!(peer.any_command().await, Command::Ping {});
    assert_eq!(soon(frames.next()).await, Err(Ended::Silent));
}

#[tokio::test]
async fn frame_over_the_servers_limit_is_refused_here() {
    let server = FakeServer::bind().await;
    let config = server.config();
    let (_peer, (connection, _frames)) = tokio::join!(server.welcome(), open(&config));
    let data = json!("x".repeat(70_000));
    let command = Command::Signal { id: None, room: "general".into(), data };
    let error = connection.send(&command).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::PayloadTooLarge));
}

#[tokio::test]
async fn refused_upgrade_tells_code_and_pause() {
    let server = FakeServer::bind().await;
    let config = server.config();
    let problem = serde_json::to_value(Problem::new(Code::Unavailable, "busy")).unwrap();
    let (_, opened) = tokio::join!(
        server.answer(503, "retry-after: 3\r\n", problem),
        soon(Connection::open(&config, "t"))
    );
    let error = opened.unwrap_err();
    assert_eq!(error.code(), Some(Code::Unavailable));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
}

#[tokio::test]
async fn tls_to_a_server_without_it_fails_and_does_not_panic() {
    let server = FakeServer::bind().await;
    let mut config = server.config();
    config.base_url.set_scheme("https").unwrap();
    let plain = async { server.accept_and_hang_up().await };
    let (opened, ()) = tokio::join!(soon(Connection::open(&config, "t")), plain);
    assert!(matches!(opened, Err(ClientError::Unreachable(_))));
}

#[tokio::test]
async fn close_says_goodbye() {
    let server = FakeServer::bind().await;
    let config = server.config();
    let (peer, (connection, _frames)) = tokio::join!(server.welcome(), open(&config));
    tokio::join!(soon(connection.close()), peer.ended());
}
