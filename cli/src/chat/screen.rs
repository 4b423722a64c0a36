//! What stands on the terminal. State only: text goes in as events, and comes out ready to write.
//!
//! One reply at a time is written token by token at the end of the screen. When something else has
//! to be said meanwhile, the line is ended and the reply goes on below. What was shown of a reply is
//! always the beginning of its final text, or the end says what the text is.

use std::collections::HashMap;
use std::time::Duration;

use parlor_client::{ClientError, StreamTracker, Streamed};
use parlor_protocol::event::{Event, EventBody, LeaveReason, MessageCompleted};
use parlor_protocol::frame::StreamingReply;
use parlor_protocol::id::MessageId;
use parlor_protocol::message::{Message, MessageStatus};
use parlor_protocol::signal::{BotState, Signal, SignalBody};
use parlor_protocol::user::UserRef;

use crate::plain;
use crate::render::Style;

/// The screen of one room.
#[derive(Debug)]
pub(super) struct Screen {
    style: Style,
    tracker: StreamTracker,
    replies: HashMap<MessageId, Reply>,
    /// The reply whose line is not ended yet.
    live: Option<MessageId>,
    /// What is to be written.
    text: String,
    disconnected: bool,
}

/// A reply that is being written.
#[derive(Debug, Default)]
struct Reply {
    author: Option<UserRef>,
    /// What of its text stands on the screen.
    shown: String,
    /// It was said that the bot thinks, or waits.
    announced: bool,
}

impl Screen {
    pub(super) fn new(style: Style) -> Self {
        Self {
            style,
            tracker: StreamTracker::new(),
            replies: HashMap::new(),
            live: None,
            text: String::new(),
            disconnected: false,
        }
    }

    /// Returns what is to be written now.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    /// Returns the replies that are being written.
    pub(super) fn writing(&self) -> impl Iterator<Item = MessageId> {
        self.tracker.open().map(|(id, _)| id)
    }

    /// Ends the line of a reply that is still being written.
    pub(super) fn end(&mut self) {
        self.end_line();
    }

    /// Says something that is not part of the talk.
    pub(super) fn note(&mut self, words: &str) {
        self.end_line();
        for line in plain::lines(words).lines() {
            let line = self.style.dim(&format!("* {line}"));
            self.text.push_str(&line);
            self.text.push('\n');
        }
    }

    /// Shows a message of the history.
    pub(super) fn past(&mut self, message: &Message) {
        self.tracker.created(message);
        if message.status == MessageStatus::Streaming {
            self.introduce(message);
        } else {
            let body = self.style.text(message);
            if message.emote {
                self.end_line();
                let name = self.style.name(&message.sender);
                self.text.extend(["* ", &name, " ", &body, "\n"]);
            } else {
                self.whole(&message.sender, &body);
            }
        }
    }

    /// Remembers who writes a reply.
    pub(super) fn introduce(&mut self, message: &Message) {
        self.replies.entry(message.id).or_default().author = Some(message.sender.clone());
    }

