use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use parlor_protocol::code::Code;
use tokio::time::Instant;

use super::names::{CHECKS_MAX, LOOK, LOOK_UPS_MAX};
use super::*;

fn outgoing(allowed: &[&str]) -> Outgoing {
    with_calls(allowed, WebhooksConfig::default().calls)
}

fn with_calls(allowed: &[&str], calls: usize) -> Outgoing {
    let config = WebhooksConfig {
        allowed_hosts: allowed.iter().map(|&host| host.to_owned()).collect(),
        calls,
        ..WebhooksConfig::default()
    };
    Outgoing::new(&config, SigningKeys::new(&[3; 32]).unwrap(), under_way()).unwrap()
}

fn under_way() -> UnderWay {
    let gauge = |name| IntGauge::new(name, "Under way.").unwrap();
    UnderWay { calls: gauge("calls"), look_ups: gauge("look_ups") }
}

fn resolving(names: Names) -> Outgoing {
    let keys = SigningKeys::new(&[3; 32]).unwrap();
    Outgoing::resolving(&WebhooksConfig::default(), keys, under_way(), names).unwrap()
}

fn user(number: usize) -> UserId {
    UserId(uuid::Uuid::from_u128(number as u128))
}

fn call(url: &str) -> Call<'_> {
    Call {
        url,
        salt: &[1; 16],
        id: "hook.1",
        event: "message.created",
        at: Timestamp::from_millis(1_800_000_000_000),
        body: b"{}",
        timeout: Duration::from_secs(5),
    }
}

/// Answers one request with `answer`; returns the port.
fn receiver(answer: &str) -> (u16, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = answer.to_owned();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut read = Vec::new();
        let mut piece = [0; 4_096];
        while !read.ends_with(b"{}") {
            let length = stream.read(&mut piece).unwrap();
            read.extend_from_slice(&piece[..length]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(read).unwrap()
    });
    (port, thread)
}

#[tokio::test]
async fn own_network_is_not_called_however_it_is_written() {
    let outgoing = outgoing(&[]);
    for url in [
        "http://127.0.0.1:9/",
        "http://2130706433:9/",
        "http://0x7f000001:9/",
        "http://0177.0.0.1:9/",
        "http://127.1:9/",
        "http://[::1]:9/",
        "http://[::ffff:127.0.0.1]:9/",
        "http://[::ffff:7f00:1]:9/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/",
        "http://10.0.0.1/",
        "http://localhost:9/",
    ] {
        let failed = outgoing.tell(call(url)).await.unwrap_err();
        assert_eq!(failed.outcome, "address not allowed", "{url}");
        let refused = outgoing.check_url(url, user(1)).await.unwrap_err();
        assert_eq!(refused.errors[0].code, "not_public", "{url}");
    }
}

#[tokio::test]
async fn only_addresses_of_the_web_are_taken() {
    let outgoing = outgoing(&[]);
    let long = format!("https://example.org/{}", "x".repeat(URL_MAX));
    for url in
        ["", "example.org", "file:///etc/passwd", "ftp://1.1.1.1/", "http://a:b@1.1.1.1/", &long]
    {
        let refused = outgoing.check_url(url, user(1)).await.unwrap_err();
        assert_eq!(refused.code, Code::ValidationFailed, "{url}");
        assert!(!refused.detail.contains("passwd"));
    }
    assert_eq!(
        outgoing.check_url("https://1.1.1.1/x", user(1)).await.unwrap(),
        "https://1.1.1.1/x"
    );
}

#[tokio::test]
async fn redirect_is_a_failure_and_is_not_followed() {
    let (inside, _untouched) = (TcpListener::bind("127.0.0.1:0").unwrap(), ());
    let target = inside.local_addr().unwrap();
    inside.set_nonblocking(true).unwrap();
    let answer = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://{target}/\r\nContent-Length: 0\r\n\r\n"
    );
    let (port, thread) = receiver(&answer);
    let outgoing = outgoing(&["127.0.0.1"]);
    let failed = outgoing.tell(call(&format!("http://127.0.0.1:{port}/"))).await.unwrap_err();
    assert_eq!(failed.outcome, "HTTP 307");
    thread.join().unwrap();
    assert!(inside.accept().is_err(), "nobody came");
}

