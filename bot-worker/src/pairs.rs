//! How often one bot has answered another, as the room's history tells. Pure.
//!
//! Nothing is remembered here: workers come and go, and the history is what they share.

use parlor_protocol::id::{MessageId, UserId};
use parlor_protocol::message::{Message, MessageStatus};
use parlor_protocol::time::Timestamp;

/// Returns the messages that the bot has answered since then. An answer that failed is none.
pub(crate) fn answers(messages: &[Message], bot: UserId, since: Timestamp) -> Vec<MessageId> {
    let own = messages.iter().filter(|message| {
        message.sender.id == bot
            && message.created_at >= since
            && message.status != MessageStatus::Failed
    });
    own.filter_map(|message| message.bot.as_ref()).map(|reply| reply.trigger).collect()
}

/// Returns who wrote a message, if it is among these.
pub(crate) fn author(messages: &[Message], id: MessageId) -> Option<UserId> {
    messages.iter().find(|message| message.id == id).map(|message| message.sender.id)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    /// A reply of bot 1 to the message `trigger`, or without one a message of that user.
    fn message(n: u128, sender: u128, trigger: Option<u128>, status: &str, at: &str) -> Message {
        let bot =
            trigger.map(|trigger| json!({"trigger": id(trigger), "provider": "", "model": ""}));
        serde_json::from_value(json!({
            "id": id(n), "room": id(99), "seq": 1, "body": "text", "status": status,
            "sender": {"id": id(sender), "username": "b", "display_name": "B", "kind": "bot"},
            "created_at": format!("2026-01-01T00:{at}Z"), "bot": bot,
        }))
        .unwrap()
    }

    #[test]
    fn answers_of_the_last_minute_are_found_with_whom_they_answer() {
        let messages = [
            message(10, 2, None, "completed", "00:00"),
            message(11, 1, Some(10), "completed", "00:01"),
            message(12, 1, Some(77), "streaming", "00:30"),
            message(13, 1, Some(10), "failed", "00:31"),
            message(14, 3, Some(10), "completed", "00:32"),
            message(15, 1, Some(14), "interrupted", "01:05"),
        ];
        let since = messages[2].created_at;

        let found = answers(&messages, UserId(id(1)), since);

        assert_eq!(found, [MessageId(id(77)), MessageId(id(14))]);
        assert_eq!(author(&messages, MessageId(id(14))), Some(UserId(id(3))));
        assert_eq!(author(&messages, MessageId(id(77))), None, "it is older than what was read");
    }
}