    /// Takes an event.
    pub(super) fn event(&mut self, event: &Event) {
        let actor = event.actor.as_ref().map_or("the server", |actor| actor.username.as_str());
        match &event.body {
            EventBody::MessageCreated(message) => self.past(message),
            EventBody::MessageCompleted(end) => self.completed(end),
            EventBody::MessageEdited(edit) => {
                let body = plain::body(&edit.body);
                self.note(&format!("{actor} changed a message to: {body}"));
            }
            EventBody::MessageRedacted(redacted) => {
                self.tracker.redacted(redacted.message);
                self.replies.remove(&redacted.message);
                self.note(&format!("{actor} removed a message"));
            }
            EventBody::MemberJoined(change) => {
                self.note(&format!("{} is here now", change.user.username));
            }
            EventBody::MemberLeft(change) => {
                let how = match change.reason {
                    Some(LeaveReason::Kicked) => "was removed",
                    Some(LeaveReason::Banned) => "was banned",
                    Some(LeaveReason::Deleted) => "is gone: the account was erased",
                    Some(LeaveReason::Left) | None => "left",
                };
                let why = change.reason_text.as_deref().map(plain::body);
                let why = why.map_or_else(String::new, |why| format!(": {why}"));
                self.note(&format!("{} {how}{why}", change.user.username));
            }
            EventBody::ReactionAdded(change) => {
                self.note(&format!("{} reacted with {}", change.user.username, change.emoji));
            }
            EventBody::RoomUpdated(room) => {
                self.note(&format!("{actor} changed the room: {} {}", room.name, room.topic));
            }
            EventBody::RoomArchived(room) => self.note(if room.archived {
                "the room is closed for new messages"
            } else {
                "the room is open again"
            }),
            EventBody::HistoryReset(_) => {
                self.clear();
                self.note(&format!("{actor} removed everything that was written before"));
            }
            EventBody::MemberUpdated(change) => {
                let UserRef { username, display_name, .. } = &change.user;
                self.note(&format!("someone is now called {display_name} (@{username})"));
            }
            EventBody::MessagePinned(_) => self.note(&format!("{actor} pinned a message")),
            EventBody::RoomCreated(_)
            | EventBody::MessageUnpinned(_)
            | EventBody::MemberRoleChanged(_)
            | EventBody::ReactionRemoved(_)
            | EventBody::Unknown(_) => {}
        }
    }

    /// Takes a signal. Returns true when a piece of a reply is missing.
    pub(super) fn signal(&mut self, signal: &Signal) -> bool {
        match &signal.body {
            SignalBody::MessageDelta(delta) => {
                let streamed = self.tracker.delta(delta);
                self.streamed(delta.message, streamed)
            }
            SignalBody::BotStatus(status) => {
                let Some(message) = status.message else { return false };
                let doing = match (status.state, status.position) {
                    (BotState::Queued, Some(position)) if position > 1 => {
                        format!("waits for its turn, number {position}")
                    }
                    (BotState::Thinking, _) => "is thinking".to_owned(),
                    _ => return false,
                };
                let Some(reply) = self.replies.get_mut(&message) else { return false };
                let said = std::mem::replace(&mut reply.announced, true);
                if !said && reply.shown.is_empty() {
                    self.note(&format!("{} {doing}", status.bot.username));
                }
                false
            }
            SignalBody::Typing(_)
            | SignalBody::Presence(_)
            | SignalBody::Receipt(_)
            | SignalBody::App(_) => false,
        }
    }

    /// Takes the texts so far. Returns the replies whose author is not known.
    pub(super) fn subscribed(&mut self, streaming: &[StreamingReply]) -> Vec<MessageId> {
        let mut unknown = Vec::new();
        for (id, streamed) in self.tracker.subscribed(streaming) {
            if streamed == Streamed::Nothing {
                continue;
            }
            if self.replies.get(&id).is_none_or(|reply| reply.author.is_none()) {
                self.replies.entry(id).or_default();
                unknown.push(id);
            } else {
                self.streamed(id, streamed);
            }
        }
        unknown
    }

    /// Shows the replies whose author had to be found out.
    pub(super) fn show_late(&mut self, replies: &[MessageId]) {
        for id in replies {
            if self.live.is_none() {
                self.resume(*id);
            }
        }
    }

    pub(super) fn connected(&mut self) {
        if std::mem::take(&mut self.disconnected) {
            self.note("connected again");
        }
    }

    pub(super) fn disconnected(&mut self, error: &ClientError, retry_in: Duration) {
        // The attempts after the first are not worth a line each.
        if !std::mem::replace(&mut self.disconnected, true) {
            let seconds = retry_in.as_secs_f32();
            self.note(&format!("{error}; trying again in {seconds:.1} s"));
        }
    }

    /// Forgets the replies that were being written.
    pub(super) fn clear(&mut self) {
        self.end_line();
        self.tracker.clear();
        self.replies.clear();
    }

