//! The walk: which deed comes next, done to the servers and to the model alike.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use parlor_testkit::api::{Answer, Api};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::deed::{Deed, Nth, Person, Role, Verdict, name};
use crate::room::{Kind, Room};

const PEOPLE: usize = 20;
const PUBLIC: usize = 14;
const PRIVATE: usize = 10;
const DIRECT: usize = 6;

/// Words that messages are made of and that searches look for.
pub(crate) const WORDS: [&str; 24] = [
    "amber", "birch", "cedar", "dune", "ember", "fjord", "grove", "harbor", "island", "juniper",
    "kelp", "lagoon", "meadow", "nectar", "orchard", "pebble", "quartz", "river", "summit",
    "tundra", "umber", "valley", "willow", "zephyr",
];
const EMOJI: [&str; 3] = ["👍", "🎉", "🙈"];

/// Servers, model, and where the walk is.
#[derive(Debug)]
pub(crate) struct Walk {
    pub(crate) api: Api,
    pub(crate) tokens: Vec<String>,
    pub(crate) rooms: Vec<Room>,
    /// The ids of the rooms.
    pub(crate) ids: Vec<String>,
    random: StdRng,
    done: BTreeMap<&'static str, (usize, usize)>,
}

impl Walk {
    /// Makes the people and the rooms.
    pub(crate) async fn begin(api: Api, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut tokens = Vec::new();
        for person in 0..PEOPLE {
            tokens.push(api.register(&name(person)).await);
        }
        let (mut rooms, mut ids) = (Vec::new(), Vec::new());
        for number in 0..PUBLIC + PRIVATE + DIRECT {
            let kind = match number {
                0..PUBLIC => Kind::Public,
                _ if number < PUBLIC + PRIVATE => Kind::Private,
                _ => Kind::Direct,
            };
            // Each direct room has a pair of its own: the same pair would have one room.
            let people = match kind {
                Kind::Direct => vec![number % PEOPLE, (number + 7) % PEOPLE],
                Kind::Public | Kind::Private => {
                    let owner = random.random_range(0..PEOPLE);
                    vec![owner, (owner + random.random_range(1..PEOPLE)) % PEOPLE]
                }
            };
            let slug = format!("room-{number:02}");
            let word = match kind {
                Kind::Public => "public",
                Kind::Private => "private",
                Kind::Direct => "direct",
            };
            let mut body = json!({"name": slug, "kind": word, "members": [name(people[1])]});
            if kind != Kind::Direct {
                body["slug"] = json!(slug);
            }
            let answer = api.call(&tokens[people[0]], Method::POST, "/v1/rooms", Some(body)).await;
            assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
            ids.push(answer.body["id"].as_str().unwrap().to_owned());
            rooms.push(Room::new(slug, kind, &people));
        }
        Self { api, tokens, rooms, ids, random, done: BTreeMap::new() }
    }

    /// Does one deed and compares what came of it.
    pub(crate) async fn step(&mut self, number: usize) {
        let place = self.random.random_range(0..self.rooms.len());
        // Mostly a member acts, so that much is done; strangers try, too.
        let members: Vec<Person> = self.rooms[place].members.keys().copied().collect();
        let person = if members.is_empty() || self.random.random_bool(0.12) {
            self.random.random_range(0..PEOPLE)
        } else {
            members[self.random.random_range(0..members.len())]
        };
        let deed = self.choose(place, person);
        let before = self.rooms[place].messages.len();
        let call = self.call_of(place, &deed);
        let verdict = self.rooms[place].apply(person, &deed);
        let answer = self.ask(person, call).await;
        let room = &mut self.rooms[place];
        let told = || format!("step {number}: {} in {}: {deed:?}", name(person), room.slug);
        let fits = match verdict {
            Verdict::Done => answer.status.is_success(),
            Verdict::Refused => answer.status.is_client_error(),
            Verdict::Hidden => answer.status == StatusCode::NOT_FOUND,
        };
        assert!(fits, "{}: expected {verdict:?}, got {answer:?}", told());
        if let Deed::Publish { .. } = deed
            && verdict == Verdict::Done
        {
            let message = &mut room.messages[before];
            assert_eq!(answer.body["seq"], json!(message.seq), "step {number}: {deed:?}");
            answer.body["id"].as_str().unwrap().clone_into(&mut message.id);
        }
        let counts = self.done.entry(deed.word()).or_default();
        *(if verdict == Verdict::Done { &mut counts.0 } else { &mut counts.1 }) += 1;
    }

    /// Says how often each deed was done and refused, and fails when one never was.
    pub(crate) fn tell(&self, seed: u64) {
        let mut told = format!("PARLOR_SEED={seed}:");
        for (deed, (done, refused)) in &self.done {
            write!(told, " {deed} {done}+{refused}").unwrap();
        }
        assert_eq!(self.done.len(), Deed::KINDS, "{told}");
        assert!(self.done.values().all(|&(done, _)| done > 0), "{told}");
    }

