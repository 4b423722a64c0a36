//! Messages, history and export.

use parlor_protocol::http::{Cancelled, EditMessageRequest, Page, PublishAndReply, PublishRequest};
use parlor_protocol::id::MessageId;
use parlor_protocol::message::Message;
use parlor_protocol::time::Timestamp;
use reqwest::Method;

use super::{ByteStream, Call, Http};
use crate::error::ClientError;

/// Which messages to list. Without bounds: the newest page. Of all but `thread` and `limit` one at most
/// may be given.
#[derive(Debug, Clone, Default)]
pub struct MessageQuery {
    /// Only messages before this position; the newest of them.
    pub before: Option<u64>,
    /// Only messages after this position; the oldest of them.
    pub after: Option<u64>,
    /// Messages to skip, counted from the newest.
    pub offset: Option<u64>,
    /// Half of the page before this position, the other half from it on.
    pub around: Option<u64>,
    /// The same around the first message of this time or later.
    pub at: Option<Timestamp>,
    /// Only messages of the thread of this one, without its root; goes with `before` and `after`.
    pub thread: Option<MessageId>,
    /// Where the page starts: `next` of the page before.
    pub cursor: Option<String>,
    /// Items in the page.
    pub limit: Option<u32>,
}

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// One JSON object in each line.
    Jsonl,
    /// One JSON array.
    Json,
    /// Text for people.
    Markdown,
}

impl ExportFormat {
    /// Returns the name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Json => "json",
            Self::Markdown => "markdown",
        }
    }
}

impl Http {
    /// Returns one page of a room's messages, oldest first.
    pub async fn messages(
        &self,
        room: &str,
        query: &MessageQuery,
    ) -> Result<Page<Message>, ClientError> {
        let call = Call::v1(Method::GET, &["rooms", room, "messages"])
            .query_if("before", query.before)
            .query_if("after", query.after)
            .query_if("offset", query.offset)
            .query_if("around", query.around)
            .query_if("at", query.at.map(|at| at.to_string()))
            .query_if("thread", query.thread.map(|thread| thread.to_string()))
            .query_if("cursor", query.cursor.as_deref())
            .query_if("limit", query.limit);
        self.page(call).await
    }

    /// Writes a message. With a `client_id` it can be repeated without writing twice.
    pub async fn publish(
        &self,
        room: &str,
        request: &PublishRequest,
    ) -> Result<Message, ClientError> {
        self.json(Call::v1(Method::POST, &["rooms", room, "messages"]).body(request)?).await
    }

    /// Writes a message and waits for the bot's whole reply.
    pub async fn publish_and_wait(
        &self,
        room: &str,
        request: &PublishRequest,
    ) -> Result<PublishAndReply, ClientError> {
        let mut call = Call::v1(Method::POST, &["rooms", room, "messages"])
            .query("wait", "reply")
            .body(request)?;
        call.timeout = Some(self.config().reply_timeout);
        self.json(call).await
    }

    /// Changes the text of a message.
    pub async fn edit_message(
        &self,
        room: &str,
        message: MessageId,
        body: &str,
    ) -> Result<Message, ClientError> {
        let id = message.to_string();
        let call = Call::v1(Method::PATCH, &["rooms", room, "messages", &id]);
        self.json(call.body(&EditMessageRequest { body: body.to_owned() })?).await
    }

    /// Removes the text of a message.
    pub async fn redact_message(&self, room: &str, message: MessageId) -> Result<(), ClientError> {
        let id = message.to_string();
        self.empty(Call::v1(Method::DELETE, &["rooms", room, "messages", &id])).await
    }

    /// Reacts to a message.
    pub async fn add_reaction(
        &self,
        room: &str,
        message: MessageId,
        emoji: &str,
    ) -> Result<(), ClientError> {
        self.reaction(Method::PUT, room, message, emoji).await
    }

    /// Takes a reaction back.
    pub async fn remove_reaction(
        &self,
        room: &str,
        message: MessageId,
        emoji: &str,
    ) -> Result<(), ClientError> {
        self.reaction(Method::DELETE, room, message, emoji).await
    }

    async fn reaction(
        &self,
        method: Method,
        room: &str,
        message: MessageId,
        emoji: &str,
    ) -> Result<(), ClientError> {
        let id = message.to_string();
        self.empty(Call::v1(method, &["rooms", room, "messages", &id, "reactions", emoji])).await
    }

    /// Stops a bot's reply.
    pub async fn cancel_reply(
        &self,
        room: &str,
        message: MessageId,
    ) -> Result<Cancelled, ClientError> {
        let id = message.to_string();
        self.json(Call::v1(Method::POST, &["rooms", room, "messages", &id, "cancel"])).await
    }

    /// Removes everything that was written in a room, for everyone.
    pub async fn reset_history(&self, room: &str) -> Result<(), ClientError> {
        self.empty(Call::v1(Method::DELETE, &["rooms", room, "messages"])).await
    }

    /// Returns a room's whole history as a download.
    pub async fn export(
        &self,
        room: &str,
        format: ExportFormat,
    ) -> Result<ByteStream, ClientError> {
        let mut call =
            Call::v1(Method::GET, &["rooms", room, "export"]).query("format", format.as_str());
        call.streamed = true;
        self.stream(call).await
    }
}
