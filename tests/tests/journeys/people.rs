//! People and their accounts: what they are called, how they leave, and what is left of them.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use parlor_client::{ClientError, Http};
use parlor_protocol::{
    close::CloseCode,
    code::Code,
    command::{Command, Position},
    event::{EventBody, LeaveReason, MemberChange},
    frame::Frame,
    http::{
        CreateTokenRequest, DeactivateRequest, EraseRequest, EraseUserRequest, ErasedMessages,
        HookRequest, PatchBotRequest, PatchMeRequest, PatchUserRequest, PutMemberRequest,
        PutPasswordRequest, Restriction, Scope,
    },
    id::RoomRef,
    message::Message,
    room::Role,
    signal::SignalBody,
    user::{ServerRole, Visibility},
};
use parlor_testkit::{
    process::{PASSWORD, User, client_config, draft},
    socket::{Incoming, Socket},
};
use serde_json::Value;

use crate::{
    MACHINE, PROMISED,
    stage::{Place, Stage, in_both_places},
    until,
};

mod leaving;
mod lines;
mod reasons;

use leaving::{
    download_has_everything_of_oneself_and_nothing_else,
    erased_author_is_nobody_and_the_messages_stay, erasure_goes_on_where_it_was_killed,
};
use lines::accounts_are_looked_after_by_line_commands;
use reasons::reasons_reach_whom_they_concern_and_go_when_they_do;

in_both_places! {
    closed_account_is_out_everywhere_until_it_is_opened_again,
    erased_author_is_nobody_and_the_messages_stay,
    erasure_goes_on_where_it_was_killed,
    download_has_everything_of_oneself_and_nothing_else,
    last_administrator_and_last_owner_stay,
    administrators_who_demote_each_other_leave_one,
    new_password_ends_the_other_logins,
    new_name_is_told_and_the_old_one_is_held,
    new_display_name_is_told_of_people_and_bots,
    private_text_about_oneself_is_for_oneself,
    programs_stop_with_their_maker,
    accounts_are_looked_after_by_line_commands,
    reasons_reach_whom_they_concern_and_go_when_they_do,
}

/// Longer than the time between two looks at what is left of an erasure.
const PATIENCE: Duration = Duration::from_secs(40);
/// A second password.
const OTHER: &str = "marble-canyon-19-trumpet";

fn role(role: Role) -> PutMemberRequest {
    PutMemberRequest { role: Some(role), ..PutMemberRequest::default() }
}

fn erase(messages: ErasedMessages) -> EraseRequest {
    EraseRequest { password: PASSWORD.to_owned(), messages }
}

#[track_caller]
fn assert_code<T: std::fmt::Debug>(outcome: Result<T, ClientError>, expected: Code) {
    match outcome {
        Err(error) => assert_eq!(error.code(), Some(expected), "{error:?}"),
        Ok(done) => panic!("not refused: {done:?}"),
    }
}

/// Reads until the server says that the login has ended.
async fn assert_cut(socket: &mut Socket) {
    loop {
        match socket.next().await {
            Incoming::Frame(_) => {}
            Incoming::Ended(ended) => {
                let revoked = Some(CloseCode::SessionRevoked.as_u16());
                assert_eq!(ended.code(), revoked, "{ended:?}");
                return;
            }
        }
    }
}

/// Waits until no node knows the login any more, which is to be soon.
async fn until_out(user: &User) {
    until("the login has ended", PROMISED, async || user.http.me().await.is_err()).await;
}

/// Makes a personal access token and returns calls with it.
async fn script(stage: &Stage, owner: &User, name: &str) -> Http {
    let request =
        CreateTokenRequest { name: name.to_owned(), scopes: vec![Scope::Read], expires_in: None };
    let made = owner.http.create_token(&request).await.unwrap();
    Http::with_personal_token(client_config(stage.addr()), &made.secret).unwrap()
}