#[tokio::test]
async fn allowed_host_is_called_by_name_or_address() {
    for (allowed, host) in [("127.0.0.1", "127.0.0.1"), ("LocalHost", "localhost")] {
        let (port, thread) = receiver("HTTP/1.1 204 No Content\r\n\r\n");
        let url = format!("http://{host}:{port}/in?x=1");
        let outgoing = outgoing(&[allowed]);
        assert!(outgoing.check_url(&url, user(1)).await.is_ok());
        outgoing.tell(call(&url)).await.unwrap();
        let request = thread.join().unwrap();
        assert!(request.starts_with("POST /in?x=1 HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("webhook-id: hook.1\r\n"));
        assert!(request.contains("parlor-signature: t=1800000000,v1="));
    }
}

/// Whoever asks cannot tell one from the other, neither by what is said nor by when.
#[tokio::test]
async fn name_that_leads_inside_is_refused_like_one_that_is_not_there() {
    let outgoing = outgoing(&[]);
    let mut refused = Vec::new();
    let mut failed = Vec::new();
    for host in ["localhost", "nobody-has-this-name.invalid"] {
        let url = format!("http://{host}:9/");
        let (begun, patient) = (Instant::now(), Call { timeout: 2 * LOOK, ..call(&url) });
        let (checked, told) =
            tokio::join!(outgoing.check_url(&url, user(1)), outgoing.tell(patient));
        assert!(begun.elapsed() >= LOOK, "not sooner than for any other name");
        refused.push(checked.unwrap_err());
        failed.push(told.unwrap_err());
    }
    assert_eq!(refused[0], refused[1]);
    assert_eq!(failed[0], failed[1]);
    assert_eq!(failed[0].outcome, "address not allowed");
}

/// How often the name that changes was looked up.
static LOOKED: AtomicUsize = AtomicUsize::new(0);

/// A name that is public when it is looked up first, and leads inside from then on.
#[expect(clippy::unnecessary_wraps, reason = "look-ups can fail")]
fn rebound(_: &str) -> std::io::Result<Vec<SocketAddr>> {
    let address = match LOOKED.fetch_add(1, Ordering::SeqCst) {
        0 => [1, 1, 1, 1],
        _ => [127, 0, 0, 1],
    };
    Ok(vec![SocketAddr::from((address, 0))])
}

#[tokio::test]
async fn name_that_leads_elsewhere_when_it_is_called_is_refused_then() {
    let inside = TcpListener::bind("127.0.0.1:0").unwrap();
    inside.set_nonblocking(true).unwrap();
    let outgoing = resolving(rebound);
    let url = format!("http://rebound.example:{}/", inside.local_addr().unwrap().port());
    outgoing.check_url(&url, user(1)).await.unwrap();
    let failed = outgoing.tell(Call { timeout: 2 * LOOK, ..call(&url) }).await.unwrap_err();
    assert_eq!(failed.outcome, "address not allowed");
    assert_eq!(LOOKED.load(Ordering::SeqCst), 2, "once for each, so what is checked is called");
    let nobody = inside.accept().unwrap_err();
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock, "nobody connected");
}

#[tokio::test]
async fn answer_that_is_too_large_or_too_slow_is_not_waited_for() {
    let huge = "x".repeat(ANSWER_MAX + 1);
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{huge}", huge.len());
    let (port, _thread) = receiver(&answer);
    let outgoing = outgoing(&["127.0.0.1"]);
    let url = format!("http://127.0.0.1:{port}/");
    let failed = outgoing.ask(call(&url), user(1)).await.unwrap_err();
    assert_eq!(failed.outcome, "answer too large");

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let hasty = Call { timeout: Duration::from_millis(50), ..call(&url) };
    assert_eq!(outgoing.tell(hasty).await.unwrap_err().outcome, "timeout");
}

#[tokio::test]
async fn slow_program_is_asked_so_often_at_once_and_holds_up_no_other() {
    let outgoing = outgoing(&["127.0.0.1"]);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let slow = format!("http://{}/", silent.local_addr().unwrap());
    let hasty = Call { timeout: Duration::from_millis(200), ..call(&slow) };
    let (port, _thread) = receiver("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    let quick = format!("http://127.0.0.1:{port}/");
    let other = Call { salt: &[2; 16], ..call(&quick) };
    let asks = (0..=ASKED_MAX).map(|n| outgoing.ask(hasty, user(n)));
    let (failed, answered) = tokio::join!(join_all(asks), outgoing.ask(other, user(99)));
    assert_eq!(answered.unwrap(), b"{}");
    let outcomes: Vec<String> = failed.into_iter().map(|came| came.unwrap_err().outcome).collect();
    let turned_away = outcomes.iter().filter(|outcome| *outcome == "too many calls at once");
    assert_eq!(turned_away.count(), 1, "{outcomes:?}");
    assert!(outgoing.asked.0.lock().unwrap().is_empty(), "all places are given back");
}

#[tokio::test]
async fn calls_at_once_are_bounded_for_each_caller_and_for_all() {
    let outgoing = with_calls(&["127.0.0.1"], ASKED_MAX + 1);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let slow = format!("http://{}/", silent.local_addr().unwrap());
    let salts: Vec<[u8; 16]> = (0..20_u8).map(|n| [n; 16]).collect();
    let hasty =
        |n: usize| Call { salt: &salts[n], timeout: Duration::from_millis(200), ..call(&slow) };
    // The first has too many by one, the second takes the last place of all, the third finds none.
    let of_one = (0..=ASKED_MAX).map(|n| outgoing.ask(hasty(n), user(1)));
    let others = [2, 3].map(|n| outgoing.ask(hasty(n + ASKED_MAX), user(n)));
    let all = join_all(of_one.chain(others));
    let (came, at_once) = tokio::join!(all, async { outgoing.under_way.get() });
    let outcomes: Vec<String> = came.into_iter().map(|came| came.unwrap_err().outcome).collect();
    let mut expected = vec!["timeout"; ASKED_MAX];
    expected.extend(["too many calls at once", "timeout", "too many calls at once"]);
    assert_eq!(outcomes, expected);
    assert_eq!(at_once, i64::try_from(ASKED_MAX + 1).unwrap());
    assert_eq!(outgoing.under_way.get(), 0);
    assert!(outgoing.enter().is_some() && outgoing.asked.0.lock().unwrap().is_empty());
}

/// Held while the servers of the name are silent.
static SILENCE: Mutex<()> = Mutex::new(());

/// A public name, whose servers say so when they are not silent any more.
#[expect(clippy::unnecessary_wraps, reason = "look-ups can fail")]
fn silent(_: &str) -> std::io::Result<Vec<SocketAddr>> {
    drop(SILENCE.lock().unwrap());
    Ok(vec![SocketAddr::from(([1, 1, 1, 1], 0))])
}

#[tokio::test]
#[expect(clippy::await_holding_lock, reason = "it stands for servers that do not answer")]
async fn names_are_looked_up_only_so_many_at_once() {
    let outgoing = resolving(silent);
    let url = "http://silent.example/";
    let refused = async |number| outgoing.check_url(url, user(number)).await.unwrap_err().code;
    let silence = SILENCE.lock().unwrap();

    // Whoever asks is told soon, but the look-ups go on.
    let of_one = join_all((0..=CHECKS_MAX).map(|_| refused(0))).await;
    let mut expected = vec![Code::ValidationFailed; CHECKS_MAX];
    expected.push(Code::Unavailable);
    assert_eq!(of_one, expected, "one more than a user may have");
    assert_eq!(refused(0).await, Code::Unavailable, "although nobody waits for them");
    let left = LOOK_UPS_MAX - CHECKS_MAX;
    let of_others = join_all((1..=left).map(&refused)).await;
    assert_eq!(of_others, vec![Code::ValidationFailed; left]);
    assert_eq!(refused(left + 1).await, Code::Unavailable, "no place on the node");
    let under_way = || usize::try_from(outgoing.guarded.under_way.get()).unwrap();
    assert_eq!(under_way(), LOOK_UPS_MAX);
    let patient = Call { timeout: 4 * LOOK, ..call(url) };
    let failed = outgoing.tell(patient).await.unwrap_err();
    assert_eq!(failed.outcome, "too many look-ups at once");

    drop(silence);
    let places = u32::try_from(LOOK_UPS_MAX).unwrap();
    drop(outgoing.guarded.look_ups.acquire_many(places).await.unwrap());
    assert_eq!(under_way(), 0);
    assert!(outgoing.check_url(url, user(0)).await.is_ok());
}

/// Who goes away and asks for a place again is told nothing either.
#[tokio::test]
async fn look_up_that_is_refused_keeps_its_place_as_long_as_any_other() {
    for names in [
        |_: &str| Err(std::io::ErrorKind::NotFound.into()),
        |_: &str| Ok(vec![SocketAddr::from(([10, 0, 0, 1], 0))]),
    ] {
        let outgoing = resolving(names);
        let begun = Instant::now();
        let checks = (0..CHECKS_MAX).map(|_| outgoing.check_url("http://inside.example/", user(1)));
        let gone = tokio::time::timeout(LOOK / 4, join_all(checks)).await;
        assert!(gone.is_err());
        let places = u32::try_from(LOOK_UPS_MAX).unwrap();
        drop(outgoing.guarded.look_ups.acquire_many(places).await.unwrap());
        assert!(begun.elapsed() >= LOOK);
    }
}
