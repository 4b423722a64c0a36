//! What is left of those who leave for good, and what they take with them.

use parlor_client::SearchQuery;
use parlor_protocol::http::{
    CreateBotRequest, CreateCommandRequest, CreateInviteRequest, CreateUploadRequest,
    CreateWebhookRequest,
};
use parlor_testkit::process::Parlor;
use tokio::task::JoinSet;

use super::*;

/// Messages that an erasure has to go through, in each room.
const MESSAGES: usize = 250;
/// Own messages in one room: more than a download reads at once.
const NOTES: usize = 20;
/// An address that may be called, at which nobody is.
const NOWHERE: &str = "http://127.0.0.1:9/in";
/// Often enough to have asked each node, and each of its threads.
const EVERYWHERE: usize = 8;

async fn private_rooms(owner: &User, other: &User, rooms: &[&str]) {
    for room in rooms {
        owner.create_room(room, &[]).await;
        other.join(room).await;
    }
}

pub(super) async fn erased_author_is_nobody_and_the_messages_stay(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (admin, bob) = (stage.admin().await, stage.register("bob").await);
    let eve = stage.register("eve").await;
    let augusta = stage.register("augusta").await;
    let name = PatchMeRequest {
        display_name: Some("Countess".to_owned()),
        bio: Some("of Lovelace".to_owned()),
        ..PatchMeRequest::default()
    };
    augusta.http.patch_me(&name).await.unwrap();
    private_rooms(&augusta, &bob, &["club"]).await;
    augusta.http.put_member("club", "bob", &role(Role::Moderator)).await.unwrap();
    private_rooms(&bob, &augusta, &["old"]).await;
    // Each node has what was said in memory.
    let mut watch = Vec::new();
    for _ in 0..EVERYWHERE {
        let mut socket = bob.socket().await;
        socket.subscribe("club", None).await.unwrap();
        socket.subscribe("old", None).await.unwrap();
        watch.push(socket);
    }
    // What comes from now on is in memory as a whole, and whoever resumes from here gets it from there.
    let since = bob.http.room("old").await.unwrap().seq;
    for room in ["club", "old"] {
        let said = bob.say(room, "hello @augusta").await;
        augusta.http.add_reaction(room, said.id, "👍").await.unwrap();
        augusta.say(room, "words that stay").await;
    }
    augusta.http.delete_member("old", "augusta").await.unwrap();
    let mut hers = augusta.socket().await;
    assert_code(eve.http.erase_user("augusta", &keep()).await, Code::Forbidden);
    assert_code(admin.http.erase_user("guide", &keep()).await, Code::Conflict);
    assert_code(admin.http.erase_user(&admin.name, &keep()).await, Code::Conflict);
    let wrong = EraseRequest { password: "wrong".to_owned(), messages: ErasedMessages::Keep };
    assert_code(augusta.http.delete_me(&wrong).await, Code::ValidationFailed);

    augusta.http.delete_me(&erase(ErasedMessages::Keep)).await.unwrap();

    assert_cut(&mut hers).await;
    for socket in &mut watch {
        loop {
            if let Frame::Event(event) = socket.next_frame().await
                && let EventBody::MemberLeft(change) = event.body
                && change.reason == Some(LeaveReason::Deleted)
            {
                assert_eq!(change.user.display_name, "Deleted user");
                break;
            }
        }
    }
    for _ in 0..EVERYWHERE {
        assert_code(stage.http().log_in("augusta", PASSWORD).await, Code::Unauthenticated);
        assert_code(bob.http.user("augusta").await, Code::NotFound);
        for room in ["club", "old"] {
            let said = bob.history(room).await;
            let kept = said.iter().find(|message| message.body == "words that stay").unwrap();
            assert_eq!(
                (kept.sender.id, kept.sender.display_name.as_str()),
                (augusta.id, "Deleted user")
            );
            // Also what nodes have in memory, from the moment in which they hear of it.
            until("nothing tells who it was", PATIENCE, || async {
                let after = if room == "old" { since } else { 0 };
                let log = replayed(&bob, room, after).await;
                let all = serde_json::to_string(&(&said, log)).unwrap();
                // The text of a message is its author's: it stays as it was written.
                let all = all.replace("hello @augusta", "");
                !["augusta", "Countess", "Lovelace"].iter().any(|name| all.contains(name))
            })
            .await;
        }
    }
    let stored = stored(&stage).await;
    for name in ["Countess", "Lovelace"] {
        assert!(!stored.contains(name), "{name} is in the database");
    }
    assert!(stored.contains("words that stay"), "it was looked at");
    drop(watch);
    let mine = bob.http.room("club").await.unwrap();
    assert_eq!(mine.role, Some(Role::Owner), "who was there longest looks after the room");
    stage.register("augusta").await;
    admin.http.erase_user("eve", &keep()).await.unwrap();
    assert_code(stage.http().log_in("eve", PASSWORD).await, Code::Unauthenticated);
}

