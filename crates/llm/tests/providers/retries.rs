//! Calls that are tried again, and those that must not be.

use std::time::Duration;

use futures_util::StreamExt;
use parlor_llm::{ProviderError, RetryPolicy, TimeLimits};
use parlor_testkit::fake_llm::{Behaviour, FakeLlm, Script};
use tokio::time::{Instant, timeout};

use crate::harness::{BOTH, PATIENCE, THREE_ATTEMPTS, call, impatient_between, provider, read};

#[tokio::test]
async fn failures_before_the_first_token_are_hidden() {
    for kind in BOTH {
        for code in [429, 500, 503] {
            let fake = FakeLlm::start().await;
            fake.set_script(
                Script::says("at last").behaving(Behaviour::FailTimes { times: 2, code }),
            );

            let outcome =
                read(call(&provider(kind, &fake), THREE_ATTEMPTS, impatient_between())).await;

            assert_eq!(outcome.text, "at last", "{kind:?} {code}");
            assert!(outcome.end.is_ok());
            assert_eq!(fake.requests().len(), 3);
        }
    }
}

#[tokio::test]
async fn the_last_failure_is_reported_when_the_attempts_are_used_up() {
    for kind in BOTH {
        let fake = FakeLlm::start().await;
        fake.set_script(Script::says("x").behaving(Behaviour::FailTimes { times: 3, code: 500 }));

        let outcome = read(call(&provider(kind, &fake), THREE_ATTEMPTS, impatient_between())).await;

        assert_eq!(outcome.end, Err(ProviderError::ServerError { status: 500 }), "{kind:?}");
        assert_eq!(fake.requests().len(), 3);
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_before_any_text_is_tried_again() {
    for kind in BOTH {
        let fake = FakeLlm::start().await;
        fake.set_script(Script::says("one two").behaving(Behaviour::EndAfter(0)));

        let outcome = read(call(&provider(kind, &fake), THREE_ATTEMPTS, impatient_between())).await;

        assert_eq!(outcome.end, Err(ProviderError::Truncated), "{kind:?}");
        assert_eq!(fake.requests().len(), 3);
    }
}

#[tokio::test]
async fn nothing_is_tried_again_once_text_was_seen() {
    for kind in BOTH {
        for behaviour in [
            Behaviour::CutAfter(1),
            Behaviour::EndAfter(1),
            Behaviour::StallAfter(1),
            Behaviour::ErrorInStream,
        ] {
            let fake = FakeLlm::start().await;
            fake.set_script(Script::says("one two").behaving(behaviour.clone()));

            let outcome =
                read(call(&provider(kind, &fake), THREE_ATTEMPTS, impatient_between())).await;

            assert_eq!(outcome.text, "one ", "{kind:?} {behaviour:?}");
            assert!(outcome.end.is_err());
            assert_eq!(fake.requests().len(), 1, "{kind:?} {behaviour:?}");
        }
    }
}

#[tokio::test]
async fn what_will_fail_again_is_not_tried_again() {
    for kind in BOTH {
        for code in [401, 404, 413] {
            let fake = FakeLlm::start().await;
            let behaviour = Behaviour::Status { code, retry_after: None };
            fake.set_script(Script::says("x").behaving(behaviour));

            let outcome =
                read(call(&provider(kind, &fake), THREE_ATTEMPTS, impatient_between())).await;

            assert!(outcome.end.is_err());
            assert_eq!(fake.requests().len(), 1, "{kind:?} {code}");
        }
    }
}

#[tokio::test]
async fn the_wait_that_the_provider_asks_for_is_kept_up_to_the_cap() {
    let fake = FakeLlm::start().await;
    let behaviour = Behaviour::Status { code: 429, retry_after: Some(Duration::from_hours(1)) };
    fake.set_script(Script::says("x").behaving(behaviour));
    let cap = Duration::from_millis(200);
    let policy = RetryPolicy { attempts: 3, base: Duration::ZERO, cap };
    let began = Instant::now();

    let outcome = read(call(&provider(BOTH[0], &fake), policy, impatient_between())).await;

    assert!(matches!(outcome.end, Err(ProviderError::RateLimited { .. })));
    assert_eq!(fake.requests().len(), 3);
    assert!(began.elapsed() >= 2 * cap);
}

#[tokio::test]
async fn a_call_that_is_dropped_while_it_waits_is_not_tried_again() {
    let fake = FakeLlm::start().await;
    let behaviour = Behaviour::Status { code: 503, retry_after: Some(Duration::from_hours(1)) };
    fake.set_script(Script::says("x").behaving(behaviour));
    let policy = RetryPolicy { cap: Duration::from_hours(1), ..RetryPolicy::default() };
    let mut reply = call(&provider(BOTH[0], &fake), policy, TimeLimits::default());

    let refused = async {
        fake.wait_requests(1).await;
        fake.wait_open(0).await;
    };
    tokio::select! {
        item = reply.next() => panic!("the call did not wait: {item:?}"),
        () = async { timeout(PATIENCE, refused).await.expect("the call is made") } => {}
    }
    drop(reply);

    assert_eq!(fake.requests().len(), 1);
}
