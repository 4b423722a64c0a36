//! What a model is shown of a room. Pure.
//!
//! The system message holds only what the operator and the bot's settings say. What members wrote
//! goes into user messages: what one member wrote begins with the name, further lines of it are
//! indented, so that no text can pose as somebody else's. The bot's own messages are the
//! assistant's; other bots are members like all others.

use parlor_llm::{ChatMessage, Role, estimate_tokens};
use parlor_protocol::message::{Message, MessageStatus};
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::UserRef;
use parlor_store::record::BotRecord;

use crate::prompt;

/// Tokens that one message costs besides its text.
const TOKENS_PER_MESSAGE: u32 = 4;
/// Stands where the middle of a message was left out.
const CUT_MARK: &str = " [... cut ...] ";
/// Longest name that is shown.
const NAME_MAX: usize = 32;

/// What a context is made from.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    /// The bot that is to answer.
    pub(crate) bot: &'a BotRecord,
    /// The message to answer.
    pub(crate) trigger: &'a Message,
    /// Messages of the room in ascending order; what does not belong is left out.
    pub(crate) history: &'a [Message],
    /// Now.
    pub(crate) now: Timestamp,
    /// How many tokens of the room's messages are shown.
    pub(crate) max_tokens: u32,
    /// Whether the model wants user and assistant to take turns, the user first.
    pub(crate) alternate: bool,
}

impl Context<'_> {
    /// Returns the conversation for the model: the system message, then as many of the newest
    /// messages up to the trigger as have room, and always the trigger.
    pub(crate) fn assemble(&self) -> Vec<ChatMessage> {
        let trigger = self.show_trigger();
        let mut left = self.max_tokens.saturating_sub(cost(&trigger));
        let mut shown = vec![trigger];
        let earlier = self.history.iter().rev().filter(|message| self.belongs(message));
        let others = usize::try_from(self.bot.context_messages).unwrap_or(usize::MAX);
        for message in earlier.take(others.saturating_sub(1)) {
            let message = self.show(message);
            let Some(rest) = left.checked_sub(cost(&message)) else { break };
            left = rest;
            shown.push(message);
        }
        shown.reverse();
        if self.alternate {
            shown = self.take_turns(shown);
        }
        let system = prompt::system_message(&self.bot.user.username, &self.bot.system_prompt);
        shown.insert(0, ChatMessage::new(Role::System, system));
        #[cfg(feature = "planted-bugs")]
        if parlor_domain::planted::is("prompt-of-all-rooms") {
            static LAST: std::sync::Mutex<Vec<ChatMessage>> = std::sync::Mutex::new(Vec::new());
            let mut last = LAST.lock().expect("nobody panics with it");
            let others = std::mem::replace(&mut *last, shown.clone());
            shown.splice(1..1, others);
        }
        shown
    }

    /// Joins what the same role said one after the other. A bot's own words at the beginning, whose
    /// question is not shown, become a member's.
    fn take_turns(&self, messages: Vec<ChatMessage>) -> Vec<ChatMessage> {
        let mut turns: Vec<ChatMessage> = Vec::with_capacity(messages.len());
        for mut message in messages {
            if turns.is_empty() && message.role == Role::Assistant {
                let said = speak(&self.bot.user, &message.content);
                message = ChatMessage::new(Role::User, said);
            }
            match turns.last_mut() {
                Some(last) if last.role == message.role => {
                    last.content.push('\n');
                    last.content.push_str(&message.content);
                }
                _ => turns.push(message),
            }
        }
        turns
    }

    /// Tells whether an earlier message is part of the conversation.
    fn belongs(&self, message: &Message) -> bool {
        let oldest = match i64::try_from(self.bot.memory_ttl_seconds) {
            Ok(0) | Err(_) => i64::MIN,
            Ok(seconds) => self.now.as_millis().saturating_sub(seconds.saturating_mul(1_000)),
        };
        let finished = match message.status {
            MessageStatus::Complete
            | MessageStatus::Completed
            | MessageStatus::Cancelled
            | MessageStatus::Interrupted => true,
            MessageStatus::Streaming | MessageStatus::Failed => false,
        };
        message.room == self.trigger.room
            && message.seq < self.trigger.seq
            && finished
            && message.redacted_at.is_none()
            && !message.body.trim().is_empty()
            && message.created_at.as_millis() >= oldest
    }

    fn show(&self, message: &Message) -> ChatMessage {
        if message.sender.id == self.bot.user.id {
            ChatMessage::new(Role::Assistant, message.body.clone())
        } else {
            ChatMessage::new(Role::User, speak(&message.sender, &message.body))
        }
    }

    /// Shows the trigger, without its middle if it is too long by itself.
    fn show_trigger(&self) -> ChatMessage {
        let sender = &self.trigger.sender;
        let body = &self.trigger.body;
        let shown = |kept| ChatMessage::new(Role::User, speak(sender, &cut_middle(body, kept)));
        let whole = ChatMessage::new(Role::User, speak(sender, body));
        if cost(&whole) <= self.max_tokens {
            return whole;
        }
        // The largest number of characters with room; what is shown grows with it.
        let (mut fits, mut exceeds) = (0, body.chars().count());
        while fits + 1 < exceeds {
            let middle = fits.midpoint(exceeds);
            if cost(&shown(middle)) <= self.max_tokens {
                fits = middle;
            } else {
                exceeds = middle;
            }
        }
        shown(fits)
    }
}

fn cost(message: &ChatMessage) -> u32 {
    estimate_tokens(&message.content).saturating_add(TOKENS_PER_MESSAGE)
}

/// Returns the text as the speech of one member.
fn speak(sender: &UserRef, body: &str) -> String {
    let mut text: String = sender
        .username
        .chars()
        .take(NAME_MAX)
        .map(|c| if c.is_alphanumeric() || matches!(c, '_' | '-' | '.') { c } else { '_' })
        .collect();
    text.push_str(": ");
    for (index, line) in body.split(is_line_break).enumerate() {
        if index > 0 {
            text.push_str("\n  ");
        }
        text.push_str(line);
    }
    text
}

/// Everything that some program shows as the end of a line.
fn is_line_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Keeps `kept` characters, half of them at each end.
fn cut_middle(text: &str, kept: usize) -> String {
    let tail = kept / 2;
    let head = kept - tail;
    let count = text.chars().count();
    let head = text.chars().take(head);
    let tail = text.chars().skip(count.saturating_sub(tail));
    head.chain(CUT_MARK.chars()).chain(tail).collect()
}

#[cfg(test)]
mod tests;
