//! One client that loses its connection and comes back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parlor_protocol::frame::{Frame, Subscribed};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Counts, ResumePlan, Stage};
use crate::accounts::Seat;
use crate::link::{BACKOFF, Link, LinkError, gone, jittered, number_after};
use crate::target::{BenchError, Target};

/// Longest wait of a client that is not told how long; before that it doubles each time.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// What every client needs.
#[derive(Debug, Clone)]
pub(super) struct Client {
    authority: Arc<str>,
    counts: Arc<Counts>,
    doors: Arc<Semaphore>,
    stage: watch::Receiver<Stage>,
    missed: u64,
    patience: Duration,
}

/// How it went for one client.
#[derive(Debug, Default)]
pub(super) struct Returned {
    /// Messages that it had missed and got.
    pub(super) arrived: u64,
    /// Messages that came again.
    pub(super) doubled: u64,
    /// Messages that came before one that was due.
    pub(super) out_of_order: u64,
    /// Times that it was told to come back later.
    pub(super) busy: u64,
    /// Times that its connection broke on the way.
    pub(super) broken: u64,
    /// Whether it was told to read the history instead.
    pub(super) resync: bool,
    /// From when everyone came back until it had everything.
    pub(super) complete_after: Option<Duration>,
}

/// Where a client is in a room's log.
#[derive(Debug, Clone)]
struct Position {
    epoch: String,
    seq: u64,
}

impl Client {
    pub(super) fn new(
        target: &Target,
        plan: &ResumePlan,
        counts: &Arc<Counts>,
        stage: &watch::Sender<Stage>,
    ) -> Self {
        Self {
            authority: target.authority().into(),
            counts: Arc::clone(counts),
            doors: Arc::new(Semaphore::new(plan.connecting.max(1))),
            stage: stage.subscribe(),
            missed: plan.missed as u64,
            patience: plan.patience,
        }
    }

    pub(super) async fn run(mut self, seat: Seat) -> Result<Returned, BenchError> {
        let (mut link, position) = self.follow(&seat).await?;
        self.counts.connected.fetch_add(1, Ordering::Relaxed);
        while *self.stage.borrow_and_update() == Stage::Follow {
            tokio::select! {
                biased;
                changed = self.stage.changed() => if changed.is_err() {
                    return Ok(Returned::default());
                },
                heard = link.receive(|_| {}) => heard.map_err(gone)?,
            }
        }
        link.cut();
        self.counts.cut.fetch_add(1, Ordering::Relaxed);
        let began = loop {
            if let Stage::Return(began) = *self.stage.borrow_and_update() {
                break began;
            }
            if self.stage.changed().await.is_err() {
                return Ok(Returned::default());
            }
        };
        let (returned, link) = self.come_back(&seat, position, began).await?;
        self.counts.complete.fetch_add(1, Ordering::Relaxed);
        // It stays until all are there: leaving would make the others' work easier.
        if let Some(mut link) = link {
            loop {
                tokio::select! {
                    biased;
                    changed = self.stage.changed() => if changed.is_err() {
                        break;
                    },
                    heard = link.receive(|_| {}) => heard.map_err(gone)?,
                }
            }
        }
        Ok(returned)
    }

