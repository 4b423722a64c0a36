//! One room of a run: its history, and what everyone in it shares.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use parlor_testkit::{
    history::{History, canary},
    process::User,
};
use tokio::time::Instant;

use crate::{journal::Journal, report::Counts};

/// A room that actors are in.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) slug: String,
    pub(crate) id: String,
    pub(crate) canary: String,
    pub(crate) journal: Arc<Journal>,
    pub(crate) counts: Arc<Counts>,
    history: Mutex<History>,
    /// When each message was sent for the first time.
    sent: Mutex<HashMap<String, Instant>>,
    /// When each delivery came, and how long after the sending.
    delivered: Mutex<Vec<(Instant, Duration)>>,
}

impl Room {
    /// Makes a room with the bot `guide` in it.
    pub(crate) async fn create(
        owner: &User,
        slug: &str,
        journal: &Arc<Journal>,
        counts: &Arc<Counts>,
    ) -> Arc<Self> {
        let id = owner.create_room(slug, &["guide"]).await.id.to_string();
        let canary = canary(&format!("{slug}-{}", id.rsplit('-').next().unwrap_or_default()));
        let history = History::new().with_lost_signals().with_canary(&canary);
        Arc::new(Self {
            slug: slug.to_owned(),
            id,
            canary,
            journal: Arc::clone(journal),
            counts: Arc::clone(counts),
            history: Mutex::new(history),
            sent: Mutex::default(),
            delivered: Mutex::default(),
        })
    }

    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap()
    }

    /// Takes the history to its end.
    pub(crate) fn take_history(&self) -> History {
        std::mem::take(&mut *self.history())
    }

    pub(crate) fn sent(&self, client_id: &str) {
        self.sent.lock().unwrap().entry(client_id.to_owned()).or_insert_with(Instant::now);
    }

    pub(crate) fn delivered(&self, client_id: &str) {
        if let Some(sent) = self.sent.lock().unwrap().get(client_id) {
            self.delivered.lock().unwrap().push((Instant::now(), sent.elapsed()));
        }
    }

    /// Returns how long deliveries took that came in a time, shortest first.
    pub(crate) fn delays(&self, from: Instant, to: Instant) -> Vec<Duration> {
        let delivered = self.delivered.lock().unwrap();
        let within = delivered.iter().filter(|(at, _)| *at >= from && *at < to);
        let mut delays: Vec<_> = within.map(|(_, delay)| *delay).collect();
        delays.sort_unstable();
        delays
    }
}

/// Returns the value that a share of sorted values does not exceed.
pub(crate) fn percentile(sorted: &[Duration], share: f64) -> Duration {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a list"
    )]
    let place = (sorted.len() as f64 * share) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}
