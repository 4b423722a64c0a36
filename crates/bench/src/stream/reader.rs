//! One who reads: it joins the pieces of each reply and compares them with the whole.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parlor_protocol::event::EventBody;
use parlor_protocol::frame::Frame;
use tokio::sync::{Semaphore, watch};

use super::Shared;
use crate::accounts::Seat;
use crate::link::{Link, gone, number_after};
use crate::provider::times;
use crate::target::BenchError;

/// How a piece of a reply begins, as far as it can be told without reading it.
const SIGNAL: &[u8] = br#"{"op":"signal""#;
const DELTA: &[u8] = br#""type":"message.delta""#;
const EVENT: &[u8] = br#"{"op":"event""#;
const COMPLETED: &[u8] = br#""type":"message.completed""#;
const SUBSCRIBED: &[u8] = br#"{"op":"subscribed""#;

/// What one reader heard, over the whole run.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Replies that are complete.
    pub(super) completed: u64,
    /// Replies whose pieces, joined, are not their text.
    pub(super) torn: u64,
    /// Replies that were complete twice.
    pub(super) doubled_replies: u64,
    /// Pieces that came again.
    pub(super) doubled_deltas: u64,
    /// Pieces that came before one that was due.
    pub(super) out_of_order: u64,
    /// Replies that another turn began anew.
    pub(super) restarts: u64,
}

/// A reply that is being written.
#[derive(Debug, Default)]
struct Draft {
    turn: u64,
    chunk: u64,
    text: String,
}

/// Joins what is heard.
#[derive(Debug)]
pub(super) struct Reader {
    shared: Arc<Shared>,
    drafts: HashMap<String, Draft>,
    /// Replies that were complete.
    done: HashSet<String>,
    heard: Heard,
    is_connected: bool,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let heard = Heard::default();
        let (drafts, done) = (HashMap::new(), HashSet::new());
        Self { shared, drafts, done, heard, is_connected: false }
    }

    /// Reads until the measurement is over.
    pub(super) async fn run(
        mut self,
        authority: &str,
        seat: &Seat,
        doors: &Semaphore,
        mut calling: watch::Receiver<bool>,
    ) -> Result<Heard, BenchError> {
        let mut door = doors.acquire().await.ok();
        let mut link = Link::open_patiently(authority, &seat.person.token).await.map_err(gone)?;
        link.push(&format!(r#"{{"op":"subscribe","room":"{}"}}"#, seat.room));
        loop {
            tokio::select! {
                biased;
                heard = link.receive(|text| self.hear(text)) => heard.map_err(gone)?,
                changed = calling.changed() => if changed.is_err() {
                    return Ok(self.heard);
                },
            }
            if self.is_connected && door.is_some() {
                drop(door.take());
            }
        }
    }

    fn hear(&mut self, text: &[u8]) {
        let head = text.get(..160).unwrap_or(text);
        if text.starts_with(SIGNAL) && memchr::memmem::find(head, DELTA).is_some() {
            self.take_delta(text);
        } else if text.starts_with(EVENT) && memchr::memmem::find(text, COMPLETED).is_some() {
            self.complete(text);
        } else if !self.is_connected && text.starts_with(SUBSCRIBED) {
            self.is_connected = true;
            self.shared.connected.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn take_delta(&mut self, frame: &[u8]) {
        let Some(message) = text_after(frame, br#""message":""#) else { return };
        let number = |key| number_after(frame, key).unwrap_or_default();
        let (turn, chunk) = (number(br#""turn":"#), number(br#""chunk":"#));
        // Tokens of this provider need no escapes.
        let text = text_after(frame, br#""text":""#).unwrap_or_default();
        self.note_times(text);
        let draft = match self.drafts.get_mut(message) {
            Some(draft) => draft,
            None => self.drafts.entry(message.to_owned()).or_default(),
        };
        if turn > draft.turn {
            self.heard.restarts += u64::from(draft.turn > 0);
            *draft = Draft { turn, ..Draft::default() };
        }
        if chunk <= draft.chunk {
            self.heard.doubled_deltas += 1;
            return;
        }
        draft.chunk = chunk;
        draft.text.push_str(text);
    }

    /// Takes note of how long the tokens of a piece were under way.
    fn note_times(&self, text: &str) {
        if !self.shared.is_measured.load(Ordering::Relaxed) {
            return;
        }
        let now = self.shared.epoch.elapsed();
        let mut tokens = 0;
        for sent in times(text) {
            Shared::record(&self.shared.latency, now.saturating_sub(Duration::from_micros(sent)));
            tokens += 1;
        }
        self.shared.tokens.fetch_add(tokens, Ordering::Relaxed);
        self.shared.deltas.fetch_add(1, Ordering::Relaxed);
    }

    fn complete(&mut self, text: &[u8]) {
        let Ok(Frame::Event(event)) = serde_json::from_slice(text) else { return };
        let at = event.at;
        let EventBody::MessageCompleted(completed) = event.body else { return };
        let message = completed.message.to_string();
        let joined = self.drafts.remove(&message).unwrap_or_default().text;
        if !self.done.insert(message) {
            self.heard.doubled_replies += 1;
            return;
        }
        self.heard.completed += 1;
        self.shared.completed.fetch_add(1, Ordering::Relaxed);
        // The end of a kept text has no blank.
        self.heard.torn += u64::from(joined.trim_end() != completed.body.trim_end());
        if self.shared.is_measured.load(Ordering::Relaxed) {
            let late = Shared::now_ms().saturating_sub(at.as_millis());
            let late = Duration::from_millis(u64::try_from(late).unwrap_or_default());
            Shared::record(&self.shared.completion, late);
        }
    }
}

/// Returns the text from a key to the next quote.
fn text_after<'a>(frame: &'a [u8], key: &[u8]) -> Option<&'a str> {
    let start = memchr::memmem::find(frame, key)? + key.len();
    let rest = frame.get(start..)?;
    std::str::from_utf8(rest.get(..memchr::memchr(b'"', rest)?)?).ok()
}
