//! Servers and model side by side.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::deed::{Person, name};
use crate::room::{Kind, Message, Room};
use crate::walk::{WORDS, Walk};

/// Compares everything that can be asked.
pub(crate) async fn everything_agrees(walk: &Walk) {
    for person in 0..walk.tokens.len() {
        lists_agree(walk, person).await;
    }
    for place in 0..walk.rooms.len() {
        room_agrees(walk, place).await;
    }
    for (number, word) in WORDS.into_iter().enumerate() {
        for person in [number % walk.tokens.len(), (number * 7 + 3) % walk.tokens.len()] {
            search_agrees(walk, person, word).await;
        }
    }
}

/// What one person's list of rooms says: where they are, as what, and what they have not read.
async fn lists_agree(walk: &Walk, person: Person) {
    let listed = walk.api.list(&walk.tokens[person], "/v1/rooms?mine=true&archived=true&limit=200");
    let found: BTreeMap<String, Value> = listed
        .await
        .into_iter()
        .filter(|room| walk.ids.iter().any(|id| room["id"] == json!(id)))
        .map(|room| (room["id"].as_str().unwrap().to_owned(), room))
        .collect();
    let mut expected = 0;
    for (id, room) in walk.ids.iter().zip(&walk.rooms) {
        let Some(member) = room.members.get(&person) else {
            assert!(!found.contains_key(id), "{} is still in {}", name(person), room.slug);
            continue;
        };
        expected += 1;
        let Some(listed) = found.get(id) else {
            panic!("{} does not find {}", name(person), room.slug)
        };
        let (unread, mentions) = room.unread(person);
        let fields = ["seq", "role", "unread", "mentions", "members"];
        let seen: Vec<&Value> = fields.iter().map(|field| &listed[*field]).collect();
        let should = json!([room.seq, member.role.word(), unread, mentions, room.members.len()]);
        assert_eq!(json!(seen), should, "{fields:?} of {} for {}", room.slug, name(person));
    }
    assert_eq!(found.len(), expected, "rooms of {}", name(person));
}

async fn room_agrees(walk: &Walk, place: usize) {
    let (room, id) = (&walk.rooms[place], &walk.ids[place]);
    let path = format!("/v1/rooms/{id}");
    if let Some(stranger) = (0..walk.tokens.len()).find(|person| !room.members.contains_key(person))
    {
        strangers_see_nothing(walk, room, &path, stranger).await;
    }
    let Some(&member) = room.members.keys().next() else { return };
    let token = &walk.tokens[member];

    let members = walk.api.list(token, &format!("{path}/members?limit=200")).await;
    let members: BTreeSet<(String, String)> = members
        .iter()
        .map(|member| (text(&member["user"]["username"]), text(&member["role"])))
        .collect();
    let expected = room.members.iter().map(|(&who, member)| (name(who), member.role.word().into()));
    assert_eq!(members, expected.collect(), "members of {}", room.slug);

    let mut history = walk.api.list(token, &format!("{path}/messages?limit=200")).await;
    history.sort_by_key(|message| message["seq"].as_u64());
    assert_eq!(history.len(), room.messages.len(), "messages of {}", room.slug);
    for (nth, found) in history.iter().enumerate() {
        let expected = expected_message(room, nth);
        assert_eq!(shown(found), expected, "message {nth} of {}", room.slug);
    }

    let pins = walk.api.list(token, &format!("{path}/pins?limit=200")).await;
    let pins: BTreeSet<String> = pins.iter().map(|message| text(&message["id"])).collect();
    assert_eq!(
        pins,
        ids(room.messages.iter().filter(|message| message.is_pinned)),
        "{}",
        room.slug
    );

    for (nth, root) in room.messages.iter().enumerate() {
        if room.replies(nth).next().is_none() {
            continue;
        }
        let path = format!("{path}/messages?limit=200&thread={}", root.id);
        let thread = walk.api.list(token, &path).await;
        let found: BTreeSet<String> = thread
            .iter()
            .filter(|message| message["redacted_at"].is_null() && message["id"] != json!(root.id))
            .map(|message| text(&message["id"]))
            .collect();
        assert_eq!(found, ids(room.replies(nth)), "thread of message {nth} in {}", room.slug);
    }
}