async fn closed_account_is_out_everywhere_until_it_is_opened_again(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (admin, eve) = (stage.admin().await, stage.register("eve").await);
    let again = User::log_in(stage.addr(), "eve").await;
    eve.say("general", "I was here").await;
    let nightly = script(&stage, &eve, "nightly").await;
    let mut sockets = Vec::new();
    // In a cluster each lands on another broker.
    for user in [&eve, &again, &eve] {
        sockets.push(user.socket().await);
    }
    let wrong = DeactivateRequest { password: "wrong".to_owned() };
    assert_code(eve.http.deactivate_me(&wrong).await, Code::ValidationFailed);

    let right = DeactivateRequest { password: PASSWORD.to_owned() };
    eve.http.deactivate_me(&right).await.unwrap();

    for socket in &mut sockets {
        assert_cut(socket).await;
    }
    for _ in 0..3 {
        assert_code(nightly.me().await, Code::Unauthenticated);
        assert_code(stage.http().log_in("eve", PASSWORD).await, Code::Forbidden);
        assert_code(stage.http().log_in("eve", "wrong").await, Code::Unauthenticated);
    }
    until_out(&again).await;
    let kept = admin.history("general").await;
    assert!(kept.iter().any(|message| message.body == "I was here"));
    let open = PatchUserRequest { active: Some(true), role: None };
    admin.http.patch_user("eve", &open).await.unwrap();
    let back = User::log_in(stage.addr(), "eve").await;
    back.say("general", "back again").await;
    assert_code(nightly.me().await, Code::Unauthenticated);
}

async fn last_administrator_and_last_owner_stay(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (admin, ada) = (stage.admin().await, stage.register("ada").await);
    let bob = stage.register("bob").await;
    let leave = DeactivateRequest { password: PASSWORD.to_owned() };
    let detail = |refused: Result<(), ClientError>| match refused {
        Err(ClientError::Problem(problem)) if problem.code == Code::Conflict => problem.detail,
        other => panic!("{other:?}"),
    };

    let why = detail(admin.http.deactivate_me(&leave).await);
    assert!(why.contains("last administrator"), "{why}");
    detail(admin.http.delete_me(&erase(ErasedMessages::Keep)).await);
    ada.create_room("club", &[]).await;
    bob.join("club").await;
    let why = detail(ada.http.delete_member("club", "ada").await);
    assert!(why.contains("owner"), "{why}");

    // Someone who is deactivated is no owner to leave a room to.
    bob.http.deactivate_me(&leave).await.unwrap();
    let refused = ada.http.put_member("club", "bob", &role(Role::Owner)).await;
    assert_code(refused, Code::NotFound);
    assert!(ada.http.transfer_room("club", "bob").await.is_err());
    detail(ada.http.delete_member("club", "ada").await);
    let open = PatchUserRequest { active: Some(true), role: Some(ServerRole::Admin) };
    admin.http.patch_user("bob", &open).await.unwrap();
    ada.http.put_member("club", "bob", &role(Role::Owner)).await.unwrap();
    ada.http.delete_member("club", "ada").await.unwrap();
    admin.http.deactivate_me(&leave).await.expect("bob is administrator now");
}

async fn administrators_who_demote_each_other_leave_one(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (admin, ada) = (stage.admin().await, stage.register("ada").await);
    let change = |role| PatchUserRequest { active: None, role: Some(role) };
    admin.http.patch_user("ada", &change(ServerRole::Admin)).await.unwrap();
    for _ in 0..6 {
        let demote = change(ServerRole::User);
        let (by_admin, by_ada) = tokio::join!(
            admin.http.patch_user("ada", &demote),
            ada.http.patch_user(&admin.name, &demote),
        );

        let (stays, goes, refused) = match (by_admin, by_ada) {
            (Ok(_), Err(refused)) => (&admin, &ada, refused),
            (Err(refused), Ok(_)) => (&ada, &admin, refused),
            other => panic!("one of them is to be left: {other:?}"),
        };
        // Whoever came too late was no administrator any more, or would have been the last to go.
        assert!(matches!(refused.code(), Some(Code::Forbidden | Code::Conflict)), "{refused:?}");
        stays.http.patch_user(&goes.name, &change(ServerRole::Admin)).await.unwrap();
    }
}

async fn new_password_ends_the_other_logins(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let here = stage.register("ada").await;
    let there = User::log_in(stage.addr(), "ada").await;
    let nightly = script(&stage, &here, "nightly").await;
    let (mut kept, mut cut) = (here.socket().await, there.socket().await);
    kept.subscribe("general", None).await.unwrap();
    let change = |current: &str| PutPasswordRequest {
        current_password: current.to_owned(),
        new_password: OTHER.to_owned(),
    };
    assert_code(here.http.put_password(&change("wrong")).await, Code::ValidationFailed);

    here.http.put_password(&change(PASSWORD)).await.unwrap();

    assert_cut(&mut cut).await;
    assert_code(nightly.me().await, Code::Unauthenticated);
    until_out(&there).await;
    kept.publish("general", "c1", "still here").await.unwrap();
    here.http.me().await.unwrap();
    assert_code(stage.http().log_in("ada", PASSWORD).await, Code::Unauthenticated);
    stage.http().log_in("ada", OTHER).await.unwrap();
}

