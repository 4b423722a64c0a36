//! What a node says of itself: documents, health, metrics, headers.

use reqwest::Method;
use serde_json::Value;

use super::api::{Api, PASSWORD};
use crate::harness::TestNode;

#[tokio::test]
async fn every_documented_operation_is_served_and_nothing_else() {
    let node = TestNode::start().await;
    let api = Api::anonymous(&node);
    let document = api.get("/openapi.json").await.expect(200);
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    for (path, operations) in paths {
        let operations = operations.as_object().unwrap();
        let concrete = path.replace("{room}", "general").replace("{code}", "not-found");
        let concrete = concrete.replace(['{', '}'], "");
        for method in ["get", "post", "put", "patch", "delete"] {
            if path == "/v1/ws" {
                continue;
            }
            let verb = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let answer = api.call(verb, &concrete, None).await;
            let documented = operations.get(method);
            assert_eq!(answer.status == 405, documented.is_none(), "{method} {path}");
            if let Some(operation) = documented {
                let needs_login = operation["security"].as_array().is_some_and(|s| !s.is_empty());
                let refused = answer.status == 401 && answer.body["code"] == "unauthenticated";
                assert!(refused || !needs_login, "{method} {path}: {}", answer.status);
                // Some need a login only where the address is none.
                let says_so = operation["responses"]["401"].is_object();
                assert!(says_so || !refused, "{method} {path} does not say that it needs a login");
            }
        }
    }
}

#[tokio::test]
async fn other_documents_are_served() {
    let node = TestNode::start().await;
    let api = Api::anonymous(&node);
    assert_eq!(api.get("/asyncapi.json").await.expect(200)["asyncapi"], "3.0.0");
    assert!(api.get("/schema.json").await.expect(200)["$defs"].is_object());
    let problem = api.get("/problems/rate-limited").await.expect(200);
    assert_eq!((&problem["code"], &problem["retryable"]), (&"rate_limited".into(), &true.into()));
    let page = api.request(Method::GET, "/problems/rate-limited").header("accept", "text/html");
    assert!(api.send(page).await.text.contains("<h1>Too many requests</h1>"));
    api.get("/problems/nonsense").await.refused("not_found");
}

#[tokio::test]
async fn node_says_whether_it_takes_work_and_what_it_needs() {
    let node = TestNode::start().await;
    let api = Api::anonymous(&node);
    assert_eq!(api.get("/healthz").await.expect(200)["status"], "ok");
    let ready = api.get("/readyz").await.expect(200);
    assert_eq!(ready["ready"], true);
    assert_eq!(ready["dependencies"]["store"]["kind"], node.store().backend());
    assert_eq!(ready["dependencies"]["store"]["ok"], true);
    let info = api.get("/info").await.expect(200);
    assert_eq!((&info["name"], &info["limits"]["body_bytes"]), (&"parlor".into(), &16_384.into()));

    node.lifecycle.begin_shutdown();

    let draining = api.get("/readyz").await;
    assert_eq!(draining.status, 503);
    assert_eq!(
        (&draining.body["ready"], &draining.body["reason"]),
        (&false.into(), &"draining".into())
    );
    assert!(!draining.header("retry-after").is_empty());
}

#[tokio::test]
async fn metrics_count_requests_by_route_and_hold_no_secret() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada-lovelace").await;
    let den = ada.room("Secret den", "private").await;
    ada.say(&den, "the plan").await;
    ada.get(&format!("/v1/rooms/{den}/messages?limit=7")).await.expect(200);
    ada.get("/no/such/page-of-mine").await;

    let metrics = Api::anonymous(&node).get("/metrics").await;

    assert!(metrics.header("content-type").starts_with("text/plain"));
    let line = "parlor_http_requests_total{method=\"GET\",route=\"/v1/rooms/{room}/messages\",\
                status=\"200\"} 1";
    assert!(metrics.text.contains(line), "{}", metrics.text);
    assert!(metrics.text.contains("parlor_runtime_uptime_seconds"));
    let token = ada.token.as_deref().unwrap();
    for secret in
        [PASSWORD, token, &ada.refresh_token, &den, "ada-lovelace", "the plan", "page-of-mine"]
    {
        assert!(!metrics.text.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn every_answer_carries_the_protective_headers() {
    let node = TestNode::start().await;
    let api = Api::anonymous(&node);
    for path in ["/healthz", "/v1/rooms", "/nothing", "/", "/openapi.json"] {
        let answer = api.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin");
        assert!(answer.header("content-security-policy").contains("default-src 'none'"));
        assert!(!answer.header("content-security-policy").contains("unsafe-"), "{path}");
        assert!(!answer.header("x-request-id").is_empty());
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
    assert_eq!(api.get("/v1/rooms").await.header("cache-control"), "no-store");
}

#[tokio::test]
async fn request_id_is_kept_when_it_is_sane() {
    let node = TestNode::start().await;
    let api = Api::anonymous(&node);
    let id = async |given: &str| {
        let request = api.request(Method::GET, "/v1/rooms").header("x-request-id", given);
        let answer = api.send(request).await;
        answer.refused("unauthenticated");
        answer.header("x-request-id").to_owned()
    };
    assert_eq!(id("trace-12345").await, "trace-12345");
    assert_ne!(id("<script>alert(1)</script>").await, "<script>alert(1)</script>");
}

#[tokio::test]
async fn only_configured_origins_may_call() {
    let node = TestNode::start_with(|config| {
        use parlor_runtime::config::{WebOrigin, setting::Setting as _};
        let origin = WebOrigin::from_text("https://chat.example.com").unwrap();
        config.server.cors_origins = vec![origin];
    })
    .await;
    let api = Api::anonymous(&node);
    let allowed = async |origin: &str| {
        let request = api
            .request(Method::OPTIONS, "/v1/rooms")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,idempotency-key");
        let answer = api.send(request).await;
        (answer.status, answer.header("access-control-allow-origin").to_owned())
    };
    assert_eq!(allowed("https://chat.example.com").await.1, "https://chat.example.com");
    assert_eq!(allowed("https://evil.example.com").await.1, "");
}

#[tokio::test]
async fn large_answers_are_compressed_when_asked_for() {
    let node = TestNode::start().await;
    let api = Api::anonymous(&node);
    let request = api.request(Method::GET, "/openapi.json").header("accept-encoding", "gzip");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    let plain: Value = api.get("/openapi.json").await.expect(200);
    assert!(plain["paths"].is_object());
}