    /// Connects for the first time, and returns where its room is.
    async fn follow(&self, seat: &Seat) -> Result<(Link, Position), BenchError> {
        let _door = self.doors.acquire().await;
        let link = Link::open_patiently(&self.authority, &seat.person.token).await;
        let mut link = link.map_err(gone)?;
        link.push(&format!(r#"{{"op":"subscribe","room":"{}"}}"#, seat.room));
        loop {
            let mut answer = None;
            link.receive(|text| answer = answer.take().or_else(|| subscribed(text)))
                .await
                .map_err(gone)?;
            if let Some(answer) = answer {
                let Subscribed { epoch, seq, .. } = *answer;
                return Ok((link, Position { epoch, seq }));
            }
        }
    }

    /// Comes back, and tries again until it has everything or its patience ends.
    async fn come_back(
        &self,
        seat: &Seat,
        mut position: Position,
        began: Instant,
    ) -> Result<(Returned, Option<Link>), BenchError> {
        let deadline = began + self.patience;
        let last = position.seq + self.missed;
        let mut returned = Returned::default();
        let mut pause = BACKOFF;
        loop {
            let attempt = self.attempt(seat, &mut position, last, &mut returned);
            let wait = match timeout_at(deadline, attempt).await {
                Ok(Ok(link)) => {
                    if position.seq == last {
                        returned.complete_after = Some(began.elapsed());
                    }
                    return Ok((returned, Some(link)));
                }
                Ok(Err(LinkError::Busy { retry_after })) => {
                    returned.busy += 1;
                    retry_after.unwrap_or(pause)
                }
                Ok(Err(LinkError::Refused(why))) => return Err(BenchError::Connection(why)),
                Ok(Err(LinkError::Closed(_) | LinkError::Broken(_))) => {
                    returned.broken += 1;
                    pause
                }
                Err(_) => break,
            };
            pause = (pause * 2).min(BACKOFF_MAX);
            sleep_until((Instant::now() + jittered(wait)).min(deadline)).await;
            if Instant::now() >= deadline {
                break;
            }
        }
        Ok((returned, None))
    }

    /// Connects and reads until it has everything.
    async fn attempt(
        &self,
        seat: &Seat,
        position: &mut Position,
        last: u64,
        returned: &mut Returned,
    ) -> Result<Link, LinkError> {
        let mut link = Link::open(&self.authority, &seat.person.token).await?;
        let Position { epoch, seq } = &*position;
        let room = seat.room;
        link.push(&format!(
            r#"{{"op":"subscribe","room":"{room}","since":{{"epoch":"{epoch}","seq":{seq}}}}}"#
        ));
        let mut drain = None;
        while position.seq < last && !returned.resync {
            link.receive(|text| match told(text) {
                Told::Event(seq) if seq == position.seq + 1 => {
                    position.seq = seq;
                    returned.arrived += 1;
                }
                Told::Event(seq) if seq <= position.seq => returned.doubled += 1,
                Told::Event(_) => returned.out_of_order += 1,
                Told::Resync => returned.resync = true,
                Told::Drain(wait) => drain = Some(wait),
                Told::Nothing => {}
            })
            .await?;
            if let Some(wait) = drain {
                return Err(LinkError::Busy { retry_after: Some(wait) });
            }
        }
        Ok(link)
    }
}

/// What a frame means to a client that comes back.
enum Told {
    Event(u64),
    Resync,
    Drain(Duration),
    Nothing,
}

fn told(text: &[u8]) -> Told {
    if text.starts_with(br#"{"op":"event""#) {
        return number_after(text, br#""seq":"#).map_or(Told::Nothing, Told::Event);
    }
    if text.starts_with(br#"{"op":"resync""#) {
        return Told::Resync;
    }
    if text.starts_with(br#"{"op":"drain""#) {
        let wait = number_after(text, br#""reconnect_in_ms":"#).unwrap_or_default();
        return Told::Drain(Duration::from_millis(wait));
    }
    Told::Nothing
}

fn subscribed(text: &[u8]) -> Option<Box<Subscribed>> {
    if !text.starts_with(br#"{"op":"subscribed""#) {
        return None;
    }
    match serde_json::from_slice(text) {
        Ok(Frame::Subscribed(subscribed)) => Some(subscribed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_say_where_a_client_is() {
        let event = br#"{"op":"event","room":"r","seq":17,"type":"message.created"}"#;
        assert!(matches!(told(event), Told::Event(17)));
        assert!(matches!(told(br#"{"op":"resync","room":"r","from":3}"#), Told::Resync));
        let drain = br#"{"op":"drain","reconnect_in_ms":1500}"#;
        assert!(matches!(told(drain), Told::Drain(wait) if wait == Duration::from_millis(1_500)));
        assert!(matches!(told(br#"{"op":"signal","seq":3}"#), Told::Nothing));
    }
}
