//! Searches, by connections of their own.
//!
//! Texts are looked at on threads for work that takes its time: a caller's thread may serve others.

mod judging;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use parlor_domain::search::{Query, Term};
use parlor_protocol::id::{RoomId, UserId};
use parlor_protocol::message::Message;

use super::codec::{count, id, value};
use super::fault::Outcome;
use super::pools::Server;
use super::query::{self, Params};
use super::sql::{members, search as sql};
use super::transaction::reading;
use super::{PostgresStore, rows};
use crate::contract::Result;
use crate::search::{
    Answer, Candidate, Gathering, ROOMS_MAX, Search, SearchHit, SearchPage, SearchRequest, hit,
};
use judging::{aside, judge_some};

/// Messages that are looked at in the first step; then twice as many each time.
const STEP_FIRST: i64 = 500;
/// Messages that are looked at in one step.
const STEP_MAX: i64 = 4_000;
/// What fewer than one in so many messages have is seldom.
const SELDOM: i64 = 64;
/// Candidates that one statement returns.
const AT_ONCE: i64 = 1_000;

#[async_trait]
impl Search for PostgresStore {
    async fn search(&self, request: SearchRequest) -> Result<SearchPage> {
        reading!(self, Search, |conn| search(conn, &request).await)
    }
}

async fn search(conn: &Server, request: &SearchRequest) -> Outcome<SearchPage> {
    let rooms: Vec<RoomId> =
        query::list(conn, members::LIST_ROOMS_OF, &[&request.user.0], |row| id(row, 0)).await?;
    let rooms: Vec<RoomId> = match request.room {
        Some(room) => rooms.into_iter().filter(|member| *member == room).collect(),
        None => rooms,
    };
    if rooms.is_empty() {
        return Ok(SearchPage { hits: Vec::new(), next: None });
    }
    let query = Arc::new(request.query.clone());
    let mut gathering = Gathering::new(request);
    let exhausted = gather(conn, request, &query, &rooms, &mut gathering).await?;
    let (answers, next) = gathering.choose(exhausted);
    Ok(SearchPage { hits: read(conn, query, &answers).await?, next })
}

/// Takes candidates, newest first, and tells whether there was no further one.
///
/// What is common is soon found by looking at the newest messages, one after the other; the index of
/// words would first gather all that there ever were. What is seldom, the index finds at once. Which
/// it is shows in the first messages, whatever the server believes of its tables.
async fn gather(
    conn: &Server,
    request: &SearchRequest,
    query: &Arc<Query>,
    rooms: &[RoomId],
    gathering: &mut Gathering<'_>,
) -> Outcome<bool> {
    let (low, mut high) = request.places();
    let wanted = expression(&request.query.terms, request.from, rooms);
    let part = Part { conn, request, query, wanted: wanted.as_deref() };
    let mut step = STEP_FIRST;
    loop {
        let floor: Option<i64> =
            query::find(conn, sql::FIND_FLOOR, &[&low, &high, &(step - 1)], |row| value(row, 0))
                .await?;
        let found = part.take(Way::Look, floor.unwrap_or(low), high, gathering).await?;
        let Found { candidates, enough: false } = found else { return Ok(false) };
        let Some(floor) = floor else { return Ok(true) };
        high = floor;
        gathering.looked_down_to(floor);
        if wanted.is_some() && candidates * SELDOM < step {
            let found = part.take(Way::LookUp, low, high, gathering).await?;
            return Ok(!found.enough);
        }
        if gathering.is_late() {
            return Ok(false);
        }
        step = (step * 2).min(STEP_MAX);
    }
}

/// How candidates are found.
#[derive(Clone, Copy)]
enum Way {
    /// By looking at each message of a part.
    Look,
    /// By the index of words.
    LookUp,
}

/// What was taken of a part.
struct Found {
    candidates: i64,
    /// Whether no more are wanted.
    enough: bool,
}

/// Reads candidates between two places.
struct Part<'a> {
    conn: &'a Server,
    request: &'a SearchRequest,
    query: &'a Arc<Query>,
    wanted: Option<&'a str>,
}

