//! Searches, by a thread and a connection of their own.

pub(super) mod keeper;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parlor_domain::search::Term;
use parlor_protocol::id::{RoomId, UserId};
use rusqlite::{Connection, ErrorCode, params};

use super::codec::{count, id};
use super::fault::{Fault, Outcome};
use super::open::OpenError;
use super::readers::Readers;
use super::sql::{members, search as sql};
use super::{SqliteStore, query, rows};
use crate::contract::Result as Answered;
use crate::error::StoreError;
use crate::search::{Candidate, Gathering, ROOMS_MAX, Search, SearchPage, SearchRequest, hit};

/// Searches that may wait for the one that runs.
const WAITING_MAX: usize = 64;
/// Steps of the database between two looks at the time.
const STEPS: i32 = 10_000;

#[async_trait]
impl Search for SqliteStore {
    async fn search(&self, request: SearchRequest) -> Answered<SearchPage> {
        self.check_open()?;
        let deadline = Arc::clone(&self.searcher.deadline);
        let found = self.searcher.thread.read(move |conn| search(conn, &request, &deadline));
        found.await?.ok_or(StoreError::Overloaded)
    }
}

/// The thread that searches.
#[derive(Debug)]
pub(super) struct Searcher {
    thread: Readers,
    deadline: Arc<Deadline>,
}

impl Searcher {
    /// Starts the thread.
    pub(super) fn start(mut conn: Connection) -> Result<Self, OpenError> {
        let deadline = Arc::new(Deadline::new());
        let clock = Arc::clone(&deadline);
        conn.progress_handler(STEPS, Some(move || clock.is_over()))
            .map_err(|error| OpenError::Database(Box::new(error)))?;
        Ok(Self { thread: Readers::start(vec![conn], WAITING_MAX)?, deadline })
    }

    /// Carries out what is queued and ends the thread.
    pub(super) async fn close(&self) {
        self.thread.close().await;
    }
}

/// When the search that runs is given up.
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
        self.now() > self.at.load(Ordering::Relaxed)
    }
}

/// Searches; `None`: not even a beginning could be made in time.
fn search(
    conn: &Connection,
    request: &SearchRequest,
    deadline: &Deadline,
) -> Outcome<Option<SearchPage>> {
    let rooms: Vec<RoomId> =
        query::list(conn, members::LIST_ROOMS_OF, [request.user.0.as_bytes()], |row| id(row, 0))?;
    let rooms = match request.room {
        Some(room) => rooms.into_iter().filter(|member| *member == room).collect(),
        None => rooms,
    };
    if rooms.is_empty() {
        return Ok(Some(SearchPage { hits: Vec::new(), next: None }));
    }
    let mut gathering = Gathering::new(request);
    deadline.set(Some(request.time));
    let gathered = gather(conn, request, &rooms, &mut gathering);
    // What was found is read to the end.
    deadline.set(None);
    let exhausted = match gathered {
        Err(Fault::Sql(error))
            if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) =>
        {
            if !gathering.has_begun() {
                return Ok(None);
            }
            false
        }
        exhausted => exhausted?,
    };
    let (answers, next) = gathering.choose(exhausted);
    let mut hits = Vec::with_capacity(answers.len());
    for answer in answers {
        let message = rows::find_message_at(conn, answer.room, answer.seq)?;
        hits.extend(message.and_then(|message| hit(&request.query, message)));
    }
    Ok(Some(SearchPage { hits, next }))
}

/// Takes candidates, newest first, and tells whether there was no further one.
fn gather(
    conn: &Connection,
    request: &SearchRequest,
    rooms: &[RoomId],
    gathering: &mut Gathering<'_>,
) -> Outcome<bool> {
    let ((low, high), (since, before)) = (request.places(), request.times());
    let user = request.user.0.as_bytes();
    let attached = request.query.has_attachment;
    let wanted = expression(&request.query.terms, request.from, rooms);
    let statement = if wanted.is_some() { sql::SEARCH_WORDS } else { sql::SEARCH_ALL };
    let mut statement = conn.prepare_cached(statement)?;
    let mut found = match wanted {
        Some(wanted) => {
            statement.query(params![user, low, high, since, before, attached, wanted])?
        }
        None => statement.query(params![user, low, high, since, before, attached])?,
    };
    while let Some(row) = found.next()? {
        let candidate = Candidate {
            place: row.get(0)?,
            room: id(row, 1)?,
            seq: count(row, 2)?,
            body: row.get(3)?,
        };
        if !gathering.take(&candidate) {
            return Ok(false);
        }
    }
    Ok(true)
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
