//! Whatever the provider does: the reply ends, people are told, nothing leaks, all else goes on.

use std::time::Duration;

use parlor_protocol::{
    event::MessageCompleted,
    http::{CreateBotRequest, PutMemberRequest},
    message::MessageStatus,
};
use parlor_testkit::{
    fake_llm::{Behaviour, FakeLlm, PLANTED_SECRET, Script},
    process::User,
};

use crate::{
    MACHINE,
    follow::{Follower, SharedHistory, settle, shared_history},
    stage::{Place, in_both_places},
};

in_both_places! {
    every_fault_ends_the_reply_with_a_sentence_and_harms_nothing_else,
}

const API_KEY: &str = "sk-live-4f9d2b7c1e8a6035";
const SECRET_PROMPT: &str = "the word of the day is heliotrope-9931";

async fn every_fault_ends_the_reply_with_a_sentence_and_harms_nothing_else(place: Place) {
    let _shared = MACHINE.read().await;
    let llm = FakeLlm::start().await;
    let stage = place
        .builder()
        .model(&llm)
        .env("OPENAI_API_KEY", API_KEY)
        .env("PARLOR_LLM__FIRST_TOKEN_TIMEOUT", "2s")
        .env("PARLOR_LLM__BETWEEN_TOKENS_TIMEOUT", "2s")
        .env("PARLOR_LLM__TOTAL_TIMEOUT", "15s")
        .env("PARLOR_LLM__RETRIES", "1")
        .env("PARLOR_LOG__FILTER", "debug")
        .start()
        .await;
    let (admin, ada) = (stage.admin().await, stage.register("ada").await);
    add_healthy_bot(&admin).await;
    let healthy = Script::says("all is well");
    llm.set_script_for("healthy-model", healthy.clone());
    let history = shared_history();
    let mut follower = Follower::start(&ada, "general", &history, "ada").await;
    follower.socket().record();

    for behaviour in faults() {
        let name = format!("{behaviour:?}");
        llm.set_script(Script::counting(20).behaving(behaviour));
        let completed = ask(&mut follower, &history, &format!("@guide go: {name}")).await;

        assert!(
            matches!(completed.status, MessageStatus::Failed | MessageStatus::Interrupted),
            "{name}: {completed:?}"
        );
        let error = completed.error.unwrap_or_else(|| panic!("{name}: no error"));
        let is_sentence = error.detail.contains(' ')
            && error.detail.starts_with(char::is_uppercase)
            && error.detail.ends_with('.');
        assert!(is_sentence, "{name}: {:?}", error.detail);
        let well = ask(&mut follower, &history, &format!("@healthy and you? {name}")).await;
        assert_eq!((well.status, well.body), (MessageStatus::Completed, healthy.text()), "{name}");
    }
    llm.set_script(Script::says("back again"));
    let recovered = ask(&mut follower, &history, "@guide and now?").await;
    assert_eq!(
        (recovered.status, recovered.body.as_str()),
        (MessageStatus::Completed, "back again")
    );

    let frames = follower.socket().transcript().to_owned();
    let listed = serde_json::to_string(&ada.history("general").await).unwrap();
    settle(history, &ada, "general").await;
    assert!(llm.requests().iter().any(|request| {
        request.authorization.as_deref().is_some_and(|header| header.contains(API_KEY))
    }));
    let metrics = stage.metrics().await;
    let providers = stage.get_text("/info").await;
    for (place, text) in [
        ("frames", frames),
        ("history", listed),
        ("log", stage.log()),
        ("metrics", metrics),
        ("info", providers),
    ] {
        for secret in [PLANTED_SECRET, API_KEY, SECRET_PROMPT, "internal.example", "10.1.2.3"] {
            assert!(!text.contains(secret), "{secret} is in the {place}");
        }
    }
    assert!(!stage.log().contains("and you?"), "bodies of messages are not logged");
}

fn faults() -> Vec<Behaviour> {
    vec![
        Behaviour::Unauthorized,
        Behaviour::Status { code: 429, retry_after: Some(Duration::from_secs(1)) },
        Behaviour::Status { code: 500, retry_after: None },
        Behaviour::Status { code: 404, retry_after: None },
        Behaviour::Status { code: 302, retry_after: None },
        Behaviour::Hang,
        Behaviour::CutAfter(5),
        Behaviour::EndAfter(5),
        Behaviour::StallAfter(5),
        Behaviour::Malformed,
        Behaviour::HugeLine,
        Behaviour::ErrorInStream,
    ]
}

async fn add_healthy_bot(admin: &User) {
    let bot = CreateBotRequest {
        name: "healthy".to_owned(),
        display_name: None,
        provider: None,
        model: Some("healthy-model".to_owned()),
        system_prompt: Some(SECRET_PROMPT.to_owned()),
        trigger: None,
        temperature: None,
        max_tokens: None,
        context_messages: None,
        memory_ttl_seconds: None,
    };
    admin.http.create_bot(&bot).await.unwrap();
    admin.http.put_member("general", "healthy", &PutMemberRequest::default()).await.unwrap();
}

/// Calls a bot and returns how its reply ended.
async fn ask(follower: &mut Follower, history: &SharedHistory, body: &str) -> MessageCompleted {
    let client_id = uuid::Uuid::new_v4().to_string();
    history.lock().unwrap().wrote(&client_id, body, true);
    let accepted = follower.socket().publish("general", &client_id, body).await.unwrap();
    history.lock().unwrap().accepted(&client_id, &accepted);
    follower.reply_ends().await.1
}
