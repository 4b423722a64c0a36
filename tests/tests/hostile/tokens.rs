//! Proofs of who someone is: forged, altered, spent, expired, and of logins that have ended.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use parlor_testkit::process::{PASSWORD, Parlor, User};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Sha256, Sha384, Sha512};

use crate::raw::{Raw, upgrade_request};
use crate::stage::{Stage, answer};

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// Signs as an attacker would who guesses the key or wishes for another algorithm.
fn signed(header: &Value, claims: &Value, key: &[u8]) -> String {
    let text = format!("{}.{}", encoded(header), encoded(claims));
    let signature = match header["alg"].as_str().unwrap_or_default() {
        "HS384" => Hmac::<Sha384>::new_from_slice(key)
            .unwrap()
            .chain_update(&text)
            .finalize()
            .into_bytes()
            .to_vec(),
        "HS512" => Hmac::<Sha512>::new_from_slice(key)
            .unwrap()
            .chain_update(&text)
            .finalize()
            .into_bytes()
            .to_vec(),
        _ => Hmac::<Sha256>::new_from_slice(key)
            .unwrap()
            .chain_update(&text)
            .finalize()
            .into_bytes()
            .to_vec(),
    };
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The value with some fields in place of its own.
fn with(value: &Value, changes: &Value) -> Value {
    let mut value = value.clone();
    for (name, change) in changes.as_object().unwrap() {
        value[name] = change.clone();
    }
    value
}

/// Tokens that must not be accepted, made from one that is.
fn forgeries(token: &str, witness: &User) -> Vec<(String, String)> {
    let parts: Vec<&str> = token.split('.').collect();
    let [head, body, signature] = parts.as_slice() else { panic!("not a JWT") };
    let (header, claims) = (decoded(head), decoded(body));
    let mut all: Vec<(String, String)> = [
        ("nothing", String::new()),
        ("a word", "x".to_owned()),
        ("dots", "..".to_owned()),
        ("three words", "a.b.c".to_owned()),
        ("four parts", format!("{token}.x")),
        ("two parts", format!("{head}.{body}")),
        ("no signature", format!("{head}.{body}.")),
        ("no header", format!(".{body}.{signature}")),
        ("half a signature", format!("{head}.{body}.{}", signature.get(..20).unwrap())),
        ("a letter more", format!("{token}A")),
        ("padding", format!("{token}=")),
        ("twice", format!("{token}{token}")),
        ("a signature of zeros", format!("{head}.{body}.{}", URL_SAFE_NO_PAD.encode([0; 32]))),
        ("the body as header", format!("{body}.{head}.{signature}")),
    ]
    .map(|(name, token)| (name.to_owned(), token))
    .to_vec();
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let unsigned = format!("{}.{body}.", encoded(&with(&header, &json!({"alg": alg}))));
        all.push((format!("alg {alg:?}"), unsigned.clone()));
        all.push((format!("alg {alg:?} with a signature"), format!("{unsigned}{signature}")));
    }
    // Asymmetric algorithms, whose public key someone might take for the secret one.
    for alg in ["HS256", "HS384", "HS512", "RS256", "PS256", "ES256", "EdDSA"] {
        let header = with(&header, &json!({"alg": alg}));
        for key in ["", "secret", "parlor", "changeme", head, "-----BEGIN PUBLIC KEY-----"] {
            let forged = signed(&header, &claims, key.as_bytes());
            if forged != token {
                all.push((format!("{alg} with the key {key:?}"), forged));
            }
        }
        if alg != "HS256" {
            all.push((
                format!("{alg} with our signature"),
                format!("{}.{body}.{signature}", encoded(&header)),
            ));
        }
    }
    all.extend(altered(token, witness));
    all
}

