//! The part of a turn before the provider speaks: may it be called, with what, and in which message?

use std::sync::Arc;

use parlor_llm::{ChatRequest, Provider, ProviderKind};
use parlor_protocol::message::Message;
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::UserKind;
use parlor_store::record::Window;
use parlor_store::{AppendRefused, Intent};

use super::{Halt, Turn};
use crate::context::Context;
use crate::ending::Stop;
use crate::pairs;

/// Messages in one read of the history.
const PAGE: u32 = 200;
/// The time in which the answers of one bot to another are counted.
const PAIR_WINDOW_MS: i64 = 60_000;
/// Reads of the history for it. A room that writes more in a minute is not looked through further.
const PAIR_PAGES_MAX: u32 = 5;

impl Turn {
    /// Returns the provider, or why it is not called.
    pub(super) async fn admit(&self) -> Result<Arc<dyn Provider>, Halt> {
        let job = &self.job;
        if job.cancel_requested || self.tokens.cancel.is_cancelled() || is_gone(&job.trigger) {
            return Err(Halt::Stop(Stop::Cancelled));
        }
        if job.attempt > self.shared.config.max_attempts {
            return Err(Halt::Stop(Stop::WornOut));
        }
        let by_bot = job.trigger.sender.kind == UserKind::Bot;
        if by_bot && job.begun.is_none() && self.count_answers().await? >= self.pair_limit() {
            return Err(Halt::Stop(Stop::PairLimit));
        }
        self.provider.clone().ok_or(Halt::Stop(Stop::UnknownProvider))
    }

    fn pair_limit(&self) -> usize {
        usize::try_from(self.shared.config.pair_limit_per_minute).unwrap_or(usize::MAX)
    }

    /// Counts how often the bot has answered the author of the trigger in the last minute, whichever
    /// workers wrote it. It is exact, because a bot has one job of a room at a time.
    async fn count_answers(&self) -> Result<usize, Halt> {
        let (store, room) = (&self.shared.store, self.job.room);
        let now = self.shared.now().as_millis();
        let since = Timestamp::from_millis(now.saturating_sub(PAIR_WINDOW_MS));
        let mut read: Vec<Message> = Vec::new();
        let mut before = None;
        for _ in 0..PAIR_PAGES_MAX {
            let window = Window::Before(before);
            let page = self.keep_trying(|| store.list_messages(room, window, PAGE)).await?;
            let Some(oldest) = page.first() else { break };
            before = Some(oldest.seq);
            let done = page.len() < PAGE as usize || oldest.created_at < since;
            read.extend(page);
            if done {
                break;
            }
        }
        let answers = pairs::answers(&read, self.job.bot.user.id, since);
        let mut count = 0;
        for answered in answers {
            let asker = match pairs::author(&read, answered) {
                Some(asker) => Some(asker),
                None => self
                    .keep_trying(|| store.find_message(room, answered))
                    .await?
                    .map(|message| message.sender.id),
            };
            count += usize::from(asker == Some(self.job.trigger.sender.id));
        }
        Ok(count)
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
            // The demo reads the last message only.
            alternate: provider.kind() != ProviderKind::Demo,
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
                if self.job.begun.is_some() {
                    self.tell_restart();
                }
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
