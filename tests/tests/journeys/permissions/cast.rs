//! The people of the tables, and the rooms in which they are what they are called.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
};

use parlor_testkit::process::ADMIN;
use serde_json::{Value, json};

use super::table::Row;
use crate::rest::Caller;

/// What someone is to a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// Is not logged in.
    Nobody,
    /// Is no member.
    Stranger,
    Member,
    /// Is a member who may not write.
    Muted,
    /// Was a member.
    Banned,
    Moderator,
    Owner,
    /// Administers the server, and is no member.
    Admin,
    /// Was a member, until the account was deactivated.
    Deactivated,
}

/// The order of the letters in the tables.
pub(super) const ORDER: [Role; 9] = [
    Role::Nobody,
    Role::Stranger,
    Role::Member,
    Role::Muted,
    Role::Banned,
    Role::Moderator,
    Role::Owner,
    Role::Admin,
    Role::Deactivated,
];

/// Those who are or were in the rooms.
const INSIDE: [Role; 6] =
    [Role::Member, Role::Muted, Role::Banned, Role::Moderator, Role::Owner, Role::Deactivated];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Public,
    Private,
}

/// A room with everyone in their roles.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) kind: Kind,
    pub(super) slug: String,
    pub(super) id: String,
    /// What each of them wrote.
    messages: BTreeMap<Role, String>,
    /// A file that a message has.
    file: String,
}

/// Everyone.
#[derive(Debug)]
pub(super) struct Cast {
    addr: SocketAddr,
    callers: BTreeMap<Role, Caller>,
    /// Writes what others act on.
    author: Caller,
    /// One invite code, and one personal access token of the owner for each role.
    invite: String,
    tokens: BTreeMap<Role, String>,
    /// One upload of the owner for each role.
    uploads: BTreeMap<Role, String>,
    count: AtomicU64,
}

/// Returns the user name of a role.
fn name(role: Role) -> String {
    if role == Role::Admin { ADMIN.to_owned() } else { format!("the-{role:?}").to_lowercase() }
}

/// Returns the name of the member, and of the bot, that someone acts on.
fn target(role: Role) -> String {
    format!("target-of-{role:?}").to_lowercase()
}

fn bot(role: Role) -> String {
    format!("bot-of-{role:?}").to_lowercase()
}

impl Cast {
    /// Makes the accounts.
    pub(super) async fn assemble(addr: SocketAddr) -> Self {
        let mut callers = BTreeMap::new();
        for role in ORDER {
            let caller = match role {
                Role::Nobody => Caller::anonymous(addr),
                Role::Admin => Caller::log_in(addr, ADMIN).await,
                _ => Caller::register(addr, &name(role)).await,
            };
            callers.insert(role, caller);
            Caller::register(addr, &target(role)).await;
        }
        let author = Caller::register(addr, "the-author").await;
        Caller::register(addr, "the-outsider").await;
        let owner = &callers[&Role::Owner];
        let (mut tokens, mut uploads) = (BTreeMap::new(), BTreeMap::new());
        for role in ORDER {
            owner.post("/v1/bots", json!({"name": bot(role)})).await.ok();
            let token = json!({"name": format!("{role:?}"), "scopes": ["read"]});
            let made = owner.post("/v1/users/me/tokens", token).await.ok();
            let id = made["id"].as_str().or(made["info"]["id"].as_str()).unwrap();
            tokens.insert(role, id.to_owned());
            let upload = json!({"name": "notes.txt", "bytes": 1});
            uploads.insert(role, owner.post("/v1/uploads", upload).await.text("id"));
        }
        let room = json!({"name": "Invited", "slug": "invited", "kind": "private"});
        owner.post("/v1/rooms", room).await.ok();
        let invite = owner.post("/v1/rooms/invited/invites", json!({})).await.text("code");
        Self { addr, callers, author, invite, tokens, uploads, count: AtomicU64::new(0) }
    }

    /// Makes a public and a private room in which everyone is what they are called.
    pub(super) async fn scenes(&self) -> [Scene; 2] {
        [self.scene(Kind::Public).await, self.scene(Kind::Private).await]
    }

    async fn scene(&self, kind: Kind) -> Scene {
        let slug = format!("scene-{}", self.next());
        let owner = &self.callers[&Role::Owner];
        let others = INSIDE.into_iter().filter(|role| *role != Role::Owner).map(name);
        let members: Vec<String> =
            others.chain(ORDER.map(target)).chain(["the-author".to_owned()]).collect();
        let kind_name = format!("{kind:?}").to_lowercase();
        let room = json!({"name": slug, "slug": slug, "kind": kind_name, "members": members});
        let id = owner.post("/v1/rooms", room).await.text("id");
        let mut messages = BTreeMap::new();
        for role in INSIDE {
            messages.insert(role, write(&self.callers[&role], &slug).await);
        }
        let file = self.author.upload("notes.txt", b"notes").await;
        let message = json!({"body": "my notes", "attachments": [file]});
        self.author.post(&format!("/v1/rooms/{slug}/messages"), message).await.ok();
        let scene = Scene { kind, slug, id, messages, file };
        self.set(&scene, Role::Moderator, json!({"role": "moderator"})).await;
        self.set(&scene, Role::Muted, json!({"mute": {}})).await;
        self.set(&scene, Role::Banned, json!({"ban": {}})).await;
        scene
    }

