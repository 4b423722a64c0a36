//! Scripts with personal access tokens.

use parlor_client::{Http, MessageQuery};
use parlor_protocol::{
    close::CloseCode,
    code::Code,
    command::Command,
    http::{CommandAnswer, CreateTokenRequest, RunCommandRequest, Scope},
    id::RoomRef,
};
use parlor_testkit::{
    process::{client_config, draft},
    socket::{Failure, Incoming, Socket},
};
use tokio::time::Instant;

use crate::{
    MACHINE, PROMISED,
    stage::{Place, in_both_places},
};

in_both_places! {
    script_works_with_its_token_until_that_is_ended,
    token_that_only_writes_reads_nothing_by_a_command,
}

async fn script_works_with_its_token_until_that_is_ended(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let ada = stage.register("ada").await;
    let request = CreateTokenRequest {
        name: "nightly".to_owned(),
        scopes: vec![Scope::Read, Scope::Write],
        expires_in: None,
    };
    let made = ada.http.create_token(&request).await.unwrap();
    let script = Http::with_personal_token(client_config(stage.addr()), &made.secret).unwrap();
    let mut sockets = Vec::new();
    // In a cluster each lands on another broker.
    for _ in 0..3 {
        let mut socket = Socket::open(stage.addr(), &made.secret).await;
        socket.subscribe("general", None).await.unwrap();
        sockets.push(socket);
        script.publish("general", &draft("the build is green", None)).await.unwrap();
    }
    let refused = script.delete_room("general").await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::Forbidden));
    let typing = Command::Typing { id: None, room: RoomRef::from("general"), on: true };
    for socket in &mut sockets {
        socket.send(&typing).await.unwrap();
    }

    let asked = Instant::now();
    ada.http.delete_token(made.token.id).await.unwrap();

    for socket in &mut sockets {
        loop {
            match socket.next_before(asked + PROMISED).await {
                Some(Incoming::Frame(_)) => {}
                Some(Incoming::Ended(ended)) => {
                    let revoked = Some(CloseCode::SessionRevoked.as_u16());
                    assert_eq!(ended.code(), revoked, "{ended:?}");
                    break;
                }
                None => panic!("the connection is still open after {PROMISED:?}"),
            }
        }
    }
    for _ in 0..3 {
        let query = MessageQuery::default();
        assert!(script.messages("general", &query).await.is_err(), "on every node");
    }
    assert!(!stage.log().contains(&made.secret), "the secret is in no log");
}

async fn token_that_only_writes_reads_nothing_by_a_command(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let ada = stage.register("ada").await;
    ada.say("general", "a rare okapi").await;
    let scopes = vec![Scope::Write];
    let request = CreateTokenRequest { name: "ci".to_owned(), scopes, expires_in: None };
    let made = ada.http.create_token(&request).await.unwrap();
    let script = Http::with_personal_token(client_config(stage.addr()), &made.secret).unwrap();
    let mut socket = Socket::open(stage.addr(), &made.secret).await;

    for text in ["/search okapi", "/help"] {
        let request = RunCommandRequest { text: text.to_owned(), client_id: None };
        let refused = script.run_command("general", &request).await.unwrap_err();
        assert_eq!(refused.code(), Some(Code::Forbidden), "{text}");
        let (room, text) = (RoomRef::from("general"), text.to_owned());
        let command = Command::Slash { id: None, room, text, client_id: None };
        let refused = socket.request(command).await.unwrap_err();
        assert!(matches!(refused, Failure::Refused(it) if it.code == Code::Forbidden));
    }
    let request = RunCommandRequest { text: "/me builds".to_owned(), client_id: None };
    let said = script.run_command("general", &request).await.unwrap();
    assert!(matches!(said, CommandAnswer::Message { .. }), "{said:?}");
}
