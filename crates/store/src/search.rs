//! Searches: what is asked of a store, and how the answers of one page are chosen.
//!
//! Each backend keeps an index of words and hands out candidates, newest first. A candidate is an
//! answer if its text, as it is now, has what the query asks ([`parlor_domain::search`]). Answers are
//! ordered within a window: the newest [`WINDOW`] of them are ranked among themselves, then the next.
//! So the first page is well ordered, and however many messages there are, all are found by reading
//! on. The order within a window depends only on its messages, so new ones do not shift pages.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parlor_domain::search::{Found, Query, Snippet, find_in, snippet};
use parlor_protocol::id::{RoomId, UserId};
use parlor_protocol::message::{Message, MessageStatus};

use crate::contract::Result;

/// Answers that are ranked among themselves.
pub const WINDOW: usize = 1_000;
/// Most candidates that one call looks at.
pub const CANDIDATES_MAX: usize = 20_000;
/// Messages that are looked at between two looks at the clock, at most.
pub(crate) const SLICE: usize = 64;
/// Bytes of text of these, at most, or one message.
pub(crate) const SLICE_BYTES: usize = 256 * 1024;
/// Rooms that a search names to the index. With more of them, each candidate is looked at instead.
pub(crate) const ROOMS_MAX: usize = 256;
/// Places that share one millisecond.
pub(crate) const PLACES_PER_MS: i64 = 1 << 21;
/// The last millisecond that has places.
const LAST_MS: i64 = (1 << 42) - 1;
/// How much later the place of a message may be than its time says.
const PLACE_SLACK_MS: i64 = 11_000;

/// The place of a message among all that can be found, in the order of time.
pub type Place = i64;

/// Searching messages.
#[async_trait]
pub trait Search {
    /// Finds messages in the rooms that a user is a member of now.
    async fn search(&self, request: SearchRequest) -> Result<SearchPage>;
}

/// What to find.
#[derive(Debug, Clone)]
pub struct SearchRequest {
    /// Who asks.
    pub user: UserId,
    /// What is asked; `from` and `room` of it are resolved into the fields below.
    pub query: Query,
    /// Only messages of this user.
    pub from: Option<UserId>,
    /// Only messages of this room.
    pub room: Option<RoomId>,
    /// The window of the page before; the newest messages when absent.
    pub window: Option<SearchWindow>,
    /// Answers to return.
    pub limit: usize,
    /// How long to look.
    pub time: Duration,
}

/// A part of all messages, and how far it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchWindow {
    /// The first place that is newer.
    pub high: Place,
    /// The oldest place, once it is known.
    pub low: Option<Place>,
    /// The last answer that was returned: how good it was, and where.
    pub after: Option<(u32, Place)>,
}

/// One page of answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchPage {
    /// The answers, best first. A page may have fewer than were asked for, even none, although more
    /// follow.
    pub hits: Vec<SearchHit>,
    /// Where to read on; absent at the end.
    pub next: Option<SearchWindow>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchHit {
    /// The message as it is now.
    pub message: Message,
    /// What was found in it.
    pub found: Found,
    /// The part of its text to show.
    pub snippet: Snippet,
}

/// A message that may be an answer.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) place: Place,
    pub(crate) room: RoomId,
    pub(crate) seq: u64,
    pub(crate) body: String,
}

impl Candidate {
    /// Looks whether it is an answer.
    pub(crate) fn judge(&self, query: &Query) -> Judged {
        let Self { place, room, seq, .. } = *self;
        let found = find_in(query, &self.body);
        let answer = found.map(|found| Answer { score: found.score, place, room, seq });
        Judged { place, bytes: self.body.len(), answer }
    }
}

/// What became of a candidate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judged {
    pub(crate) place: Place,
    /// The length of its text.
    pub(crate) bytes: usize,
    pub(crate) answer: Option<Answer>,
}

/// An answer whose message is not read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) score: u32,
    pub(crate) place: Place,
    pub(crate) room: RoomId,
    pub(crate) seq: u64,
}

