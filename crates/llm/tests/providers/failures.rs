//! Replies that fail. That no error shows anything inner is checked where replies are read.

use std::time::Duration;

use parlor_llm::{FinishReason, ProviderError, ProviderKind, TimeLimits, TimeoutStage};
use parlor_testkit::{
    fake_llm::{Behaviour, FakeLlm, Script},
    tcp_proxy::{Mode, TcpProxy},
};
use tokio::{net::TcpListener, time::timeout};

use crate::harness::{
    BOTH, ONE_ATTEMPT, Outcome, PATIENCE, assert_shows_nothing_inner, build, call, config,
    impatient_at_first, impatient_between, provider, read,
};

async fn run(kind: ProviderKind, behaviour: Behaviour) -> (Outcome, FakeLlm) {
    run_within(kind, behaviour, TimeLimits::default()).await
}

async fn run_within(
    kind: ProviderKind,
    behaviour: Behaviour,
    limits: TimeLimits,
) -> (Outcome, FakeLlm) {
    let fake = FakeLlm::start().await;
    fake.set_script(Script::says("one two three").behaving(behaviour));
    let outcome = read(call(&provider(kind, &fake), ONE_ATTEMPT, limits)).await;
    (outcome, fake)
}

#[tokio::test]
async fn each_status_becomes_the_error_that_a_caller_can_act_on() {
    let wait = Some(Duration::from_secs(7));
    let statuses = [
        (400, None, ProviderError::Rejected { status: 400 }),
        (401, None, ProviderError::Unauthorized),
        (402, None, ProviderError::QuotaExhausted),
        (403, None, ProviderError::Unauthorized),
        (404, None, ProviderError::ModelNotFound),
        (413, None, ProviderError::Rejected { status: 413 }),
        (429, wait, ProviderError::RateLimited { retry_after: wait }),
        (429, None, ProviderError::RateLimited { retry_after: None }),
        (500, None, ProviderError::ServerError { status: 500 }),
        (503, wait, ProviderError::Overloaded { retry_after: wait }),
        (529, None, ProviderError::Overloaded { retry_after: None }),
    ];
    for kind in BOTH {
        for (code, retry_after, expected) in statuses.clone() {
            let (outcome, _) = run(kind, Behaviour::Status { code, retry_after }).await;

            assert_eq!(outcome.end, Err(expected), "{kind:?} {code}");
            assert_eq!(outcome.text, "");
        }
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    for kind in BOTH {
        let (outcome, fake) = run(kind, Behaviour::Status { code: 302, retry_after: None }).await;

        assert_eq!(outcome.end, Err(ProviderError::Malformed), "{kind:?}");
        assert_eq!(fake.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_refused_key_fails_every_call() {
    for kind in BOTH {
        let fake = FakeLlm::start().await;
        fake.set_script(Script::says("x").behaving(Behaviour::Unauthorized));
        let provider = provider(kind, &fake);

        let outcome = read(call(&provider, ONE_ATTEMPT, TimeLimits::default())).await;

        assert_eq!(outcome.end, Err(ProviderError::Unauthorized), "{kind:?}");
        for error in
            [provider.list_models().await.unwrap_err(), provider.check_health().await.unwrap_err()]
        {
            assert_eq!(error, ProviderError::Unauthorized);
            assert_shows_nothing_inner(&error);
        }
    }
}

#[tokio::test]
async fn a_provider_that_never_answers_times_out_and_is_let_go() {
    for kind in BOTH {
        let (outcome, fake) = run_within(kind, Behaviour::Hang, impatient_at_first()).await;

        let expected = ProviderError::TimedOut { stage: TimeoutStage::FirstToken };
        assert_eq!(outcome.end, Err(expected), "{kind:?}");
        timeout(PATIENCE, fake.wait_aborted(1)).await.expect("the provider sees the close");
    }
}

#[tokio::test]
async fn a_provider_that_falls_silent_times_out_after_the_text_so_far() {
    for kind in BOTH {
        let (outcome, fake) = run_within(kind, Behaviour::StallAfter(2), impatient_between()).await;

        let expected = ProviderError::TimedOut { stage: TimeoutStage::BetweenTokens };
        assert_eq!(outcome.end, Err(expected), "{kind:?}");
        assert_eq!(outcome.text, "one two ");
        timeout(PATIENCE, fake.wait_aborted(1)).await.expect("the provider sees the close");
    }
}

#[tokio::test]
async fn a_reply_that_goes_on_too_long_ends_at_the_total_limit() {
    for kind in BOTH {
        let fake = FakeLlm::start().await;
        let pause = Duration::from_millis(20);
        fake.set_script(Script::says("").with_delay(pause).behaving(Behaviour::Endless));
        let limits = TimeLimits { total: Duration::from_secs(3), ..TimeLimits::default() };

        let outcome = read(call(&provider(kind, &fake), ONE_ATTEMPT, limits)).await;

        let expected = ProviderError::TimedOut { stage: TimeoutStage::Total };
        assert_eq!(outcome.end, Err(expected), "{kind:?}");
        assert!(outcome.text.starts_with("1 2 3 "));
    }
}

#[tokio::test]
async fn a_reply_that_is_cut_is_truncated_and_keeps_its_text() {
    for kind in BOTH {
        for behaviour in [Behaviour::CutAfter(2), Behaviour::EndAfter(2)] {
            let (outcome, _) = run(kind, behaviour.clone()).await;

            assert_eq!(outcome.end, Err(ProviderError::Truncated), "{kind:?} {behaviour:?}");
            assert_eq!(outcome.text, "one two ", "{kind:?} {behaviour:?}");
        }
    }
}

#[tokio::test]
async fn garbage_in_the_stream_is_malformed() {
    for kind in BOTH {
        let (outcome, _) = run(kind, Behaviour::Malformed).await;

        assert_eq!(outcome.end, Err(ProviderError::Malformed), "{kind:?}");
        assert_eq!(outcome.text, "one ");
    }
}

#[tokio::test]
async fn a_line_without_end_is_malformed_and_let_go() {
    for kind in BOTH {
        let (outcome, _) = run(kind, Behaviour::HugeLine).await;

        assert_eq!(outcome.end, Err(ProviderError::Malformed), "{kind:?}");
        assert_eq!(outcome.text, "one ");
    }
}

#[tokio::test]
async fn an_error_within_the_stream_ends_the_reply() {
    for kind in BOTH {
        let (outcome, _) = run(kind, Behaviour::ErrorInStream).await;

        assert_eq!(outcome.end, Err(ProviderError::ErrorInStream), "{kind:?}");
        assert_eq!(outcome.text, "one ");
    }
}

#[tokio::test]
async fn a_reset_in_the_middle_is_truncated() {
    for kind in BOTH {
        let fake = FakeLlm::start().await;
        fake.set_script(Script::says("one two").behaving(Behaviour::StallAfter(2)));
        let proxy = TcpProxy::start(fake.addr()).await;
        let path = if kind == ProviderKind::OpenAi { "/v1" } else { "" };
        let provider = build(&config(kind, format!("http://{}{path}", proxy.addr())));

        let reply = read(call(&provider, ONE_ATTEMPT, TimeLimits::default()));
        let reset = async {
            fake.wait_open(1).await;
            proxy.reset_all();
        };
        let (outcome, ()) = tokio::join!(reply, reset);

        // The reset may come before, while or after the text is read.
        assert!(
            matches!(
                outcome.end,
                Err(ProviderError::Truncated | ProviderError::Unreachable { .. })
            ),
            "{kind:?} {outcome:?}"
        );
    }
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_unreachable() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    for kind in BOTH {
        let provider = build(&config(kind, format!("http://127.0.0.1:{port}")));

        let outcome = read(call(&provider, ONE_ATTEMPT, TimeLimits::default())).await;
        let health = provider.check_health().await.unwrap_err();

        let expected = ProviderError::Unreachable { cause: "connection refused" };
        assert_eq!(outcome.end, Err(expected.clone()), "{kind:?}");
        assert_eq!(health, expected);
    }
}

#[tokio::test]
async fn a_connection_that_is_closed_at_once_is_unreachable() {
    let fake = FakeLlm::start().await;
    let proxy = TcpProxy::start(fake.addr()).await;
    proxy.set_mode(Mode::Refuse);
    for kind in BOTH {
        let provider = build(&config(kind, format!("http://{}", proxy.addr())));

        let outcome = read(call(&provider, ONE_ATTEMPT, TimeLimits::default())).await;

        assert!(matches!(outcome.end, Err(ProviderError::Unreachable { .. })), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_missing_model_is_named_as_such_when_it_may_not_be_downloaded() {
    for kind in BOTH {
        let fake = FakeLlm::start().await;
        fake.set_missing("fake-model");

        let outcome = read(call(&provider(kind, &fake), ONE_ATTEMPT, TimeLimits::default())).await;

        assert_eq!(outcome.end, Err(ProviderError::ModelNotFound), "{kind:?}");
    }
}

#[tokio::test]
async fn a_broken_reply_does_not_harm_the_next_one() {
    for kind in BOTH {
        let fake = FakeLlm::start().await;
        let provider = provider(kind, &fake);
        for behaviour in [Behaviour::CutAfter(1), Behaviour::Malformed, Behaviour::HugeLine] {
            fake.set_script(Script::says("one two").behaving(behaviour));
            let broken = read(call(&provider, ONE_ATTEMPT, TimeLimits::default())).await;
            fake.set_script(Script::says("fine"));
            let next = read(call(&provider, ONE_ATTEMPT, TimeLimits::default())).await;

            assert!(broken.end.is_err());
            assert_eq!(next.text, "fine", "{kind:?}");
            assert!(matches!(next.end, Ok((_, FinishReason::Stop))));
        }
    }
}
