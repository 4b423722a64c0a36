//! Events and messages as documents in columns, the same in every backend.

use std::collections::HashMap;

use parlor_protocol::event::{
    Event, EventBody, MemberChange, MessageCompleted, MessageEdited, PinChange, ReactionChange,
};
use parlor_protocol::id::{FileId, MessageId, UserId};
use parlor_protocol::message::{Attachment, Message, Reaction, Replies};
use parlor_protocol::user::{UserKind, UserRef};
use serde_json::Value;

use crate::record::UploadRefused;

/// Most user names that a reaction lists.
const REACTION_USERS_MAX: usize = 20;

/// Reads the document of an event; `None` when its type is not known.
///
/// Names are those of today, so that a rename or an erased account reaches the past.
pub(crate) fn read(
    kind: &str,
    data: &str,
    actor: Option<&UserRef>,
    subject: Option<&UserRef>,
) -> serde_json::Result<Option<EventBody>> {
    let subject = subject.or(actor);
    Ok(Some(match kind {
        "message.created" => {
            let mut message: Box<Message> = serde_json::from_str(data)?;
            if let Some(actor) = actor {
                message.sender = actor.clone();
            }
            EventBody::MessageCreated(message)
        }
        "message.edited" => EventBody::MessageEdited(serde_json::from_str(data)?),
        "message.redacted" => EventBody::MessageRedacted(serde_json::from_str(data)?),
        "message.pinned" => EventBody::MessagePinned(pin_change(data, subject)?),
        "message.unpinned" => EventBody::MessageUnpinned(pin_change(data, subject)?),
        "message.completed" => EventBody::MessageCompleted(serde_json::from_str(data)?),
        "reaction.added" => EventBody::ReactionAdded(reaction_change(data, subject)?),
        "reaction.removed" => EventBody::ReactionRemoved(reaction_change(data, subject)?),
        "member.joined" => EventBody::MemberJoined(member_change(data, subject)?),
        "member.left" => EventBody::MemberLeft(member_change(data, subject)?),
        "member.role_changed" => EventBody::MemberRoleChanged(member_change(data, subject)?),
        "member.updated" => EventBody::MemberUpdated(member_change(data, subject)?),
        "room.created" => EventBody::RoomCreated(serde_json::from_str(data)?),
        "room.updated" => EventBody::RoomUpdated(serde_json::from_str(data)?),
        "room.archived" => EventBody::RoomArchived(serde_json::from_str(data)?),
        "history.reset" => EventBody::HistoryReset(serde_json::from_str(data)?),
        _ => return Ok(None),
    }))
}

fn pin_change(data: &str, subject: Option<&UserRef>) -> serde_json::Result<PinChange> {
    let mut change: PinChange = serde_json::from_str(data)?;
    if let Some(user) = subject {
        change.user = user.clone();
    }
    Ok(change)
}

fn reaction_change(data: &str, subject: Option<&UserRef>) -> serde_json::Result<ReactionChange> {
    let mut change: ReactionChange = serde_json::from_str(data)?;
    if let Some(user) = subject {
        change.user = user.clone();
    }
    Ok(change)
}

fn member_change(data: &str, subject: Option<&UserRef>) -> serde_json::Result<MemberChange> {
    let mut change: MemberChange = serde_json::from_str(data)?;
    if let Some(user) = subject {
        change.user = user.clone();
    }
    Ok(change)
}

/// Writes the document of an event.
///
/// Of users it holds their ids. What they are called is read with it, so that no row tells the name
/// of someone who was erased.
pub(crate) fn write(body: &EventBody) -> serde_json::Result<String> {
    match body {
        EventBody::RoomCreated(state)
        | EventBody::RoomUpdated(state)
        | EventBody::RoomArchived(state) => serde_json::to_string(state),
        EventBody::MemberJoined(change)
        | EventBody::MemberLeft(change)
        | EventBody::MemberRoleChanged(change)
        | EventBody::MemberUpdated(change) => {
            serde_json::to_string(&MemberChange { user: nameless(&change.user), ..change.clone() })
        }
        EventBody::MessageCreated(message) => {
            let mut stored = Message::clone(message);
            stored.sender = nameless(&message.sender);
            stored.mentions = message.mentions.iter().map(nameless).collect();
            serde_json::to_string(&stored)
        }
        EventBody::MessageEdited(edited) => {
            let mentions = edited.mentions.iter().map(nameless).collect();
            serde_json::to_string(&MessageEdited { mentions, ..edited.clone() })
        }
        EventBody::MessageRedacted(redacted) => serde_json::to_string(redacted),
        EventBody::MessageCompleted(completed) => {
            let mentions = completed.mentions.iter().map(nameless).collect();
            serde_json::to_string(&MessageCompleted { mentions, ..completed.clone() })
        }
        EventBody::ReactionAdded(change) | EventBody::ReactionRemoved(change) => {
            let user = nameless(&change.user);
            serde_json::to_string(&ReactionChange { user, ..change.clone() })
        }
        EventBody::MessagePinned(change) | EventBody::MessageUnpinned(change) => {
            serde_json::to_string(&PinChange { user: nameless(&change.user), ..change.clone() })
        }
        EventBody::HistoryReset(reset) => serde_json::to_string(reset),
        EventBody::Unknown(event) => serde_json::to_string(&event.data),
    }
}