/// Returns all that a backup of the database made now has.
async fn stored(stage: &Stage) -> String {
    let bytes = match stage {
        Stage::Alone(server) => {
            let home = tempfile::tempdir().unwrap();
            let folder = home.path().join("backup");
            let arguments = ["backup", folder.to_str().unwrap(), "--data-dir"];
            let data_dir = server.data_dir();
            let arguments = [&arguments[..], &[data_dir.to_str().unwrap()]].concat();
            let done = Parlor::builder().arguments(&arguments).run().await;
            assert_eq!(done.code(), 0, "{done:?}");
            std::fs::read(folder.join("parlor.db")).unwrap()
        }
        Stage::Cluster(cluster, _) => {
            let tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'";
            let tables = cluster.postgres.query(tables);
            let rows = tables
                .lines()
                .map(|table| cluster.postgres.query(&format!("SELECT t::text FROM \"{table}\" t")));
            rows.collect::<String>().into_bytes()
        }
    };
    String::from_utf8_lossy(&bytes).into_owned()
}

fn keep() -> EraseUserRequest {
    EraseUserRequest { messages: ErasedMessages::Keep }
}

pub(super) async fn erasure_goes_on_where_it_was_killed(place: Place) {
    let _alone = MACHINE.write().await;
    let mut stage = place.start().await;
    let rooms = ["one", "two", "old"];
    // Both speak to nodes that they know, so that it is known which one is to die.
    let addr = |stage: &Stage, node: usize| {
        let brokers = stage.brokers();
        brokers[node.min(brokers.len() - 1)].addr()
    };
    let bob = User::register(addr(&stage, 1), "bob").await;
    let eve = User::register(addr(&stage, 0), "eve").await;
    private_rooms(&bob, &eve, &rooms).await;
    let mut writers = JoinSet::new();
    for number in 0..MESSAGES {
        let eve = eve.clone();
        writers.spawn(async move {
            for room in rooms {
                eve.say(room, &format!("canary {number}")).await;
            }
        });
        if writers.len() >= 16 {
            writers.join_next().await.unwrap().unwrap();
        }
    }
    writers.join_all().await;
    eve.http.delete_member("old", "eve").await.unwrap();
    let mut watch = bob.socket().await;
    for room in rooms {
        watch.subscribe(room, None).await.unwrap();
    }
    let erasing = {
        let http = eve.http.clone();
        async move { drop(http.delete_me(&erase(ErasedMessages::Redact)).await) }
    };
    let begun = async {
        loop {
            if let Frame::Event(event) = watch.next_frame().await
                && matches!(event.body, EventBody::MessageRedacted(_))
            {
                return;
            }
        }
    };

    tokio::select! {
        () = begun => {}
        () = async { erasing.await; std::future::pending().await } => {}
    }
    match &mut stage {
        Stage::Alone(server) => server.kill().await,
        Stage::Cluster(cluster, _) => cluster.brokers[0].process.kill().await,
    }
    drop(watch);
    if place == Place::Alone {
        stage.restart().await;
    }

    let bob = User::log_in(addr(&stage, 1), "bob").await;
    let left = async || {
        let mut left = 0;
        for room in rooms {
            left +=
                bob.history(room).await.iter().filter(|message| !message.body.is_empty()).count();
        }
        left
    };
    until("no text is left", PATIENCE, || async { left().await == 0 }).await;
    let query = SearchQuery { text: "canary".to_owned(), ..SearchQuery::default() };
    assert!(bob.http.search(&query).await.unwrap().items.is_empty());
    for room in rooms {
        let all: Vec<Message> = bob.history(room).await;
        assert_eq!(all.len(), MESSAGES);
        assert!(all.iter().all(|message| message.sender.display_name == "Deleted user"));
        let log = replayed(&bob, room, 0).await;
        assert!(!log.contains("canary"));
    }
}

