//! What goes on beside the logins: one room, one who writes at a fixed rate, and those who read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::accounts::{Crowd, Seat};
use crate::link::{Link, gone, number_after};
use crate::measurement::DeliveryCheck;
use crate::pace::Pace;
use crate::spread::{Spread, spread};
use crate::summary::Latency;
use crate::target::{BenchError, Target};

/// How long the readers may take to connect.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long the last messages are awaited.
const LAST: Duration = Duration::from_secs(5);
/// In front of the time at which a message was due, in microseconds.
const DUE: &[u8] = br#""due":"#;

/// A fan-out that goes on until it is stopped.
#[derive(Debug)]
pub(super) struct Background {
    clients: Spread<()>,
    counts: Arc<Counts>,
    readers: u64,
    running: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Counts {
    ready: AtomicU64,
    sent: AtomicU64,
    heard: AtomicU64,
    latency: Mutex<Latency>,
}

/// What each client of it needs.
#[derive(Debug, Clone)]
struct Client {
    authority: Arc<str>,
    counts: Arc<Counts>,
    running: watch::Receiver<bool>,
    /// From when times are told.
    epoch: Instant,
    rate: f64,
    filling: Arc<str>,
}

enum Role {
    Reader(Seat),
    Writer(Seat),
}

impl Background {
    /// Connects so many readers of the first room and a writer, and begins.
    pub(super) async fn start(
        target: &Target,
        crowd: &Crowd,
        readers: usize,
        rate: f64,
        payload: usize,
    ) -> Result<Self, BenchError> {
        let counts = Arc::new(Counts::default());
        let (running, watching) = watch::channel(false);
        let client = Client {
            authority: target.authority().into(),
            counts: Arc::clone(&counts),
            running: watching,
            epoch: Instant::now(),
            rate,
            filling: "x".repeat(payload).into(),
        };
        let mut roles: Vec<Role> =
            (0..readers).map(|seat| Role::Reader(crowd.seat(seat))).collect();
        roles.push(Role::Writer(crowd.writer(0)));
        // One thread: nobody else may be late because of this.
        let clients = spread(1, roles, move |role| {
            let client = client.clone();
            async move {
                match role {
                    Role::Reader(seat) => client.read(seat).await,
                    Role::Writer(seat) => client.write(seat).await,
                }
            }
        })?;
        let readers = readers as u64;
        let all = || counts.ready.load(Ordering::Relaxed) == readers + 1;
        if !clients.until(PATIENCE, all).await? {
            return Err(BenchError::Connection("the readers are not connected".to_owned()));
        }
        running.send_replace(true);
        Ok(Self { clients, counts, readers, running })
    }

    /// Lets time pass.
    pub(super) async fn pass(&self, time: Duration) -> Result<(), BenchError> {
        self.clients.pass(time).await
    }

    /// Returns the latencies since the last lap.
    pub(super) fn lap(&self) -> Latency {
        let mut latency = self.counts.latency.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *latency)
    }

    /// Ends it, and tells whether everything arrived.
    pub(super) async fn stop(self) -> Result<DeliveryCheck, BenchError> {
        self.running.send_replace(false);
        let counts = &self.counts;
        let expected = || counts.sent.load(Ordering::Relaxed) * self.readers;
        let heard = || counts.heard.load(Ordering::Relaxed);
        self.clients.until(LAST, || heard() >= expected()).await?;
        let (expected, heard) = (expected(), heard());
        let published = counts.sent.load(Ordering::Relaxed);
        drop(self.running);
        self.clients.join().await?;
        Ok(DeliveryCheck {
            published,
            expected,
            arrived: heard.min(expected),
            lost: expected.saturating_sub(heard),
            doubled: heard.saturating_sub(expected),
            ..DeliveryCheck::default()
        })
    }
}

impl Client {
    async fn read(mut self, seat: Seat) -> Result<(), BenchError> {
        let mut link = self.open(&seat).await?;
        link.push(&format!(r#"{{"op":"subscribe","room":"{}"}}"#, seat.room));
        let mut is_ready = false;
        loop {
            let counts = &self.counts;
            let hear = |text: &[u8]| {
                if text.starts_with(br#"{"op":"signal""#)
                    && let Some(due) = number_after(text, DUE)
                {
                    let late = self.epoch.elapsed().saturating_sub(Duration::from_micros(due));
                    counts.latency.lock().unwrap_or_else(PoisonError::into_inner).record(late);
                    counts.heard.fetch_add(1, Ordering::Relaxed);
                } else if text.starts_with(br#"{"op":"subscribed""#) && !is_ready {
                    is_ready = true;
                    counts.ready.fetch_add(1, Ordering::Relaxed);
                }
            };
            tokio::select! {
                biased;
                heard = link.receive(hear) => heard.map_err(gone)?,
                changed = self.running.changed() => if changed.is_err() {
                    return Ok(());
                },
            }
        }
    }

    async fn write(mut self, seat: Seat) -> Result<(), BenchError> {
        let mut link = self.open(&seat).await?;
        self.counts.ready.fetch_add(1, Ordering::Relaxed);
        if self.running.wait_for(|running| *running).await.is_err() {
            return Ok(());
        }
        let mut pace = Pace::new(Instant::now(), self.rate);
        let mut refused = None;
        loop {
            while let Some(due) = pace.take(Instant::now()) {
                let due = due.saturating_duration_since(self.epoch).as_micros();
                let (room, filling) = (seat.room, &self.filling);
                link.push(&format!(
                    r#"{{"op":"signal","room":"{room}","data":{{"due":{due},"filling":"{filling}"}}}}"#
                ));
                self.counts.sent.fetch_add(1, Ordering::Relaxed);
            }
            link.flush().await.map_err(|error| gone(error.into()))?;
            let hear = |text: &[u8]| {
                if text.starts_with(br#"{"op":"error""#) {
                    refused = Some(String::from_utf8_lossy(text).into_owned());
                }
            };
            tokio::select! {
                biased;
                changed = self.running.changed() => {
                    if changed.is_err() || !*self.running.borrow() {
                        break;
                    }
                }
                () = sleep_until(pace.next_due()) => {}
                heard = link.receive(hear) => heard.map_err(gone)?,
            }
            if let Some(refused) = refused {
                return Err(BenchError::Command(refused));
            }
        }
        // It stays until the others go, so that what it sent is not cut off.
        while self.running.changed().await.is_ok() {}
        Ok(())
    }

    async fn open(&self, seat: &Seat) -> Result<Link, BenchError> {
        Link::open_patiently(&self.authority, &seat.person.token).await.map_err(gone)
    }
}
