//! Writing a message, and waiting for the bot that it calls.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};
use parlor_domain::body::{check_body, check_caption};
use parlor_domain::permission::Action;
use parlor_protocol::code::Code;
use parlor_protocol::event::EventBody;
use parlor_protocol::http::{PublishAndReply, PublishRequest, Scope};
use parlor_protocol::id::{MessageId, RoomRef};
use parlor_protocol::message::Message;
use parlor_protocol::signal::SignalFamily;
use parlor_store::{Appended, Intent, NewMessage};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::timeout;

use super::reply::{Calls, Reply};
use super::{REFUSALS, charge};
use crate::files::check_attachments;
use crate::http::ClientAddress;
use crate::http::endpoint::{EVENT_STREAM, Endpoint};
use crate::http::extract::{IdempotencyKey, InPath, InQuery, JsonBody};
use crate::http::view::{append, find_room};
use crate::node::{Caller, Node};
use crate::reads::known::KnownRoom;
use crate::refusal::{Outcome, Refusal};
use crate::shard::intents::Intents;
use crate::stream::ShardHandle;

pub(super) fn endpoint() -> Endpoint {
    Endpoint::post("/v1/rooms/{room}/messages", "publish", publish)
        .scope(Scope::Write)
        .about("Messages", "Write a message")
        .details(
            "The answer comes when the message is durable. With `?wait=reply` it comes when the \
             bot's reply is complete, as `{message, reply}`; a reply that takes too long is \
             returned as far as it is, with its `status`. With `Accept: text/event-stream` it is a \
             stream of `message`, `delta` and `reply` events.",
        )
        .idempotent()
        .query::<PublishQuery>()
        .body::<PublishRequest>()
        .answers::<PublishAnswer>(201, "The message was written.")
        .also_as(EVENT_STREAM)
        .answers::<PublishAnswer>(200, "The same message had been written before.")
        .also_as(EVENT_STREAM)
        .refuses(&REFUSALS)
        .own_time_limit()
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct PublishQuery {
    /// What the answer waits for.
    wait: Option<Wait>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Wait {
    /// The bot's whole reply.
    Reply,
}

/// The message, or with `?wait=reply` the message and the reply.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum PublishAnswer {
    /// Without `wait`.
    Message(Box<Message>),
    /// With `?wait=reply`.
    WithReply(Box<PublishAndReply>),
}

#[expect(clippy::too_many_arguments, reason = "each is one part of the request")]
async fn publish(
    State(node): State<Arc<Node>>,
    caller: Caller,
    address: ClientAddress,
    shard: ShardHandle,
    key: IdempotencyKey,
    headers: HeaderMap,
    InPath(room): InPath<RoomRef>,
    InQuery(query): InQuery<PublishQuery>,
    JsonBody(request): JsonBody<PublishRequest>,
) -> Outcome<Response> {
    // Whether the caller may write is decided with the message: a repeat gets its first answer.
    let (room, _) = find_room(&node, &caller, &room, Action::Read).await?;
    charge(&node, &caller, address, room.id)?;
    check_attachments(&node.config.files, &request.attachments)?;
    let check = if request.attachments.is_empty() { check_body } else { check_caption };
    let new = NewMessage {
        id: MessageId(node.clock.new_id()),
        client_id: key.or(request.client_id)?,
        body: check(&request.body, node.config.limits.body.get())?,
        reply_to: request.reply_to,
        thread: request.thread,
        attachments: request.attachments,
    };
    let streams = wants_stream(&headers);
    if !streams && query.wait.is_none() {
        let (status, message, _) = write(&node, &caller, &room, new).await?;
        return Ok((status, Json(message)).into_response());
    }
    // Followed first, so that nothing of the reply can be missed.
    let deltas = Intents::NONE.with(SignalFamily::Deltas);
    let stream = shard.open_stream(&caller, room.id.into(), None, deltas).await?;
    let (status, message, calls) = write(&node, &caller, &room, new).await?;
    let reply = Reply::new(Arc::clone(&node), &caller, message, calls, stream);
    if streams {
        return Ok((status, reply.into_events()).into_response());
    }
    let answer: PublishAndReply = reply.wait().await?;
    Ok((status, Json(answer)).into_response())
}

/// Writes the message, or finds the one that was written before.
async fn write(
    node: &Node,
    caller: &Caller,
    room: &KnownRoom,
    new: NewMessage,
) -> Outcome<(StatusCode, Message, Calls)> {
    let appended = append(node, room.id, caller.user.id, Intent::Publish(new));
    let appended = timeout(node.config.limits.request_timeout, appended).await;
    let appended = appended.map_err(|_| {
        let detail = "Whether this was done is unknown; repeat it with the same client_id.";
        Refusal::unavailable(detail)
    })??;
    let (status, event, calls) = match appended {
        Appended::New { events, jobs } => {
            let called = jobs.first().map(|job| job.bot.id);
            (StatusCode::CREATED, events.into_iter().next(), Calls::known(called))
        }
        Appended::Repeat { event } => (StatusCode::OK, Some(event), Calls::Unknown),
        Appended::Unchanged => (StatusCode::OK, None, Calls::Unknown),
    };
    if let Some(EventBody::MessageCreated(message)) = event.map(|event| event.body) {
        return Ok((status, *message, calls));
    }
    tracing::error!(room.id = %room.id, "publish gave no message");
    Err(Refusal::new(Code::Internal, "Something went wrong on the server; it was logged."))
}

fn wants_stream(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|kind| kind.split(';').next())
        .any(|kind| kind.trim().eq_ignore_ascii_case(EVENT_STREAM))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn stream_is_asked_for_by_accept() {
        let mut headers = HeaderMap::new();
        assert!(!wants_stream(&headers));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        assert!(!wants_stream(&headers));
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream;q=0.9, */*"));
        assert!(wants_stream(&headers));
    }
}