/// What goes wrong in one room is tried again and holds up no other one. It is planted in the database,
/// so there is no such test with one server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn room_that_fails_holds_up_no_other_one_of_an_erasure() {
    let _shared = MACHINE.read().await;
    let stage = Place::Cluster.start().await;
    let Stage::Cluster(cluster, _) = &stage else { panic!("it is a cluster") };
    let (bob, eve) = (stage.register("bob").await, stage.register("eve").await);
    let mut rooms = vec!["one", "two", "three", "four"];
    private_rooms(&bob, &eve, &rooms).await;
    let mut ids = std::collections::HashMap::new();
    for room in &rooms {
        eve.say(room, "canary").await;
        ids.insert(*room, bob.http.room(room).await.unwrap().id.0);
    }
    // In this order they are gone through.
    rooms.sort_by_key(|room| ids[room]);
    let (broken, others) = rooms.split_first().unwrap();
    cluster.postgres.query(&format!(
        "CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS $$ \
         BEGIN RAISE EXCEPTION 'planted'; END $$; \
         CREATE TRIGGER planted BEFORE INSERT ON events FOR EACH ROW \
         WHEN (NEW.room = '{}') EXECUTE FUNCTION planted()",
        ids[broken]
    ));
    let left = async |room: &str| {
        let said = bob.history(room).await;
        let members = bob.http.members(room, None).await.unwrap().items.len();
        (said.iter().filter(|message| !message.body.is_empty()).count(), members)
    };

    eve.http.delete_me(&erase(ErasedMessages::Redact)).await.unwrap();

    for room in others {
        until("nothing is left elsewhere", PATIENCE, || async { left(room).await == (0, 1) }).await;
    }
    assert_eq!(left(broken).await, (1, 2));
    let metrics = stage.metrics().await;
    let counted = metrics.lines().find(|line| line.starts_with("parlor_erasure_failures_total "));
    assert!(counted.is_some_and(|line| !line.ends_with(" 0")), "{metrics}");
    cluster.postgres.query("DROP TRIGGER planted ON events");
    until("nothing is left", PATIENCE, || async { left(broken).await == (0, 1) }).await;
}

/// Returns everything that a connection is told that resumes after a position, also when that is much.
async fn replayed(user: &User, room: &str, after: u64) -> String {
    let epoch = user.http.room(room).await.unwrap().epoch;
    let mut socket = user.socket().await;
    let again = socket.subscribe(room, Some(Position { epoch, seq: after })).await.unwrap();
    let mut log = String::new();
    loop {
        let Frame::Event(event) = socket.next_frame().await else { continue };
        log.push_str(&serde_json::to_string(&event).unwrap());
        if event.seq >= again.seq {
            return log;
        }
    }
}

/// Makes an invite link, an upload, and one of each of what works for its maker. Returns its secrets.
async fn make_programs(maker: &User, room: &str) -> Vec<String> {
    let invite = CreateInviteRequest { expires_in: None, max_uses: Some(7) };
    maker.http.create_invite(room, &invite).await.unwrap();
    let unsent = CreateUploadRequest { name: "draft.txt".to_owned(), bytes: 5, client_id: None };
    maker.http.create_upload(&unsent).await.unwrap();
    let bot = serde_json::json!({"name": "her-bot", "system_prompt": "be kind"});
    let bot: CreateBotRequest = serde_json::from_value(bot).unwrap();
    maker.http.create_bot(&bot).await.unwrap();
    let hook = maker.http.create_integration(room, "Nightly").await.unwrap();
    let url = NOWHERE.to_owned();
    // Of what never happens here, so nothing is told.
    let events = vec!["history.reset".to_owned()];
    let webhook = CreateWebhookRequest { url: url.clone(), events };
    let webhook = maker.http.create_webhook(room, &webhook).await.unwrap();
    let command = CreateCommandRequest {
        room: room.to_owned(),
        name: "roll".to_owned(),
        description: "Rolls dice".to_owned(),
        url,
    };
    let command = maker.http.create_command(&command).await.unwrap();
    let path = hook.path.rsplit('/').next().unwrap().to_owned();
    vec![path, webhook.secret, command.secret]
}

/// Downloads everything of oneself, as it is sent and line by line.
async fn download(user: &User) -> (String, Vec<Value>) {
    let pieces: Vec<_> = user.http.export_me().await.unwrap().try_collect().await.unwrap();
    let text = String::from_utf8(pieces.concat()).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (text, lines)
}

