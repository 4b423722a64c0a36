//! HTTP requests that no client should send.

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use crate::raw::Raw;
use crate::stage::{HALL, PRIVATE, Stage, answer};

/// Something that a refusal must not repeat.
const QUOTED: &str = "never-quote-me-93d1";

async fn post(stage: &Stage, path: &str, kind: Option<&str>, body: Vec<u8>) -> (u16, Value) {
    let url = format!("{}{path}", stage.server.url());
    let mut request = stage.http.post(url).bearer_auth(stage.mallory.token().await).body(body);
    if let Some(kind) = kind {
        request = request.header("content-type", kind);
    }
    answer(request.send().await.unwrap()).await
}

const JSON: Option<&str> = Some("application/json");

#[tokio::test]
async fn bodies_that_are_not_what_is_asked_for_are_refused() {
    let mut stage = Stage::start().await;
    stage.plant(QUOTED);
    let path = format!("/v1/rooms/{HALL}/messages");
    let deep = format!(r#"{{"body":{}1{}}}"#, "[".repeat(50_000), "]".repeat(50_000));
    let bodies: Vec<Vec<u8>> = [
        "",
        " ",
        "x",
        "{",
        "{}",
        "[]",
        "null",
        "true",
        "1",
        r#""x""#,
        r#"["by position"]"#,
        r#"["by position",null,null,null]"#,
        r#"{"body":1}"#,
        r#"{"body":null}"#,
        r#"{"body":["x"]}"#,
        r#"{"body":"x"} {}"#,
        r#"{"body":"x"}x"#,
        r#"{"body":"a","body":"b"}"#,
        r#"{"body":"x","never-quote-me-93d1":1}"#,
        r#"{"body":"x","sender":{"username":"wanda"}}"#,
        r#"{"body":"x","seq":1}"#,
        r#"{"body":"x","client_id":7}"#,
        r#"{"body":"x","client_id":""}"#,
        r#"{"body":"x","client_id":"a b"}"#,
        r#"{"body":"x","reply_to":"never-quote-me-93d1"}"#,
        r#"{"body":"x","reply_to":"../.."}"#,
        r#"{"body":"\ud800"}"#,
        r#"{"body":"\udc00\ud800"}"#,
        r#"{"body":"\u0000"}"#,
        r#"{"body":"a\u0008"}"#,
        r#"{"body":""}"#,
        r#"{"body":" \t\n\r"}"#,
        r#"{"body":"\u200b\ufeff\u3000"}"#,
        "\u{feff}{\"body\":\"x\"}",
        r"{'body':'x'}",
        r#"{"body":NaN}"#,
        r#"{"body":1e999}"#,
        "{\"body\":\"a\nb\"}",
        "{\"body\":\"a\0b\"}",
        r#"{"body":"x",}"#,
        r#"{"body":"x" /* */}"#,
        "body=x",
    ]
    .into_iter()
    .map(Vec::from)
    .chain([
        deep.into_bytes(),
        "[".repeat(200_000).into_bytes(),
        b"{\"body\":\"\xff\xfe\"}".to_vec(),
        b"{\"body\":\"\xed\xa0\x80\"}".to_vec(),
        b"{\"body\":\"\xc0\xaf\"}".to_vec(),
        b"\xff\xfe{\0\"\0".to_vec(),
        vec![0; 1_000],
    ])
    .collect();
    let mut wrong = Vec::new();
    for body in bodies {
        let name: String = String::from_utf8_lossy(&body).chars().take(60).collect();
        let (status, problem) = post(&stage, &path, JSON, body).await;
        let code = problem["code"].as_str().unwrap_or_default();
        if ![("bad_request", 400), ("validation_failed", 422)].contains(&(code, status)) {
            wrong.push(format!("{name}: {status} {problem}"));
        }
        if problem.to_string().contains(QUOTED) && !name.contains(":1}") {
            wrong.push(format!("{name}: quotes what was sent: {problem}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(stage.witness.history(HALL).await.is_empty(), "something was written");
    stage.unharmed().await;
}

#[tokio::test]
async fn content_types_and_sizes_are_kept() {
    let stage = Stage::start().await;
    let path = format!("/v1/rooms/{HALL}/messages");
    let good = || br#"{"body":"x"}"#.to_vec();
    for kind in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("multipart/form-data; boundary=x"),
        Some("application/xml"),
        Some("text/json"),
        Some(""),
        Some("application/jsonp"),
        Some("*/*"),
    ] {
        let (status, problem) = post(&stage, &path, kind, good()).await;
        assert_eq!((status, &problem["code"]), (415, &json!("unsupported")), "{kind:?}");
    }
    for size in [16 * 1024 + 1, 256 * 1024 - 100, 256 * 1024 + 1, 8 << 20] {
        let body = json!({"body": "x".repeat(size)}).to_string().into_bytes();
        let url = format!("{}{path}", stage.server.url());
        let token = stage.mallory.token().await;
        let sent = stage
            .http
            .post(url)
            .bearer_auth(token)
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await;
        // The server may answer and go before all has been sent.
        if let Ok(response) = sent {
            let (status, problem) = answer(response).await;
            assert_eq!((status, &problem["code"]), (413, &json!("payload_too_large")), "{size}");
        }
    }
    let form = "username=mallory&password=x&grant_type=client_credentials";
    let (status, _) =
        post(&stage, "/v1/auth/token", Some("application/x-www-form-urlencoded"), form.into())
            .await;
    assert_eq!(status, 422);
    assert!(stage.witness.history(HALL).await.is_empty(), "something was written");
    stage.unharmed().await;
}

#[tokio::test]
async fn queries_out_of_range_are_refused_and_harmless() {
    let stage = Stage::start().await;
    let refused = [
        "limit=0",
        "limit=-1",
        "limit=201",
        "limit=99999999",
        "limit=99999999999999999999",
        "limit=1.5",
        "limit=x",
        "limit=",
        "limit=%00",
        "limit=1&limit=2",
        "before=-1",
        "before=x",
        "before=1.5",
        "before=18446744073709551616",
        "after=-1",
        "after=never-quote-me",
        "offset=-1",
        "offset=18446744073709551616",
        "before=5&after=1",
        "cursor=x",
        "cursor=!!!!",
        "cursor=AAAA",
        "cursor=%ff%fe",
        "cursor=eA==",
        "unknown=1",
        "limit=5&LIMIT=5",
    ];
    let harmless = [
        "",
        "&&&",
        "limit=1",
        "limit=200",
        "before=0",
        "before=1",
        "before=18446744073709551615",
        "before=9223372036854775808",
        "after=18446744073709551615",
        "after=9223372036854775807",
        "offset=4294967295",
        "offset=9223372036854775807",
        "after=0",
    ];
    let path = format!("/v1/rooms/{HALL}/messages");
    for query in refused {
        let (status, problem) =
            stage.ask(&stage.mallory, Method::GET, &format!("{path}?{query}"), None).await;
        assert_eq!(
            (status, &problem["code"]),
            (422, &json!("validation_failed")),
            "{query}: {problem}"
        );
        assert!(!problem.to_string().contains("never-quote-me"), "{problem}");
    }
    for query in harmless {
        let (status, page) =
            stage.ask(&stage.mallory, Method::GET, &format!("{path}?{query}"), None).await;
        assert_eq!(status, 200, "{query}: {page}");
    }
    for (path, query) in [
        ("/v1/rooms", "cursor=x"),
        ("/v1/rooms", "mine=maybe"),
        ("/v1/rooms", "limit=0"),
        ("/v1/rooms/hall/members", "cursor=%00"),
        ("/v1/bots", "limit=-5"),
        ("/v1/rooms/hall/export", "format=exe"),
        ("/v1/rooms/hall/events", "since=x"),
        ("/v1/rooms/hall/events", "since=-1"),
    ] {
        let (status, problem) =
            stage.ask(&stage.mallory, Method::GET, &format!("{path}?{query}"), None).await;
        assert_eq!(status, 422, "{path}?{query}: {problem}");
    }
    stage.unharmed().await;
}

#[tokio::test]
async fn idempotency_keys_are_one_s_own_and_short() {
    let stage = Stage::start().await;
    stage
        .witness
        .http
        .publish(HALL, &parlor_testkit::process::draft("mine", Some("key-1")))
        .await
        .unwrap();
    let path = format!("{}/v1/rooms/{HALL}/messages", stage.server.url());
    let send = async |keys: &[&[u8]], body: Value| {
        let mut headers = HeaderMap::new();
        for key in keys {
            headers.append("idempotency-key", HeaderValue::from_bytes(key).unwrap());
        }
        let token = stage.mallory.token().await;
        answer(
            stage
                .http
                .post(&path)
                .bearer_auth(token)
                .headers(headers)
                .json(&body)
                .send()
                .await
                .unwrap(),
        )
        .await
    };
    // Another's key is another key.
    let (status, first) = send(&[b"key-1"], json!({"body": "not hers"})).await;
    assert_eq!((status, &first["body"]), (201, &json!("not hers")));
    // One's own gives the first answer, whatever comes with it.
    let (status, again) = send(&[b"key-1"], json!({"body": "something else"})).await;
    assert_eq!((status, &again["id"], &again["body"]), (200, &first["id"], &json!("not hers")));
    let long = vec![b'x'; 5_000];
    let keys: [&[u8]; 7] = [b"", b"a b", b"\"\"", b"\xff\xfe", &long, b"\xc3\xa9", b"a\tb"];
    for key in keys {
        let (status, problem) = send(&[key], json!({"body": "x"})).await;
        assert_eq!(status, 422, "{key:?}: {problem}");
    }
    let (status, problem) = send(&[b"one"], json!({"body": "x", "client_id": "two"})).await;
    assert_eq!(status, 422, "{problem}");
    let (status, problem) = send(&[b"one", b"two"], json!({"body": "x"})).await;
    assert_eq!(status, 422, "two keys: {problem}");
    // A hundred at once are one message.
    let tries = (0..100).map(|_| send(&[b"key-2"], json!({"body": "once"})));
    let tries = futures_util::future::join_all(tries).await;
    assert_eq!(tries.iter().filter(|(status, _)| *status == 201).count(), 1);
    assert!(
        tries.iter().all(|(status, body)| [200, 201].contains(status) && body["body"] == "once")
    );
    assert_eq!(stage.witness.history(HALL).await.len(), 3);
    stage.unharmed().await;
}

#[tokio::test]
async fn paths_lead_nowhere_else() {
    let stage = Stage::start().await;
    let paths = [
        "/../../../../etc/passwd",
        "/..%2f..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/assets/../../../Cargo.toml",
        "/assets/..%2f..%2fCargo.toml",
        "/assets/%2e%2e/index.html",
        "/assets/",
        "/docs/../../../etc/passwd",
        "/docs/..%5c..%5cwin.ini",
        "/redoc/%00",
        "/%00",
        "/%ff%fe",
        "/%",
        "/%zz",
        "/.git/config",
        "/parlor.toml",
        "/data/parlor.db",
        "/secret_key",
        "/v1",
        "/v1/",
        "/v2/rooms",
        "/v1//rooms",
        "/v1/rooms/../admin/status",
        "/V1/ROOMS",
        "/v1/rooms/%2e%2e/admin/status",
        "/v1/users/..%2f..%2fadmin%2fstatus",
        "/problems/..%2f..%2fetc",
        "/problems/%3Cscript%3E",
        "/problems/nothing",
        "/index.html",
        "/C:/windows/win.ini",
        "/v1/rooms/hall/messages/..%2f..%2fwitness-room",
        "/v1/rooms/hall/%2e%2e/witness-room",
    ];
    for path in paths {
        let mut raw = Raw::connect(stage.addr()).await;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: parlor.test\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
            stage.mallory.token().await
        );
        raw.send(request.as_bytes()).await;
        let head = raw.head().await.unwrap_or_else(|| panic!("no answer for {path}"));
        let body = String::from_utf8_lossy(&raw.rest().await).into_owned();
        assert!([400, 404, 405].contains(&head.status), "{path}: {} {body}", head.text);
        assert!(!body.contains("root:") && !body.contains("<script>"), "{path}: {body}");
    }
    stage.unharmed().await;
}

#[tokio::test]
async fn names_that_mean_something_else_are_refused() {
    let stage = Stage::start().await;
    for slug in [
        "",
        "..",
        "../x",
        "a/b",
        "a\\b",
        "%2e",
        "a b",
        "A",
        "\u{e9}",
        "-a",
        "a-",
        "a\0",
        "a\n",
        "x".repeat(65).as_str(),
        stage.private.as_str(),
        "018f2f3e7b1c70008000000000000000",
        "<script>",
        "'; DROP TABLE rooms; --",
    ] {
        let body = json!({"name": "Room", "slug": slug, "kind": "public"});
        let (status, problem) =
            stage.ask(&stage.mallory, Method::POST, "/v1/rooms", Some(&body)).await;
        assert_eq!(
            (status, &problem["code"]),
            (422, &json!("validation_failed")),
            "{slug:?}: {problem}"
        );
    }
    for name in ["", " ", "\n", "a\0b", "\u{202e}evil", "two\nlines", "x".repeat(81).as_str()] {
        let body = json!({"name": name, "kind": "public"});
        let (status, problem) =
            stage.ask(&stage.mallory, Method::POST, "/v1/rooms", Some(&body)).await;
        assert_eq!(status, 422, "{name:?}: {problem}");
    }
    let body = json!({"name": "Again", "slug": PRIVATE, "kind": "public"});
    let (status, problem) = stage.ask(&stage.mallory, Method::POST, "/v1/rooms", Some(&body)).await;
    assert_eq!(status, 409, "{problem}");
    let password = "copper-lantern-77-harbor";
    for username in [
        "",
        "a",
        "me",
        "../x",
        "a b",
        "\u{430}dmin",
        "wanda\0",
        "a\u{202e}b",
        "<b>",
        "@guide",
        "x".repeat(200).as_str(),
        "a/b",
    ] {
        let body = json!({"username": username, "password": password});
        let url = format!("{}/v1/auth/register", stage.server.url());
        let (status, problem) =
            answer(stage.http.post(url).json(&body).send().await.unwrap()).await;
        assert_eq!(status, 422, "{username:?}: {problem}");
    }
    for taken in ["wanda", "WANDA", "Wanda", "guide"] {
        let body = json!({"username": taken, "password": password});
        let url = format!("{}/v1/auth/register", stage.server.url());
        let (status, problem) =
            answer(stage.http.post(url).json(&body).send().await.unwrap()).await;
        assert!([409, 422].contains(&status), "{taken:?}: {status} {problem}");
    }
    for password in
        ["", "short", "password", "12345678", "newcomer1", "x".repeat(129).as_str(), "qwertyuiop"]
    {
        let body = json!({"username": "newcomer", "password": password});
        let url = format!("{}/v1/auth/register", stage.server.url());
        let (status, problem) =
            answer(stage.http.post(url).json(&body).send().await.unwrap()).await;
        assert_eq!(status, 422, "{password:?}: {problem}");
        let quoted = password != "password" && !password.is_empty();
        assert!(!quoted || !problem.to_string().contains(password), "{problem}");
    }
    stage.unharmed().await;
}

#[tokio::test]
async fn headers_of_events_and_ids_are_checked() {
    let stage = Stage::start().await;
    let url = format!("{}/v1/rooms/{HALL}/events", stage.server.url());
    let token = stage.mallory.token().await;
    let last: [&[u8]; 8] =
        [b"x", b"-1", b"1.5", b"a:", b":", b"18446744073709551616", b"\xff", b"1 2"];
    for id in last {
        let value = HeaderValue::from_bytes(id).unwrap();
        let sent =
            stage.http.get(&url).bearer_auth(&token).header("last-event-id", value).send().await;
        let (status, problem) = answer(sent.unwrap()).await;
        assert_eq!(status, 422, "{id:?}: {problem}");
    }
    // A position that is not there is no error: the client is told to read again.
    for id in
        ["18446744073709551615", "nonsense:5", "a1:18446744073709551615", "9223372036854775808"]
    {
        let sent =
            stage.http.get(&url).bearer_auth(&token).header("last-event-id", id).send().await;
        let mut response = sent.unwrap();
        assert_eq!(response.status(), 200, "{id}");
        let mut text = String::new();
        while !text.contains("event: resync") {
            let chunk = tokio::time::timeout(crate::raw::PATIENCE, response.chunk()).await;
            let chunk = chunk.unwrap_or_else(|_| panic!("no resync for {id}: {text}"));
            text.push_str(std::str::from_utf8(&chunk.unwrap().expect("the stream ended")).unwrap());
        }
    }
    // A caller's id of a request is taken over only when it is plain.
    for id in ["short", "a\tb-c-d-e-f-g", "<script>alert(1)</script>", &"x".repeat(500)] {
        let sent = stage.http.get(&url).header("x-request-id", id).send().await.unwrap();
        assert_ne!(sent.headers()["x-request-id"], id);
    }
    stage.unharmed().await;
}
