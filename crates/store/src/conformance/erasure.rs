//! What is left of those who have left for good.

use parlor_protocol::event::Event;
use parlor_protocol::http::Trigger;
use parlor_protocol::id::{CommandId, MessageId, RoomId};
use parlor_protocol::message::MessageStatus;
use parlor_protocol::room::{Role, RoomKind};
use parlor_protocol::user::UserRef;
use uuid::Uuid;

use super::Factory;
use super::programs::{new_integration, new_webhook};
use super::world::{World, complete, start};
use crate::append::{Append, Intent};
use crate::people::{Erased, NewErasure, OwnBan, ProgramKind};
use crate::record::{NewCommand, ProfileChange};

/// What she was called, first and last, and what she wrote. Nobody else says it.
const OF_HER: [&str; 6] =
    ["Countess", "Enchantress", "lovelace", "byron", "of her own", "lovelace@example.org"];

/// A room in whose log someone is named in every way in which a log can name them.
struct Scene {
    world: World,
    room: RoomId,
    ada: UserRef,
    own: MessageId,
}

impl Scene {
    async fn set(factory: &dyn Factory) -> Self {
        let world = World::open(factory).await;
        let bob = world.user("bob").await;
        let guide = world.bot("guide", Trigger::Mention).await;
        let ada = world.user("lovelace").await;
        rename(&world, &ada, None, "Countess").await;
        let room = world.public(&bob, &[&guide]).await;
        world.add(room, &ada, Intent::Join { invite: None }).await;
        world.add(room, &ada, Intent::Leave).await;
        world.add(room, &bob, Intent::Invite { user: ada.id }).await;
        world.add(room, &bob, Intent::SetRole { user: ada.id, role: Role::Moderator }).await;
        let own = world.said(room, &ada, "a first of her own for @lovelace").await;
        let body = "a second of her own for @lovelace".to_owned();
        world.add(room, &ada, Intent::Edit { message: own, body }).await;
        world.add(room, &ada, Intent::Pin { message: own, pin: true }).await;
        let emoji = "👍".to_owned();
        world.add(room, &ada, Intent::React { message: own, emoji, add: true }).await;
        // Said by others, so it stays, but for the mention.
        let said = world.said(room, &bob, "@guide, greet her").await;
        reply(&world, room, &guide, "dear @lovelace").await;
        rename(&world, &ada, Some("byron"), "Enchantress").await;
        world.add(room, &ada, Intent::TellName).await;
        let body = "who is that?".to_owned();
        world.add(room, &bob, Intent::Edit { message: said, body }).await;
        Self { world, room, ada, own }
    }

    /// Erases her, as far as that is not the matter of a test.
    async fn erase(&self) {
        let username = "deleted-1".to_owned();
        let at = self.world.now();
        let erasure = NewErasure { user: self.ada.id, username, redact: true, at };
        self.world.store().erase_account(erasure).await.unwrap().unwrap();
        self.world.add(self.room, &self.ada, Intent::Depart).await;
        let erase = Intent::EraseMessage { message: self.own };
        self.world.add(self.room, &self.ada, erase).await;
        // What a bot said of her is the room's, and is removed by those who keep order in it.
        for message in self.world.messages(self.room).await {
            if message.body.contains("lovelace") {
                let actor = message.sender.clone();
                self.world.add(self.room, &actor, Intent::Redact { message: message.id }).await;
            }
        }
    }

    /// Takes her names out of a part of the log.
    async fn forget(&self, after: u64, through: u64) -> u64 {
        let erased = Erased { user: self.ada.id, redact: true };
        let store = self.world.store();
        store.forget_names(self.room, erased, after, through).await.unwrap()
    }

    /// Returns which of her words are still to be found.
    async fn traces(&self) -> Vec<&'static str> {
        let remains = self.world.remains().await;
        let holds = |word: &str| remains.windows(word.len()).any(|at| at == word.as_bytes());
        OF_HER.into_iter().filter(|word| holds(word)).collect()
    }
}

async fn rename(world: &World, user: &UserRef, username: Option<&str>, display_name: &str) {
    let change = ProfileChange {
        username: username.map(str::to_owned),
        display_name: Some(display_name.to_owned()),
        ..ProfileChange::default()
    };
    world.store().update_profile(user.id, change).await.unwrap().unwrap();
}

async fn reply(world: &World, room: RoomId, bot: &UserRef, body: &str) {
    let job = world.claim().await.unwrap();
    let message = MessageId(Uuid::new_v4());
    world.add(room, bot, start(job.id, job.generation, message)).await;
    let end = complete(job.id, job.generation, message, MessageStatus::Completed, body);
    world.add(room, bot, end).await;
}

