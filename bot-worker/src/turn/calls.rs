//! Calls to the store that are repeated until they succeed or the lease has ended.

use std::future::Future;
use std::time::Duration;

use parlor_protocol::event::Event;
use parlor_store::{Append, AppendRefused, Appended, Intent, StoreError};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Halt, Turn};

/// Waits between repetitions double from the first to the second.
const WAITS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Events that are searched for those of a reply whose commit was not confirmed.
const SEARCHED_EVENTS: u32 = 1_000;

type Answer = Result<Appended, AppendRefused>;

impl Turn {
    /// Repeats a call until the store answers, the lease ends, or the worker has to stop.
    pub(super) async fn keep_trying<T, C>(&self, call: impl Fn() -> C) -> Result<T, Halt>
    where
        C: Future<Output = Result<T, StoreError>>,
    {
        let mut wait = WAITS.0;
        loop {
            let error = match timeout_at(self.give_up_at(), call()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error,
                Err(_) => StoreError::Unavailable(None),
            };
            self.wait_for_store(&error, wait).await?;
            wait = (wait * 2).min(WAITS.1);
        }
    }

    /// Carries out an intent of the bot, repeated with the same ids.
    pub(super) async fn append(&self, intent: Intent) -> Result<Answer, Halt> {
        let append = Append {
            room: self.job.room,
            actor: self.job.bot.user.id,
            at: self.shared.now(),
            intent,
        };
        let mut wait = WAITS.0;
        let mut unconfirmed = false;
        loop {
            let call = self.shared.store.append(vec![append.clone()]);
            let error = match timeout_at(self.give_up_at(), call).await {
                Ok(Ok(mut answers)) => {
                    // One intent has one answer.
                    let answer = answers.pop().ok_or(Halt::Lost)?;
                    return if unconfirmed { self.confirm(answer).await } else { Ok(answer) };
                }
                Ok(Err(error)) => error,
                Err(_) => StoreError::UnknownOutcome,
            };
            unconfirmed |= matches!(error, StoreError::UnknownOutcome);
            self.wait_for_store(&error, wait).await?;
            wait = (wait * 2).min(WAITS.1);
        }
    }

    /// Returns when a call is not waited for any longer: it may hang, and another may not.
    fn give_up_at(&self) -> Instant {
        (Instant::now() + self.shared.config.lease / 3).min(self.held_until)
    }

    /// Waits before a call is repeated.
    async fn wait_for_store(&self, error: &StoreError, wait: Duration) -> Result<(), Halt> {
        if !self.holds() {
            return Err(Halt::Lost);
        }
        tracing::warn!(error = error as &dyn std::error::Error, "store failed during a turn");
        if matches!(error, StoreError::Inconsistent { .. }) {
            return Err(Halt::Lost);
        }
        tokio::select! {
            biased;
            () = self.tokens.abort.cancelled() => Err(Halt::Aborted),
            () = sleep_until((Instant::now() + wait).min(self.held_until)) => Ok(()),
        }
    }

    /// Finds what an attempt has committed whose answer was lost, so that the room can be told.
    async fn confirm(&self, answer: Answer) -> Result<Answer, Halt> {
        if matches!(answer, Ok(Appended::New { .. })) {
            return Ok(answer);
        }
        let (store, room) = (&self.shared.store, self.job.room);
        let Some(message) = self.keep_trying(|| store.find_message(room, self.message)).await?
        else {
            return Ok(answer);
        };
        let after = message.seq.saturating_sub(1);
        let mut events =
            self.keep_trying(|| store.read_events(room, after, SEARCHED_EVENTS)).await?;
        events.retain(|event: &Event| event.body.message() == Some(self.message));
        self.shared.bus.publish_events(events);
        Ok(answer)
    }
}