async fn strangers_see_nothing(walk: &Walk, room: &Room, path: &str, stranger: Person) {
    let token = &walk.tokens[stranger];
    for part in ["/messages", "/members", "/pins"] {
        let answer =
            walk.api.call(token, reqwest::Method::GET, &format!("{path}{part}"), None).await;
        let expected = if room.kind == Kind::Public { 403 } else { 404 };
        assert_eq!(answer.status, expected, "{} asks for {part} of {}", name(stranger), room.slug);
    }
}

/// What a search finds: the messages with the word, in the rooms of the one who asks.
async fn search_agrees(walk: &Walk, person: Person, word: &str) {
    let found =
        walk.api.list(&walk.tokens[person], &format!("/v1/search?q={word}&limit=100")).await;
    let found: Vec<String> = found.iter().map(|hit| text(&hit["message"]["id"])).collect();
    let expected: BTreeSet<String> = walk
        .rooms
        .iter()
        .filter(|room| room.members.contains_key(&person))
        .flat_map(|room| ids(room.messages.iter().filter(|it| has_word(it, word))))
        .collect();
    let unique: BTreeSet<String> = found.iter().cloned().collect();
    assert_eq!(found.len(), unique.len(), "{word} is found twice for {}", name(person));
    assert_eq!(unique, expected, "{} searches for {word}", name(person));
}

fn has_word(message: &Message, word: &str) -> bool {
    !message.is_redacted && message.body.split(' ').any(|part| part == word)
}

fn ids<'a>(messages: impl Iterator<Item = &'a Message>) -> BTreeSet<String> {
    messages.map(|message| message.id.clone()).collect()
}

/// What the model says of a message, in the form of [`shown`].
fn expected_message(room: &Room, nth: usize) -> Value {
    let message = &room.messages[nth];
    let reactions: BTreeMap<&str, BTreeSet<String>> = message
        .reactions
        .iter()
        .filter(|(_, people)| !people.is_empty() && !message.is_redacted)
        .map(|(emoji, people)| (*emoji, people.iter().copied().map(name).collect()))
        .collect();
    let replies = room.replies(nth).count();
    let mentions: BTreeSet<String> = if message.is_redacted {
        BTreeSet::new()
    } else {
        message.mentions.iter().copied().map(name).collect()
    };
    json!({
        "id": message.id,
        "seq": message.seq,
        "sender": name(message.sender),
        "body": message.body,
        "edits": if message.is_redacted { 0 } else { message.edits },
        "redacted": message.is_redacted,
        "thread": message.root.map(|root| &room.messages[root].id),
        "reactions": reactions,
        "replies": replies,
        "mentions": mentions,
        "mentions_room": message.mentions_room && !message.is_redacted,
        "pinned": message.is_pinned,
    })
}

/// What a server says of a message, with lists in one order.
fn shown(message: &Value) -> Value {
    let is_redacted = !message["redacted_at"].is_null();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let reactions: BTreeMap<String, BTreeSet<String>> = list(&message["reactions"])
        .iter()
        .filter(|_| !is_redacted)
        .map(|reaction| {
            let people = list(&reaction["users"]).iter().map(text).collect();
            (text(&reaction["emoji"]), people)
        })
        .collect();
    let mentions: BTreeSet<String> =
        list(&message["mentions"]).iter().map(|user| text(&user["username"])).collect();
    json!({
        "id": message["id"],
        "seq": message["seq"],
        "sender": message["sender"]["username"],
        "body": message["body"],
        "edits": if is_redacted { 0 } else { message["edits"].as_u64().unwrap_or(0) },
        "redacted": is_redacted,
        "thread": message["thread"],
        "reactions": reactions,
        "replies": message["replies"]["count"].as_u64().unwrap_or(0),
        "mentions": mentions,
        "mentions_room": message["mentions_room"].as_bool().unwrap_or(false),
        "pinned": !message["pinned"].is_null(),
    })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
