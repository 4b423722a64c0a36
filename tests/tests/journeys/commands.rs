//! Slash commands: what people type, what programs answer, and who may.

use std::{process::Stdio, time::Duration};

use parlor_client::ClientError;
use parlor_protocol::{
    code::Code,
    command::Command,
    frame::Frame,
    http::{
        CommandAnswer, CreateCommandRequest, CreateRoomRequest, PatchRoomRequest, PatchUserRequest,
        PutMemberRequest, RegisteredCommand, RunCommandRequest,
    },
    room::{Role, RoomKind},
    user::{PresenceStatus, UserKind},
};
use parlor_testkit::{process::User, socket::Failure};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    task::JoinSet,
};

use crate::{
    MACHINE,
    stage::{Builder, Place, in_both_places},
    until,
    webhooks::receiver::{Received, Receiver},
};

in_both_places! {
    built_in_commands_do_what_the_calls_do,
    message_that_begins_with_a_slash_is_a_message,
    who_may_not_do_it_may_not_do_it_by_a_command,
    command_is_carried_out_over_the_socket,
    registered_command_is_answered_by_its_program,
    program_that_fails_or_lies_inside_is_not_waited_for,
    late_answer_is_for_who_may_have_it_then,
    example_of_the_documentation_answers_who_is_signed,
}

const PATIENCE: Duration = Duration::from_secs(30);

async fn run(user: &User, room: &str, text: &str) -> Result<CommandAnswer, ClientError> {
    let request = RunCommandRequest { text: text.to_owned(), client_id: None };
    user.http.run_command(room, &request).await
}

/// Makes a private room with the name `lab`.
async fn make_lab(owner: &User, bots: &[&str]) {
    let request = CreateRoomRequest {
        name: "lab".to_owned(),
        slug: Some("lab".to_owned()),
        kind: RoomKind::Private,
        topic: None,
        members: Vec::new(),
        bots: bots.iter().map(|&bot| bot.to_owned()).collect(),
        client_id: None,
    };
    owner.http.create_room(&request).await.unwrap();
}

/// What the caller is told to have changed.
async fn changed(user: &User, room: &str, text: &str) -> String {
    match run(user, room, text).await.unwrap() {
        CommandAnswer::Changed { text } => text,
        other => panic!("{text}: {other:?}"),
    }
}

async fn refused(user: &User, room: &str, text: &str) -> (Code, String) {
    let refused = run(user, room, text).await.unwrap_err();
    (refused.code().unwrap(), refused.to_string())
}

fn with_programs(place: Place) -> Builder {
    place
        .builder()
        .env("PARLOR_WEBHOOKS__ALLOWED_HOSTS", "127.0.0.1")
        .env("PARLOR_WEBHOOKS__COMMAND_TIMEOUT", "5s")
}

async fn register(user: &User, room: &str, name: &str, url: &str) -> (RegisteredCommand, String) {
    let request = CreateCommandRequest {
        room: room.to_owned(),
        name: name.to_owned(),
        description: "Rolls dice".to_owned(),
        url: url.to_owned(),
    };
    let made = user.http.create_command(&request).await.unwrap();
    (made.command, made.secret)
}