pub(super) async fn download_has_everything_of_oneself_and_nothing_else(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.builder().env("PARLOR_WEBHOOKS__ALLOWED_HOSTS", "127.0.0.1").start().await;
    let (ada, bob) = (stage.register("ada").await, stage.register("bob").await);
    let bio = PatchMeRequest { bio: Some("my bio".to_owned()), ..PatchMeRequest::default() };
    ada.http.patch_me(&bio).await.unwrap();
    script(&stage, &ada, "my-token").await;
    ada.create_room("own", &[]).await;
    let secrets = make_programs(&ada, "own").await;
    let notes: Vec<String> = (0..NOTES).map(|number| format!("note {number}")).collect();
    for note in &notes {
        ada.say("own", note).await;
    }
    private_rooms(&bob, &ada, &["here", "left", "never"]).await;
    ada.http.delete_member("never", "ada").await.unwrap();
    let mut own = Vec::new();
    for room in ["here", "left"] {
        let asked = bob.say(room, "words of bob").await;
        ada.http.add_reaction(room, asked.id, "🎉").await.unwrap();
        let said = ada.say(room, &format!("first in {room}")).await;
        ada.http.edit_message(room, said.id, &format!("mine in {room}")).await.unwrap();
        bob.http.add_reaction(room, said.id, "👍").await.unwrap();
        own.push(said);
    }
    ada.http.delete_member("left", "ada").await.unwrap();
    // What happens now is none of her business, also where it is about her messages.
    bob.http.add_reaction("left", own[1].id, "👎").await.unwrap();
    bob.http.pin_message("left", own[1].id).await.unwrap();
    let mut reply = draft("a reply of bob", None);
    reply.thread = Some(own[1].id);
    bob.http.publish("left", &reply).await.unwrap();
    bob.say("never", "@ada is gone").await;
    let name = PatchMeRequest {
        username: Some("ida".to_owned()),
        password: Some(PASSWORD.to_owned()),
        ..PatchMeRequest::default()
    };
    ada.http.patch_me(&name).await.unwrap();
    let ban = PutMemberRequest { ban: Some(Restriction::default()), ..PutMemberRequest::default() };
    bob.http.put_member("left", "ida", &ban).await.unwrap();

    let (text, lines) = download(&ada).await;

    let of =
        |kind: &str| -> Vec<&Value> { lines.iter().filter(|line| line["type"] == kind).collect() };
    assert_eq!(
        (&lines[0]["type"], &lines[0]["format"]),
        (&"header".into(), &"parlor.account".into())
    );
    let end = lines.last().unwrap();
    assert_eq!((&end["type"], &end["lines"]), (&"end".into(), &lines.len().into()));
    assert_eq!(of("profile")[0]["profile"]["bio"], "my bio");
    assert_eq!(of("session").len(), 1);
    assert_eq!(of("token")[0]["name"], "my-token");
    // The general room, `own` and `here`; the two that she has left.
    assert_eq!((of("membership").len(), of("past_membership").len()), (3, 2));
    let body = |line: &Value| line["message"]["body"].as_str().unwrap().to_owned();
    let (noted, said): (Vec<&Value>, Vec<&Value>) =
        of("message").into_iter().partition(|line| body(line).starts_with("note"));
    assert_eq!(noted.into_iter().map(body).collect::<Vec<_>>(), notes, "each once, in order");
    let bodies: Vec<String> = said.iter().map(|line| body(line)).collect();
    assert_eq!(bodies, ["mine in here", "mine in left"]);
    assert_eq!(of("version").len(), 4);
    assert_eq!(of("reaction").len(), 2);
    let here = &said[0]["message"];
    assert_eq!(here["reactions"][0]["emoji"], "👍", "she sees it in the room as well");
    let left = &said[1]["message"];
    assert_eq!(left["reactions"], serde_json::json!([]));
    assert!(left["pinned"].is_null() && left["replies"].is_null(), "{left}");
    assert_eq!(of("former_name")[0]["username"], "ada");
    assert_eq!(of("upload")[0]["name"], "draft.txt");
    assert_eq!(of("integration")[0]["name"], "Nightly");
    assert_eq!(of("webhook")[0]["url"], NOWHERE);
    assert_eq!(of("command")[0]["name"], "roll");
    assert_eq!(of("bot")[0]["system_prompt"], "be kind");
    assert_eq!(of("invite")[0]["uses_left"], 7);
    assert_eq!(of("ban").len(), 1);
    for secret in secrets {
        assert!(!text.contains(&secret));
    }
    for foreign in ["words of bob", "a reply of bob", "is gone", "👎", PASSWORD, "parlor_pat_"] {
        assert!(!text.contains(foreign), "{foreign} in {text}");
    }
}