impl Part<'_> {
    async fn take(
        &self,
        way: Way,
        low: i64,
        mut high: i64,
        gathering: &mut Gathering<'_>,
    ) -> Outcome<Found> {
        let (mut candidates, (since, before)) = (0, self.request.times());
        let attached = self.request.query.has_attachment;
        let user = &self.request.user.0;
        loop {
            let found = if let Some(wanted) = &self.wanted {
                let statement = match way {
                    Way::Look => sql::LOOK,
                    Way::LookUp => sql::LOOK_UP,
                };
                let params: Params<'_> =
                    &[user, &low, &high, &since, &before, &attached, wanted, &AT_ONCE];
                query::rows(self.conn, statement, params).await?
            } else {
                let params: Params<'_> = &[user, &low, &high, &since, &before, &attached, &AT_ONCE];
                query::rows(self.conn, sql::LOOK_AT_ALL, params).await?
            };
            let is_last = i64::try_from(found.len()).unwrap_or(i64::MAX) < AT_ONCE;
            let mut left = found.into_iter();
            while left.len() > 0 {
                let judged;
                (judged, left) = judge_some(self.query, left, candidate).await?;
                for judged in judged {
                    high = judged.place;
                    candidates += 1;
                    if !gathering.take(judged) {
                        return Ok(Found { candidates, enough: true });
                    }
                }
            }
            if is_last {
                return Ok(Found { candidates, enough: false });
            }
        }
    }
}

fn candidate(row: &tokio_postgres::Row) -> Outcome<Candidate> {
    Ok(Candidate {
        place: value(row, 0)?,
        room: id(row, 1)?,
        seq: count(row, 2)?,
        body: value(row, 3)?,
    })
}

/// Reads the messages of answers, in the order of the answers.
async fn read(conn: &Server, query: Arc<Query>, answers: &[Answer]) -> Outcome<Vec<SearchHit>> {
    let places: Vec<(RoomId, u64)> =
        answers.iter().map(|answer| (answer.room, answer.seq)).collect();
    let messages = rows::list_messages_at(conn, &places).await?;
    let mut messages: HashMap<(RoomId, u64), Message> =
        messages.into_iter().map(|message| ((message.room, message.seq), message)).collect();
    aside(move || {
        let found = places.iter().filter_map(|place| messages.remove(place));
        found.filter_map(|message| hit(&query, message)).collect()
    })
    .await
}

/// Writes what the index is asked: words only, in quotes. `None`: everything.
fn expression(terms: &[Term], from: Option<UserId>, rooms: &[RoomId]) -> Option<String> {
    let mut wanted = Vec::new();
    if rooms.len() <= ROOMS_MAX {
        let rooms: Vec<String> =
            rooms.iter().map(|room| format!("'#{}'", room.0.simple())).collect();
        wanted.push(format!("({})", rooms.join(" | ")));
    }
    wanted.extend(from.map(|user| format!("'@{}'", user.0.simple())));
    for term in terms.iter().filter(|term| !term.excluded) {
        let last = term.words.len().saturating_sub(1);
        let words = term.words.iter().enumerate();
        wanted.extend(words.map(|(nth, word)| in_any_case(word, term.prefix && nth == last)));
    }
    for term in terms.iter().filter(|term| term.excluded) {
        // Whether several words follow each other is seen in the message.
        if let [word] = term.words.as_slice() {
            wanted.push(format!("!{}", in_any_case(word, term.prefix)));
        }
    }
    (!wanted.is_empty()).then(|| wanted.join(" & "))
}

/// Writes a word. A database whose locale is C knows no case beyond ASCII, so the usual ones are
/// asked for.
fn in_any_case(word: &str, prefix: bool) -> String {
    let mut forms = BTreeSet::from([word.to_owned()]);
    if !word.is_ascii() {
        forms.insert(word.to_uppercase());
        let mut chars = word.chars();
        let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
        forms.insert(first + chars.as_str());
    }
    let star = if prefix { ":*" } else { "" };
    let forms: Vec<String> = forms.into_iter().map(|form| format!("'{form}'{star}")).collect();
    format!("({})", forms.join(" | "))
}

#[cfg(test)]
mod tests {
    use parlor_domain::search::Query;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn index_is_asked_for_words_only() {
        let query = Query::parse(r#"tea* "it's | (a" -milk -"x y" привет"#).unwrap();
        let rooms = [RoomId(Uuid::from_u128(1)), RoomId(Uuid::from_u128(2))];
        let user = UserId(Uuid::from_u128(3));
        assert_eq!(
            expression(&query.terms, Some(user), &rooms).unwrap(),
            "('#00000000000000000000000000000001' | '#00000000000000000000000000000002') \
             & '@00000000000000000000000000000003' & ('tea':*) & ('it') & ('s') & ('a') \
             & ('ПРИВЕТ' | 'Привет' | 'привет') & !('milk')"
        );
        assert_eq!(expression(&[], None, &[rooms[0]; ROOMS_MAX + 1]), None);
    }
}
