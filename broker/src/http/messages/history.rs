//! Pages of a room's history.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use parlor_domain::permission::Action;
use parlor_protocol::http::{Page, Scope};
use parlor_protocol::id::{MessageId, RoomId, RoomRef};
use parlor_protocol::message::Message;
use parlor_protocol::time::Timestamp;
use parlor_store::record::Window;
use schemars::JsonSchema;
use serde::Deserialize;

use super::REFUSALS;
use crate::http::cursor::{self, List};
use crate::http::endpoint::Endpoint;
use crate::http::extract::{InPath, InQuery};
use crate::http::view::{charge_history, find_room};
use crate::node::{Caller, Node};
use crate::refusal::{Outcome, Refusal};

pub(super) fn endpoint() -> Endpoint {
    Endpoint::get("/v1/rooms/{room}/messages", "list_messages", list_messages)
        .scope(Scope::Read)
        .about("Messages", "Read a room's history")
        .details(
            "The newest page first; within a page, messages ascend by `seq`. `next` leads further \
             in the same direction: to older messages, or after `after` to newer ones. A page \
             `around` a position or `at` a time has both sides of it and no `next`: go on with \
             `before` its first and `after` its last message. With `thread` only messages of that \
             thread are listed, without its root.",
        )
        .query::<MessagesQuery>()
        .answers::<Page<Message>>(200, "A page of messages.")
        .refuses(&REFUSALS)
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct MessagesQuery {
    /// Only messages before this `seq`; the newest of them.
    before: Option<u64>,
    /// Only messages after this `seq`; the oldest of them.
    after: Option<u64>,
    /// Messages to leave out, counted from the newest.
    offset: Option<u64>,
    /// Half of the page before this `seq`, the other half from it on.
    around: Option<u64>,
    /// The same around the first message of this time or later.
    at: Option<Timestamp>,
    /// Only messages of the thread of this one; goes with `before`, `after` and `cursor`.
    thread: Option<MessageId>,
    /// `next` of the page before, in place of the positions above.
    cursor: Option<String>,
    /// Items in the page, 1 to 200; 50 when absent.
    limit: Option<u32>,
}

async fn list_messages(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(room): InPath<RoomRef>,
    InQuery(query): InQuery<MessagesQuery>,
) -> Outcome<Json<Page<Message>>> {
    let limit = cursor::page_size(query.limit)?;
    let (room, _) = find_room(&node, &caller, &room, Action::Read).await?;
    let list = list(room.id);
    let window = window(&query, &list)?;
    charge_history(&node, &caller)?;
    let window = match query.thread {
        None => window,
        Some(named) => {
            let named = node.store.find_message(room.id, named).await?;
            let named = named.ok_or_else(|| Refusal::not_found("message"))?;
            in_thread(window, named.thread.unwrap_or(named.id))?
        }
    };
    // One more than asked for tells whether there is a next page.
    let more = u32::from(!matches!(window, Window::Around(_) | Window::At(_)));
    let found = node.store.list_messages(room.id, window, limit + more).await?;
    #[cfg(feature = "planted-bugs")]
    let found = if parlor_domain::planted::is("stale-history") { Vec::new() } else { found };
    Ok(Json(page(found, window, limit, &list)))
}

fn list(room: RoomId) -> List {
    List::of("messages", room)
}

/// Returns the one part that is asked for, for the moment without regard to a thread.
fn window(query: &MessagesQuery, list: &List) -> Outcome<Window> {
    let cursor = list.decode(query.cursor.as_deref())?;
    let cursor = cursor.map(|text| parse(&text).ok_or_else(cursor::refused)).transpose()?;
    let parts = [
        query.before.map(|before| Window::Before(Some(before))),
        query.after.map(Window::After),
        query.offset.map(Window::Offset),
        query.around.map(Window::Around),
        query.at.map(Window::At),
        cursor,
    ];
    let mut parts = parts.into_iter().flatten();
    match (parts.next(), parts.next()) {
        (Some(_), Some(_)) => Err(Refusal::field(
            "cursor",
            "contradiction",
            "can be given with none of `before`, `after`, `offset`, `around` and `at`, and these \
             not together",
        )),
        (part, _) => Ok(part.unwrap_or(Window::Before(None))),
    }
}

/// Returns the same part of a thread.
fn in_thread(window: Window, root: MessageId) -> Outcome<Window> {
    match window {
        Window::Before(before) => Ok(Window::ThreadBefore(root, before)),
        Window::After(after) => Ok(Window::ThreadAfter(root, after)),
        Window::ThreadBefore(of, _) | Window::ThreadAfter(of, _) if of == root => Ok(window),
        Window::ThreadBefore(..) | Window::ThreadAfter(..) => Err(cursor::refused()),
        Window::Offset(_) | Window::Around(_) | Window::At(_) => Err(Refusal::field(
            "thread",
            "contradiction",
            "cannot be given with `offset`, `around` or `at`",
        )),
    }
}

fn parse(cursor: &str) -> Option<Window> {
    let mut words = cursor.split(' ');
    let (kind, number) = (words.next()?, words.next()?.parse().ok()?);
    let root = words.next().map(str::parse).transpose().ok()?.map(MessageId);
    match (kind, root, words.next()) {
        ("before", None, None) => Some(Window::Before(Some(number))),
        ("after", None, None) => Some(Window::After(number)),
        ("offset", None, None) => Some(Window::Offset(number)),
        ("before", Some(root), None) => Some(Window::ThreadBefore(root, Some(number))),
        ("after", Some(root), None) => Some(Window::ThreadAfter(root, number)),
        _ => None,
    }
}

fn page(mut items: Vec<Message>, window: Window, limit: u32, list: &List) -> Page<Message> {
    let limit_items = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > limit_items;
    if more && matches!(window, Window::After(_) | Window::ThreadAfter(..)) {
        items.truncate(limit_items);
    } else if more {
        // The one too many is the oldest.
        items.drain(..items.len() - limit_items);
    }
    let (first, last) = (items.first(), items.last());
    let next = match window {
        _ if !more => None,
        Window::After(_) => last.map(|message| format!("after {}", message.seq)),
        Window::Before(_) => first.map(|message| format!("before {}", message.seq)),
        Window::Offset(offset) => Some(format!("offset {}", offset + u64::from(limit))),
        Window::ThreadBefore(root, _) => {
            first.map(|message| format!("before {} {root}", message.seq))
        }
        Window::ThreadAfter(root, _) => last.map(|message| format!("after {} {root}", message.seq)),
        Window::Around(_) | Window::At(_) => None,
    };
    Page { items, next: next.map(|next| list.encode(&next)) }
}

#[cfg(test)]
mod tests {
    use parlor_protocol::id::UserId;
    use parlor_protocol::message::MessageStatus;
    use parlor_protocol::user::{UserKind, UserRef};
    use uuid::Uuid;

    use super::*;

    fn message(seq: u64) -> Message {
        Message {
            id: MessageId(Uuid::from_u128(u128::from(seq))),
            room: RoomId(Uuid::nil()),
            seq,
            sender: UserRef {
                id: UserId(Uuid::nil()),
                username: "ada".to_owned(),
                display_name: "Ada".to_owned(),
                kind: UserKind::User,
            },
            client_id: None,
            body: "hi".to_owned(),
            status: MessageStatus::Complete,
            reply_to: None,
            thread: None,
            created_at: Timestamp::from_millis(0),
            edited_at: None,
            redacted_at: None,
            reactions: Vec::new(),
            attachments: Vec::new(),
            mentions: Vec::new(),
            mentions_room: false,
            emote: false,
            edits: 0,
            replies: None,
            pinned: None,
            bot: None,
            usage: None,
            error: None,
        }
    }

    fn turn(seqs: &[u64], window: Window, limit: u32) -> (Vec<u64>, Option<Window>) {
        let list = list(RoomId(Uuid::nil()));
        let page = page(seqs.iter().copied().map(message).collect(), window, limit, &list);
        let next = list.decode(page.next.as_deref()).unwrap();
        let next = next.map(|text| parse(&text).unwrap());
        (page.items.iter().map(|message| message.seq).collect(), next)
    }

    #[test]
    fn next_leads_further_in_the_same_direction() {
        assert_eq!(
            turn(&[7, 8, 9], Window::Before(None), 2),
            (vec![8, 9], Some(Window::Before(Some(8))))
        );
        assert_eq!(turn(&[1, 2, 3], Window::After(0), 2), (vec![1, 2], Some(Window::After(2))));
        assert_eq!(turn(&[4, 5, 6], Window::Offset(3), 2), (vec![5, 6], Some(Window::Offset(5))));
    }

    #[test]
    fn last_page_has_no_next() {
        let root = MessageId(Uuid::max());
        for window in [
            Window::Before(None),
            Window::After(0),
            Window::Offset(0),
            Window::Around(2),
            Window::ThreadBefore(root, None),
        ] {
            assert_eq!(turn(&[1, 2], window, 2), (vec![1, 2], None));
        }
    }

    #[test]
    fn next_of_a_thread_stays_in_the_thread() {
        let (root, other) = (MessageId(Uuid::max()), MessageId(Uuid::nil()));
        let newest = turn(&[7, 8, 9], Window::ThreadBefore(root, None), 2);
        let next = Window::ThreadBefore(root, Some(8));
        assert_eq!(newest, (vec![8, 9], Some(next)));
        let next_after = Some(Window::ThreadAfter(root, 2));
        assert_eq!(turn(&[1, 2, 3], Window::ThreadAfter(root, 0), 2), (vec![1, 2], next_after));
        assert_eq!(in_thread(next, root).unwrap(), next);
        assert!(in_thread(next, other).is_err(), "a cursor of another thread");
        assert!(in_thread(Window::Around(1), root).is_err());
    }

    #[test]
    fn bounds_contradict_each_other() {
        let list = list(RoomId(Uuid::nil()));
        let both = MessagesQuery { before: Some(1), after: Some(1), ..MessagesQuery::default() };
        assert!(window(&both, &list).is_err());
        let at = Some(Timestamp::from_millis(0));
        let both = MessagesQuery { around: Some(1), at, ..MessagesQuery::default() };
        assert!(window(&both, &list).is_err());
        let forged = MessagesQuery { cursor: Some(list.encode("x 1")), ..MessagesQuery::default() };
        assert!(window(&forged, &list).is_err());
    }
}