/// Reads until someone is called differently.
async fn until_renamed(socket: &mut Socket) -> MemberChange {
    loop {
        if let Frame::Event(event) = socket.next_frame().await
            && let EventBody::MemberUpdated(change) = event.body
        {
            return change;
        }
    }
}

async fn new_name_is_told_and_the_old_one_is_held(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (ada, bob) = (stage.register("ada").await, stage.register("bob").await);
    ada.create_room("club", &[]).await;
    bob.join("club").await;
    ada.say("club", "hello @bob").await;
    let mut socket = ada.socket().await;
    socket.subscribe("club", None).await.unwrap();
    let mut his = bob.socket().await;
    his.subscribe("club", None).await.unwrap();
    let rename = |name: &str, password: Option<&str>| PatchMeRequest {
        username: Some(name.to_owned()),
        password: password.map(str::to_owned),
        ..PatchMeRequest::default()
    };
    assert_code(bob.http.patch_me(&rename("robert", None)).await, Code::ValidationFailed);
    assert_code(bob.http.patch_me(&rename("robert", Some("x"))).await, Code::ValidationFailed);
    for name in ["ada", "general\u{200b}", "\u{430}da", "a"] {
        let refused = bob.http.patch_me(&rename(name, Some(PASSWORD))).await;
        assert!(matches!(&refused, Err(ClientError::Problem(_))), "{name}: {refused:?}");
    }

    bob.http.patch_me(&rename("robert", Some(PASSWORD))).await.unwrap();

    let change = until_renamed(&mut socket).await;
    assert_eq!((change.user.id, change.user.username.as_str()), (bob.id, "robert"));
    // What he does on a connection that was open before has the new name as well, once it was told.
    until_renamed(&mut his).await;
    let typing = Command::Typing { id: None, room: RoomRef::from("club"), on: true };
    his.send(&typing).await.unwrap();
    let typist = loop {
        if let Frame::Signal(signal) = socket.next_frame().await
            && let SignalBody::Typing(typing) = signal.body
        {
            break typing.user;
        }
    };
    assert_eq!((typist.id, typist.username.as_str()), (bob.id, "robert"));
    let said = &ada.history("club").await[0];
    assert_eq!((said.mentions[0].id, said.mentions[0].username.as_str()), (bob.id, "robert"));
    bob.say("club", "it is me").await;
    assert_eq!(ada.history("club").await[1].sender.username, "robert");
    assert_code(stage.http().user("bob").await, Code::Unauthenticated);
    assert_code(ada.http.user("bob").await, Code::NotFound);
    assert_eq!(ada.http.user("robert").await.unwrap().id, bob.id);
    // Nobody else becomes bob for now, but he may.
    let newcomer = Http::new(client_config(stage.addr())).unwrap();
    let claim = parlor_protocol::http::RegisterRequest {
        username: "Bob".to_owned(),
        password: PASSWORD.to_owned(),
        email: None,
        display_name: None,
        invite: None,
    };
    assert_code(newcomer.register(&claim).await, Code::Conflict);
    assert_code(ada.http.patch_me(&rename("bob", Some(PASSWORD))).await, Code::Conflict);
    bob.http.patch_me(&rename("bob", Some(PASSWORD))).await.unwrap();
    User::log_in(stage.addr(), "bob").await;
}