fn names_of(events: &[Event], user: &UserRef) -> Vec<String> {
    let log = serde_json::to_value(events).unwrap();
    let mut names = Vec::new();
    collect(&log, &serde_json::to_value(user.id).unwrap(), &mut names);
    names
}

fn collect(value: &serde_json::Value, id: &serde_json::Value, names: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            if fields.get("id") == Some(id) {
                names.push(fields["display_name"].as_str().unwrap().to_owned());
            }
            for value in fields.values() {
                collect(value, id, names);
            }
        }
        serde_json::Value::Array(values) => {
            for value in values {
                collect(value, id, names);
            }
        }
        _ => {}
    }
}

/// Neither her names of the moment nor the former ones are in any column of any table, nor what she
/// wrote. Whoever reads the log reads the names of today.
pub async fn nothing_that_is_stored_tells_what_an_erased_user_was_called(factory: &dyn Factory) {
    let scene = Scene::set(factory).await;
    let before = names_of(&scene.world.events(scene.room).await, &scene.ada);
    assert!(before.len() >= 15, "{before:?}");
    assert!(before.iter().all(|name| name == "Enchantress"), "{before:?}");

    scene.erase().await;

    let after = names_of(&scene.world.events(scene.room).await, &scene.ada);
    assert!(after.iter().all(|name| name == "Deleted user"), "{after:?}");
    assert_eq!(scene.traces().await, Vec::<&str>::new());
}

/// A log that holds names, because it was written before they were left out, loses them part by part,
/// and nothing else.
pub async fn names_that_were_stored_once_are_taken_out_of_the_log(factory: &dyn Factory) {
    let scene = Scene::set(factory).await;
    let (world, room) = (&scene.world, scene.room);
    world.write_names(&world.events(room).await).await;
    scene.erase().await;
    let before = world.events(room).await;
    let head = world.seq(room).await;

    let (first, rest) = (scene.forget(0, 5).await, scene.forget(5, head).await);

    assert!(first > 0 && rest > 0, "{first} and {rest}");
    assert_eq!(scene.forget(0, head).await, 0, "nothing is left to do");
    assert_eq!(world.events(room).await, before);
    assert_eq!(scene.traces().await, Vec::<&str>::new());
}

/// Former names, uploads that no message has, bans, and what was made for programs: of oneself, and of
/// nobody else.
pub async fn what_is_held_of_someone_is_listed_for_them(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    rename(&world, &ada, Some("ida"), "Ida").await;
    let upload = super::files::create(&world, &ada, 10).await;
    super::files::create(&world, &bob, 10).await;
    let room = world.public(&bob, &[&ada]).await;
    let hidden = world.room(RoomKind::Private, &bob, &[]).await;
    let left = world.room(RoomKind::Private, &bob, &[&ada]).await;
    let (at, until) = (world.now(), world.later(1_000));
    for banned_from in [room, hidden, left] {
        let ban = Intent::Ban {
            user: ada.id,
            until: (banned_from == left).then_some(until),
            reason: None,
        };
        let wish = Append { room: banned_from, actor: bob.id, at, intent: ban };
        store.append(vec![wish]).await.unwrap().pop().unwrap().unwrap();
    }
    let own = world.public(&ada, &[&bob]).await;
    for (hash, maker) in [(1, &ada), (2, &bob)] {
        let integration = new_integration(&world, own, maker, Some(hash));
        store.create_integration(integration).await.unwrap().unwrap();
        store.create_webhook(new_webhook(&world, own, maker)).await.unwrap().unwrap();
    }
    let command = NewCommand {
        id: CommandId(Uuid::new_v4()),
        name: "deploy".to_owned(),
        description: "Deploys".to_owned(),
        url: "https://example.org/deploy".to_owned(),
        salt: [7; 16],
    };
    let speaker = new_integration(&world, room, &ada, None);
    store.create_command(speaker, command).await.unwrap().unwrap();

    let names = store.list_former_names(ada.id).await.unwrap();
    let uploads = store.list_uploads_of(ada.id).await.unwrap();
    let mut bans = store.list_bans_of(ada.id, None, 1).await.unwrap();
    bans.extend(store.list_bans_of(ada.id, Some(bans[0].room), 10).await.unwrap());
    let made = store.list_programs_of(ada.id, own).await.unwrap();
    let elsewhere = store.list_programs_of(ada.id, room).await.unwrap();

    assert_eq!(names.iter().map(|former| &*former.name).collect::<Vec<_>>(), ["ada"]);
    assert_eq!(uploads.iter().map(|upload| upload.id).collect::<Vec<_>>(), [upload]);
    let mut expected = [(room, None), (left, Some(until))].map(|(room, until)| OwnBan {
        room,
        at,
        until,
        reason: None,
    });
    expected.sort_by_key(|ban| ban.room);
    assert_eq!(bans, expected, "of a room that she never saw she hears nothing");
    let kinds: Vec<_> = made.iter().map(|program| program.kind).collect();
    assert_eq!(kinds, [ProgramKind::Integration, ProgramKind::Webhook]);
    assert_eq!(made[1].url.as_deref(), Some("https://example.org/in"));
    assert_eq!(elsewhere.len(), 1, "who speaks for a command is no further program");
    assert_eq!(elsewhere[0].kind, ProgramKind::Command);
    assert_eq!(elsewhere[0].name.as_deref(), Some("deploy"));
    assert!(store.list_programs_of(bob.id, room).await.unwrap().is_empty());
    assert!(store.list_bans_of(bob.id, None, 10).await.unwrap().is_empty());
}

