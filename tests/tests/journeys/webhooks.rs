//! Other programs: what they are told, whichever node dies, and what they post.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::Duration,
};

use parlor_client::Http;
use parlor_protocol::{
    code::Code,
    http::{CreateWebhookRequest, HookRequest},
    user::UserKind,
};
use parlor_testkit::process::client_config;
use serde_json::Value;

use crate::{
    MACHINE,
    stage::{Builder, Place, in_both_places},
};

in_both_places! {
    every_event_is_told_in_order_although_the_teller_dies,
    program_posts_through_every_node_and_its_secret_is_in_no_log,
    own_network_is_not_called_unless_it_is_allowed,
}

/// Longer than a lease and a restart.
const PATIENCE: Duration = Duration::from_secs(30);
const MESSAGES: usize = 20;

/// Another program, which takes what is posted to it.
struct Receiver {
    url: String,
    bodies: mpsc::Receiver<Value>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/in", listener.local_addr().unwrap());
        let (sender, bodies) = mpsc::channel();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let sender = sender.clone();
                std::thread::spawn(move || {
                    while let Some(body) = receive(&stream) {
                        // A little slow, so that there is a middle in which to die.
                        std::thread::sleep(Duration::from_millis(20));
                        let taken = sender.send(body).is_ok();
                        let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
                        if !taken || (&stream).write_all(answer).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { url, bodies }
    }

    fn next(&self) -> Value {
        self.bodies.recv_timeout(PATIENCE).expect("nothing was told in time")
    }
}

fn receive(stream: &TcpStream) -> Option<Value> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(serde_json::from_slice(&body).unwrap())
}

fn eager(place: Place) -> Builder {
    place
        .builder()
        .env("PARLOR_WEBHOOKS__ALLOWED_HOSTS", "127.0.0.1")
        .env("PARLOR_WEBHOOKS__LEASE", "2s")
        .env("PARLOR_WEBHOOKS__TIMEOUT", "1s")
        .env("PARLOR_WEBHOOKS__RETRY_AFTER", "50ms")
        .env("PARLOR_WEBHOOKS__POLL", "50ms")
}

async fn every_event_is_told_in_order_although_the_teller_dies(place: Place) {
    let _alone = MACHINE.write().await;
    let mut stage = eager(place).start().await;
    let ada = stage.register("ada").await;
    ada.create_room("lab", &[]).await;
    let receiver = Receiver::start();
    let request = CreateWebhookRequest {
        url: receiver.url.clone(),
        events: vec!["message.created".to_owned()],
    };
    ada.http.create_webhook("lab", &request).await.unwrap();
    let texts: Vec<String> = (0..MESSAGES).map(|n| format!("message {n}")).collect();
    for text in &texts {
        ada.say("lab", text).await;
    }
    let told =
        |receiver: &Receiver| receiver.next()["event"]["data"]["body"].as_str().unwrap().to_owned();
    let mut heard: Vec<String> = (0..5).map(|_| told(&receiver)).collect();

    stage.kill_with_most("parlor_webhook_deliveries_total").await;
    if place == Place::Alone {
        stage.restart().await;
    }

    while heard.last() != texts.last() {
        heard.push(told(&receiver));
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
    for url in ["http://127.0.0.1:1/", "http://localhost:1/", "http://[::ffff:7f00:1]:1/"] {
        let request = CreateWebhookRequest { url: url.to_owned(), events: Vec::new() };
        let refused = ada.http.create_webhook("lab", &request).await.unwrap_err();
        assert_eq!(refused.code(), Some(Code::ValidationFailed), "{url}");
    }
}
