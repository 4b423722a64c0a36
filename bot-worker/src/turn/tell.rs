//! What the room is told while a reply is being written. Signals: at most once, not stored.

use parlor_protocol::signal::{BotState, BotStatus, MessageDelta, Signal, SignalBody};
use parlor_store::QueuedJob;

use super::Turn;
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
    pub(super) fn tell_delta(&mut self) -> bool {
        let Some(delta) = self.draft.take_delta() else { return false };
        self.tell_piece(delta);
        true
    }

    /// Tells all that is left of the text, so that the pieces of this turn are the final text.
    pub(super) fn tell_rest(&mut self) {
        while self.tell_delta() {}
        if self.draft.chunk() == 0 && self.job.begun.is_some() {
            let delta = self.draft.empty_delta();
            self.tell_piece(delta);
        }
    }

    fn tell_piece(&self, Delta { chunk, text }: Delta) {
        let (message, turn) = (self.message, self.job.generation);
        self.tell(SignalBody::MessageDelta(MessageDelta { message, turn, chunk, text }));
    }

    fn tell(&self, body: SignalBody) {
        self.shared.bus.publish_signal(Signal { room: self.job.room, body });
    }
}
