//! Telling webhooks what happens in rooms.
//!
//! The log of the room is the queue: a webhook has a cursor, and whoever holds the right to tell it
//! reads on from there. The right is a lease in the store, so at most one node tells a webhook, and
//! when that node dies another goes on. Each event is delivered at least once and in order; one that
//! fails is tried again, later and later, before it is given up and kept apart. What is sent is read
//! at that moment, so a text that was removed is not sent any more.
//!
//! A turn ends after so many events or so much time, and the store gives the next one to whom it is
//! owed, so a slow receiver is told slowly and keeps nobody else waiting.

use std::sync::Arc;
use std::time::Duration;

use parlor_protocol::event::Event;
use parlor_protocol::frame::Frame;
use parlor_protocol::id::{RoomId, UserId, WebhookId};
use parlor_protocol::room::RoomKind;
use parlor_store::StoreError;
use parlor_store::record::{ClaimedWebhook, WebhookProgress, WebhookRecord};
use rand::Rng as _;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::node::Node;
use crate::outgoing::{Call, Failed, Outgoing};
use crate::refusal::{Outcome, Refusal};

/// Events in one read.
const PAGE: u32 = 50;
/// Events before another webhook gets its turn.
const TURN: usize = 200;
/// Events that were given up and are kept, for each webhook.
const DEAD_LETTERS_MAX: u32 = 100;

/// What is posted.
#[derive(Debug, Serialize)]
struct Payload<'a> {
    webhook: WebhookId,
    room: RoomName<'a>,
    event: &'a Frame,
}

#[derive(Debug, Serialize)]
struct RoomName<'a> {
    id: RoomId,
    slug: &'a str,
    name: &'a str,
    kind: RoomKind,
}

/// Tells webhooks for as long as the node runs.
pub(crate) async fn run(node: Arc<Node>) {
    let config = &node.config.webhooks;
    let draining = node.lifecycle.draining();
    let mut turns = JoinSet::new();
    while !draining.is_cancelled() {
        while turns.try_join_next().is_some() {}
        if turns.len() < config.concurrency {
            match node.store.claim_webhook(config.lease).await {
                Ok(Some(claimed)) => {
                    let turn = Turn { node: Arc::clone(&node), claimed, begun: Instant::now() };
                    turns.spawn(turn.take());
                    continue;
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "no webhook could be claimed"),
            }
        }
        // Not all nodes at the same moment.
        let pause = config.poll.mul_f32(rand::rng().random_range(0.8..1.2));
        let full = turns.len() >= config.concurrency;
        tokio::select! {
            biased;
            () = draining.cancelled() => {}
            Some(_) = turns.join_next(), if full => {}
            () = sleep(pause) => {}
        }
    }
    // Each ends after the event that it is at.
    while turns.join_next().await.is_some() {}
}

/// The right to tell one webhook, while it is used.
struct Turn {
    node: Arc<Node>,
    claimed: ClaimedWebhook,
    begun: Instant,
}

/// Whether a turn goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Event,
    Over,
}

impl Turn {
    async fn take(mut self) {
        let webhook = self.claimed.webhook.id;
        if let Err(error) = self.tell_all().await {
            // The lease ends by itself.
            tracing::warn!(webhook.id = %webhook, %error, "a webhook could not be told");
        }
    }

    async fn tell_all(&mut self) -> Result<(), StoreError> {
        let mut told = 0;
        loop {
            let webhook = &self.claimed.webhook;
            let (room, after) = (webhook.room, webhook.cursor);
            // First: what is committed after this is left for the next read.
            let Some(head) = self.node.store.find_head(room).await? else { return Ok(()) };
            let events = self.node.store.read_events(room, after, PAGE).await?;
            let Some(last) = events.last().map(|event| event.seq) else {
                // What was there is gone with a reset.
                self.settle(WebhookProgress::Passed { seq: head.seq }).await?;
                return self.settle(WebhookProgress::Released).await.map(drop);
            };
            for event in &events {
                if wants(&self.claimed.webhook, event) {
                    // Read again: since the page was read it may have been redacted or reset.
                    let events = self.node.store.read_events(room, event.seq - 1, 1).await?;
                    if let Some(now) = events.first().filter(|now| now.seq == event.seq)
                        && self.tell(now).await? == Next::Over
                    {
                        return Ok(());
                    }
                }
                told += 1;
                if self.node.lifecycle.draining().is_cancelled() || self.cuts(told) {
                    self.settle(WebhookProgress::Passed { seq: event.seq }).await?;
                    return self.settle(WebhookProgress::Released).await.map(drop);
                }
            }
            if !self.settle(WebhookProgress::Passed { seq: last }).await? {
                return Ok(());
            }
            self.claimed.webhook.cursor = last;
        }
    }

    /// Tells whether it is time for others, and counts that.
    fn cuts(&self, told: usize) -> bool {
        let is_late = self.begun.elapsed() >= self.node.config.webhooks.turn;
        if !is_late && told < TURN {
            return false;
        }
        let bound = if is_late { "time" } else { "events" };
        self.node.metrics.programs.turns_cut.with_label_values(&[bound]).inc();
        true
    }

    /// Delivers one event, or notes why not.
    async fn tell(&mut self, event: &Event) -> Result<Next, StoreError> {
        let timer = self.node.metrics.programs.duration.start_timer();
        let came = deliver(&self.node, &self.claimed.webhook, event).await;
        timer.observe_duration();
        let (at, seq) = (self.node.now(), event.seq);
        let failed = match came {
            Ok(()) => {
                self.count("delivered");
                let held = self.settle(WebhookProgress::Delivered { seq, at }).await?;
                let webhook = &mut self.claimed.webhook;
                (webhook.attempts, webhook.failing_since) = (0, None);
                return Ok(if held { Next::Event } else { Next::Over });
            }
            Err(failed) => failed,
        };
        self.note_failure(seq, failed).await
    }

