//! RFC 6455: limits. Messages at and above 64 KiB, and fragments without end.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::raw::{BINARY, CONTINUATION, Frame, Raw, TEXT, cut, frames};
use crate::stage::{Expect, HALL, Stage, alive, case, echo, echoed, run};

const WHOLE: usize = usize::MAX;
/// The limit of the contract.
const FRAME_MAX: usize = 64 * 1024;

/// A command of `length` bytes that brings its own text back.
fn echo_of(length: usize) -> (String, String) {
    let text = "x".repeat(length - echo("").len());
    (echo(&text), text)
}

#[tokio::test]
async fn message_at_the_limit_is_read_however_it_is_cut() {
    let stage = Stage::start().await;
    let (command, text) = echo_of(FRAME_MAX);
    let mut cases = Vec::new();
    for size in [64, 256, 1_024, 4_096, 16_384, FRAME_MAX] {
        let sent = cut(TEXT, command.as_bytes(), size);
        cases.push(case(format!("fragments of {size}"), &sent, alive([echoed(&text)])));
    }
    run(&stage, &cases, &[WHOLE, 1_300]).await;
}

#[tokio::test]
async fn message_above_the_limit_closes_with_4513() {
    let stage = Stage::start().await;
    let mut cases = Vec::new();
    for opcode in [TEXT, BINARY] {
        for length in [FRAME_MAX + 1, FRAME_MAX * 2, FRAME_MAX * 16] {
            let payload = vec![b'x'; length];
            for size in [1_000, FRAME_MAX, length] {
                let sent = cut(opcode, &payload, size);
                let name = format!("{length} bytes of {opcode} in fragments of {size}");
                cases.push(case(name, &sent, Expect::Closed(4513)));
            }
        }
    }
    run(&stage, &cases, &[WHOLE]).await;
}

#[tokio::test]
async fn length_that_is_only_announced_takes_no_memory() {
    let stage = Stage::start().await;
    let token = stage.mallory.token().await;
    let before = stage.server.resident_bytes();
    for length in [FRAME_MAX as u64 + 1, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, u64::MAX] {
        let mut raw = Raw::log_in(stage.addr(), &token).await;
        let head = [&[0x81, 0xff], length.to_be_bytes().as_slice(), &[1, 2, 3, 4]].concat();
        raw.send(&head).await;
        assert_eq!(raw.closed().await, Some(4513), "{length} bytes");
    }
    let grown = stage.server.resident_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
    stage.unharmed().await;
}

#[tokio::test]
async fn message_of_sixty_thousand_fragments_is_one_message() {
    let stage = Stage::start().await;
    let (command, text) = echo_of(60_000);
    let sent = cut(TEXT, command.as_bytes(), 1);
    run(&stage, &[case("one byte each", &sent, alive([echoed(&text)]))], &[WHOLE]).await;
}

#[tokio::test]
async fn hundred_thousand_fragments_are_bounded() {
    let stage = Stage::start().await;
    let before = stage.server.resident_bytes();
    let mut sent = cut(TEXT, &vec![b'x'; 100_000], 1);
    sent.push(Frame::text("never read"));
    run(&stage, &[case("one byte each", &sent, Expect::Closed(4513))], &[WHOLE]).await;
    let grown = stage.server.resident_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
}

#[tokio::test]
async fn fragments_without_end_do_not_hold_up_others() {
    let stage = Stage::start_from(
        parlor_testkit::process::Parlor::builder().env("PARLOR_SERVER__SHARDS", "1"),
    )
    .await;
    let token = stage.mallory.token().await;
    let empty = frames(&vec![Frame::new(CONTINUATION, "").part(); 20_000]);
    let flooding = async {
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until {
            let mut flood = Raw::log_in(stage.addr(), &token).await;
            flood.send(&Frame::text("{").part().bytes()).await;
            while flood.send(&empty).await {}
            assert_eq!(flood.closed().await, Some(4529));
        }
    };
    let mut healthy = Raw::log_in(stage.addr(), &token).await;
    let measuring = async {
        let mut waits = Vec::new();
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until {
            let begun = Instant::now();
            healthy.say(&json!({"op": "unsubscribe", "id": "me", "room": HALL})).await;
            assert_eq!(healthy.json().await["re"], "me");
            waits.push(begun.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        waits.sort_unstable();
        waits
    };
    let ((), waits) = tokio::join!(flooding, measuring);
    // The worst wait may be the machine's; half of them are not.
    let median = waits[waits.len() / 2];
    assert!(median < Duration::from_millis(500), "others waited {median:?} of {waits:?}");
    stage.unharmed().await;
}
