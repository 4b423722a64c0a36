use std::sync::Arc;

use futures_util::TryStreamExt as _;
use parlor_protocol::http::PublishRequest;
use serde_json::json;

use super::*;
use crate::backoff::Backoff;
use crate::fake::{FakeServer, ROOM, soon, tokens, user};
use crate::http::messages::{ExportFormat, MessageQuery};
use crate::http::rooms::RoomQuery;

fn problem(code: Code) -> Value {
    serde_json::to_value(Problem::new(code, "no")).unwrap()
}

fn profile() -> Value {
    let mut profile = user();
    profile["visibility"] = json!("public");
    profile["role"] = json!("user");
    profile["created_at"] = json!("2026-01-01T00:00:00Z");
    profile
}

#[tokio::test]
async fn expired_token_is_renewed_once_for_all_callers_and_the_call_repeated() {
    let server = FakeServer::bind().await;
    let http = server.http();
    let serve = async {
        for _ in 0..2 {
            let request = server.answer(401, "", problem(Code::TokenExpired)).await;
            assert!(request.to_lowercase().contains("authorization: bearer old"), "{request}");
        }
        let mut paths = Vec::new();
        for _ in 0..3 {
            let refreshing = paths.is_empty();
            let body = if refreshing { tokens("new", "r2") } else { profile() };
            let request = server.answer(200, "", body).await;
            let renewed = request.to_lowercase().contains("authorization: bearer new");
            assert_eq!(renewed, !refreshing, "{request}");
            paths.push(request.split(' ').nth(1).unwrap().to_owned());
        }
        paths
    };
    let (one, two, paths) = soon(async { tokio::join!(http.me(), http.me(), serve) }).await;
    assert_eq!((one.unwrap().username, two.unwrap().username), ("ada".into(), "ada".into()));
    assert_eq!(paths, ["/v1/auth/refresh", "/v1/users/me", "/v1/users/me"]);
    let kept = http.shared.store.load().unwrap().unwrap();
    assert_eq!(kept, Tokens { access_token: "new".into(), refresh_token: "r2".into() });
}

#[tokio::test]
async fn renewal_goes_on_when_its_caller_is_gone() {
    let server = FakeServer::bind().await;
    let http = server.http();
    {
        let call = http.me();
        tokio::pin!(call);
        tokio::select! {
            biased;
            _ = &mut call => panic!("not answered"),
            () = async {
                server.answer(401, "", problem(Code::TokenExpired)).await;
                server.accepting().await;
            } => {}
        }
    }
    server.answer(200, "", tokens("new", "r2")).await;
    http.shared.tasks.close();
    soon(http.shared.tasks.wait()).await;
    assert_eq!(http.shared.store.load().unwrap().unwrap().refresh_token, "r2");
}

#[tokio::test]
async fn tokens_that_another_program_has_renewed_are_used() {
    let server = FakeServer::bind().await;
    let http = server.http();
    assert_eq!(http.access_token().await.unwrap(), "old");
    let theirs = Tokens { access_token: "theirs".into(), refresh_token: "r9".into() };
    http.shared.store.save(Some(&theirs)).unwrap();
    // No refresh reaches the server: nothing answers there.
    assert_eq!(soon(http.renew("old")).await.unwrap(), "theirs");
}

#[tokio::test]
async fn ended_login_is_forgotten() {
    let server = FakeServer::bind().await;
    let http = server.http();
    let serve = async {
        server.answer(401, "", problem(Code::TokenExpired)).await;
        server.answer(401, "", problem(Code::Unauthenticated)).await;
    };
    let (me, ()) = tokio::join!(soon(http.me()), serve);
    assert!(matches!(me, Err(ClientError::NotLoggedIn)));
    assert_eq!(http.shared.store.load().unwrap(), None);
    assert!(matches!(http.me().await, Err(ClientError::NotLoggedIn)), "nobody is asked again");
}

#[tokio::test]
async fn server_that_is_away_does_not_end_the_login() {
    let server = FakeServer::bind().await;
    let http = server.http();
    let serve = async {
        server.answer(401, "", problem(Code::TokenExpired)).await;
        server.answer(503, "", problem(Code::Unavailable)).await;
    };
    let (me, ()) = tokio::join!(soon(http.me()), serve);
    assert!(me.unwrap_err().is_retryable());
    assert!(http.shared.store.load().unwrap().is_some());
}

#[tokio::test]
async fn refusal_keeps_its_code_and_takes_the_pause_from_the_header() {
    let server = FakeServer::bind().await;
    let http = server.http();
    let body = problem(Code::RateLimited);
    let query = RoomQuery::default();
    let (_, outcome) =
        tokio::join!(server.answer(429, "retry-after: 7\r\n", body), soon(http.rooms(&query)));
    let error = outcome.unwrap_err();
    assert_eq!(error.code(), Some(Code::RateLimited));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    assert!(error.is_retryable());
}

#[tokio::test]
async fn answer_of_something_else_is_not_taken_for_the_servers() {
    let server = FakeServer::bind().await;
    let http = server.http();
    let (_, outcome) = tokio::join!(server.answer(502, "", json!("proxy")), soon(http.me()));
    assert!(matches!(outcome, Err(ClientError::Status { status: 502, .. })));
    let (_, outcome) = tokio::join!(server.answer(200, "", json!("hello")), soon(http.me()));
    assert!(matches!(outcome, Err(ClientError::Malformed(_))));
}