    fn choose(&mut self, place: usize, person: Person) -> Deed {
        let other = (person + self.random.random_range(1..PEOPLE)) % PEOPLE;
        let room = &self.rooms[place];
        let messages = room.messages.len();
        let newest = room.seq;
        let is_direct = room.kind == Kind::Direct;
        let about = (messages > 0).then(|| self.random.random_range(0..messages));
        let emoji = EMOJI[self.random.random_range(0..EMOJI.len())];
        match (self.random.random_range(0..1000), about) {
            (0..60, _) => Deed::Join,
            (60..80, _) => Deed::Leave,
            (80..130, _) => Deed::Invite(other),
            (130..150, _) => Deed::Kick(other),
            (150..160, _) => Deed::Ban(other),
            (160..180, _) => Deed::LiftBan(other),
            (180..190, _) => Deed::Mute(other),
            (190..220, _) => Deed::LiftMute(other),
            (220..240, _) if !is_direct => {
                let roles = [Role::Member, Role::Moderator, Role::Owner];
                Deed::SetRole(other, roles[self.random.random_range(0..roles.len())])
            }
            (240..250, _) => Deed::Retopic(self.body()),
            (250..254, _) => Deed::Archive(true),
            (254..290, _) => Deed::Archive(false),
            (290..292, _) => Deed::Reset,
            (292..420, _) => Deed::Read(self.random.random_range(0..newest + 3)),
            (420..500, Some(nth)) => Deed::Edit(nth, self.body()),
            (500..540, Some(nth)) => Deed::Redact(nth),
            (540..620, Some(nth)) => Deed::React(nth, emoji),
            (620..660, Some(nth)) => Deed::Unreact(nth, emoji),
            (660..690, Some(nth)) => Deed::Pin(nth),
            (690..710, Some(nth)) => Deed::Unpin(nth),
            (_, about) => {
                let thread = about.filter(|_| self.random.random_bool(0.3));
                let reply_to = about.filter(|_| self.random.random_bool(0.2));
                Deed::Publish { body: self.body(), reply_to, thread }
            }
        }
    }

    fn body(&mut self) -> String {
        let mut words: Vec<String> = (0..self.random.random_range(1..6))
            .map(|_| WORDS[self.random.random_range(0..WORDS.len())].to_owned())
            .collect();
        if self.random.random_bool(0.2) {
            words.push(format!("@{}", name(self.random.random_range(0..PEOPLE))));
        }
        if self.random.random_bool(0.06) {
            words.insert(0, "@room".to_owned());
        }
        words.join(" ")
    }

    /// Returns the call that does a deed; the path is that within the room. Who is meant by `me` is
    /// put in later.
    fn call_of(&self, place: usize, deed: &Deed) -> (Method, String, Option<Value>) {
        let room = format!("/v1/rooms/{}", self.ids[place]);
        let id = |nth: Nth| self.rooms[place].messages[nth].id.clone();
        let member = |person: Person| format!("{room}/members/{}", name(person));
        let message = |nth: Nth| format!("{room}/messages/{}", id(nth));
        let past = "2020-01-01T00:00:00.000Z";
        match deed {
            Deed::Join => (Method::PUT, format!("{room}/members/ME"), Some(json!({}))),
            Deed::Leave => (Method::DELETE, format!("{room}/members/ME"), None),
            Deed::Invite(person) => (Method::PUT, member(*person), Some(json!({}))),
            Deed::Kick(person) => (Method::DELETE, member(*person), None),
            Deed::Ban(person) => (Method::PUT, member(*person), Some(json!({"ban": {}}))),
            Deed::LiftBan(person) => {
                (Method::PUT, member(*person), Some(json!({"ban": {"until": past}})))
            }
            Deed::Mute(person) => (Method::PUT, member(*person), Some(json!({"mute": {}}))),
            Deed::LiftMute(person) => {
                (Method::PUT, member(*person), Some(json!({"mute": {"until": past}})))
            }
            Deed::SetRole(person, role) => {
                (Method::PUT, member(*person), Some(json!({"role": role.word()})))
            }
            Deed::Publish { body, reply_to, thread } => {
                let mut publish = json!({"body": body});
                if let Some(nth) = reply_to {
                    publish["reply_to"] = json!(id(*nth));
                }
                if let Some(nth) = thread {
                    publish["thread"] = json!(id(*nth));
                }
                (Method::POST, format!("{room}/messages"), Some(publish))
            }
            Deed::Edit(nth, body) => (Method::PATCH, message(*nth), Some(json!({"body": body}))),
            Deed::Redact(nth) => (Method::DELETE, message(*nth), None),
            Deed::React(nth, emoji) => {
                (Method::PUT, format!("{}/reactions/{emoji}", message(*nth)), None)
            }
            Deed::Unreact(nth, emoji) => {
                (Method::DELETE, format!("{}/reactions/{emoji}", message(*nth)), None)
            }
            Deed::Pin(nth) => (Method::PUT, format!("{}/pin", message(*nth)), None),
            Deed::Unpin(nth) => (Method::DELETE, format!("{}/pin", message(*nth)), None),
            Deed::Read(seq) => (Method::PUT, format!("{room}/read"), Some(json!({"seq": seq}))),
            Deed::Retopic(topic) => (Method::PATCH, room, Some(json!({"topic": topic}))),
            Deed::Archive(archived) => (Method::PATCH, room, Some(json!({"archived": archived}))),
            Deed::Reset => (Method::DELETE, format!("{room}/messages"), None),
        }
    }

    async fn ask(&self, person: Person, call: (Method, String, Option<Value>)) -> Answer {
        let (method, path, body) = call;
        let path = path.replace("/members/ME", &format!("/members/{}", name(person)));
        self.api.call(&self.tokens[person], method, &path, body).await
    }
}
