//! The part of a turn before the provider speaks: may it be called, with what, and in which message?

use std::sync::Arc;

use parlor_llm::{ChatRequest, Provider};
use parlor_protocol::message::Message;
use parlor_protocol::user::UserKind;
use parlor_store::record::Window;
use parlor_store::{AppendRefused, Intent};

use super::{Halt, Turn};
use crate::context::Context;
use crate::ending::Stop;

/// Messages in one read of the history.
const PAGE: u32 = 200;

impl Turn {
    /// Returns the provider, or why it is not called.
    pub(super) fn admit(&self) -> Result<Arc<dyn Provider>, Stop> {
        let job = &self.job;
        if job.cancel_requested || self.tokens.cancel.is_cancelled() || is_gone(&job.trigger) {
            return Err(Stop::Cancelled);
        }
        if job.attempt > self.shared.config.max_attempts {
            return Err(Stop::WornOut);
        }
        let by_bot = job.trigger.sender.kind == UserKind::Bot;
        if by_bot
            && job.attempt <= 1
            && !self.shared.pairs.admit(job.trigger.sender.id, job.bot.user.id)
        {
            return Err(Stop::PairLimit);
        }
        self.provider.clone().ok_or(Stop::UnknownProvider)
    }

    /// Reads what the model is shown.
    pub(super) async fn read_context(
        &self,
        provider: &Arc<dyn Provider>,
    ) -> Result<ChatRequest, Halt> {
        let bot = &self.job.bot;
        let mut history: Vec<Message> = Vec::new();
        let mut before = self.job.trigger.seq.saturating_add(1);
        let mut wanted = bot.context_messages.max(1);
        while wanted > 0 {
            let limit = wanted.min(PAGE);
            let window = Window::Before(Some(before));
            let room = self.job.room;
            let store = &self.shared.store;
            let mut page = self.keep_trying(|| store.list_messages(room, window, limit)).await?;
            let Some(oldest) = page.first() else { break };
            before = oldest.seq;
            let read = u32::try_from(page.len()).unwrap_or(u32::MAX);
            page.append(&mut history);
            history = page;
            if read < limit {
                break;
            }
            wanted -= read.min(wanted);
        }
        // As it is now: it may have been edited or removed since it called the bot.
        let current = history.iter().find(|message| message.id == self.job.trigger.id);
        let trigger = current.unwrap_or(&self.job.trigger);
        if is_gone(trigger) {
            return Err(Halt::Stop(Stop::Cancelled));
        }
        let messages = Context {
            bot,
            trigger,
            history: &history,
            now: self.shared.now(),
            max_tokens: self.shared.config.context_tokens,
        }
        .assemble();
        Ok(ChatRequest {
            model: self.model(Some(provider)),
            messages,
            temperature: bot.temperature.or(self.shared.config.temperature),
            max_tokens: bot.max_tokens.or(self.shared.config.max_tokens),
        })
    }

    /// Makes the reply visible before the provider is called, or takes over what was begun.
    pub(super) async fn begin(&mut self, request: &ChatRequest) -> Result<(), Halt> {
        let intent = Intent::StartReply {
            job: self.job.id,
            generation: self.job.generation,
            message: self.message,
            provider: self.provider_name(),
            model: request.model.clone(),
        };
        match self.append(intent).await? {
            Ok(appended) => {
                self.tell_appended(appended);
                Ok(())
            }
            Err(AppendRefused::StaleGeneration) => Err(Halt::Lost),
            Err(_) => Err(Halt::Stop(Stop::Refused)),
        }
    }
}

fn is_gone(trigger: &Message) -> bool {
    trigger.redacted_at.is_some()
}