/// Tokens with other headers and claims than ours has.
fn altered(token: &str, witness: &User) -> Vec<(String, String)> {
    let parts: Vec<&str> = token.split('.').collect();
    let [head, body, signature] = parts.as_slice() else { panic!("not a JWT") };
    let (header, claims) = (decoded(head), decoded(body));
    let mut all = Vec::new();
    for kid in [
        json!("../../../../dev/null"),
        json!("' OR '1'='1"),
        json!(""),
        json!(null),
        json!(7),
        json!("x".repeat(500)),
    ] {
        let header = with(&header, &json!({"kid": kid}));
        all.push((format!("kid {kid}, signed with nothing"), signed(&header, &claims, b"")));
        all.push((
            format!("kid {kid} with our signature"),
            format!("{}.{body}.{signature}", encoded(&header)),
        ));
    }
    for extra in [
        json!({"jku": "http://evil.test/keys"}),
        json!({"x5u": "http://evil.test/keys"}),
        json!({"jwk": {"kty": "oct", "k": "c2VjcmV0"}}),
        json!({"crit": ["exp"], "typ": "JWT"}),
    ] {
        let header = with(&header, &extra);
        all.push((format!("header {extra}"), signed(&header, &claims, b"secret")));
        all.push((
            format!("header {extra} with our signature"),
            format!("{}.{body}.{signature}", encoded(&header)),
        ));
    }
    for change in [
        json!({"sub": witness.id.to_string()}),
        json!({"role": "admin"}),
        json!({"exp": 99_999_999_999_u64}),
        json!({"exp": null}),
        json!({"iat": 0}),
        json!({"sid": witness.id.to_string()}),
        json!({"iss": "evil"}),
    ] {
        let claims = with(&claims, &change);
        all.push((
            format!("claim {change} with our signature"),
            format!("{head}.{}.{signature}", encoded(&claims)),
        ));
        all.push((
            format!("claim {change} signed with a guess"),
            signed(&header, &claims, b"secret"),
        ));
    }
    all
}

/// Asks for the caller's login with a token.
async fn try_token(stage: &Stage, token: &str) -> (u16, Value) {
    let url = format!("{}/v1/auth/session", stage.server.url());
    let header = format!("Bearer {token}");
    answer(stage.http.get(url).header("authorization", header).send().await.unwrap()).await
}

/// Opens a WebSocket with the header, and says hello with it; the status and the close code.
async fn try_socket(stage: &Stage, token: &str) -> (u16, Option<u16>) {
    let mut raw = Raw::connect(stage.addr()).await;
    let request = upgrade_request("", &format!("Authorization: Bearer {token}\r\n"));
    raw.send(request.as_bytes()).await;
    let status = raw.head().await.unwrap().status;
    let mut raw = Raw::open(stage.addr(), "", "").await;
    raw.say(&json!({"op": "hello", "token": token})).await;
    (status, raw.closed().await)
}

async fn try_ticket(stage: &Stage, ticket: &str) -> u16 {
    let mut raw = Raw::connect(stage.addr()).await;
    raw.send(upgrade_request(&format!("?ticket={ticket}"), "").as_bytes()).await;
    raw.head().await.unwrap().status
}

