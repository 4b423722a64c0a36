//! Searches, by a thread and a connection of their own.
//!
//! A search always makes progress: what the database hands out tells how far it looked, and where the
//! index of words takes all of the time before it hands out anything, messages are looked at one by
//! one.

pub(super) mod keeper;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parlor_domain::search::Term;
use parlor_protocol::id::{RoomId, UserId};
use rusqlite::{Connection, ErrorCode, Params, params};

use super::codec::{count, id};
use super::fault::{Fault, Outcome};
use super::open::OpenError;
use super::readers::Readers;
use super::sql::{members, search as sql};
use super::{SqliteStore, query, rows};
use crate::contract::Result as Answered;
use crate::search::{Candidate, Gathering, ROOMS_MAX, Search, SearchPage, SearchRequest, hit};

/// Searches that may wait for the one that runs.
const WAITING_MAX: usize = 64;

#[async_trait]
impl Search for SqliteStore {
    async fn search(&self, request: SearchRequest) -> Answered<SearchPage> {
        self.check_open()?;
        let deadline = Arc::clone(&self.searcher.deadline);
        self.searcher.thread.read(move |conn| search(conn, &request, &deadline)).await
    }
}

/// The thread that searches.
#[derive(Debug)]
pub(super) struct Searcher {
    thread: Readers,
    deadline: Arc<Deadline>,
}

impl Searcher {
    /// Starts the thread. `steps`: those of the database between two looks at the time.
    pub(super) fn start(mut conn: Connection, steps: i32) -> Result<Self, OpenError> {
        let deadline = Arc::new(Deadline::new());
        let clock = Arc::clone(&deadline);
        conn.progress_handler(steps, Some(move || clock.is_over()))
            .map_err(|error| OpenError::Database(Box::new(error)))?;
        Ok(Self { thread: Readers::start(vec![conn], WAITING_MAX)?, deadline })
    }

    /// Carries out what is queued and ends the thread.
    pub(super) async fn close(&self) {
        self.thread.close().await;
    }
}

/// When the index of words is given up.
#[derive(Debug)]
struct Deadline {
    start: Instant,
    /// Milliseconds after the start; the greatest: never.
    at: AtomicU64,
}

