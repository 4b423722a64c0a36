//! Messages of a file, with what belongs to each: older texts and reactions.

use std::collections::{HashMap, HashSet};

use parlor_domain::body::{BodyRefused, check_body};
use parlor_domain::naming::check_emoji;
use parlor_protocol::event::{
    EventBody, MessageEdited, MessageRedacted, PinChange, ReactionChange,
};
use parlor_protocol::id::{MessageId, UserId};
use parlor_protocol::limits::{PINS_MAX, VERSIONS_MAX};
use parlor_protocol::message::{BotReply, Message, MessageStatus, Pin};
use parlor_protocol::room_file::{
    FileBotReply, FileMessage, FileReaction, FileVersion, imported_id,
};
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::UserRef;
use parlor_store::record::ImportedReaction;

use super::reader::{Earlier, Reader, at_line};
use super::refuse;
use crate::refusal::{Outcome, Refusal};

/// Most different emojis on one message.
const EMOJIS_MAX: usize = 20;
/// Longest name of a provider or a model, in bytes.
const NAME_MAX: usize = 256;
/// Longest explanation of a failed reply, in bytes.
const DETAIL_MAX: usize = 4_096;

/// The message whose texts and reactions are being read.
#[derive(Debug)]
pub(super) struct Current {
    /// Its id in the file.
    file_id: MessageId,
    message: Message,
    /// Older texts, oldest first.
    versions: Vec<(String, Timestamp)>,
    /// Its position, once it was told.
    seq: Option<u64>,
    emojis: HashMap<String, HashSet<UserId>>,
}

impl Reader {
    pub(super) fn read_message(&mut self, number: u64, line: FileMessage) -> Outcome<()> {
        self.end_message();
        let most = self.node.config.limits.import_messages;
        if self.messages.len() >= most {
            let detail = format!(
                "is beyond the {most} messages that a file may have (limits.import_messages)"
            );
            return Err(refuse(number, "", "too_many", &detail));
        }
        if self.messages.contains_key(&line.id) {
            return Err(refuse(number, "id", "duplicate", "stands in the file already"));
        }
        if line.seq <= self.last_file_seq {
            return Err(refuse(number, "seq", "order", "is not after that of the message before"));
        }
        self.check_state(number, &line)?;
        for (field, at) in [
            ("created_at", Some(line.created_at)),
            ("edited_at", line.edited_at),
            ("redacted_at", line.redacted_at),
            ("pinned.at", line.pinned.as_ref().map(|pin| pin.at)),
        ] {
            at.map_or(Ok(()), |at| self.check_past(number, field, at))?;
        }
        let file_id = line.id;
        let (seq, attachments) = (line.seq, line.attachments.len() as u64);
        let message = self.to_message(number, line)?;
        self.messages.insert(file_id, Earlier { threaded: message.thread.is_some() });
        self.last_file_seq = seq;
        self.counts.messages += 1;
        self.attachments += attachments;
        let (versions, emojis) = (Vec::new(), HashMap::new());
        self.current = Some(Current { file_id, message, versions, seq: None, emojis });
        Ok(())
    }

    /// Refuses what no message can be.
    fn check_state(&mut self, number: u64, line: &FileMessage) -> Outcome<()> {
        let wrong = |field: &str, detail: &str| Err(refuse(number, field, "contradiction", detail));
        if line.status == MessageStatus::Streaming {
            return wrong("status", "is that of a reply which has not ended");
        }
        if line.bot.is_some() == (line.status == MessageStatus::Complete) {
            return wrong("status", "does not fit: `complete` is what people write, and only that");
        }
        if line.redacted_at.is_some() {
            let fields = [
                ("body", line.body.is_empty()),
                ("mentions", line.mentions.is_empty() && !line.mentions_room),
                ("pinned", line.pinned.is_none()),
            ];
            if let Some((field, _)) = fields.into_iter().find(|(_, is_empty)| !is_empty) {
                return wrong(field, "is there although the message was removed");
            }
        }
        if line.pinned.is_some() {
            self.pins += 1;
            if self.pins > PINS_MAX {
                let detail = format!("is beyond the {PINS_MAX} that a room may have");
                return Err(refuse(number, "pinned", "too_many", &detail));
            }
        }
        Ok(())
    }

