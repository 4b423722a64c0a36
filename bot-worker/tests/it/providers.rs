//! Providers that fail, each in its own way.

use std::time::{Duration, Instant};

use parlor_protocol::code::Code;
use parlor_protocol::event::MessageCompleted;
use parlor_protocol::message::MessageStatus;
use parlor_testkit::fake_llm::{Behaviour, FakeLlm, PLANTED_SECRET, Script};

use crate::harness::{World, quick};
use crate::puppet::fake_providers;

async fn ending_of(behaviour: Behaviour) -> (MessageCompleted, String) {
    let world = World::new().await;
    world.add_bot("guide", |_| {}).await;
    let fake = FakeLlm::start().await;
    let silent = matches!(behaviour, Behaviour::Hang | Behaviour::StallAfter(_));
    fake.set_script(Script::says("one two three four").behaving(behaviour));
    let mut config = quick();
    if silent {
        config.time_limits.first_token = Duration::from_secs(3);
        config.time_limits.between_tokens = Duration::from_secs(3);
    }
    let worker = world.start_with(config, fake_providers(&fake));
    let mut observer = world.observe();
    let trigger = world.say("@guide hi").await;

    let ending = observer.ending().await;

    let replies = world.replies(trigger).await;
    assert_eq!(replies.len(), 1);
    assert_eq!((replies[0].status, &replies[0].body), (ending.status, &ending.body));
    let stored = serde_json::to_string(&replies[0]).unwrap();
    for secret in [PLANTED_SECRET, "sk-worker-test-key", "127.0.0.1", "http"] {
        assert!(!stored.contains(secret), "{stored}");
    }
    let metrics = worker.metrics();
    worker.crash().await;
    (ending, metrics)
}

fn sentence(ending: &MessageCompleted) -> (Code, &str) {
    let error = ending.error.as_ref().expect("a reply that failed says why");
    assert!(error.detail.ends_with('.'), "{}", error.detail);
    (error.code, &error.detail)
}

#[tokio::test]
async fn provider_that_refuses_ends_the_reply_as_failed() {
    let limited = Behaviour::Status { code: 429, retry_after: Some(Duration::from_mins(1)) };
    let broken = Behaviour::Status { code: 500, retry_after: None };
    for (behaviour, code, kind) in [
        (Behaviour::Unauthorized, Code::ProviderError, "unauthorized"),
        (limited, Code::ProviderUnavailable, "rate_limited"),
        (broken, Code::ProviderError, "server_error"),
    ] {
        let (ending, metrics) = ending_of(behaviour).await;

        assert_eq!((ending.status, ending.body.as_str()), (MessageStatus::Failed, ""), "{kind}");
        assert_eq!(sentence(&ending).0, code, "{kind}");
        let counted = format!("parlor_llm_errors_total{{kind=\"{kind}\",provider=\"fake\"}} 1");
        assert!(metrics.contains(&counted), "{metrics}");
    }
}

#[tokio::test]
async fn provider_that_hangs_is_given_up() {
    let began = Instant::now();
    let (ending, _) = ending_of(Behaviour::Hang).await;

    assert_eq!(ending.status, MessageStatus::Failed);
    assert_eq!(sentence(&ending).0, Code::ProviderUnavailable);
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn provider_that_breaks_off_leaves_its_text() {
    for behaviour in [Behaviour::CutAfter(2), Behaviour::EndAfter(2), Behaviour::StallAfter(2)] {
        let (ending, _) = ending_of(behaviour.clone()).await;

        assert_eq!(ending.status, MessageStatus::Interrupted, "{behaviour:?}");
        assert_eq!(ending.body, "one two ", "{behaviour:?}");
        assert_eq!(sentence(&ending).0, Code::ProviderError, "{behaviour:?}");
    }
}

#[tokio::test]
async fn provider_that_sends_garbage_ends_the_reply_as_failed_with_its_text() {
    for behaviour in [Behaviour::Malformed, Behaviour::HugeLine, Behaviour::ErrorInStream] {
        let (ending, _) = ending_of(behaviour.clone()).await;

        assert_eq!(ending.status, MessageStatus::Failed, "{behaviour:?}");
        assert_eq!(ending.body, "one ", "{behaviour:?}");
        assert_eq!(sentence(&ending).0, Code::ProviderError, "{behaviour:?}");
    }
}

#[tokio::test]
async fn provider_that_drips_is_read_to_the_end() {
    let (ending, _) = ending_of(Behaviour::OneByteAtATime).await;

    assert_eq!(ending.status, MessageStatus::Completed);
    assert_eq!(ending.body, "one two three four");
}

#[tokio::test]
async fn bot_of_an_unknown_provider_says_so() {
    let world = World::new().await;
    world.add_bot("guide", |bot| bot.provider = Some("gone".to_owned())).await;
    let fake = FakeLlm::start().await;
    let worker = world.start(fake_providers(&fake));
    let mut observer = world.observe();

    world.say("@guide hi").await;
    let ending = observer.ending().await;

    assert_eq!(ending.status, MessageStatus::Failed);
    let (code, detail) = sentence(&ending);
    assert_eq!(code, Code::ProviderUnavailable);
    assert!(detail.contains("not set up"), "{detail}");
    assert!(fake.requests().is_empty());
    worker.crash().await;
}

#[tokio::test]
async fn failing_provider_does_not_hold_up_another_bot() {
    let world = World::new().await;
    let slow = world.add_bot("slow", |bot| bot.model = Some("slow".to_owned())).await;
    let good = world.add_bot("good", |bot| bot.model = Some("good".to_owned())).await;
    let fake = FakeLlm::start().await;
    fake.set_script_for("slow", Script::says("x").behaving(Behaviour::Hang));
    fake.set_script_for("good", Script::says("here I am"));
    let mut config = quick();
    config.time_limits.first_token = Duration::from_secs(6);
    let worker = world.start_with(config, fake_providers(&fake));
    let mut observer = world.observe();

    world.say("@slow and @good, hello").await;
    let (first, second) = (observer.ending().await, observer.ending().await);

    let author = |ending: &MessageCompleted| {
        let created = &observer.told.created;
        created.iter().find(|message| message.id == ending.message).unwrap().sender.id
    };
    assert_eq!((author(&first), first.status), (good.user.id, MessageStatus::Completed));
    assert_eq!((author(&second), second.status), (slow.user.id, MessageStatus::Failed));
    worker.crash().await;
}
