//! Whoever loses a right loses it at once, on connections that are open, too.

use std::time::Duration;

use parlor_client::MessageQuery;
use parlor_protocol::{
    close::CloseCode,
    code::Code,
    command::{Command, Position},
    event::EventBody,
    frame::Frame,
    http::{PatchUserRequest, TokenResponse},
};
use parlor_testkit::{
    process::{PASSWORD, User},
    socket::{Incoming, Options, Socket},
};
use tokio::time::{Instant, timeout_at};

use crate::{
    MACHINE, PROMISED,
    sse::SseStream,
    stage::{Place, in_both_places},
};

in_both_places! {
    logout_cuts_this_login_and_no_other,
    deactivated_user_is_cut_everywhere_and_cannot_return,
    kicked_member_gets_nothing_after_the_event_that_says_so,
    member_who_comes_and_goes_gets_nothing_of_the_time_between,
    spent_refresh_token_ends_the_login,
    answer_that_got_lost_can_be_asked_for_again,
}

/// Reads until the server closes with 4509, which it must within the promised time.
async fn assert_cut(socket: &mut Socket, since: Instant) {
    loop {
        match socket.next_before(since + PROMISED).await {
            Some(Incoming::Frame(_)) => {}
            Some(Incoming::Ended(ended)) => {
                assert_eq!(ended.code(), Some(CloseCode::SessionRevoked.as_u16()), "{ended:?}");
                return;
            }
            None => panic!("the connection is still open after {PROMISED:?}"),
        }
    }
}

async fn assert_alive(socket: &mut Socket) {
    socket.send(&Command::Ping {}).await.unwrap();
    while socket.next_frame().await != (Frame::Pong {}) {}
}