async fn ticket(stage: &Stage, user: &User) -> String {
    let (status, body) = stage.ask(user, Method::POST, "/v1/auth/ws-ticket", None).await;
    assert_eq!(status, 200, "{body}");
    body["ticket"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn forged_tokens_are_refused_everywhere() {
    let mut stage = Stage::start().await;
    let token = stage.mallory.token().await;
    let ticket = ticket(&stage, &stage.mallory).await;
    let other = Parlor::start().await;
    let stranger = other.register("mallory").await;
    let mut forged = forgeries(&token, &stage.witness);
    forged.push(("a refresh token".to_owned(), stage.mallory.refresh_token()));
    forged.push(("a ticket".to_owned(), ticket.clone()));
    forged.push(("another server's token".to_owned(), stranger.token().await));
    let mut wrong = Vec::new();
    for (name, token) in &forged {
        let (status, problem) = try_token(&stage, token).await;
        if status != 401 || problem["code"] != "unauthenticated" {
            wrong.push(format!("{name}: {status} {problem}"));
        }
        let socket = try_socket(&stage, token).await;
        if socket != (401, Some(4501)) {
            wrong.push(format!("{name}: WebSocket {socket:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    // What is too long for a header is refused as such, and as `hello` like the others.
    let long = "x".repeat(60_000);
    let mut raw = Raw::open(stage.addr(), "", "").await;
    raw.say(&json!({"op": "hello", "token": long})).await;
    assert_eq!(raw.closed().await, Some(4501));
    assert_eq!(try_token(&stage, &token).await.0, 200, "the real one still works");
    for (_, token) in forged.iter().filter(|(_, token)| token.len() > 40) {
        stage.plant(token);
    }
    stage.unharmed().await;
}

#[tokio::test]
async fn headers_that_are_no_bearer_token_are_refused() {
    let stage = Stage::start().await;
    let token = stage.mallory.token().await;
    let url = format!("{}/v1/auth/session", stage.server.url());
    for header in [
        token.clone(),
        format!("Basic {token}"),
        format!("Bearer{token}"),
        format!("Token {token}"),
        format!("Bearer {token}, Bearer {token}"),
        format!("Bearer \"{token}\""),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "Bearer \u{e9}".to_owned(),
    ] {
        let value = reqwest::header::HeaderValue::from_bytes(header.as_bytes()).unwrap();
        let refused = stage.http.get(&url).header("authorization", value).send().await.unwrap();
        assert_eq!(refused.status(), 401, "{header}");
        let request = upgrade_request("", &format!("Authorization: {header}\r\n"));
        let mut raw = Raw::connect(stage.addr()).await;
        raw.send(request.as_bytes()).await;
        assert_eq!(raw.head().await.unwrap().status, 401, "{header}");
    }
    let query = format!("?token={token}");
    let mut raw = Raw::connect(stage.addr()).await;
    raw.send(upgrade_request(&query, "").as_bytes()).await;
    assert_eq!(raw.head().await.unwrap().status, 400, "tokens in addresses are off");
    let refused = stage.http.get(format!("{url}?access_token={token}")).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    stage.unharmed().await;
}

#[tokio::test]
async fn token_that_expires_ends_its_connections() {
    let builder = Parlor::builder().env("PARLOR_AUTH__ACCESS_TOKEN_EXPIRE", "10s");
    let server = builder.start().await;
    let user = server.register("eve").await;
    let token = user.token().await;
    let mut open = Raw::log_in(server.addr(), &token).await;
    let begun = Instant::now();
    assert_eq!(open.closed().await, Some(4004));
    assert!(begun.elapsed() > Duration::from_secs(5), "{:?}", begun.elapsed());
    let url = format!("{}/v1/auth/session", server.url());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let refused = answer(http.get(url).bearer_auth(&token).send().await.unwrap()).await;
    assert_eq!((refused.0, &refused.1["code"]), (401, &json!("token_expired")));
    let mut raw = Raw::open(server.addr(), "", "").await;
    raw.say(&json!({"op": "hello", "token": token})).await;
    assert_eq!(raw.json().await["code"], "token_expired");
    assert_eq!(raw.closed().await, Some(4004));
    assert!(!server.log().contains(&token));
}

#[tokio::test]
async fn login_that_has_ended_is_over_everywhere() {
    let stage = Stage::start().await;
    let admin = stage.server.admin().await;
    for how in ["logout", "logout everywhere", "new password", "deactivated"] {
        let name = format!("eve-{}", how.replace(' ', "-"));
        let first = stage.server.register(&name).await;
        let second = User::log_in(stage.addr(), &name).await;
        let (token, refresh) = (first.token().await, first.refresh_token());
        let mut open = Raw::log_in(stage.addr(), &token).await;
        let ticket = ticket(&stage, &first).await;
        let (user, method, path, body) = match how {
            "logout" => (&first, Method::POST, "/v1/auth/logout".to_owned(), None),
            "logout everywhere" => {
                (&second, Method::POST, "/v1/auth/logout?all=true".to_owned(), None)
            }
            "new password" => {
                let body = json!({"current_password": PASSWORD, "new_password": "copper-lantern-77-harbor"});
                (&second, Method::PUT, "/v1/users/me/password".to_owned(), Some(body))
            }
            _ => (
                &admin,
                Method::PATCH,
                format!("/v1/admin/users/{name}"),
                Some(json!({"active": false})),
            ),
        };
        let (status, body) = stage.ask(user, method, &path, body.as_ref()).await;
        assert!((200..300).contains(&status), "{how}: {status} {body}");
        assert_eq!(open.closed().await, Some(4509), "{how}");
        assert_eq!(try_token(&stage, &token).await.0, 401, "{how}");
        assert_eq!(try_socket(&stage, &token).await, (401, Some(4501)), "{how}");
        assert_eq!(try_ticket(&stage, &ticket).await, 401, "{how}");
        assert_eq!(try_refresh(&stage, &refresh).await.0, 401, "{how}");
    }
    stage.unharmed().await;
}

async fn try_refresh(stage: &Stage, token: &str) -> (u16, Value) {
    let url = format!("{}/v1/auth/refresh", stage.server.url());
    let sent = stage.http.post(url).json(&json!({"refresh_token": token})).send().await;
    answer(sent.unwrap()).await
}

#[tokio::test]
async fn ticket_opens_one_connection_within_its_time() {
    let stage = Stage::start_from(Parlor::builder().env("PARLOR_AUTH__WS_TICKET_TTL", "3s")).await;
    let good = ticket(&stage, &stage.mallory).await;
    // However many try it at the same time.
    let tries = futures_util::future::join_all((0..20).map(|_| try_ticket(&stage, &good))).await;
    assert_eq!(tries.iter().filter(|status| **status == 101).count(), 1, "{tries:?}");
    assert_eq!(tries.iter().filter(|status| **status == 401).count(), 19, "{tries:?}");
    let upper = ticket(&stage, &stage.mallory).await.to_uppercase();
    let forged = ["", "x", "%00", "..", "a%20b", &"x".repeat(5_000), &upper, "%ff", "'%20OR%201=1"];
    for ticket in forged {
        assert_eq!(try_ticket(&stage, ticket).await, 401, "{ticket}");
    }
    let late = ticket(&stage, &stage.mallory).await;
    tokio::time::sleep(Duration::from_millis(3_300)).await;
    assert_eq!(try_ticket(&stage, &late).await, 401, "an expired ticket");
    stage.unharmed().await;
}

#[tokio::test]
async fn refresh_token_that_is_used_again_ends_the_login() {
    let stage = Stage::start_from(Parlor::builder().env("PARLOR_AUTH__REFRESH_GRACE", "0s")).await;
    let user = stage.server.register("eve").await;
    let (first, access) = (user.refresh_token(), user.token().await);
    for forged in
        ["", "x", first.to_uppercase().as_str(), &format!("{first}A"), &access, &"x".repeat(10_000)]
    {
        let (status, problem) = try_refresh(&stage, forged).await;
        assert!([401, 422].contains(&status), "{forged}: {status} {problem}");
    }
    let (status, pair) = try_refresh(&stage, &first).await;
    assert_eq!(status, 200, "{pair}");
    let text = |name: &str| pair[name].as_str().unwrap().to_owned();
    assert_eq!(try_token(&stage, &text("access_token")).await.0, 200);
    assert_eq!(try_refresh(&stage, &first).await.0, 401, "a spent token");
    // Whoever has the other copy is out, too, because nobody knows who is the thief.
    assert_eq!(try_refresh(&stage, &text("refresh_token")).await.0, 401);
    assert_eq!(try_token(&stage, &text("access_token")).await.0, 401);
    assert_eq!(try_token(&stage, &access).await.0, 401);
    assert!(!stage.server.log().contains(&first));
    stage.unharmed().await;
}
