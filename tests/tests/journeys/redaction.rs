//! After a redaction is acknowledged, the text is nowhere.

use parlor_protocol::{
    http::{CreateRoomRequest, PublishRequest},
    id::MessageId,
    room::RoomKind,
};
use parlor_testkit::{
    api::Api,
    fake_llm::FakeLlm,
    process::{Parlor, User, draft},
};
use reqwest::Method;
use serde_json::json;

use crate::{
    MACHINE,
    sse::SseStream,
    stage::{Place, in_both_places},
};

in_both_places! {
    redacted_text_is_nowhere,
}

/// What was written first, and what it was changed to.
const FIRST: &str = "cassowary";
const SECOND: &str = "pangolin";
/// What is in its file.
const THIRD: &str = "axolotl";
const ROOM: &str = "den";

async fn redacted_text_is_nowhere(place: Place) {
    let _shared = MACHINE.read().await;
    let llm = FakeLlm::start().await;
    let stage = place.builder().model(&llm).start().await;
    let (ada, bob) = (stage.register("ada").await, stage.register("bob").await);
    ada.http
        .create_room(&CreateRoomRequest {
            name: "Den".to_owned(),
            slug: Some(ROOM.to_owned()),
            kind: RoomKind::Private,
            topic: None,
            members: vec!["bob".to_owned()],
            bots: vec!["guide".to_owned()],
            client_id: None,
        })
        .await
        .unwrap();
    let (message, file) = write_a_secret(&stage.brokers(), &ada, &bob).await;
    // Everyone has it: in the memory of each node, and by each way of reading.
    for broker in stage.brokers() {
        let told = tell_all(broker, &ada, &bob, message, &file).await;
        assert!(
            [FIRST, SECOND, THIRD].iter().all(|word| told.contains(word)),
            "never there: {told}"
        );
    }
    bob.http.publish_and_wait(ROOM, &draft("@guide what is it?", None)).await.unwrap();
    assert!(prompts(&llm).contains(SECOND), "the bot never knew");
    let asked_before = llm.requests().len();

    ada.http.redact_message(ROOM, message).await.unwrap();

    for broker in stage.brokers() {
        let told = tell_all(broker, &ada, &bob, message, &file).await;
        for word in [FIRST, SECOND, THIRD] {
            let line = told.lines().find(|line| line.contains(word));
            assert_eq!(line, None, "{word} is still told");
        }
    }
    bob.http.publish_and_wait(ROOM, &draft("@guide and now?", None)).await.unwrap();
    let asked = llm.requests();
    let later: String = asked[asked_before..].iter().map(|asked| asked.body.to_string()).collect();
    assert!(later.contains("and now?"), "the bot was asked");
    assert!(!later.contains(FIRST) && !later.contains(SECOND), "the bot is told: {later}");
    let log = stage.log();
    assert!(!log.contains(FIRST) && !log.contains(SECOND), "a log has it");
}

/// Writes a message, changes it, and has all done to it that leaves copies. Returns also the address
/// at which its file is.
async fn write_a_secret(brokers: &[&Parlor], ada: &User, bob: &User) -> (MessageId, String) {
    let first = format!("the {FIRST} is in the garden");
    let note = format!("{THIRD} on a sheet of its own").into_bytes();
    let file = ada.http.upload("note.txt", note.into()).await.unwrap().id;
    let request = PublishRequest { attachments: vec![file], ..draft(&first, None) };
    let message = ada.http.publish(ROOM, &request).await.unwrap().id;
    let address = bob.http.attachment(ROOM, file).await.unwrap().url;
    let body = format!("the {SECOND} is in the garden, @bob");
    ada.http.edit_message(ROOM, message, &body).await.unwrap();
    bob.http.add_reaction(ROOM, message, "👀").await.unwrap();
    let api = Api::new(brokers.iter().map(|broker| broker.url()).collect());
    let answer = "which one?";
    let reply = json!({"body": answer, "thread": message, "reply_to": message});
    let path = format!("/v1/rooms/{ROOM}/messages");
    let replied = api.call(&bob.token().await, Method::POST, &path, Some(reply)).await;
    assert!(replied.status.is_success(), "{replied:?}");
    let pin = format!("{path}/{message}/pin");
    let pinned = api.call(&ada.token().await, Method::PUT, &pin, None).await;
    assert!(pinned.status.is_success(), "{pinned:?}");
    (message, address)
}

/// Returns all that one node tells of the room, by every way of reading.
async fn tell_all(
    broker: &Parlor,
    ada: &User,
    bob: &User,
    message: MessageId,
    file: &str,
) -> String {
    let api = Api::new(vec![broker.url()]);
    let room = format!("/v1/rooms/{ROOM}");
    let mut told = String::new();
    for user in [ada, bob] {
        let token = user.token().await;
        for path in [
            format!("{room}/messages"),
            format!("{room}/messages?thread={message}"),
            format!("{room}/messages?around=3"),
            format!("{room}/messages/{message}"),
            format!("{room}/messages/{message}/versions"),
            format!("{room}/pins"),
            format!("{room}/export"),
            file.to_owned(),
            format!("/v1/search?q={FIRST}"),
            format!("/v1/search?q={SECOND}"),
            "/v1/users/me/export".to_owned(),
        ] {
            let answer = api.call(&token, Method::GET, &path, None).await;
            // What was asked may come back in a refusal or with the results.
            told.push_str(&answer.text.replace(&path, ""));
            told.push('\n');
        }
    }
    told + &resumed(broker, bob).await + &streamed(broker, bob).await
}

/// Returns what a client gets over a WebSocket that continues from the beginning.
async fn resumed(broker: &Parlor, user: &User) -> String {
    serde_json::to_string(&user.through(broker.addr()).log(ROOM).await).unwrap()
}

/// Returns what a client gets as server-sent events from the beginning.
async fn streamed(broker: &Parlor, user: &User) -> String {
    let last = user.http.room(ROOM).await.unwrap().seq;
    let mut stream = SseStream::follow(&user.through(broker.addr()), ROOM, Some(0)).await;
    let mut told = String::new();
    loop {
        let event = stream.next().await.expect("the stream goes on");
        told.push_str(&event.data);
        if event.id.is_some_and(|id| id.parse() == Ok(last)) {
            return told;
        }
    }
}

/// Returns all that the model was asked.
fn prompts(llm: &FakeLlm) -> String {
    llm.requests().iter().map(|asked| asked.body.to_string()).collect()
}