async fn built_in_commands_do_what_the_calls_do(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (ada, bob) = (stage.register("ada").await, stage.register("bob").await);
    make_lab(&ada, &[]).await;

    let request = RunCommandRequest {
        text: "/me waves at @bob".to_owned(),
        client_id: Some("wave-1".to_owned()),
    };
    let first = ada.http.run_command("lab", &request).await.unwrap();
    assert_eq!(ada.http.run_command("lab", &request).await.unwrap(), first, "one message");
    let history = ada.history("lab").await;
    assert_eq!(history.len(), 1);
    assert!(history[0].emote && history[0].body == "waves at @bob");

    assert!(changed(&ada, "lab", "/topic Tea & cake").await.contains("Tea & cake"));
    assert_eq!(ada.http.room("lab").await.unwrap().topic, "Tea & cake");
    changed(&ada, "lab", "/invite @bob").await;
    bob.say("lab", "a rare okapi").await;
    let Ok(CommandAnswer::Found { items }) = run(&ada, "lab", "/search okapi from:bob").await
    else {
        panic!("nothing was found")
    };
    assert_eq!((items.len(), items[0].snippet.text.as_str()), (1, "a rare okapi"));

    assert!(changed(&ada, "lab", "/mute bob 10m").await.contains("@bob is muted until"));
    assert_eq!(refused(&bob, "lab", "/me mumbles").await.0, Code::Forbidden);
    changed(&ada, "lab", "/kick bob").await;
    assert_eq!(refused(&bob, "lab", "/help").await.0, Code::NotFound);
    changed(&ada, "lab", "/ban bob 7d  spam & noise").await;
    let bans = ada.http.bans("lab", None).await.unwrap().items;
    assert!(bans[0].user.username == "bob" && bans[0].until.is_some());
    assert_eq!(bans[0].reason.as_deref(), Some("spam & noise"));
    assert!(bob.http.put_member("lab", "me", &PutMemberRequest::default()).await.is_err());

    let Ok(CommandAnswer::List { items }) = run(&ada, "lab", "/help").await else {
        panic!("no list")
    };
    let usages: Vec<&str> = items.iter().map(|help| help.usage.as_str()).collect();
    assert!(usages.contains(&"/ban USER [TIME] [REASON]") && usages.len() == 9, "{usages:?}");
    let away = items.iter().find(|help| help.usage == "/away").unwrap();
    assert!(away.description.contains("none over HTTP"), "as it is refused there");
}

/// Programs rely on it: what they write is never taken for a command.
async fn message_that_begins_with_a_slash_is_a_message(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let ada = stage.register("ada").await;
    make_lab(&ada, &[]).await;
    for text in ["/topic taken over", "/me waves", "/nothing"] {
        ada.say("lab", text).await;
    }
    let history = ada.history("lab").await;
    let said: Vec<&str> = history.iter().map(|message| message.body.as_str()).collect();
    assert_eq!(said, ["/topic taken over", "/me waves", "/nothing"]);
    assert!(history.iter().all(|message| !message.emote));
    assert_eq!(ada.http.room("lab").await.unwrap().topic, "");
}

async fn who_may_not_do_it_may_not_do_it_by_a_command(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (ada, bob) = (stage.register("ada").await, stage.register("bob").await);
    let eve = stage.register("eve").await;
    make_lab(&ada, &[]).await;
    changed(&ada, "lab", "/invite bob").await;

    for text in ["/topic mine", "/kick ada", "/ban ada 1h", "/mute ada", "/invite eve"] {
        assert_eq!(refused(&bob, "lab", text).await.0, Code::Forbidden, "{text}");
        assert_eq!(refused(&eve, "lab", text).await.0, Code::NotFound, "{text}");
    }
    // Who may not moderate does not learn who has an account.
    let (known, unknown) =
        (refused(&bob, "lab", "/kick eve").await, refused(&bob, "lab", "/kick nobody").await);
    assert_eq!(known, unknown);
    let promote = PutMemberRequest { role: Some(Role::Moderator), ..PutMemberRequest::default() };
    ada.http.put_member("lab", "bob", &promote).await.unwrap();
    assert_eq!(refused(&bob, "lab", "/kick ada").await.0, Code::Forbidden, "an owner");
    changed(&bob, "lab", "/topic ours").await;

    let (code, text) = refused(&ada, "lab", "/frobnicate now").await;
    assert_eq!(code, Code::ValidationFailed);
    assert!(text.contains("/frobnicate") && text.contains("/help"), "{text}");
    for (text, named) in [
        ("/ban bob 1y for spam", "a time such as"),
        ("/kick", "/kick USER"),
        ("hello", "must begin with /"),
        ("/away", "WebSocket"),
    ] {
        let (code, told) = refused(&ada, "lab", text).await;
        assert!(code == Code::ValidationFailed && told.contains(named), "{text}: {told}");
    }
}