    fn to_message(&self, number: u64, line: FileMessage) -> Outcome<Message> {
        let body = match line.body {
            // What was removed, a reply without a word, or a file without a caption, which may have
            // been left out by an import before.
            body if body.is_empty() => body,
            body => self.check_text(number, &body, line.status)?,
        };
        let mut mentions: Vec<UserRef> = Vec::with_capacity(line.mentions.len());
        let mut mentioned = HashSet::new();
        for (index, id) in line.mentions.into_iter().enumerate() {
            let field = format!("mentions[{index}]");
            let user = &self.person(number, &field, id)?.here;
            if !mentioned.insert(user.id) {
                return Err(refuse(number, &field, "duplicate", "is mentioned already"));
            }
            mentions.push(user.clone());
        }
        let pinned = match line.pinned {
            Some(pin) => {
                let by = self.person(number, "pinned.by", pin.by)?.here.clone();
                Some(Pin { by, at: pin.at })
            }
            None => None,
        };
        let (reply_to, thread) = (line.reply_to, line.thread);
        if let Some(root) = thread
            && self.earlier(number, "thread", root)?.threaded
        {
            return Err(refuse(number, "thread", "nested", "is in a thread itself"));
        }
        if let Some(answered) = reply_to {
            self.earlier(number, "reply_to", answered)?;
        }
        let bot = line.bot.map(|bot| self.to_bot_reply(number, bot)).transpose()?;
        if let Some(error) = &line.error {
            check_plain(number, "error.detail", &error.detail, DETAIL_MAX)?;
        }
        let id = |id: MessageId| imported_id(self.room.0, id);
        Ok(Message {
            id: id(line.id),
            room: self.room,
            seq: 0,
            sender: self.person(number, "author", line.author)?.here.clone(),
            client_id: None,
            body,
            status: line.status,
            reply_to: reply_to.map(id),
            thread: thread.map(id),
            created_at: line.created_at,
            edited_at: line.edited_at,
            redacted_at: line.redacted_at,
            reactions: Vec::new(),
            attachments: Vec::new(),
            mentions,
            mentions_room: line.mentions_room,
            emote: line.emote,
            edits: line.edits,
            replies: None,
            pinned,
            bot,
            usage: line.usage,
            error: line.error,
        })
    }

    fn to_bot_reply(&self, number: u64, bot: FileBotReply) -> Outcome<BotReply> {
        let FileBotReply { trigger, provider, model } = bot;
        self.earlier(number, "bot.trigger", trigger)?;
        check_plain(number, "bot.provider", &provider, NAME_MAX)?;
        check_plain(number, "bot.model", &model, NAME_MAX)?;
        Ok(BotReply { trigger: imported_id(self.room.0, trigger), provider, model })
    }

    fn earlier(&self, number: u64, field: &str, id: MessageId) -> Outcome<Earlier> {
        let unknown = || refuse(number, field, "unknown", "is no message of an earlier line");
        self.messages.get(&id).copied().ok_or_else(unknown)
    }

    fn check_text(&self, number: u64, text: &str, status: MessageStatus) -> Outcome<String> {
        let config = &self.node.config;
        // Replies of bots have a bound of their own.
        let max = match status {
            MessageStatus::Complete => config.limits.body.get(),
            _ => config.limits.body.get().max(config.bots.reply.get()),
        };
        check_body(text, max).map_err(|refused| {
            let code = match refused {
                BodyRefused::Blank => "blank",
                BodyRefused::TooLarge { .. } => "too_large",
                BodyRefused::Control(_) => "control_character",
            };
            refuse(number, "body", code, &format!("is refused: {refused}"))
        })
    }

    pub(super) fn read_version(&mut self, number: u64, line: FileVersion) -> Outcome<()> {
        let FileVersion { message, body, at } = line;
        self.check_past(number, "at", at)?;
        let body = match body {
            // The caption of a file came later.
            body if body.is_empty() => body,
            body => self.check_text(number, &body, MessageStatus::Complete)?,
        };
        let current = belonging(&mut self.current, number, message)?;
        let of = &current.message;
        let changed = of.status == MessageStatus::Complete && of.redacted_at.is_none();
        if !changed || current.seq.is_some() || current.versions.len() >= of.edits as usize {
            let detail = "is of a message that has no such older text, or stands after a reaction";
            return Err(refuse(number, "message", "contradiction", detail));
        }
        if current.versions.len() + 1 >= VERSIONS_MAX as usize {
            let detail = format!("is beyond the {VERSIONS_MAX} texts that a message keeps");
            return Err(refuse(number, "message", "too_many", &detail));
        }
        current.versions.push((body, at));
        self.counts.versions += 1;
        Ok(())
    }

