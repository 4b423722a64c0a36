//! One client of the measurement: it connects, follows its room, and takes part in the burst.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep_until};

use super::{Counts, MARK, Place, Stage};
use crate::address::Address;
use crate::dialect::{Broken, Dialect, Greeting, Incoming, Reader};
use crate::link::{Link, gone};
use crate::measurement::as_float;
use crate::target::BenchError;

/// What every client needs.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) address: Arc<Address>,
    pub(super) dialect: Arc<dyn Dialect>,
    pub(super) counts: Arc<Counts>,
    pub(super) doors: Arc<Semaphore>,
    pub(super) payload: Arc<str>,
    /// Between the first message of the burst and the last.
    pub(super) burst: Duration,
    pub(super) clients: usize,
    pub(super) stage: watch::Receiver<Stage>,
}

impl Client {
    pub(super) async fn run(mut self, number: usize, place: Place) -> Result<(), BenchError> {
        // Held until the server has let this client in.
        let doors = Arc::clone(&self.doors);
        let mut door = doors.acquire().await.ok();
        let mut link = Link::dial(&self.address.authority).await.map_err(broken)?;
        let greeting = Greeting {
            authority: &self.address.authority,
            path: &self.address.path,
            token: &place.token,
            number,
        };
        self.dialect.open(&greeting, &mut link.out);
        let mut reader = self.dialect.reader();
        let mut due = None;
        loop {
            link.flush().await.map_err(broken)?;
            tokio::select! {
                biased;
                changed = self.stage.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    due = self.due(number).filter(|_| place.writes);
                    continue;
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    due = None;
                    let payload = self.payload.as_bytes();
                    self.dialect.publish(&place.room, 0, payload, &mut link.out);
                    continue;
                }
                filled = link.fill() => filled.map_err(broken)?,
            }
            let heard = self.hear(&mut link, &mut *reader)?;
            if heard.opened {
                self.dialect.join(&place.room, &mut link.out);
            }
            if heard.joined {
                self.counts.connected.fetch_add(1, Ordering::Relaxed);
                drop(door.take());
            }
        }
    }

    /// Returns when it has its part in the burst, if there is one now.
    fn due(&mut self, number: usize) -> Option<Instant> {
        let Stage::Burst(began) = *self.stage.borrow_and_update() else { return None };
        let part = as_float(number as u64) / as_float(self.clients.max(1) as u64);
        Some(began + self.burst.mul_f64(part))
    }

    fn hear(&self, link: &mut Link, reader: &mut dyn Reader) -> Result<Heard, BenchError> {
        let (mut heard, mut failed) = (Heard::default(), None);
        link.take(|bytes, out| {
            reader.take(bytes, out, &mut |incoming| match incoming {
                Incoming::Opened => heard.opened = true,
                Incoming::Joined => heard.joined = true,
                Incoming::Message(bytes) => {
                    let messages = count(bytes, MARK.as_bytes());
                    self.counts.heard.fetch_add(messages, Ordering::Relaxed);
                }
                Incoming::Accepted(_) => {}
                Incoming::Refused { code, .. } => failed = Some(code.to_owned()),
                Incoming::Closed(code) => failed = Some(format!("close {code}")),
            })
        })
        .map_err(|Broken(why)| BenchError::Connection(why))?;
        failed.map_or(Ok(heard), |why| Err(BenchError::Command(why)))
    }
}

/// What a client has heard that it acts upon.
#[derive(Debug, Default)]
struct Heard {
    opened: bool,
    joined: bool,
}

fn broken(error: io::Error) -> BenchError {
    gone(error.into())
}

/// Counts how often a pattern occurs.
fn count(bytes: &[u8], pattern: &[u8]) -> u64 {
    memchr::memmem::find_iter(bytes, pattern).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_arrive_together_are_counted_one_by_one() {
        assert_eq!(count(b"burst-xx burst-xx", MARK.as_bytes()), 2);
        assert_eq!(count(b"burs", MARK.as_bytes()), 0);
    }
}