async fn command_is_carried_out_over_the_socket(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (ada, bob) = (stage.register("ada").await, stage.register("bob").await);
    make_lab(&ada, &[]).await;
    changed(&ada, "lab", "/invite bob").await;
    let mut socket = ada.socket().await;
    let slash = |text: &str| Command::Slash {
        id: None,
        room: "lab".into(),
        text: text.to_owned(),
        client_id: None,
    };

    let Ok(Frame::Ok(answer)) = socket.request(slash("/me waves")).await else {
        panic!("not carried out")
    };
    let history = bob.history("lab").await;
    assert!(history[0].emote && Some(history[0].id) == answer.message);
    assert_eq!(answer.seq, Some(history[0].seq));
    assert!(matches!(answer.answer.as_deref(), Some(CommandAnswer::Message { .. })));
    let Err(Failure::Refused(refused)) = socket.request(slash("/frobnicate")).await else {
        panic!("not refused")
    };
    assert_eq!(refused.code, Code::ValidationFailed);
    assert!(refused.detail.contains("/frobnicate") && refused.detail.contains("/help"));

    let Ok(Frame::Ok(away)) = socket.request(slash("/away")).await else { panic!("not away") };
    assert!(matches!(away.answer.as_deref(), Some(CommandAnswer::Changed { .. })));
    let is = async |status| bob.http.presence("ada").await.unwrap().status == status;
    let patience = Duration::from_secs(10);
    until("ada is idle", patience, || is(PresenceStatus::Idle)).await;
    socket.request(slash("/me is back")).await.unwrap();
    until("ada is online", patience, || is(PresenceStatus::Online)).await;
    socket.close().await;
}

async fn registered_command_is_answered_by_its_program(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = with_programs(place).start().await;
    let (ada, bob) = (stage.register("ada").await, stage.register("bob").await);
    make_lab(&ada, &["guide"]).await;
    changed(&ada, "lab", "/invite bob").await;
    let program = Receiver::answering(|asked: &Received| {
        let text = asked.json()["text"].as_str().unwrap().to_owned();
        match text.as_str() {
            "" => String::new(),
            "secretly" => json!({"text": "only for you"}).to_string(),
            dice => json!({"text": format!("@guide rolled {dice}"), "visible": "room"}).to_string(),
        }
    });
    let (roll, secret) = register(&ada, "lab", "roll", &program.url).await;

    let request =
        RunCommandRequest { text: "/roll  2d6 now".to_owned(), client_id: Some("r1".to_owned()) };
    let first = bob.http.run_command("lab", &request).await.unwrap();
    let asked = program.next();
    assert!(super::webhooks::is_signed(&asked, &secret));
    let question = asked.json();
    assert_eq!((&question["command"], &question["text"]), (&json!("roll"), &json!("2d6 now")));
    assert_eq!(question["user"]["username"], "bob");
    assert_eq!(question["room"]["slug"], "lab");
    assert_eq!(asked.header("parlor-event"), "command");
    let again = bob.http.run_command("lab", &request).await.unwrap();
    assert_eq!(program.next().header("webhook-id"), asked.header("webhook-id"), "the same call");
    assert_eq!(first, again, "and the same message");

    let history = bob.history("lab").await;
    assert_eq!(history.len(), 1, "the bot was not called: {history:?}");
    let message = &history[0];
    assert_eq!(
        (message.sender.kind, message.sender.id),
        (UserKind::Integration, roll.integration.id)
    );
    assert_eq!(message.body, "@guide rolled 2d6 now");
    let told = run(&bob, "lab", "/roll secretly").await.unwrap();
    assert_eq!(told, CommandAnswer::Text { text: "only for you".to_owned() });
    changed(&bob, "lab", "/roll").await;
    assert_eq!(bob.history("lab").await.len(), 1, "nobody else sees it");

    let Ok(CommandAnswer::List { items }) = run(&bob, "lab", "/help roll").await else {
        panic!("no list")
    };
    assert_eq!((items[0].usage.as_str(), items[0].description.as_str()), ("/roll", "Rolls dice"));
    let (of_bob, of_ada) =
        (bob.http.commands("lab").await.unwrap(), ada.http.commands("lab").await.unwrap());
    assert_eq!(
        (of_bob.items[0].url.as_ref(), of_ada.items[0].url.as_ref()),
        (None, Some(&program.url))
    );
    changed(&ada, "lab", "/mute bob 1h").await;
    assert_eq!(refused(&bob, "lab", "/roll 1d6").await.0, Code::Forbidden, "who may not write");
    ada.http.delete_command(roll.id).await.unwrap();
    assert!(refused(&ada, "lab", "/roll 1d6").await.1.contains("/roll"));
    assert!(!stage.log().contains(&secret));
}

