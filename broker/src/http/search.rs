//! Searching messages of all rooms that the caller is a member of.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use parlor_domain::permission::Action;
use parlor_domain::search::{Query, QueryRefused, Span};
use parlor_protocol::code::Code;
use parlor_protocol::http::{CommandHit, FoundRoom, Highlight, Page, Scope, SearchResult, Snippet};
use parlor_protocol::id::{RoomId, RoomRef};
use parlor_store::{SearchHit, SearchPage, SearchRequest, SearchWindow};
use schemars::JsonSchema;
use serde::Deserialize;

use super::cursor::{self, List};
use super::endpoint::Endpoint;
use super::extract::InQuery;
use super::view::find_room;
use crate::node::{Caller, Node};
use crate::reads::known::KnownRoom;
use crate::refusal::{Outcome, Refusal};

/// Messages that a command shows.
const HITS: u32 = 10;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/search", "search_messages", search_messages)
            .about("Messages", "Search messages in the rooms that the caller is a member of")
            .details(
                "`q` has words that must all be there, in any case and with or without accents; \
                 `\"a phrase\"`; `begin*`; `-without`; and the filters `from:name`, `in:room`, \
                 `before:2026-01-31`, `after:2026-01-31`, `has:attachment`. Anything else in it is \
                 words. Best answers come first, among about as good ones the newest; a page may \
                 have fewer than asked for although `next` leads to more.",
            )
            .scope(Scope::Read)
            .query::<SearchQuery>()
            .answers::<Page<SearchResult>>(200, "A page of messages, best first.")
            .refuses(&[Code::NotFound, Code::NotAMember]),
    ]
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct SearchQuery {
    /// What to look for, at most 300 characters.
    q: String,
    /// Only in this room, by id or short name.
    room: Option<RoomRef>,
    /// Only messages of this user.
    from: Option<String>,
    /// Only messages before this day or time.
    before: Option<String>,
    /// Only messages after this day or time.
    after: Option<String>,
    /// Only messages with this.
    has: Option<Has>,
    /// `next` of the page before; all else must be as it was.
    cursor: Option<String>,
    /// Items in the page, 1 to 200; 50 when absent.
    limit: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Has {
    /// Files.
    Attachment,
}

async fn search_messages(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InQuery(asked): InQuery<SearchQuery>,
) -> Outcome<Json<Page<SearchResult>>> {
    let limit = cursor::page_size(asked.limit)?;
    let query = read_query(&asked)?;
    let mark = mark(&query, &caller);
    let window = list().decode(asked.cursor.as_deref())?;
    let window =
        window.map(|text| read_cursor(&text, mark).ok_or_else(foreign_cursor)).transpose()?;
    let nothing = Json(Page { items: Vec::new(), next: None });
    if let Some(room) = &asked.room {
        // A room that is named outside of the text must be there.
        find_room(&node, &caller, room, Action::Read).await?;
    }
    let Some((room, from)) = resolve(&node, &caller, &query).await? else { return Ok(nothing) };
    let request = SearchRequest {
        user: caller.user.id,
        query,
        from,
        room,
        window,
        limit: limit as usize,
        time: node.config.limits.search_time,
    };
    let SearchPage { hits, next } = node.store.search(request).await?;
    let items = show(&node, &caller, hits).await?;
    Ok(Json(Page { items, next: next.map(|next| list().encode(&write_cursor(next, mark))) }))
}

/// Finds the best few messages of one room, as a command shows them.
pub(crate) async fn find_in_room(
    node: &Arc<Node>,
    caller: &Caller,
    room: RoomId,
    text: &str,
) -> Outcome<Vec<CommandHit>> {
    let (q, room, limit) = (text.to_owned(), Some(room.into()), Some(HITS));
    let asked = SearchQuery { q, room, limit, ..SearchQuery::default() };
    let found = search_messages(State(Arc::clone(node)), caller.clone(), InQuery(asked)).await;
    let Json(page) = found.map_err(|mut refusal| {
        // To the caller of the command its text is one field.
        for error in &mut refusal.errors {
            "text".clone_into(&mut error.field);
        }
        refusal
    })?;
    let hit = |SearchResult { message, snippet, .. }: SearchResult| CommandHit {
        message: message.id,
        seq: message.seq,
        sender: message.sender,
        created_at: message.created_at,
        snippet,
    };
    Ok(page.items.into_iter().map(hit).collect())
}

fn read_query(asked: &SearchQuery) -> Outcome<Query> {
    let in_field = |field: &'static str| move |refused| refusal(field, &refused);
    let mut query = Query::parse(&asked.q).map_err(in_field("q"))?;
    if let Some(before) = &asked.before {
        query.set_before(before).map_err(in_field("before"))?;
    }
    if let Some(after) = &asked.after {
        query.set_after(after).map_err(in_field("after"))?;
    }
    if let Some(from) = &asked.from {
        query.set_from(from).map_err(in_field("from"))?;
    }
    if let Some(room) = &asked.room {
        query.set_room(&room.0).map_err(in_field("room"))?;
    }
    query.has_attachment |= asked.has.is_some();
    query.check().map_err(in_field("q"))?;
    Ok(query)
}

fn refusal(field: &str, refused: &QueryRefused) -> Refusal {
    let code = match refused {
        QueryRefused::Length => "length",
        QueryRefused::Terms => "too_many",
        QueryRefused::Empty => "required",
        QueryRefused::Twice(_) => "contradiction",
        QueryRefused::Time(_) => "invalid",
    };
    Refusal::field(field, code, refused.to_string())
}

type Who = (Option<RoomId>, Option<parlor_protocol::id::UserId>);

/// Finds the room and the user that are named. `None`: there is nothing to be found.
async fn resolve(node: &Node, caller: &Caller, query: &Query) -> Outcome<Option<Who>> {
    let room = match &query.room {
        None => None,
        Some(room) => match find_room(node, caller, &RoomRef(room.clone()), Action::Read).await {
            Ok((room, _)) => Some(room.id),
            // As if it were not there, whether it is or not.
            Err(refusal) if matches!(refusal.code, Code::NotFound | Code::NotAMember) => {
                return Ok(None);
            }
            Err(refusal) => return Err(refusal),
        },
    };
    let from = match query.from.as_deref() {
        None => None,
        Some("me") => Some(caller.user.id),
        Some(name) => match node.store.find_user_by_name(name).await? {
            Some(account) => Some(account.user.id),
            None => return Ok(None),
        },
    };
    Ok(Some((room, from)))
}

async fn show(node: &Node, caller: &Caller, hits: Vec<SearchHit>) -> Outcome<Vec<SearchResult>> {
    let mut rooms: HashMap<RoomId, Option<FoundRoom>> = HashMap::new();
    let mut shown = Vec::with_capacity(hits.len());
    for SearchHit { message, found, snippet } in hits {
        let room = match rooms.entry(message.room) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(find_shown(node, caller, message.room).await?),
        };
        let Some(room) = room.clone() else { continue };
        let snippet = Snippet { text: snippet.text, highlights: highlights(&snippet.spans) };
        let highlights = highlights(&found.spans);
        shown.push(SearchResult { message, room, highlights, snippet });
    }
    Ok(shown)
}

