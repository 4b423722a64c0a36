//! Pages of a room's history.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use parlor_domain::permission::Action;
use parlor_protocol::http::{Page, Scope};
use parlor_protocol::id::RoomRef;
use parlor_protocol::message::Message;
use parlor_store::record::Window;
use schemars::JsonSchema;
use serde::Deserialize;

use super::REFUSALS;
use crate::http::cursor;
use crate::http::endpoint::Endpoint;
use crate::http::extract::{InPath, InQuery};
use crate::http::view::find_room;
use crate::node::{Caller, Node};
use crate::refusal::{Outcome, Refusal};

pub(super) fn endpoint() -> Endpoint {
    Endpoint::get("/v1/rooms/{room}/messages", "list_messages", list_messages)
        .scope(Scope::Read)
        .about("Messages", "Read a room's history")
        .details(
            "The newest page first; within a page, messages ascend by `seq`. `next` leads further \
             in the same direction: to older messages, or after `after` to newer ones.",
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
    /// `next` of the page before, in place of the three above.
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
    let window = window(&query)?;
    let (room, _) = find_room(&node, &caller, &room, Action::Read).await?;
    node.rate.history.check(&caller.user.id).map_err(|limited| {
        node.metrics.auth.rate_limited.with_label_values(&["history"]).inc();
        Refusal::from(limited)
    })?;
    // One more than asked for tells whether there is a next page.
    let found = node.store.list_messages(room.id, window, limit + 1).await?;
    #[cfg(feature = "planted-bugs")]
    let found = if parlor_domain::planted::is("stale-history") { Vec::new() } else { found };
    Ok(Json(page(found, window, limit)))
}

fn window(query: &MessagesQuery) -> Outcome<Window> {
    let cursor = cursor::decode(query.cursor.as_deref())?;
    let cursor = cursor
        .map(|text| {
            parse(&text).ok_or_else(|| {
                Refusal::field("cursor", "invalid", "must be `next` of the page before")
            })
        })
        .transpose()?;
    match (query.before, query.after, query.offset, cursor) {
        (None, None, None, None) => Ok(Window::Before(None)),
        (Some(before), None, None, None) => Ok(Window::Before(Some(before))),
        (None, Some(after), None, None) => Ok(Window::After(after)),
        (None, None, Some(offset), None) => Ok(Window::Offset(offset)),
        (None, None, None, Some(window)) => Ok(window),
        _ => Err(Refusal::field(
            "cursor",
            "contradiction",
            "can be given with none of `before`, `after` and `offset`, and these not together",
        )),
    }
}

fn parse(cursor: &str) -> Option<Window> {
    let (kind, number) = cursor.split_once(' ')?;
    let number = number.parse().ok()?;
    match kind {
        "before" => Some(Window::Before(Some(number))),
        "after" => Some(Window::After(number)),
        "offset" => Some(Window::Offset(number)),
        _ => None,
    }
}

fn page(mut items: Vec<Message>, window: Window, limit: u32) -> Page<Message> {
    let limit_items = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > limit_items;
    if more && matches!(window, Window::After(_)) {
        items.truncate(limit_items);
    } else if more {
        // The one too many is the oldest.
        items.drain(..items.len() - limit_items);
    }
    let next = match window {
        _ if !more => None,
        Window::After(_) => items.last().map(|message| format!("after {}", message.seq)),
        Window::Before(_) => items.first().map(|message| format!("before {}", message.seq)),
        Window::Offset(offset) => Some(format!("offset {}", offset + u64::from(limit))),
    };
    Page { items, next: next.as_deref().map(cursor::encode) }
}

#[cfg(test)]
mod tests {
    use parlor_protocol::id::{MessageId, RoomId, UserId};
    use parlor_protocol::message::MessageStatus;
    use parlor_protocol::time::Timestamp;
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
        let page = page(seqs.iter().copied().map(message).collect(), window, limit);
        let next = cursor::decode(page.next.as_deref()).unwrap();
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
        for window in [Window::Before(None), Window::After(0), Window::Offset(0)] {
            assert_eq!(turn(&[1, 2], window, 2), (vec![1, 2], None));
        }
    }

    #[test]
    fn bounds_contradict_each_other() {
        let both = MessagesQuery { before: Some(1), after: Some(1), ..MessagesQuery::default() };
        assert!(window(&both).is_err());
        let forged =
            MessagesQuery { cursor: Some(cursor::encode("x 1")), ..MessagesQuery::default() };
        assert!(window(&forged).is_err());
    }
}