async fn program_that_fails_or_lies_inside_is_not_waited_for(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = with_programs(place).start().await;
    let ada = stage.register("ada").await;
    make_lab(&ada, &[]).await;
    let (silent, _let_go) = Receiver::held();
    let garbled = Receiver::answering(|_| "{\"text\": 7".to_owned());
    register(&ada, "lab", "silent", &silent.url).await;
    register(&ada, "lab", "garbled", &garbled.url).await;
    register(&ada, "lab", "absent", "http://127.0.0.1:1/").await;
    for name in ["silent", "garbled", "absent"] {
        let (code, told) = refused(&ada, "lab", &format!("/{name} x")).await;
        assert!(code == Code::Unavailable && told.contains(name), "{told}");
    }
    let new = |name: &str, url: &str| CreateCommandRequest {
        room: "lab".to_owned(),
        name: name.to_owned(),
        description: String::new(),
        url: url.to_owned(),
    };
    for url in ["http://169.254.169.254/", "http://[::1]:1/", "http://[::ffff:7f00:2]:1/"] {
        let refused = ada.http.create_command(&new("inside", url)).await.unwrap_err();
        assert_eq!(refused.code(), Some(Code::ValidationFailed), "{url}");
    }
    for name in ["help", "away", "Roll", "r\u{43e}ll", "-x", ""] {
        let url = "http://127.0.0.1:1/";
        let refused = ada.http.create_command(&new(name, url)).await.unwrap_err();
        assert_eq!(refused.code(), Some(Code::ValidationFailed), "{name}");
    }
    let twice = ada.http.create_command(&new("silent", "http://127.0.0.1:1/")).await.unwrap_err();
    assert_eq!(twice.code(), Some(Code::Conflict));
}

/// What the caller may do is asked again when the program has answered.
async fn late_answer_is_for_who_may_have_it_then(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = with_programs(place).env("PARLOR_WEBHOOKS__COMMAND_TIMEOUT", "30s").start().await;
    let admin = stage.admin().await;
    let (ada, bob) = (stage.register("ada").await, stage.register("bob").await);
    let (eve, zed) = (stage.register("eve").await, stage.register("zed").await);
    let tom = stage.register("tom").await;
    make_lab(&ada, &[]).await;
    for name in ["bob", "eve", "zed", "tom"] {
        changed(&ada, "lab", &format!("/invite {name}")).await;
    }
    let said = json!({"text": "rolled 7", "visible": "room"}).to_string();
    let (roll, roll_on) = Receiver::late(said);
    let (whisper, whisper_on) = Receiver::late(json!({"text": "only for you"}).to_string());
    register(&ada, "lab", "roll", &roll.url).await;
    register(&ada, "lab", "whisper", &whisper.url).await;
    // Asks, does something before the answer, and returns what came of it.
    let ask = async |user: &User, name: &str, meanwhile: Meanwhile| {
        let (program, go_on) =
            if name == "roll" { (&roll, &roll_on) } else { (&whisper, &whisper_on) };
        let (user, text) = (user.clone(), format!("/{name} 2d6"));
        let mut asking = JoinSet::new();
        asking.spawn(async move { run(&user, "lab", &text).await });
        until("it is asked", PATIENCE, || async { !program.rest().is_empty() }).await;
        match meanwhile {
            Meanwhile::Nothing => {}
            Meanwhile::Command(text) => drop(changed(&ada, "lab", text).await),
            Meanwhile::Deactivate(name) => {
                let change = PatchUserRequest { active: Some(false), role: None };
                admin.http.patch_user(name, &change).await.unwrap();
            }
            Meanwhile::Archive => {
                let change =
                    PatchRoomRequest { archived: Some(true), ..PatchRoomRequest::default() };
                ada.http.patch_room("lab", &change).await.unwrap();
            }
        }
        go_on.send(()).unwrap();
        asking.join_next().await.unwrap().unwrap().map_err(|refused| refused.code().unwrap())
    };
    let whispered = Ok(CommandAnswer::Text { text: "only for you".to_owned() });

    let answered = ask(&bob, "roll", Meanwhile::Nothing).await;
    assert!(matches!(answered, Ok(CommandAnswer::Message { .. })), "{answered:?}");
    let muted = ask(&bob, "roll", Meanwhile::Command("/mute bob 1h")).await;
    assert_eq!(muted, Err(Code::Forbidden));
    let heard = ask(&zed, "whisper", Meanwhile::Command("/mute zed 1h")).await;
    assert_eq!(heard, whispered, "who may read hears it");
    let kicked = ask(&eve, "whisper", Meanwhile::Command("/kick eve")).await;
    assert_eq!(kicked, Err(Code::NotFound));
    changed(&ada, "lab", "/invite eve").await;
    assert_eq!(ask(&eve, "roll", Meanwhile::Command("/ban eve")).await, Err(Code::NotFound));
    let gone = ask(&tom, "roll", Meanwhile::Deactivate("tom")).await;
    assert_eq!(gone, Err(Code::Forbidden));
    assert_eq!(ask(&ada, "roll", Meanwhile::Archive).await, Err(Code::Forbidden));
    assert_eq!(ada.history("lab").await.len(), 1, "only the first was written");
}