impl SearchRequest {
    /// Returns the places to look at: from the first to before the second.
    pub(crate) fn places(&self) -> (Place, Place) {
        let from = self.query.since.map_or(0, |at| first_place(at.as_millis()));
        let until = self
            .query
            .before
            .map_or(Place::MAX, |at| first_place(at.as_millis().saturating_add(PLACE_SLACK_MS)));
        let window =
            self.window.unwrap_or(SearchWindow { high: Place::MAX, low: None, after: None });
        (from.max(window.low.unwrap_or(0)), until.min(window.high))
    }

    /// Returns the times that are asked for, in milliseconds: from the first to before the second.
    pub(crate) fn times(&self) -> (i64, i64) {
        (
            self.query.since.map_or(i64::MIN, parlor_protocol::time::Timestamp::as_millis),
            self.query.before.map_or(i64::MAX, parlor_protocol::time::Timestamp::as_millis),
        )
    }
}

/// Returns the first place of a time.
pub(crate) fn first_place(millis: i64) -> Place {
    millis.clamp(0, LAST_MS) * PLACES_PER_MS
}

/// Gathers the answers of one window.
#[derive(Debug)]
pub(crate) struct Gathering<'a> {
    request: &'a SearchRequest,
    began: Instant,
    answers: Vec<Answer>,
    seen: usize,
    /// Messages, and bytes of them, since the last look at the clock.
    unclocked: (usize, usize),
    /// The oldest place that was looked at.
    last: Option<Place>,
}

impl<'a> Gathering<'a> {
    pub(crate) fn new(request: &'a SearchRequest) -> Self {
        let (began, unclocked) = (Instant::now(), (0, 0));
        Self { request, began, answers: Vec::new(), seen: 0, unclocked, last: None }
    }

    /// Takes a candidate, which is older than those before, and tells whether to go on.
    pub(crate) fn take(&mut self, candidate: Judged) -> bool {
        self.seen += 1;
        self.answers.extend(candidate.answer);
        let goes_on = if self.is_bounded() {
            // It was so long at most when its end was found.
            self.seen <= CANDIDATES_MAX
        } else {
            self.answers.len() < WINDOW && self.seen < CANDIDATES_MAX
        };
        self.pass(candidate.place, candidate.bytes) && goes_on
    }

    /// Notes that a message was looked at, and tells whether there is time to go on.
    pub(crate) fn pass(&mut self, place: Place, bytes: usize) -> bool {
        self.last = Some(place);
        let (count, sum) = self.unclocked;
        self.unclocked = (count + 1, sum.saturating_add(bytes));
        if self.unclocked.0 < SLICE && self.unclocked.1 < SLICE_BYTES {
            return true;
        }
        self.unclocked = (0, 0);
        !self.is_late()
    }

    /// Notes that there are no further candidates down to a place.
    pub(crate) const fn looked_down_to(&mut self, place: Place) {
        self.last = Some(place);
    }

    /// Tells whether the time is over.
    pub(crate) fn is_late(&self) -> bool {
        self.began.elapsed() >= self.request.time
    }

    /// Returns how much time is left.
    pub(crate) fn left(&self) -> Duration {
        self.request.time.saturating_sub(self.began.elapsed())
    }

    /// Tells whether anything was looked at.
    pub(crate) const fn has_begun(&self) -> bool {
        self.last.is_some()
    }

    fn is_bounded(&self) -> bool {
        self.request.window.is_some_and(|window| window.low.is_some())
    }

    /// Chooses the answers of the page. `exhausted`: there was no further candidate.
    pub(crate) fn choose(mut self, exhausted: bool) -> (Vec<Answer>, Option<SearchWindow>) {
        if self.is_bounded() && !exhausted {
            return self.choose_newest();
        }
        let (low, high) = self.request.places();
        // Where the window ends; `None`: nothing is older.
        let low = if self.is_bounded() {
            Some(low)
        } else if exhausted {
            None
        } else {
            self.last
        };
        self.answers.sort_unstable_by_key(|answer| Reverse((answer.score, answer.place)));
        self.leave_out_earlier();
        let more = self.answers.len() > self.request.limit;
        self.answers.truncate(self.request.limit);
        let next = match (more, self.answers.last(), low) {
            (true, Some(last), low) => {
                let after = Some((last.score, last.place));
                Some(SearchWindow { high, low: Some(low.unwrap_or(0)), after })
            }
            // The window is read; the next one begins below it.
            (_, _, Some(low)) if low > 0 => {
                Some(SearchWindow { high: low, low: None, after: None })
            }
            _ => None,
        };
        (self.answers, next)
    }