impl Deadline {
    fn new() -> Self {
        Self { start: Instant::now(), at: AtomicU64::new(u64::MAX) }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn set(&self, left: Option<Duration>) {
        let left = left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
        let at = left.map_or(u64::MAX, |left| self.now().saturating_add(left));
        self.at.store(at, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.now() >= self.at.load(Ordering::Relaxed)
    }
}

fn search(conn: &Connection, request: &SearchRequest, deadline: &Deadline) -> Outcome<SearchPage> {
    let rooms: Vec<RoomId> =
        query::list(conn, members::LIST_ROOMS_OF, [request.user.0.as_bytes()], |row| id(row, 0))?;
    let rooms = match request.room {
        Some(room) => rooms.into_iter().filter(|member| *member == room).collect(),
        None => rooms,
    };
    if rooms.is_empty() {
        return Ok(SearchPage { hits: Vec::new(), next: None });
    }
    let mut gathering = Gathering::new(request);
    let exhausted = gather(conn, request, &rooms, &mut gathering, deadline)?;
    let (answers, next) = gathering.choose(exhausted);
    let mut hits = Vec::with_capacity(answers.len());
    for answer in answers {
        let message = rows::find_message_at(conn, answer.room, answer.seq)?;
        hits.extend(message.and_then(|message| hit(&request.query, message)));
    }
    Ok(SearchPage { hits, next })
}

/// Takes candidates, newest first, and tells whether there was no further one.
fn gather(
    conn: &Connection,
    request: &SearchRequest,
    rooms: &[RoomId],
    gathering: &mut Gathering<'_>,
    deadline: &Deadline,
) -> Outcome<bool> {
    let ((low, high), (since, before)) = (request.places(), request.times());
    let (user, attached) = (request.user.0.as_bytes(), request.query.has_attachment);
    let room = request.room.as_ref().map(|room| room.0.as_bytes());
    let from = request.from.as_ref().map(|from| from.0.as_bytes());
    if let Some(wanted) = expression(&request.query.terms, request.from, rooms) {
        let params = params![user, low, high, since, before, attached, room, from, wanted];
        // Half of the time is for what follows.
        deadline.set(Some(request.time / 2));
        let found = take(conn, sql::SEARCH_WORDS, params, request, gathering, |gathering| {
            deadline.set(Some(gathering.left()));
        });
        deadline.set(None);
        match found {
            Err(fault) if is_interrupted(&fault) && gathering.has_begun() => return Ok(false),
            Err(fault) if is_interrupted(&fault) => {}
            found => return found,
        }
    }
    let params = params![user, low, high, since, before, attached, room, from];
    take(conn, sql::SEARCH_ALL, params, request, gathering, |_| ())
}

/// Takes the candidates that a statement finds.
fn take(
    conn: &Connection,
    statement: &str,
    params: impl Params,
    request: &SearchRequest,
    gathering: &mut Gathering<'_>,
    begun: impl FnOnce(&Gathering<'_>),
) -> Outcome<bool> {
    let mut statement = conn.prepare_cached(statement)?;
    let mut found = statement.query(params)?;
    let mut begun = Some(begun);
    while let Some(row) = found.next()? {
        if let Some(begun) = begun.take() {
            begun(gathering);
        }
        let place = row.get(0)?;
        let goes_on = match row.get(3)? {
            None => gathering.pass(place, 0),
            Some(body) => {
                let candidate = Candidate { place, room: id(row, 1)?, seq: count(row, 2)?, body };
                gathering.take(candidate.judge(&request.query))
            }
        };
        if !goes_on {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_interrupted(fault: &Fault) -> bool {
    matches!(fault, Fault::Sql(error)
        if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted))
}

/// Writes what the index is asked: words only, in quotes. `None`: everything.
fn expression(terms: &[Term], from: Option<UserId>, rooms: &[RoomId]) -> Option<String> {
    let mut wanted = Vec::new();
    if rooms.len() <= ROOMS_MAX {
        let rooms: Vec<String> =
            rooms.iter().map(|room| format!("\"#{}\"", room.0.simple())).collect();
        wanted.push(format!("({})", rooms.join(" OR ")));
    }
    wanted.extend(from.map(|user| format!("\"@{}\"", user.0.simple())));
    for term in terms.iter().filter(|term| !term.excluded) {
        let last = term.words.len().saturating_sub(1);
        wanted.extend(term.words.iter().enumerate().map(|(nth, word)| {
            let star = if term.prefix && nth == last { " *" } else { "" };
            format!("\"{word}\"{star}")
        }));
    }
    if wanted.is_empty() {
        return None;
    }
    let mut expression = wanted.join(" AND ");
    for term in terms.iter().filter(|term| term.excluded) {
        // Whether several words follow each other is seen in the message.
        if let [word] = term.words.as_slice() {
            let star = if term.prefix { " *" } else { "" };
            expression = format!("({expression}) NOT \"{word}\"{star}");
        }
    }
    Some(expression)
}

#[cfg(test)]
mod tests {
    use parlor_domain::search::Query;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn index_is_asked_for_words_only() {
        let query = Query::parse(r#"tea* "NEAR(a" -milk -"x y" OR"#).unwrap();
        let rooms = [RoomId(Uuid::from_u128(1)), RoomId(Uuid::from_u128(2))];
        let user = UserId(Uuid::from_u128(3));
        assert_eq!(
            expression(&query.terms, Some(user), &rooms).unwrap(),
            "((\"#00000000000000000000000000000001\" OR \"#00000000000000000000000000000002\") \
             AND \"@00000000000000000000000000000003\" AND \"tea\" * AND \"near\" AND \"a\" \
             AND \"or\") NOT \"milk\""
        );
        assert_eq!(expression(&[], None, &[rooms[0]; ROOMS_MAX + 1]), None);
    }
}