/// Returns the document of an event without the names that older versions wrote into it, and if `gave`
/// without the reason that was given for it; `None` when it has none of these.
pub(crate) fn without_names(data: &str, gave: bool) -> serde_json::Result<Option<String>> {
    let mut document: Value = serde_json::from_str(data)?;
    let mut changed = false;
    if gave && let Some(fields) = document.as_object_mut() {
        changed |= fields.remove("reason_text").is_some();
    }
    for place in ["/sender", "/user"] {
        changed |= document.pointer_mut(place).is_some_and(forget_names);
    }
    if let Some(Value::Array(mentions)) = document.get_mut("mentions") {
        for mentioned in mentions {
            changed |= forget_names(mentioned);
        }
    }
    changed.then(|| serde_json::to_string(&document)).transpose()
}

/// Empties the names of a user, and tells whether there were any.
fn forget_names(user: &mut Value) -> bool {
    let mut changed = false;
    for field in ["username", "display_name"] {
        if let Some(Value::String(name)) = user.get_mut(field) {
            changed |= !name.is_empty();
            name.clear();
        }
    }
    changed
}

/// Returns the user that an event is about, where that is told in its document.
pub(crate) fn subject(body: &EventBody) -> Option<UserId> {
    match body {
        EventBody::MemberJoined(change)
        | EventBody::MemberLeft(change)
        | EventBody::MemberRoleChanged(change)
        | EventBody::MemberUpdated(change) => Some(change.user.id),
        EventBody::ReactionAdded(change) | EventBody::ReactionRemoved(change) => {
            Some(change.user.id)
        }
        EventBody::MessagePinned(change) | EventBody::MessageUnpinned(change) => {
            Some(change.user.id)
        }
        EventBody::RoomCreated(_)
        | EventBody::RoomUpdated(_)
        | EventBody::RoomArchived(_)
        | EventBody::MessageCreated(_)
        | EventBody::MessageEdited(_)
        | EventBody::MessageRedacted(_)
        | EventBody::MessageCompleted(_)
        | EventBody::HistoryReset(_)
        | EventBody::Unknown(_) => None,
    }
}

/// Returns the key of the object that holds a version of a user's picture.
pub(crate) fn avatar_key(user: UserId, version: &str) -> String {
    format!("avatars/{}/{version}", user.0.simple())
}

/// Returns the key below which all objects of a file are.
pub(crate) fn file_folder(file: FileId) -> String {
    format!("files/{}/", file.0.simple())
}

/// Tells whether a file of so many bytes goes beyond what its owner's files may have.
pub(crate) fn check_quota(limit: u64, used: u64, given: u64) -> Option<UploadRefused> {
    let left = limit.saturating_sub(used);
    (given > left).then_some(UploadRefused::Quota { limit, left, given })
}

/// Adds files, each with the position of its message, to messages in ascending order of `seq`.
pub(crate) fn add_attachments(
    messages: &mut [Message],
    files: impl IntoIterator<Item = (u64, Option<Attachment>)>,
) {
    for (seq, attachment) in files {
        let at = messages.binary_search_by_key(&seq, |message| message.seq);
        if let Some(message) = at.ok().and_then(|at| messages.get_mut(at)) {
            message.attachments.extend(attachment);
        }
    }
}

/// Adds reactions, given as the position of the message, the emoji and the user's name, in the order
/// in which they were made, to messages in ascending order of `seq`.
pub(crate) fn add_reactions(
    messages: &mut [Message],
    reactions: impl IntoIterator<Item = (u64, String, String)>,
) {
    for (seq, emoji, username) in reactions {
        let Ok(at) = messages.binary_search_by_key(&seq, |message| message.seq) else {
            continue;
        };
        let Some(message) = messages.get_mut(at) else { continue };
        let known = message.reactions.iter().position(|reaction| reaction.emoji == emoji);
        let reaction = match known.and_then(|known| message.reactions.get_mut(known)) {
            Some(reaction) => reaction,
            None => message.reactions.push_mut(Reaction { emoji, count: 0, users: Vec::new() }),
        };
        reaction.count += 1;
        if reaction.users.len() < REACTION_USERS_MAX {
            reaction.users.push(username);
        }
    }
}

/// Makes a mention of which only the id is stored. [`name_mentions`] gives it its names.
pub(crate) fn unnamed(id: UserId) -> UserRef {
    let (username, display_name) = (String::new(), String::new());
    UserRef { id, username, display_name, kind: UserKind::User }
}

/// Returns a user as it is stored in a document.
fn nameless(user: &UserRef) -> UserRef {
    UserRef { kind: user.kind, ..unnamed(user.id) }
}

/// Returns the mentions that an event tells of.
pub(crate) fn mentions_of(event: &mut Event) -> Option<&mut Vec<UserRef>> {
    let mentions = match &mut event.body {
        EventBody::MessageCreated(message) => &mut message.mentions,
        EventBody::MessageEdited(edited) => &mut edited.mentions,
        EventBody::MessageCompleted(completed) => &mut completed.mentions,
        _ => return None,
    };
    (!mentions.is_empty()).then_some(mentions)
}