/// What happens while a program takes its time.
enum Meanwhile {
    Nothing,
    Command(&'static str),
    Deactivate(&'static str),
    Archive,
}

/// What people copy works as it stands, and takes nothing that is not signed.
async fn example_of_the_documentation_answers_who_is_signed(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = with_programs(place).start().await;
    let ada = stage.register("ada").await;
    make_lab(&ada, &[]).await;
    let folder = tempfile::tempdir().unwrap();
    let (program, secret_file) = (folder.path().join("roll.py"), folder.path().join("secret.txt"));
    let written = include_str!("../../../docs/COMMANDS.md");
    let (_, rest) = written.split_once("```python\n").unwrap();
    std::fs::write(&program, rest.split_once("```").unwrap().0).unwrap();
    let mut example = tokio::process::Command::new("python3")
        .args([program.as_os_str(), "0".as_ref(), secret_file.as_os_str()])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("python3 is installed");
    let mut lines = BufReader::new(example.stdout.take().unwrap()).lines();
    let ready = lines.next_line().await.unwrap().unwrap();
    let url = ready.strip_prefix("listening on ").unwrap();
    let (_, secret) = register(&ada, "lab", "roll", url).await;
    std::fs::write(&secret_file, format!("{secret}\n")).unwrap();

    assert!(matches!(run(&ada, "lab", "/roll 2d6").await, Ok(CommandAnswer::Message { .. })));
    let history = ada.history("lab").await;
    let total = history[0].body.strip_prefix("2d6: ").unwrap().parse::<u32>().unwrap();
    assert!((2..=12).contains(&total));
    let Ok(CommandAnswer::Text { text }) = run(&ada, "lab", "/roll high").await else {
        panic!("no hint")
    };
    assert!(text.contains("/roll 2d6"), "{text}");

    // Someone else, or an old call once more.
    let asked = json!({"text": "2d6"}).to_string();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let at = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let fresh = super::webhooks::signature(&secret, at, asked.as_bytes());
    let old = super::webhooks::signature(&secret, at - 600, asked.as_bytes());
    let forged = format!("t={at},v1={}", "0".repeat(64));
    for (signature, status) in [(fresh, 200), (old, 401), (forged, 401), (String::new(), 401)] {
        let call = http.post(url).header("Parlor-Signature", &signature).body(asked.clone());
        assert_eq!(call.send().await.unwrap().status().as_u16(), status, "{signature}");
    }
    example.kill().await.unwrap();
}
