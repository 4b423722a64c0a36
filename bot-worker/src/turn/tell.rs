//! What the room is told while a reply is being written. Signals: at most once, not stored.

use parlor_protocol::signal::{BotState, BotStatus, MessageDelta, Signal, SignalBody};
use parlor_store::QueuedJob;

use super::{Halt, Turn};
use crate::draft::Delta;

impl Turn {
    /// Tells what the bot does.
    pub(super) fn tell_status(&self, state: BotState, detail: Option<String>) {
        self.tell(SignalBody::BotStatus(BotStatus {
            bot: self.job.bot.user.clone(),
            message: Some(self.message),
            state,
            position: None,
            detail,
        }));
    }

    /// Tells that the reply has called another bot.
    pub(super) fn tell_queued(&self, job: &QueuedJob) {
        self.tell(SignalBody::BotStatus(BotStatus {
            bot: job.bot.clone(),
            message: None,
            state: BotState::Queued,
            position: Some(job.position),
            detail: None,
        }));
    }

    /// Tells the next piece of the text; `false` when there is none.
    ///
    /// The lease is looked at for each piece: a process that was stalled finds text of its provider
    /// waiting before any of its timers has run.
    pub(super) fn tell_delta(&mut self) -> Result<bool, Halt> {
        if !self.holds() {
            return Err(Halt::Lost);
        }
        let Some(delta) = self.draft.take_delta() else { return Ok(false) };
        self.tell_piece(delta);
        Ok(true)
    }

    /// Tells all that is left of the text, so that the pieces of this turn are the final text.
    pub(super) fn tell_rest(&mut self) -> Result<(), Halt> {
        while self.tell_delta()? {}
        if self.draft.chunk() == 0 && self.job.begun.is_some() {
            self.tell_restart();
        }
        Ok(())
    }

    /// Tells that the reply begins anew: its first piece is empty, and clients drop the text of the
    /// turn before.
    pub(super) fn tell_restart(&mut self) {
        let delta = self.draft.empty_delta();
        self.tell_piece(delta);
    }

    fn tell_piece(&self, Delta { chunk, text }: Delta) {
        let (message, turn) = (self.message, self.job.generation);
        self.tell(SignalBody::MessageDelta(MessageDelta { message, turn, chunk, text }));
    }

    fn tell(&self, body: SignalBody) {
        if self.holds() {
            self.shared.bus.publish_signal(Signal { room: self.job.room, body });
        }
    }
}
