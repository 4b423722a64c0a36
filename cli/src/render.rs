//! How messages and states are written for people.

use parlor_protocol::message::{Attachment, Message, MessageStatus};
use parlor_protocol::room::{NotificationLevel, Role, RoomKind};
use parlor_protocol::user::{PresenceStatus, UserRef};

use crate::plain;

pub(crate) fn kind_name(kind: RoomKind) -> &'static str {
    match kind {
        RoomKind::Public => "public",
        RoomKind::Private => "private",
        RoomKind::Direct => "direct",
    }
}

pub(crate) fn level_name(level: NotificationLevel) -> &'static str {
    match level {
        NotificationLevel::All => "all",
        NotificationLevel::Mentions => "mentions",
        NotificationLevel::None => "none",
    }
}

pub(crate) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::Moderator => "moderator",
        Role::Owner => "owner",
    }
}

pub(crate) fn status_name(status: PresenceStatus) -> &'static str {
    match status {
        PresenceStatus::Online => "online",
        PresenceStatus::Idle => "idle",
        PresenceStatus::Offline => "offline",
    }
}

/// Writes with or without colors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) color: bool,
}

impl Style {
    /// Returns a name in the color that is always this participant's.
    pub(crate) fn name(self, user: &UserRef) -> String {
        // Without red, which is for errors, and without those that are hard to read on white.
        const COLORS: [&str; 5] = ["32", "34", "35", "36", "33"];
        let sum =
            user.username.bytes().fold(7_usize, |sum, byte| sum * 31 % 1_009 + usize::from(byte));
        self.paint(COLORS[sum % COLORS.len()], &plain::line(&user.username))
    }

    /// Returns text that is not part of the talk.
    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Returns a message as one entry, with its time.
    pub(crate) fn message(self, message: &Message) -> String {
        let time = self.dim(&format!("{} #{}", message.created_at, message.seq));
        let name = self.name(&message.sender);
        if message.emote {
            return format!("{time} * {name} {}\n", self.text(message));
        }
        format!("{time} {name}: {}\n", self.text(message))
    }

    /// Returns a message's text, what became of it, and its attachments with the ids to get them by.
    pub(crate) fn text(self, message: &Message) -> String {
        if message.redacted_at.is_some() {
            return self.dim("(removed)");
        }
        // Models like to end with empty lines.
        let body = plain::body(message.body.trim_end());
        let detail = message.error.as_ref().map(|error| error.detail.as_str());
        let ending = self.ending(message.status, detail);
        let edited =
            if message.edited_at.is_some() { self.dim(" (edited)") } else { String::new() };
        let mut text = format!("{body}{edited}{ending}");
        for attachment in &message.attachments {
            let Attachment { id, name, bytes, .. } = attachment;
            if !text.is_empty() {
                text.push_str("\n  ");
            }
            text.push_str(&self.dim(&format!("[{}, {bytes} bytes, {id}]", plain::line(name))));
        }
        text
    }

    /// Returns what is to be said about how a reply ended.
    pub(crate) fn ending(self, status: MessageStatus, detail: Option<&str>) -> String {
        let detail = detail.map(|detail| format!(": {}", plain::line(detail))).unwrap_or_default();
        match status {
            MessageStatus::Complete | MessageStatus::Completed => String::new(),
            MessageStatus::Streaming => self.dim(" (still writing)"),
            MessageStatus::Cancelled => self.dim(" (stopped)"),
            MessageStatus::Failed => self.dim(&format!(" (failed{detail})")),
            MessageStatus::Interrupted => self.dim(&format!(" (interrupted{detail})")),
        }
    }
}

#[cfg(test)]
pub(crate) mod samples {
    use super::*;

    /// Returns a message by someone.
    pub(crate) fn message(id: u128, sender: &str, body: &str, status: &str) -> Message {
        let id = uuid::Uuid::from_u128(id);
        serde_json::from_value(serde_json::json!({
            "id": id, "room": id, "seq": 1, "body": body, "status": status,
            "sender": {"id": id, "username": sender, "display_name": sender, "kind": "user"},
            "created_at": "2026-01-01T00:00:00Z"
        }))
        .unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::samples::message;
    use super::*;

    #[test]
    fn hostile_name_and_body_are_harmless() {
        let style = Style { color: false };
        let text =
            style.message(&message(1, "e\u{1b}[2Jve", "a\u{1b}]0;x\u{7}\nada: b", "complete"));
        assert_eq!(
            text,
            "2026-01-01T00:00:00.000Z #1 e\u{fffd}[2Jve: a\u{fffd}]0;x\u{fffd}\n  ada: b\n"
        );
    }

    #[test]
    fn what_someone_does_reads_as_a_sentence() {
        let style = Style { color: false };
        let mut waves = message(1, "ada", "waves", "complete");
        waves.emote = true;
        assert_eq!(style.message(&waves), "2026-01-01T00:00:00.000Z #1 * ada waves\n");
    }

    #[test]
    fn attachments_are_named_with_their_ids() {
        let id = uuid::Uuid::from_u128(7);
        let attachment: Attachment = serde_json::from_value(serde_json::json!({
            "id": id, "name": "a\u{1b}[2J\nb.png", "media_type": "image/png", "bytes": 9,
        }))
        .unwrap();
        let mut sends = message(1, "ada", "look", "complete");
        sends.attachments = vec![attachment; 2];
        let file = format!("[a\u{fffd}[2J b.png, 9 bytes, {id}]");
        let style = Style { color: false };
        assert_eq!(style.text(&sends), format!("look\n  {file}\n  {file}"));
        sends.body.clear();
        assert_eq!(style.text(&sends), format!("{file}\n  {file}"));
    }

    #[test]
    fn ending_of_a_reply_is_said() {
        let style = Style { color: false };
        assert_eq!(style.text(&message(1, "guide", "half", "cancelled")), "half (stopped)");
        assert_eq!(style.ending(MessageStatus::Failed, Some("no model")), " (failed: no model)");
    }

    #[test]
    fn color_of_a_name_is_always_the_same_and_can_be_off() {
        let user = message(1, "ada", "", "complete").sender;
        let colored = Style { color: true };
        assert_eq!(colored.name(&user), colored.name(&user));
        assert!(colored.name(&user).starts_with("\x1b["));
        assert_eq!(Style { color: false }.name(&user), "ada");
    }
}