    /// Chooses the newest answers of a window that could not be read to its end in the time. The
    /// rest of the window follows, without those of the pages before: nothing is lost, only the order
    /// suffers.
    fn choose_newest(mut self) -> (Vec<Answer>, Option<SearchWindow>) {
        self.leave_out_earlier();
        let (low, high) = self.request.places();
        let rest = if self.answers.len() > self.request.limit {
            self.answers.truncate(self.request.limit);
            self.answers.last().map(|answer| answer.place)
        } else {
            self.last
        };
        self.answers.sort_unstable_by_key(|answer| Reverse((answer.score, answer.place)));
        let after = self.request.window.and_then(|window| window.after);
        let next = SearchWindow { high: rest.unwrap_or(high), low: Some(low), after };
        (self.answers, Some(next))
    }

    /// Leaves out the answers that pages before have returned.
    fn leave_out_earlier(&mut self) {
        if let Some(after) = self.request.window.and_then(|window| window.after) {
            self.answers.retain(|answer| (answer.score, answer.place) < after);
        }
    }
}

/// Makes an answer of a message as it is now, if it still is one.
pub(crate) fn hit(query: &Query, message: Message) -> Option<SearchHit> {
    if message.redacted_at.is_some()
        || message.status == MessageStatus::Streaming
        || query.has_attachment && message.attachments.is_empty()
    {
        return None;
    }
    let found = find_in(query, &message.body)?;
    let snippet = snippet(&message.body, &found.spans);
    Some(SearchHit { message, found, snippet })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    /// A search in a window that someone made up: everything.
    fn forged() -> SearchRequest {
        SearchRequest {
            user: UserId(Uuid::nil()),
            query: Query::parse("tea").unwrap(),
            from: None,
            room: None,
            window: Some(SearchWindow { high: Place::MAX, low: Some(0), after: None }),
            limit: 10,
            time: Duration::from_mins(1),
        }
    }

    fn candidate(place: Place) -> Judged {
        let body = "tea".to_owned();
        let candidate = Candidate { place, room: RoomId(Uuid::nil()), seq: 1, body };
        candidate.judge(&Query::parse("tea").unwrap())
    }

    #[test]
    fn clock_is_looked_at_after_so_many_messages_or_bytes() {
        let late = SearchRequest { time: Duration::ZERO, ..forged() };
        for (bytes, expected) in [(0, SLICE), (SLICE_BYTES / 4, 4), (SLICE_BYTES * 2, 1)] {
            let mut gathering = Gathering::new(&late);
            for _ in 0..2 {
                let ended = (1..=SLICE).find(|_| !gathering.pass(1, bytes));
                assert_eq!(ended, Some(expected), "{bytes} bytes each");
            }
        }
    }

    #[test]
    fn window_that_was_made_up_is_bounded() {
        let request = forged();
        let mut gathering = Gathering::new(&request);
        let mut places = (0..i64::MAX).rev();
        while gathering.take(candidate(places.next().unwrap())) {}
        assert_eq!(gathering.seen, CANDIDATES_MAX + 1);
    }

    #[test]
    fn window_that_is_not_read_to_its_end_goes_on_where_it_stopped() {
        let mut request = forged();
        let mut seen = Vec::new();
        // Each time only 25 places are looked at.
        while let Some(window) = request.window {
            let (low, high) = request.places();
            let mut gathering = Gathering::new(&request);
            let places: Vec<Place> = (low..high.min(33)).rev().collect();
            for place in places.iter().take(25) {
                assert!(gathering.take(candidate(*place)));
            }
            let (answers, next) = gathering.choose(places.len() <= 25);
            assert!(answers.len() <= request.limit);
            seen.extend(answers.iter().map(|answer| answer.place));
            assert_ne!(next, Some(window), "it goes on");
            request.window = next;
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..33).collect::<Vec<_>>());
    }
}
