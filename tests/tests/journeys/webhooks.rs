//! Other programs: what they are told, whichever node dies, and what they post.

pub(crate) mod receiver;

use std::{collections::HashSet, fmt::Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use parlor_client::Http;
use parlor_protocol::{
    code::Code,
    http::{
        CreateCommandRequest, CreateWebhookRequest, HookRequest, PatchWebhookRequest,
        RunCommandRequest,
    },
    user::UserKind,
};
use parlor_testkit::process::client_config;
use sha2::Sha256;

use self::receiver::{Received, Receiver};
use crate::{
    MACHINE,
    stage::{Builder, Place, in_both_places},
};

in_both_places! {
    every_event_is_told_in_order_although_the_teller_dies,
    text_that_is_redacted_while_a_webhook_is_behind_is_not_sent,
    new_address_and_secret_hold_from_the_next_event_on,
    event_that_fails_is_tried_again_given_up_and_delivered_again,
    redirect_is_a_failure_and_leads_nowhere,
    program_posts_through_every_node_and_its_secret_is_in_no_log,
    own_network_is_not_called_unless_it_is_allowed,
}

const MESSAGES: usize = 20;

fn eager(place: Place) -> Builder {
    place
        .builder()
        .env("PARLOR_WEBHOOKS__ALLOWED_HOSTS", "127.0.0.1")
        .env("PARLOR_WEBHOOKS__LEASE", "10s")
        .env("PARLOR_WEBHOOKS__TIMEOUT", "4s")
        .env("PARLOR_WEBHOOKS__RETRY_AFTER", "50ms")
        .env("PARLOR_WEBHOOKS__POLL", "50ms")
}

/// One that waits for a receiver which takes its time.
fn patient(place: Place) -> Builder {
    eager(place).env("PARLOR_WEBHOOKS__LEASE", "5m").env("PARLOR_WEBHOOKS__TIMEOUT", "1m")
}

fn of_messages(receiver: &Receiver) -> CreateWebhookRequest {
    CreateWebhookRequest { url: receiver.url.clone(), events: vec!["message.created".to_owned()] }
}

async fn every_event_is_told_in_order_although_the_teller_dies(place: Place) {
    let _alone = MACHINE.write().await;
    let mut stage = eager(place).start().await;
    let ada = stage.register("ada").await;
    ada.create_room("lab", &[]).await;
    let receiver = Receiver::start();
    ada.http.create_webhook("lab", &of_messages(&receiver)).await.unwrap();
    let texts: Vec<String> = (0..MESSAGES).map(|n| format!("message {n}")).collect();
    for text in &texts {
        ada.say("lab", text).await;
    }
    let mut heard: Vec<String> = (0..5).map(|_| receiver.next().said()).collect();

    stage.kill_with_most("parlor_webhook_deliveries_total").await;
    if place == Place::Alone {
        stage.restart().await;
    }

    while heard.last() != texts.last() {
        heard.push(receiver.next().said());
    }
    // At least once: what was under way may come twice, and nothing comes out of its turn.
    heard.dedup();
    let again: Vec<usize> = heard
        .windows(2)
        .filter_map(|pair| {
            let place = |text: &String| texts.iter().position(|said| said == text).unwrap();
            (place(&pair[1]) != place(&pair[0]) + 1).then(|| place(&pair[1]))
        })
        .collect();
    assert!(again.len() <= 1, "{heard:?}");
    for text in &texts {
        assert!(heard.contains(text), "{text} was not told: {heard:?}");
    }
}

async fn text_that_is_redacted_while_a_webhook_is_behind_is_not_sent(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = patient(place).start().await;
    let ada = stage.register("ada").await;
    ada.create_room("lab", &[]).await;
    let (receiver, let_go) = Receiver::held();
    ada.http.create_webhook("lab", &of_messages(&receiver)).await.unwrap();
    ada.say("lab", "first").await;
    assert_eq!(receiver.next().said(), "first");
    ada.say("lab", "second").await;
    let secret = ada.say("lab", "do not tell").await;
    let_go.send(()).unwrap();
    // Both were there when the page was read of which this is the first.
    assert_eq!(receiver.next().said(), "second");

    ada.http.redact_message("lab", secret.id).await.unwrap();
    drop(let_go);

    let told = receiver.next();
    assert_eq!(told.said(), "", "what was removed meanwhile is not sent");
    assert!(!String::from_utf8_lossy(&told.body).contains("do not tell"));
}

async fn new_address_and_secret_hold_from_the_next_event_on(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = patient(place).start().await;
    let ada = stage.register("ada").await;
    ada.create_room("lab", &[]).await;
    let (old, let_go) = Receiver::held();
    let new = Receiver::start();
    let made = ada.http.create_webhook("lab", &of_messages(&old)).await.unwrap();
    let texts = ["one", "two", "three"];
    for text in texts {
        ada.say("lab", text).await;
    }
    let first = old.next();
    assert_eq!(first.said(), "one");
    assert!(is_signed(&first, &made.secret));

    // The turn goes on while both change.
    let webhook = made.webhook.id;
    let rotated = ada.http.rotate_webhook("lab", webhook).await.unwrap();
    let request = PatchWebhookRequest { url: Some(new.url.clone()), ..Default::default() };
    ada.http.patch_webhook("lab", webhook, &request).await.unwrap();
    drop(let_go);

    let heard: Vec<Received> = texts.iter().map(|_| new.next()).collect();
    let said: Vec<String> = heard.iter().map(Received::said).collect();
    assert_eq!(said, texts, "all of it, since the first was told to the wrong one");
    for told in &heard {
        assert!(is_signed(told, &rotated.secret) && !is_signed(told, &made.secret));
    }
    // Between the two changes another turn may have begun, with the new secret.
    let told = old.rest();
    assert!(told.iter().all(|told| told.said() == "one" && is_signed(told, &rotated.secret)));
}

/// Verifies a call as its receiver does, by what the documentation says.
pub(crate) fn is_signed(received: &Received, secret: &str) -> bool {
    let (id, at) = (received.header("webhook-id"), received.header("webhook-timestamp"));
    let standard = tag(secret, &[format!("{id}.{at}.").as_bytes(), &received.body].concat());
    received.header("webhook-signature") == format!("v1,{}", STANDARD.encode(standard))
        && received.header("parlor-signature")
            == signature(secret, at.parse().unwrap(), &received.body)
}

/// What `Parlor-Signature` has to be, apart from the code under test.
pub(crate) fn signature(secret: &str, at: u64, body: &[u8]) -> String {
    let mut signature = format!("t={at},v1=");
    for byte in tag(secret, &[format!("{at}.").as_bytes(), body].concat()) {
        write!(signature, "{byte:02x}").unwrap();
    }
    signature
}

fn tag(secret: &str, signed: &[u8]) -> Vec<u8> {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(signed);
    mac.finalize().into_bytes().to_vec()
}

async fn event_that_fails_is_tried_again_given_up_and_delivered_again(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = eager(place).env("PARLOR_WEBHOOKS__ATTEMPTS", "3").start().await;
    let ada = stage.register("ada").await;
    ada.create_room("lab", &[]).await;
    let receiver = Receiver::failing(3);
    let made = ada.http.create_webhook("lab", &of_messages(&receiver)).await.unwrap();
    let lost = ada.say("lab", "lost").await;
    ada.say("lab", "goes on").await;

    let heard: Vec<Received> = (0..4).map(|_| receiver.next()).collect();
    let said: Vec<String> = heard.iter().map(Received::said).collect();
    assert_eq!(said, ["lost", "lost", "lost", "goes on"]);
    let ids: HashSet<&str> = heard[..3].iter().map(|told| told.header("webhook-id")).collect();
    assert_eq!(ids.len(), 1, "each attempt is at the same delivery");
    let dead = ada.http.dead_letters("lab", made.webhook.id).await.unwrap().items;
    assert_eq!((dead.len(), dead[0].seq, dead[0].attempts), (1, lost.seq, 3));
    assert_eq!(dead[0].outcome, "HTTP 500");
    let counted = |outcome: &'static str| ["parlor_webhook_deliveries_total", outcome];
    let (failed, given_up) = (counted(r#"outcome="failed""#), counted(r#"outcome="given_up""#));
    assert_eq!(stage.counts(&failed).await.iter().sum::<u64>(), 2);
    assert_eq!(stage.counts(&given_up).await.iter().sum::<u64>(), 1);

    let came = ada.http.redeliver("lab", made.webhook.id, lost.seq).await.unwrap();
    assert!(came.delivered, "{}", came.outcome);
    assert_eq!(receiver.next().said(), "lost");
    assert!(ada.http.dead_letters("lab", made.webhook.id).await.unwrap().items.is_empty());
    let gone = ada.http.redeliver("lab", made.webhook.id, lost.seq).await.unwrap_err();
    assert_eq!(gone.code(), Some(Code::NotFound));
}

async fn redirect_is_a_failure_and_leads_nowhere(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = eager(place).env("PARLOR_WEBHOOKS__ATTEMPTS", "1").start().await;
    let ada = stage.register("ada").await;
    ada.create_room("lab", &[]).await;
    // Even where the operator has allowed it.
    let inside = Receiver::start();
    let outside = Receiver::redirecting(inside.url.clone());
    let made = ada.http.create_webhook("lab", &of_messages(&outside)).await.unwrap();
    let command = CreateCommandRequest {
        room: "lab".to_owned(),
        name: "roll".to_owned(),
        description: String::new(),
        url: outside.url.clone(),
    };
    ada.http.create_command(&command).await.unwrap();
    ada.say("lab", "one").await;
    ada.say("lab", "two").await;
    assert_eq!(
        (outside.next().said(), outside.next().said()),
        ("one".to_owned(), "two".to_owned())
    );
    let dead = ada.http.dead_letters("lab", made.webhook.id).await.unwrap().items;
    assert_eq!(dead.last().unwrap().outcome, "HTTP 307");
    let request = RunCommandRequest { text: "/roll".to_owned(), client_id: None };
    let refused = ada.http.run_command("lab", &request).await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::Unavailable));
    assert!(inside.rest().is_empty(), "nobody came");
}

async fn program_posts_through_every_node_and_its_secret_is_in_no_log(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let ada = stage.register("ada").await;
    ada.create_room("lab", &["guide"]).await;
    let made = ada.http.create_integration("lab", "Build").await.unwrap();
    let secret = made.path.rsplit('/').next().unwrap().to_owned();
    let program = Http::new(client_config(stage.addr())).unwrap();
    let request = HookRequest {
        text: "@guide look, it is green".to_owned(),
        username: None,
        client_id: Some("build-7".to_owned()),
    };
    // In a cluster each call lands on another broker.
    let mut posted = Vec::new();
    for _ in 0..3 {
        posted.push(program.post_by_hook(&secret, &request).await.unwrap());
    }
    assert!(posted.windows(2).all(|pair| pair[0] == pair[1]), "one message: {posted:?}");
    ada.http.delete_integration("lab", made.integration.id).await.unwrap();
    for _ in 0..3 {
        let refused = program.post_by_hook(&secret, &request).await.unwrap_err();
        assert_eq!(refused.code(), Some(Code::NotFound));
    }
    let history = ada.history("lab").await;
    assert_eq!(history.len(), 1, "the bot was not called");
    assert_eq!(history[0].sender.kind, UserKind::Integration);
    assert!(!stage.log().contains(&secret));
}

async fn own_network_is_not_called_unless_it_is_allowed(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let ada = stage.register("ada").await;
    ada.create_room("lab", &[]).await;
    for url in [
        "http://127.0.0.1:1/",
        "http://0x7f000001:1/",
        "http://localhost:1/",
        "http://[::1]:1/",
        "http://[::ffff:7f00:1]:1/",
        "http://[fe80::1]:1/",
        "http://169.254.169.254/",
        "http://nobody-has-this-name.invalid/",
    ] {
        let request = CreateWebhookRequest { url: url.to_owned(), events: Vec::new() };
        let refused = ada.http.create_webhook("lab", &request).await.unwrap_err();
        assert_eq!(refused.code(), Some(Code::ValidationFailed), "{url}");
    }
}