    /// Notes that an event could not be delivered: it is tried again, given up, or the last.
    async fn note_failure(&mut self, seq: u64, failed: Failed) -> Result<Next, StoreError> {
        let (at, config) = (self.node.now(), self.node.config.webhooks.clone());
        let webhook = &mut self.claimed.webhook;
        let since = *webhook.failing_since.get_or_insert(at);
        let attempts = webhook.attempts;
        let failing = at.as_millis().saturating_sub(since.as_millis());
        let too_long =
            u128::try_from(failing).is_ok_and(|ms| ms >= config.disable_after.as_millis());
        if failed.is_gone || too_long {
            let reason = if failed.is_gone {
                "the receiver says that it is gone".to_owned()
            } else {
                format!("nothing could be delivered since {since}: {}", failed.outcome)
            };
            tracing::warn!(webhook.id = %webhook.id, "a webhook was switched off");
            self.count("disabled");
            self.settle(WebhookProgress::Disabled { at, reason }).await?;
            return Ok(Next::Over);
        }
        let Failed { outcome, retry_after, .. } = failed;
        if attempts + 1 >= config.attempts {
            webhook.attempts = 0;
            self.count("given_up");
            let keep = DEAD_LETTERS_MAX;
            let held = self.settle(WebhookProgress::GivenUp { seq, at, outcome, keep }).await?;
            return Ok(if held { Next::Event } else { Next::Over });
        }
        let wait = backoff(config.retry_after, config.retry_after_max, attempts);
        let delay = retry_after.map_or(wait, |asked| asked.max(wait).min(config.retry_after_max));
        self.count("failed");
        self.settle(WebhookProgress::Failed { at, outcome, delay }).await?;
        Ok(Next::Over)
    }

    async fn settle(&self, progress: WebhookProgress) -> Result<bool, StoreError> {
        let ClaimedWebhook { webhook, generation } = &self.claimed;
        let lease = self.node.config.webhooks.lease;
        self.node.store.settle_webhook(webhook.id, *generation, progress, lease).await
    }

    fn count(&self, outcome: &str) {
        self.node.metrics.programs.deliveries.with_label_values(&[outcome]).inc();
    }
}

/// Returns the wait before the next attempt: twice as long each time, and not the same for all.
fn backoff(first: Duration, longest: Duration, attempts: u32) -> Duration {
    let doubled = first.saturating_mul(2_u32.saturating_pow(attempts.min(30))).min(longest);
    doubled.mul_f32(rand::rng().random_range(0.5..1.0))
}

fn wants(webhook: &WebhookRecord, event: &Event) -> bool {
    let kind = event.body.kind();
    webhook.events.is_empty() || webhook.events.iter().any(|wanted| wanted == kind)
}

/// Posts one event.
async fn deliver(node: &Node, webhook: &WebhookRecord, event: &Event) -> Result<(), Failed> {
    let failed =
        |outcome: &str| Failed { outcome: outcome.to_owned(), is_gone: false, retry_after: None };
    // As nobody in particular sees it.
    let nobody = UserId(uuid::Uuid::nil());
    let room = node.find_room(&webhook.room.into(), nobody).await;
    let room = room.map_err(|_| failed("room not available"))?.room;
    let frame = Frame::Event(Box::new(event.clone()));
    let payload = Payload {
        webhook: webhook.id,
        room: RoomName { id: room.id, slug: &room.slug, name: &room.name, kind: room.kind },
        event: &frame,
    };
    let body = serde_json::to_vec(&payload).map_err(|_| failed("not encodable"))?;
    let id = format!("{}.{}", webhook.id, event.seq);
    let call = Call {
        url: &webhook.url,
        salt: &webhook.salt,
        id: &id,
        event: event.body.kind(),
        at: node.now(),
        body: &body,
        timeout: node.config.webhooks.timeout,
    };
    node.outgoing.tell(call).await
}

/// Delivers an event that was given up once more, out of turn. `None` when it is not there any more.
pub(crate) async fn redeliver(
    node: &Node,
    webhook: &WebhookRecord,
    seq: u64,
) -> Outcome<Option<Result<(), String>>> {
    let after = seq.saturating_sub(1);
    let events = node.store.read_events(webhook.room, after, 1).await.map_err(Refusal::from)?;
    let Some(event) = events.into_iter().find(|event| event.seq == seq) else { return Ok(None) };
    let Some(called) = node.outgoing.enter() else {
        return Err(Outgoing::too_many());
    };
    let came = deliver(node, webhook, &event).await.map_err(|failed| failed.outcome);
    drop(called);
    let outcome = if came.is_ok() { "redelivered" } else { "failed" };
    node.metrics.programs.deliveries.with_label_values(&[outcome]).inc();
    if came.is_ok() {
        node.store.delete_dead_letter(webhook.id, seq).await?;
    }
    Ok(Some(came))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_differ() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_mins(1));
        for (attempts, most) in [(0, 1), (1, 2), (5, 32), (6, 60), (60, 60)] {
            let wait = backoff(first, longest, attempts);
            let most = Duration::from_secs(most);
            assert!(wait <= most && wait >= most / 2, "{attempts}: {wait:?}");
        }
    }
}