/// Finds a room as it is shown with a result; nothing where the caller has left in this very moment.
async fn find_shown(node: &Node, caller: &Caller, room: RoomId) -> Outcome<Option<FoundRoom>> {
    match find_room(node, caller, &room.into(), Action::Read).await {
        Ok((room, _)) => {
            let KnownRoom { id, slug, name, kind, .. } = &*room;
            let (slug, name) = (slug.clone(), name.clone());
            Ok(Some(FoundRoom { id: *id, slug, name, kind: *kind }))
        }
        Err(refusal) if matches!(refusal.code, Code::NotFound | Code::NotAMember) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

fn highlights(spans: &[Span]) -> Vec<Highlight> {
    spans.iter().map(|span| Highlight { start: span.start, end: span.end }).collect()
}

/// Returns what tells one search from another.
fn mark(query: &Query, caller: &Caller) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{query:?}").hash(&mut hasher);
    caller.user.id.hash(&mut hasher);
    hasher.finish()
}

fn list() -> List {
    List::new("search")
}

fn foreign_cursor() -> Refusal {
    Refusal::field("cursor", "invalid", "must be `next` of a page of the same search")
}

fn write_cursor(window: SearchWindow, mark: u64) -> String {
    let number = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let (score, place) = window.after.unzip();
    let (low, score, place) = (number(window.low), number(score.map(i64::from)), number(place));
    format!("{mark:x} {} {low} {score} {place}", window.high)
}

fn read_cursor(text: &str, mark: u64) -> Option<SearchWindow> {
    let mut parts = text.split(' ');
    if u64::from_str_radix(parts.next()?, 16).ok()? != mark {
        return None;
    }
    let high = parts.next()?.parse().ok()?;
    let mut number = || -> Option<Option<i64>> {
        match parts.next()? {
            "-" => Some(None),
            number => number.parse().ok().map(Some),
        }
    };
    let (low, score, place) = (number()?, number()?, number()?);
    let after = match (score, place) {
        (Some(score), Some(place)) => Some((u32::try_from(score).ok()?, place)),
        _ => None,
    };
    Some(SearchWindow { high, low, after })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_leads_on_in_the_same_search_only() {
        for window in [
            SearchWindow { high: 7, low: None, after: None },
            SearchWindow { high: i64::MAX, low: Some(3), after: Some((u32::MAX, 5)) },
        ] {
            let cursor = write_cursor(window, 42);
            assert_eq!(read_cursor(&cursor, 42), Some(window));
            assert_eq!(read_cursor(&cursor, 43), None);
        }
        for forged in ["", "before 3", "2a", "2a x - - -", "zz 1 - - -"] {
            assert_eq!(read_cursor(forged, 42), None, "{forged}");
        }
    }
}