    fn streamed(&mut self, id: MessageId, streamed: Streamed) -> bool {
        match streamed {
            Streamed::Nothing => false,
            Streamed::Lost => true,
            Streamed::Appended(text) => {
                if self.live == Some(id) {
                    self.text.push_str(&plain::body(&text));
                    self.replies.entry(id).or_default().shown.push_str(&text);
                } else if self.live.is_none() {
                    self.resume(id);
                }
                false
            }
            Streamed::Restarted(_) => {
                let reply = self.replies.entry(id).or_default();
                let shown = !std::mem::take(&mut reply.shown).is_empty();
                if self.live == Some(id) {
                    self.end_line();
                }
                if shown {
                    let who = self.author(id);
                    self.note(&format!("{who} begins again"));
                }
                if self.live.is_none() {
                    self.resume(id);
                }
                false
            }
        }
    }

    /// Makes a reply the live one and shows what of it is not on the screen.
    fn resume(&mut self, id: MessageId) {
        let Some((_, written)) = self.tracker.open().find(|(open, _)| *open == id) else { return };
        let text = written.text.clone();
        self.go_on(id, &text);
        self.live = Some(id);
    }

    /// Begins a line with a reply's author and the rest of its text.
    fn go_on(&mut self, id: MessageId, text: &str) {
        self.end_line();
        let name = self.name(id);
        let reply = self.replies.entry(id).or_default();
        let rest = text.strip_prefix(reply.shown.as_str());
        let (mark, rest) = match rest {
            Some(rest) if reply.shown.is_empty() => ("", rest),
            Some(rest) => ("… ", rest),
            // What stands above is not the beginning of the text, so all of it is shown.
            None => ("", text),
        };
        text.clone_into(&mut reply.shown);
        self.text.extend([&name, ": ", mark, &plain::body(rest)]);
    }

    fn completed(&mut self, end: &MessageCompleted) {
        self.tracker.completed(end);
        let detail = end.error.as_ref().map(|error| error.detail.as_str());
        let ending = self.style.ending(end.status, detail);
        let shown = self.replies.get(&end.message).map_or("", |reply| reply.shown.as_str());
        match end.body.strip_prefix(shown) {
            Some(rest) if self.live == Some(end.message) => {
                self.text.push_str(&plain::body(rest));
            }
            Some("") if !shown.is_empty() && ending.is_empty() => {
                // All of it stands above already.
                self.replies.remove(&end.message);
                return self.next_reply();
            }
            _ => self.go_on(end.message, &end.body),
        }
        self.text.push_str(&ending);
        self.text.push('\n');
        if self.live == Some(end.message) {
            self.live = None;
        }
        self.replies.remove(&end.message);
        self.next_reply();
    }

    /// Goes on with the oldest reply that has something to show.
    fn next_reply(&mut self) {
        if self.live.is_some() {
            return;
        }
        let next = self.tracker.open().find(|(id, written)| {
            let shown = self.replies.get(id).map_or("", |reply| reply.shown.as_str());
            written.text.len() > shown.len()
        });
        if let Some((id, _)) = next {
            self.resume(id);
        }
    }

    fn whole(&mut self, sender: &UserRef, text: &str) {
        self.end_line();
        let name = self.style.name(sender);
        self.text.extend([&name, ": ", text, "\n"]);
    }

    fn end_line(&mut self) {
        if self.live.take().is_some() {
            self.text.push('\n');
        }
    }

    fn author(&self, id: MessageId) -> String {
        let author = self.replies.get(&id).and_then(|reply| reply.author.as_ref());
        author.map_or_else(|| "bot".to_owned(), |author| author.username.clone())
    }

    fn name(&self, id: MessageId) -> String {
        let author = self.replies.get(&id).and_then(|reply| reply.author.as_ref());
        author.map_or_else(|| "bot".to_owned(), |author| self.style.name(author))
    }
}

#[cfg(test)]
mod tests;