    async fn set(&self, scene: &Scene, role: Role, change: Value) {
        let path = format!("/v1/rooms/{}/members/{}", scene.slug, name(role));
        self.callers[&Role::Owner].put(&path, change).await.ok();
    }

    /// Deactivates the account of whoever is called so.
    pub(super) async fn deactivate(&mut self) {
        let path = format!("/v1/admin/users/{}", name(Role::Deactivated));
        let admin = &self.callers[&Role::Admin];
        admin.call(reqwest::Method::PATCH, &path, Some(json!({"active": false}))).await.ok();
    }

    /// Returns someone, with a login of its own where it would end.
    pub(super) async fn caller(&self, role: Role, login: bool) -> Caller {
        match role {
            Role::Nobody | Role::Deactivated => self.callers[&role].clone(),
            _ if login => Caller::log_in(self.addr, &name(role)).await,
            _ => self.callers[&role].clone(),
        }
    }

    /// Fills the parts of a path.
    pub(super) async fn fill(&self, path: &str, role: Role, scene: &Scene, row: &Row) -> String {
        let mut filled = format!("{path}{}", row.query);
        while let Some((start, rest)) = filled.split_once('{') {
            let (part, end) = rest.split_once('}').unwrap();
            let wanted = row.parts.get(part).map_or(part, String::as_str);
            let value = self.value(wanted, role, scene).await;
            filled = format!("{start}{value}{end}");
        }
        filled
    }

    /// Returns what a word of the tables stands for.
    async fn value(&self, word: &str, role: Role, scene: &Scene) -> String {
        match word {
            "room" => scene.slug.clone(),
            // A message that nobody has touched yet.
            "message" => write(&self.author, &scene.slug).await,
            "pinned" => {
                let message = write(&self.author, &scene.slug).await;
                let path = format!("/v1/rooms/{}/messages/{message}/pin", scene.slug);
                self.callers[&Role::Owner].call(reqwest::Method::PUT, &path, None).await.ok();
                message
            }
            "link" => {
                let path = format!("/v1/rooms/{}/invites", scene.slug);
                self.callers[&Role::Owner].post(&path, json!({})).await.text("code")
            }
            "webhook" => self.one(scene, "webhooks", json!({"url": "https://1.1.1.1/hook"})).await,
            "command" => {
                let name = format!("command-{}", self.next());
                let url = "https://1.1.1.1/hook";
                let new = json!({"room": scene.slug, "name": name, "description": "", "url": url});
                self.callers[&Role::Owner].post("/v1/commands", new).await.text("id")
            }
            "integration" => {
                let name = format!("integration-{}", self.next());
                self.one(scene, "integrations", json!({"name": name})).await
            }
            "own" => {
                let own = scene.messages.get(&role).or(scene.messages.get(&Role::Owner));
                own.unwrap().clone()
            }
            "emoji" => "%F0%9F%91%8D".to_owned(),
            "target" | "username" => target(role),
            "outsider" => "the-outsider".to_owned(),
            "bot" => bot(role),
            "code" => self.invite.clone(),
            "token" => self.tokens[&role].clone(),
            "upload" => self.uploads[&role].clone(),
            "file" => scene.file.clone(),
            other => other.to_owned(),
        }
    }

    /// Returns the id of one of the things that a room has, and makes it when there is none.
    async fn one(&self, scene: &Scene, things: &str, new: Value) -> String {
        let owner = &self.callers[&Role::Owner];
        let path = format!("/v1/rooms/{}/{things}", scene.slug);
        let listed = owner.get(&path).await.ok();
        if let Some(id) = listed["items"][0]["id"].as_str() {
            return id.to_owned();
        }
        owner.post(&path, new).await.text("id")
    }

    /// Fills a body: `$target`, `$n` and so on.
    pub(super) fn fill_body(&self, body: &str, role: Role, scene: &Scene) -> String {
        body.replace("$target", &target(role))
            .replace("$room", &scene.slug)
            .replace("$n", &self.next().to_string())
    }

    fn next(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }
}

/// Writes a message and returns its id.
async fn write(author: &Caller, room: &str) -> String {
    let path = format!("/v1/rooms/{room}/messages");
    author.post(&path, json!({"body": "hello"})).await.text("id")
}