/// Waits until the node that answers refuses a token, which each must within the promised time.
async fn assert_refused(user: &User, token: &str, since: Instant) {
    while Socket::try_open(user.addr(), token, &Options::default()).await.is_ok() {
        assert!(since.elapsed() < PROMISED, "the token still works after {PROMISED:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn logout_cuts_this_login_and_no_other(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let phone = stage.register("ada").await;
    let laptop = User::log_in(stage.addr(), "ada").await;
    let (mut first, mut second) = (phone.socket().await, laptop.socket().await);
    let mut stream = SseStream::follow(&phone, "general", None).await;
    stream.next().await.unwrap();
    let token = phone.token().await;

    let asked = Instant::now();
    phone.http.log_out(false).await.unwrap();

    assert_cut(&mut first, asked).await;
    let ended = async { while stream.next().await.is_some() {} };
    let ended = timeout_at(asked + PROMISED, ended).await;
    assert!(ended.is_ok(), "the stream is still open after {PROMISED:?}");
    assert_refused(&phone, &token, asked).await;
    assert_alive(&mut second).await;
    let asked = Instant::now();
    laptop.http.log_out(true).await.unwrap();
    assert_cut(&mut second, asked).await;
}

async fn deactivated_user_is_cut_everywhere_and_cannot_return(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (admin, eve) = (stage.admin().await, stage.register("eve").await);
    let again = User::log_in(stage.addr(), "eve").await;
    let mut sockets = [eve.socket().await, again.socket().await];
    for socket in &mut sockets {
        socket.subscribe("general", None).await.unwrap();
    }
    let token = eve.token().await;
    let change = |active| PatchUserRequest { active: Some(active), role: None };

    let asked = Instant::now();
    admin.http.patch_user("eve", &change(false)).await.unwrap();

    for socket in &mut sockets {
        assert_cut(socket, asked).await;
    }
    assert_refused(&eve, &token, asked).await;
    assert!(eve.http.me().await.is_err());
    let login = stage.http().log_in("eve", PASSWORD).await;
    assert!(login.is_err());
    admin.http.patch_user("eve", &change(true)).await.unwrap();
    User::log_in(stage.addr(), "eve").await.say("general", "back again").await;
}

async fn kicked_member_gets_nothing_after_the_event_that_says_so(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (ada, eve) = (stage.register("ada").await, stage.register("eve").await);
    ada.create_room("ours", &[]).await;
    eve.join("ours").await;
    let (mut theirs, mut hers) = (eve.socket().await, ada.socket().await);
    for room in ["ours", "general"] {
        theirs.subscribe(room, None).await.unwrap();
    }
    hers.subscribe("ours", None).await.unwrap();
    let mut stream = SseStream::follow(&eve, "ours", None).await;

    ada.http.delete_member("ours", "eve").await.unwrap();
    for number in 0..20 {
        ada.say("ours", &format!("secret {number}")).await;
    }
    ada.say("general", "the end").await;

    let mut left = false;
    loop {
        let Frame::Event(event) = theirs.next_frame().await else { continue };
        match event.body {
            EventBody::MemberLeft(change) if change.user.id == eve.id => {
                left = true;
            }
            EventBody::MessageCreated(message) if message.body == "the end" => break,
            EventBody::MessageCreated(message) => panic!("{} was delivered", message.body),
            _ => {}
        }
    }
    assert!(left, "the connection was told");
    while let Some(event) = stream.next().await {
        assert!(!event.data.contains("secret"), "{event:?}");
    }
    let refused = theirs.publish("ours", "after", "still here?").await.unwrap_err();
    assert!(matches!(refused.code(), Some(Code::NotAMember | Code::Forbidden)), "{refused:?}");
    let since = Position { epoch: ada.http.room("ours").await.unwrap().epoch, seq: 0 };
    assert!(theirs.subscribe("ours", Some(since)).await.is_err(), "also not from the beginning");
    assert!(eve.http.messages("ours", &MessageQuery::default()).await.is_err());
    let last = ada.http.room("ours").await.unwrap().seq;
    while !matches!(hers.next_frame().await, Frame::Event(event) if event.seq == last) {}
}

async fn member_who_comes_and_goes_gets_nothing_of_the_time_between(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (ada, eve) = (stage.register("ada").await, stage.register("eve").await);
    ada.create_room("ours", &[]).await;
    let mut sockets = Vec::new();
    for _ in 0..4 {
        sockets.push(eve.socket().await);
    }

    for round in 0..20 {
        eve.join("ours").await;
        for socket in &mut sockets {
            socket.subscribe("ours", None).await.unwrap();
        }
        ada.say("ours", &format!("hello {round}")).await;
        let meanwhile = format!("meanwhile {round}");
        let (kicked, said) =
            tokio::join!(ada.http.delete_member("ours", "eve"), ada.say("ours", &meanwhile),);
        kicked.unwrap();
        let secret = ada.say("ours", &format!("secret {round}")).await;
        eve.say("general", &format!("round {round}")).await;
        for socket in &mut sockets {
            let last = read_until_left(socket, &eve).await;
            assert!(last < secret.seq, "delivered up to {last}, the secret is {}", secret.seq);
            assert!(said.seq < secret.seq);
            assert_quiet(socket).await;
        }
    }
}

/// Reads until the event that says that the user has left, and returns its position.
async fn read_until_left(socket: &mut Socket, user: &User) -> u64 {
    loop {
        if let Frame::Event(event) = socket.next_frame().await
            && let EventBody::MemberLeft(change) = &event.body
            && change.user.id == user.id
        {
            return event.seq;
        }
    }
}

/// Asserts that no event comes before the answer to a ping.
async fn assert_quiet(socket: &mut Socket) {
    socket.send(&Command::Ping {}).await.unwrap();
    loop {
        match socket.next_frame().await {
            Frame::Pong {} => return,
            Frame::Event(event) => panic!("{event:?} was delivered"),
            _ => {}
        }
    }
}

async fn spent_refresh_token_ends_the_login(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.builder().env("PARLOR_AUTH__REFRESH_GRACE", "0s").start().await;
    let ada = stage.register("ada").await;
    let mut socket = ada.socket().await;
    let spent = ada.refresh_token();
    let next = refresh(&ada, &spent).await.expect("the first use works");

    let asked = Instant::now();
    let reused = refresh(&ada, &spent).await;

    assert_eq!(reused.unwrap_err(), 401);
    assert_cut(&mut socket, asked).await;
    assert_eq!(refresh(&ada, &next.refresh_token).await.unwrap_err(), 401, "nor its successor");
    assert_refused(&ada, &next.access_token, asked).await;
    User::log_in(stage.addr(), "ada").await;
}

async fn answer_that_got_lost_can_be_asked_for_again(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let ada = stage.register("ada").await;
    let token = ada.refresh_token();

    let (first, again) =
        (refresh(&ada, &token).await.unwrap(), refresh(&ada, &token).await.unwrap());

    assert_eq!(first.refresh_token, again.refresh_token);
    assert!(refresh(&ada, &again.refresh_token).await.is_ok());
}

/// Exchanges a refresh token, without what a good client does; the status when it is refused.
async fn refresh(user: &User, token: &str) -> Result<TokenResponse, u16> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let body = serde_json::json!({ "refresh_token": token }).to_string();
    let call = client.post(format!("http://{}/v1/auth/refresh", user.addr()));
    let answer = call.header("content-type", "application/json").body(body).send().await.unwrap();
    if !answer.status().is_success() {
        return Err(answer.status().as_u16());
    }
    Ok(serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
}