#[tokio::test]
async fn redirect_is_not_followed_with_the_token() {
    let server = FakeServer::bind().await;
    let http = server.http();
    let elsewhere = "location: http://127.0.0.1:9/\r\n";
    let (_, outcome) = tokio::join!(server.answer(307, elsewhere, json!("")), soon(http.me()));
    assert!(matches!(outcome, Err(ClientError::Status { status: 307, .. })));
}

#[tokio::test]
async fn endless_answer_is_cut() {
    let server = FakeServer::bind().await;
    let mut config = server.config();
    config.body_bytes = 1_000;
    let http = Http::new(config).unwrap();
    let long = json!("x".repeat(5_000));
    let (_, outcome) = tokio::join!(server.answer(200, "", long), soon(http.info()));
    assert!(matches!(outcome, Err(ClientError::Malformed(_))));
}

#[tokio::test]
async fn name_that_would_be_another_path_is_refused_here() {
    let http = Http::with_tokens(
        ClientConfig::new("http://127.0.0.1:9").unwrap(),
        Arc::new(MemoryTokens::new(Tokens { access_token: "a".into(), refresh_token: "r".into() })),
    )
    .unwrap();
    for room in ["", ".", ".."] {
        let error = http.delete_room(room).await.unwrap_err();
        assert_eq!(error.code(), Some(Code::ValidationFailed), "{room:?}");
    }
}

#[tokio::test]
async fn calls_go_where_the_contract_says() {
    let server = FakeServer::bind().await;
    let http = server.http();
    let query = MessageQuery { before: Some(9), limit: Some(3), ..MessageQuery::default() };
    let (request, page) = tokio::join!(
        server.answer(200, "", json!({"items": [], "next": null})),
        soon(http.messages("general", &query))
    );
    assert!(page.unwrap().items.is_empty());
    assert!(request.starts_with("GET /v1/rooms/general/messages?before=9&limit=3 "), "{request}");

    let body = PublishRequest {
        body: "hi".to_owned(),
        client_id: Some("c1".to_owned()),
        reply_to: None,
        thread: None,
        attachments: Vec::new(),
    };
    let (request, _) = tokio::join!(
        server.answer(200, "", json!({})),
        soon(http.publish_and_wait("general", &body))
    );
    assert!(request.starts_with("POST /v1/rooms/general/messages?wait=reply "), "{request}");
    assert!(request.ends_with(r#"{"body":"hi","client_id":"c1"}"#), "{request}");

    let id = ROOM.parse().unwrap();
    let (request, _) = tokio::join!(
        server.answer(200, "", json!({})),
        soon(http.add_reaction("general", id, "👍"))
    );
    let path = format!("PUT /v1/rooms/general/messages/{ROOM}/reactions/%F0%9F%91%8D ");
    assert!(request.starts_with(&path), "{request}");
}

#[tokio::test]
async fn readiness_is_an_answer_also_when_it_is_no() {
    let server = FakeServer::bind().await;
    let http = server.http();
    let body = json!({"ready": false, "reason": "draining", "dependencies": {}});
    let (_, readiness) = tokio::join!(server.answer(503, "", body), soon(http.readyz()));
    assert_eq!(readiness.unwrap().reason.as_deref(), Some("draining"));
}

#[tokio::test]
async fn export_is_streamed() {
    let server = FakeServer::bind().await;
    let http = server.http();
    let read = async {
        let stream = http.export("general", ExportFormat::Markdown).await.unwrap();
        stream.try_collect::<Vec<Bytes>>().await.unwrap().concat()
    };
    let (request, text) = tokio::join!(server.answer(200, "", json!("# General")), soon(read));
    assert!(request.starts_with("GET /v1/rooms/general/export?format=markdown "), "{request}");
    assert_eq!(text, b"\"# General\"");
}

#[tokio::test]
async fn upload_whose_beginning_was_not_answered_begins_again_under_the_same_key() {
    let server = FakeServer::bind().await;
    let http = server.http();
    let upload = json!({
        "id": ROOM, "name": "notes.txt", "bytes": 5, "offset": 0,
        "expires_at": "2026-01-01T00:00:00Z",
    });
    let serve = async {
        let mut keys = Vec::new();
        for (status, body) in [(503, problem(Code::Unavailable)), (502, json!("?")), (200, upload)]
        {
            let request = server.answer(status, "", body).await;
            let (_, body) = request.split_once("\r\n\r\n").unwrap();
            let body: Value = serde_json::from_str(body).unwrap();
            keys.push(body["client_id"].as_str().unwrap().to_owned());
        }
        keys
    };
    let instant = std::time::Duration::from_millis(1);
    let mut backoff = Backoff::new(instant, instant);
    let (keys, begun) = tokio::join!(serve, soon(http.begin_upload("notes.txt", 5, &mut backoff)));
    assert_eq!(begun.unwrap().id.to_string(), ROOM);
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    assert!(backoff.is_fresh());

    let refused = server.answer(409, "", problem(Code::Conflict));
    let (_, begun) = tokio::join!(refused, soon(http.begin_upload("notes.txt", 5, &mut backoff)));
    assert_eq!(begun.unwrap_err().code(), Some(Code::Conflict), "that is not repeated");
}