/// Of whoever is erased nobody can read why they were removed, banned or muted; nor, when their texts
/// go as well, what they gave as the reason for others. Other reasons stay.
pub async fn reasons_go_with_whom_they_concern_and_who_gave_them(factory: &dyn Factory) {
    for redact in [false, true] {
        let world = World::open(factory).await;
        let store = world.store();
        let (ada, bob) = (world.user("ada").await, world.user("bob").await);
        let (eve, mallory) = (world.user("eve").await, world.user("mallory").await);
        let room = world.public(&ada, &[&bob, &eve, &mallory]).await;
        world.add(room, &ada, Intent::SetRole { user: bob.id, role: Role::Moderator }).await;
        let because = |text: &str| Some(format!("because {text}"));
        let mute = |user: &UserRef, text| Intent::Mute {
            user: user.id,
            until: None,
            reason: because(text),
        };
        world.add(room, &bob, mute(&eve, "bob mutes eve")).await;
        let ban =
            Intent::Ban { user: mallory.id, until: None, reason: because("bob bans mallory") };
        world.add(room, &bob, ban).await;
        world.add(room, &ada, Intent::SetRole { user: bob.id, role: Role::Member }).await;
        world.add(room, &ada, mute(&bob, "ada mutes bob")).await;
        let kick = Intent::Kick { user: bob.id, reason: because("ada kicks bob") };
        world.add(room, &ada, kick).await;
        let ban = Intent::Ban { user: bob.id, until: None, reason: because("ada bans bob") };
        world.append(room, &ada, ban).await.unwrap();
        world.add(room, &ada, mute(&ada, "ada mutes herself")).await;

        let (username, at) = ("deleted-1".to_owned(), world.now());
        let erasure = NewErasure { user: bob.id, username, redact, at };
        store.erase_account(erasure).await.unwrap().unwrap();
        if redact {
            store.forget_reasons(room, bob.id).await.unwrap();
        }
        let before = world.events(room).await.len();
        let erased = Erased { user: bob.id, redact };
        let head = world.seq(room).await;
        let changed = store.forget_names(room, erased, 0, head).await.unwrap();

        assert_eq!(changed, if redact { 4 } else { 2 });
        assert_eq!(store.forget_names(room, erased, 0, head).await.unwrap(), 0);
        assert_eq!(world.events(room).await.len(), before);
        let bans = store.list_bans(room, None, world.now(), 10).await.unwrap();
        assert_eq!(bans.len(), 1, "she is banned still");
        assert_eq!(bans[0].reason.is_some(), !redact);
        assert_eq!(store.find_mute_reason(room, eve.id).await.unwrap().is_some(), !redact);
        let remains = world.remains().await;
        let of_him = ["ada mutes bob", "ada kicks bob", "ada bans bob"];
        let by_him = ["bob mutes eve", "bob bans mallory"];
        let holds = |text: &str| {
            let text = format!("because {text}");
            remains.windows(text.len()).any(|at| at == text.as_bytes())
        };
        assert!(!of_him.into_iter().any(holds), "of him, {redact}");
        assert!(by_him.into_iter().all(|text| holds(text) != redact), "by him, {redact}");
        assert!(holds("ada mutes herself"), "it was looked at");
    }
}