    pub(super) fn read_reaction(&mut self, number: u64, line: FileReaction) -> Outcome<()> {
        let FileReaction { message, emoji, by, at } = line;
        self.check_past(number, "at", at)?;
        check_emoji(&emoji).map_err(|refused| at_line(number, Refusal::name("emoji", refused)))?;
        let user = self.person(number, "by", by)?.here.clone();
        let current = belonging(&mut self.current, number, message)?;
        let id = current.message.id;
        if !current.emojis.contains_key(&emoji) && current.emojis.len() >= EMOJIS_MAX {
            let detail = format!("is beyond the {EMOJIS_MAX} different ones of a message");
            return Err(refuse(number, "emoji", "too_many", &detail));
        }
        if !current.emojis.entry(emoji.clone()).or_default().insert(user.id) {
            return Err(refuse(number, "by", "duplicate", "has reacted so already"));
        }
        let message_seq = self.tell_message().unwrap_or_default();
        let change = ReactionChange { message: id, emoji: emoji.clone(), user: user.clone() };
        let seq = self.add_event(at, Some(user.clone()), EventBody::ReactionAdded(change));
        let made = ImportedReaction { message_seq, seq, emoji, user: user.id };
        self.part.reactions.push(made);
        self.counts.reactions += 1;
        Ok(())
    }

    /// Adds the message that is being read to the log, with its older texts, once.
    fn tell_message(&mut self) -> Option<u64> {
        let seq = self.next_seq();
        let current = self.current.as_mut()?;
        if let Some(told) = current.seq {
            return Some(told);
        }
        current.seq = Some(seq);
        current.message.seq = seq;
        let now = current.message.clone();
        let mut texts = std::mem::take(&mut current.versions);
        let (first, began_at) =
            texts.first().cloned().unwrap_or_else(|| (now.body.clone(), now.created_at));
        let is_edited = !texts.is_empty();
        let author = now.sender.clone();
        let created = Message {
            body: first,
            edited_at: None,
            redacted_at: None,
            mentions: if is_edited { Vec::new() } else { now.mentions.clone() },
            mentions_room: now.mentions_room && !is_edited,
            edits: 0,
            pinned: None,
            ..now.clone()
        };
        let created = EventBody::MessageCreated(Box::new(created));
        self.add_event(began_at, Some(author.clone()), created);
        if is_edited {
            texts.push((now.body.clone(), now.edited_at.unwrap_or(now.created_at)));
            let last = texts.len() - 1;
            for (index, (body, edited_at)) in texts.into_iter().enumerate().skip(1) {
                let is_last = index == last;
                let edited = MessageEdited {
                    message: now.id,
                    body,
                    edited_at,
                    mentions: if is_last { now.mentions.clone() } else { Vec::new() },
                    mentions_room: now.mentions_room && is_last,
                };
                let edited = EventBody::MessageEdited(edited);
                self.add_event(edited_at, Some(author.clone()), edited);
            }
        }
        self.part.messages.push(now);
        Some(seq)
    }

    /// Ends the message that is being read, if there is one.
    pub(super) fn end_message(&mut self) {
        self.tell_message();
        let Some(Current { message, .. }) = self.current.take() else { return };
        if let Some(Pin { by, at }) = message.pinned {
            let change = PinChange { message: message.id, user: by.clone() };
            self.add_event(at, Some(by), EventBody::MessagePinned(change));
        }
        if let Some(at) = message.redacted_at {
            let redacted = MessageRedacted { message: message.id };
            self.add_event(at, None, EventBody::MessageRedacted(redacted));
        }
    }
}

/// Returns the message that is being read, if it is the one that a line names.
fn belonging(
    current: &mut Option<Current>,
    number: u64,
    message: MessageId,
) -> Outcome<&mut Current> {
    let current = current.as_mut().filter(|current| current.file_id == message);
    current.ok_or_else(|| refuse(number, "message", "order", "is not the message before"))
}

/// Refuses what is no plain text.
fn check_plain(number: u64, field: &str, text: &str, max: usize) -> Outcome<()> {
    if text.len() > max {
        let detail = format!("has {} bytes and may have {max}", text.len());
        return Err(refuse(number, field, "length", &detail));
    }
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(refuse(number, field, "control_character", "holds a control character"));
    }
    Ok(())
}
