//! Replies that succeed.

use std::time::Duration;

use futures_util::StreamExt;
use parlor_llm::{ChatChunk, FinishReason, ProviderKind, TimeLimits, Usage};
use parlor_testkit::fake_llm::{Behaviour, FakeLlm, Script};
use serde_json::json;
use tokio::time::timeout;

use crate::harness::{BOTH, KEY, ONE_ATTEMPT, PATIENCE, build, call, config, provider, read, url};

#[tokio::test]
async fn a_reply_streams_and_ends_with_the_reported_usage() {
    for kind in BOTH {
        let fake = FakeLlm::start().await;
        fake.set_script(Script::says("one two three"));

        let outcome = read(call(&provider(kind, &fake), ONE_ATTEMPT, TimeLimits::default())).await;

        let usage = Usage { prompt_tokens: 6, completion_tokens: 3, estimated: false };
        assert_eq!(outcome.text, "one two three", "{kind:?}");
        assert_eq!(outcome.end, Ok((usage, FinishReason::Stop)), "{kind:?}");
        assert_eq!(fake.aborted_streams(), 0);
    }
}

#[tokio::test]
async fn the_provider_gets_what_its_dialect_wants() {
    let fake = FakeLlm::start().await;
    for kind in BOTH {
        read(call(&provider(kind, &fake), ONE_ATTEMPT, TimeLimits::default())).await;
    }

    let requests = fake.requests();
    let messages = json!([
        { "role": "system", "content": "be kind" },
        { "role": "user", "content": "what is a room" },
    ]);
    assert_eq!(requests[0].path, "/v1/chat/completions");
    assert_eq!(requests[0].authorization.as_deref(), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(
        requests[0].body,
        json!({
            "model": "fake-model", "messages": messages, "stream": true, "temperature": 0.5,
            "max_tokens": 64, "stream_options": { "include_usage": true },
        })
    );
    assert_eq!(requests[1].path, "/api/chat");
    assert_eq!(
        requests[1].body,
        json!({
            "model": "fake-model", "messages": messages, "stream": true,
            "options": { "temperature": 0.5, "num_predict": 64 },
        })
    );
}

#[tokio::test]
async fn text_survives_being_sent_byte_by_byte() {
    for kind in BOTH {
        let fake = FakeLlm::start().await;
        let text = "naïve café 日本語 🎈 end";
        fake.set_script(Script::says(text).behaving(Behaviour::OneByteAtATime));

        let outcome = read(call(&provider(kind, &fake), ONE_ATTEMPT, TimeLimits::default())).await;

        assert_eq!(outcome.text, text, "{kind:?}");
        assert!(outcome.end.is_ok());
    }
}

#[tokio::test]
async fn a_slow_reply_is_waited_for() {
    for kind in BOTH {
        let fake = FakeLlm::start().await;
        let (first, between) = (Duration::from_millis(150), Duration::from_millis(30));
        fake.set_script(Script::counting(5).behaving(Behaviour::Slow { first, between }));

        let outcome = read(call(&provider(kind, &fake), ONE_ATTEMPT, TimeLimits::default())).await;

        assert_eq!(outcome.text, "1 2 3 4 5 ", "{kind:?}");
    }
}

#[tokio::test]
async fn usage_that_is_not_reported_is_estimated_and_marked() {
    for kind in BOTH {
        let fake = FakeLlm::start().await;
        fake.set_script(Script::says("12345678").behaving(Behaviour::NoUsage));

        let outcome = read(call(&provider(kind, &fake), ONE_ATTEMPT, TimeLimits::default())).await;

        // 7 and 14 bytes of prompt and two messages.
        let usage = Usage { prompt_tokens: 14, completion_tokens: 2, estimated: true };
        assert_eq!(outcome.end, Ok((usage, FinishReason::Stop)), "{kind:?}");
    }
}

#[tokio::test]
async fn a_server_that_rejects_the_question_for_usage_is_asked_without_it() {
    let fake = FakeLlm::start().await;
    fake.set_script(Script::says("fine").behaving(Behaviour::RejectsUsageOption));
    let provider = provider(ProviderKind::OpenAi, &fake);

    let first = read(call(&provider, ONE_ATTEMPT, TimeLimits::default())).await;
    let second = read(call(&provider, ONE_ATTEMPT, TimeLimits::default())).await;

    assert_eq!((first.text.as_str(), second.text.as_str()), ("fine", "fine"));
    assert_eq!(fake.requests().len(), 3, "the refusal is remembered");
}

#[tokio::test]
async fn dropping_the_reply_closes_the_connection_to_the_provider() {
    for kind in BOTH {
        let fake = FakeLlm::start().await;
        let pause = Duration::from_millis(5);
        fake.set_script(Script::says("").with_delay(pause).behaving(Behaviour::Endless));
        let mut reply = call(&provider(kind, &fake), ONE_ATTEMPT, TimeLimits::default());

        let first = timeout(PATIENCE, reply.next()).await.unwrap();
        assert_eq!(first, Some(Ok(ChatChunk::Text("1 ".to_owned()))), "{kind:?}");
        assert_eq!(fake.open_streams(), 1);
        drop(reply);

        timeout(PATIENCE, fake.wait_aborted(1)).await.expect("the provider sees the close");
        assert_eq!(fake.open_streams(), 0);
    }
}

#[tokio::test]
async fn dropping_a_call_that_was_not_answered_closes_the_connection_too() {
    for kind in BOTH {
        let fake = FakeLlm::start().await;
        fake.set_script(Script::says("x").behaving(Behaviour::Hang));
        let mut reply = call(&provider(kind, &fake), ONE_ATTEMPT, TimeLimits::default());

        tokio::select! {
            _ = reply.next() => panic!("a hanging provider said something"),
            () = fake.wait_open(1) => {}
        }
        drop(reply);

        timeout(PATIENCE, fake.wait_aborted(1)).await.expect("the provider sees the close");
    }
}

#[tokio::test]
async fn an_endless_reply_ends_at_the_bound_and_closes_the_connection() {
    for kind in BOTH {
        let fake = FakeLlm::start().await;
        fake.set_script(Script::says("").behaving(Behaviour::Endless));

        let outcome = read(call(&provider(kind, &fake), ONE_ATTEMPT, TimeLimits::default())).await;

        assert_eq!(outcome.text.len(), parlor_llm::MAX_TEXT_BYTES, "{kind:?}");
        assert!(matches!(outcome.end, Ok((Usage { estimated: true, .. }, FinishReason::Length))));
        timeout(PATIENCE, fake.wait_aborted(1)).await.expect("the provider sees the close");
    }
}

#[tokio::test]
async fn models_are_listed_and_health_is_measured() {
    for kind in BOTH {
        let fake = FakeLlm::start().await;
        fake.set_models(&["a", "b"]);
        let provider = provider(kind, &fake);

        let models = provider.list_models().await.unwrap();
        let round_trip = provider.check_health().await.unwrap();

        assert_eq!(models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(models[0].size_bytes.is_some(), kind == ProviderKind::Ollama);
        assert!(round_trip > Duration::ZERO);
    }
}

#[tokio::test]
async fn a_missing_model_is_downloaded_with_progress_when_that_is_allowed() {
    let fake = FakeLlm::start().await;
    fake.set_missing("fake-model");
    fake.set_script(Script::says("here now"));
    let mut config = config(ProviderKind::Ollama, url(ProviderKind::Ollama, &fake));
    config.allow_pull = true;

    let outcome = read(call(&build(&config), ONE_ATTEMPT, TimeLimits::default())).await;

    assert_eq!(outcome.text, "here now");
    assert_eq!(outcome.progress, [Some(0), Some(25), Some(100)]);
    let paths: Vec<_> = fake.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/api/chat", "/api/pull", "/api/chat"]);
}

#[tokio::test]
async fn models_have_scripts_of_their_own() {
    let fake = FakeLlm::start().await;
    fake.set_script(Script::says("general"));
    fake.set_script_for("fake-model", Script::says("own"));

    let outcome =
        read(call(&provider(ProviderKind::OpenAi, &fake), ONE_ATTEMPT, TimeLimits::default()))
            .await;

    assert_eq!(outcome.text, "own");
}