/// Gives mentioned users the names of today; those who are gone are mentioned no longer.
pub(crate) fn name_mentions<'a>(
    mentions: impl IntoIterator<Item = &'a mut Vec<UserRef>>,
    users: &HashMap<UserId, UserRef>,
) {
    for mentions in mentions {
        mentions.retain_mut(|mentioned| match users.get(&mentioned.id) {
            Some(user) => {
                mentioned.clone_from(user);
                true
            }
            None => false,
        });
    }
}

/// Adds what the replies of threads amount to, given by the roots, to messages.
pub(crate) fn add_replies(messages: &mut [Message], mut replies: HashMap<MessageId, Replies>) {
    if replies.is_empty() {
        return;
    }
    for message in messages {
        message.replies = replies.remove(&message.id);
    }
}

#[cfg(test)]
mod tests {
    use parlor_protocol::message::MessageStatus;
    use parlor_protocol::room::Role;
    use parlor_protocol::time::Timestamp;
    use uuid::Uuid;

    use super::*;

    fn ada() -> UserRef {
        let (username, display_name) = ("ada".to_owned(), "Countess".to_owned());
        UserRef { username, display_name, ..unnamed(UserId(Uuid::from_u128(1))) }
    }

    fn message() -> Message {
        let json = serde_json::json!({
            "id": Uuid::from_u128(2), "room": Uuid::from_u128(3), "seq": 1, "sender": ada(),
            "body": "says \"username\":\"x\"", "status": "complete", "reactions": [],
            "attachments": [], "mentions": [ada()], "created_at": Timestamp::from_millis(0),
        });
        serde_json::from_value(json).unwrap()
    }

    fn bodies() -> Vec<EventBody> {
        let (user, id) = (ada(), MessageId(Uuid::from_u128(2)));
        let member = MemberChange {
            user: user.clone(),
            role: Role::Member,
            reason: None,
            muted_until: Some(Timestamp::from_millis(1)),
            reason_text: Some("a reason".to_owned()),
        };
        let pin = PinChange { message: id, user: user.clone() };
        let reaction = ReactionChange { message: id, emoji: "👍".to_owned(), user: user.clone() };
        vec![
            EventBody::MemberJoined(member.clone()),
            EventBody::MemberLeft(member.clone()),
            EventBody::MemberRoleChanged(member.clone()),
            EventBody::MemberUpdated(member),
            EventBody::MessageCreated(Box::new(message())),
            EventBody::MessageEdited(MessageEdited {
                message: id,
                body: "text".to_owned(),
                edited_at: Timestamp::from_millis(2),
                mentions: vec![user.clone()],
                mentions_room: true,
            }),
            EventBody::MessageCompleted(MessageCompleted {
                message: id,
                body: "text".to_owned(),
                status: MessageStatus::Completed,
                usage: parlor_protocol::message::Usage::default(),
                error: None,
                mentions: vec![user],
            }),
            EventBody::MessagePinned(pin.clone()),
            EventBody::MessageUnpinned(pin),
            EventBody::ReactionAdded(reaction.clone()),
            EventBody::ReactionRemoved(reaction),
        ]
    }

    #[test]
    fn document_holds_ids_and_no_names_and_is_read_with_those_of_today() {
        let users = HashMap::from([(ada().id, ada())]);
        for body in bodies() {
            let stored = write(&body).unwrap();

            assert!(!stored.contains("ada") && !stored.contains("Countess"), "{stored}");
            let mut read = read(body.kind(), &stored, Some(&ada()), None).unwrap().unwrap();
            let (room, at) = (parlor_protocol::id::RoomId(Uuid::nil()), Timestamp::from_millis(0));
            let mut event = Event { room, seq: 1, at, actor: None, body: read };
            name_mentions(mentions_of(&mut event), &users);
            read = event.body;
            assert_eq!(read, body);
        }
    }

    #[test]
    fn names_are_taken_out_of_older_documents_and_nothing_else_is() {
        for body in bodies() {
            let older = serde_json::to_value(&body).unwrap()["data"].to_string();

            let stored = without_names(&older, false).unwrap().unwrap();

            let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            assert_eq!(value(&stored), value(&write(&body).unwrap()), "{older}");
            assert_eq!(without_names(&stored, false).unwrap(), None, "{stored}");
        }
        let newer = r#"{"user":{"id":"1","username":"ada"},"later":[1.5,null]}"#;
        let kept = r#"{"later":[1.5,null],"user":{"id":"1","username":""}}"#;
        assert_eq!(without_names(newer, false).unwrap().as_deref(), Some(kept));
        let told = r#"{"user":{"id":"1","username":""},"reason_text":"x"}"#;
        assert_eq!(without_names(told, false).unwrap(), None);
        let kept = r#"{"user":{"id":"1","username":""}}"#;
        assert_eq!(without_names(told, true).unwrap().as_deref(), Some(kept));
    }
}