async fn new_display_name_is_told_of_people_and_bots(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (ada, bob) = (stage.register("ada").await, stage.register("bob").await);
    let admin = stage.admin().await;
    ada.create_room("club", &["guide"]).await;
    bob.join("club").await;
    let mut socket = ada.socket().await;
    socket.subscribe("club", None).await.unwrap();
    let mut his = bob.socket().await;
    his.subscribe("club", None).await.unwrap();
    let told = |change: MemberChange| (change.user.username, change.user.display_name);

    let display_name = Some("Robert B.".to_owned());
    let change = PatchMeRequest { display_name, ..PatchMeRequest::default() };
    bob.http.patch_me(&change).await.unwrap();

    let robert = ("bob".to_owned(), "Robert B.".to_owned());
    assert_eq!(told(until_renamed(&mut socket).await), robert);
    // What he does on a connection that was open before has the new name as well, once it was told.
    assert_eq!(told(until_renamed(&mut his).await), robert);
    let typing = Command::Typing { id: None, room: RoomRef::from("club"), on: true };
    his.send(&typing).await.unwrap();
    let typist = loop {
        if let Frame::Signal(signal) = socket.next_frame().await
            && let SignalBody::Typing(typing) = signal.body
        {
            break typing.user;
        }
    };
    assert_eq!((typist.id, typist.display_name.as_str()), (bob.id, "Robert B."));
    // What changes nothing of a name is told to nobody, so the next that is told is the bot.
    bob.http.patch_me(&change).await.unwrap();
    let bio = PatchMeRequest { bio: Some("rows".to_owned()), ..PatchMeRequest::default() };
    bob.http.patch_me(&bio).await.unwrap();
    let display_name = Some("Helper".to_owned());
    let change = PatchBotRequest { display_name, ..PatchBotRequest::default() };
    admin.http.patch_bot("guide", &change).await.unwrap();
    assert_eq!(told(until_renamed(&mut socket).await), ("guide".to_owned(), "Helper".to_owned()));
}

async fn private_text_about_oneself_is_for_oneself(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (ada, bob) = (stage.register("ada").await, stage.register("bob").await);
    let change = |visibility| PatchMeRequest {
        display_name: Some("Ada L.".to_owned()),
        bio: Some("counts on engines".to_owned()),
        visibility: Some(visibility),
        ..PatchMeRequest::default()
    };
    for (visibility, seen) in [(Visibility::Public, "counts on engines"), (Visibility::Private, "")]
    {
        ada.http.patch_me(&change(visibility)).await.unwrap();
        for _ in 0..3 {
            let user = bob.http.user("ada").await.unwrap();
            assert_eq!((user.display_name.as_str(), user.bio.as_str()), ("Ada L.", seen));
            assert_eq!(user.email, None);
            let own = ada.http.me().await.unwrap();
            assert_eq!((own.bio.as_str(), own.visibility), ("counts on engines", visibility));
        }
    }
    let said = ada.say("general", "hello").await;
    assert_eq!(said.sender.display_name, "Ada L.");
}

async fn programs_stop_with_their_maker(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.builder().env("PARLOR_WEBHOOKS__ALLOWED_HOSTS", "127.0.0.1").start().await;
    let (ada, bob) = (stage.register("ada").await, stage.register("bob").await);
    ada.create_room("lab", &[]).await;
    bob.join("lab").await;
    ada.http.put_member("lab", "bob", &role(Role::Moderator)).await.unwrap();
    let made = bob.http.create_integration("lab", "Build").await.unwrap();
    let secret = made.path.rsplit('/').next().unwrap().to_owned();
    let program = Http::new(client_config(stage.addr())).unwrap();
    let post = |text: &str| {
        let request = HookRequest { text: text.to_owned(), username: None, client_id: None };
        let (program, secret) = (program.clone(), secret.clone());
        async move { program.post_by_hook(&secret, &request).await }
    };
    post("one").await.unwrap();

    ada.http.put_member("lab", "bob", &role(Role::Member)).await.unwrap();
    for _ in 0..3 {
        assert_code(post("demoted").await, Code::NotFound);
    }
    ada.http.put_member("lab", "bob", &role(Role::Moderator)).await.unwrap();
    post("two").await.unwrap();
    let ban = PutMemberRequest { ban: Some(Restriction::default()), ..PutMemberRequest::default() };
    ada.http.put_member("lab", "bob", &ban).await.unwrap();
    for _ in 0..3 {
        assert_code(post("banned").await, Code::NotFound);
    }
    let listed = ada.http.integrations("lab").await.unwrap().items;
    assert_eq!(listed.len(), 1, "who keeps order sees it, and may remove it");
    ada.http.delete_integration("lab", listed[0].id).await.unwrap();
    let bodies: Vec<String> =
        ada.history("lab").await.into_iter().map(|message| message.body).collect();
    assert_eq!(bodies, ["one", "two"]);
}
