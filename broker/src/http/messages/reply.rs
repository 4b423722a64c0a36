//! Following one bot's reply from the message that called it to its end.
//!
//! The room's stream is fast, the store is the truth: the stream tells when to look, and a slow
//! clock looks too, so that a lost event or a stream that was cut only delays the answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::IntoResponse;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use futures_util::stream;
use parlor_domain::turn::{Call, RoomBot, called_bots};
use parlor_protocol::event::EventBody;
use parlor_protocol::frame::Frame;
use parlor_protocol::http::PublishAndReply;
use parlor_protocol::id::{MessageId, UserId};
use parlor_protocol::message::{Message, MessageStatus};
use parlor_protocol::signal::{MessageDelta, SignalBody};
use serde::Serialize;
use tokio::time::{Instant, sleep, sleep_until};

use crate::http::events::{HEARTBEAT, NOT_BUFFERED};
use crate::node::{Caller, Node};
use crate::refusal::Outcome;
use crate::stream::RoomStream;

/// How often the store is asked for the reply although no event told of it.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Whether a message calls a bot.
#[derive(Debug, Clone, Copy)]
pub(super) enum Calls {
    /// The store has said so when it wrote the message.
    Known(Option<UserId>),
    /// The message had been written before.
    Unknown,
}

impl Calls {
    pub(super) const fn known(bot: Option<UserId>) -> Self {
        Self::Known(bot)
    }
}

/// A message that may be answered.
#[derive(Debug)]
pub(super) struct Reply {
    node: Arc<Node>,
    message: Message,
    author: UserId,
    calls: Calls,
    /// Gone when it was cut; the store is asked all the same.
    stream: Option<RoomStream>,
    /// The reply, once it has begun.
    begun: Option<MessageId>,
    deadline: Instant,
}

/// What happened next.
#[derive(Debug)]
enum Step {
    /// More text.
    Delta(MessageDelta),
    /// The reply as it is at the end, or when time is up; nothing when no bot was called.
    End(Option<Box<Message>>),
}

impl Reply {
    pub(super) fn new(
        node: Arc<Node>,
        caller: &Caller,
        message: Message,
        calls: Calls,
        stream: RoomStream,
    ) -> Self {
        let deadline = Instant::now() + node.config.limits.wait_reply_timeout;
        let author = caller.user.id;
        Self { node, message, author, calls, stream: Some(stream), begun: None, deadline }
    }

    /// Waits for the whole reply.
    pub(super) async fn wait(mut self) -> Outcome<PublishAndReply> {
        loop {
            if let Step::End(reply) = self.next().await? {
                return Ok(PublishAndReply {
                    message: self.message,
                    reply: reply.map(|reply| *reply),
                });
            }
        }
    }

    /// Streams the message, the pieces of the reply, and the whole reply.
    pub(super) fn into_events(self) -> impl IntoResponse {
        let first = Ok::<_, Infallible>(sse("message", &self.message));
        let steps = stream::unfold(Some(self), |reply| async move {
            let mut reply = reply?;
            Some(match reply.next().await {
                Ok(Step::Delta(delta)) => (Ok(sse("delta", &delta)), Some(reply)),
                Ok(Step::End(end)) => (Ok(sse("reply", &end)), None),
                Err(refusal) => (Ok(sse("error", &refusal.into_problem(String::new()))), None),
            })
        });
        let events = futures_util::StreamExt::chain(stream::iter([first]), steps);
        (NOT_BUFFERED, Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
    }

    async fn next(&mut self) -> Outcome<Step> {
        match self.calls {
            Calls::Known(None) => return Ok(Step::End(None)),
            Calls::Known(Some(_)) => {}
            Calls::Unknown => {
                if let Some(end) = self.look().await? {
                    return Ok(Step::End(Some(end)));
                }
                let bot = self.find_called_bot().await?;
                self.calls = Calls::Known(bot);
                if bot.is_none() && self.begun.is_none() {
                    return Ok(Step::End(None));
                }
            }
        }
        loop {
            let frame = tokio::select! {
                biased;
                () = sleep_until(self.deadline) => {
                    let replies = self.node.store.list_replies(self.message.room, self.message.id);
                    return Ok(Step::End(replies.await?.into_iter().next().map(Box::new)));
                }
                frame = next_frame(&mut self.stream) => frame,
                () = sleep(LOOK_EVERY) => None,
            };
            let look = match frame {
                Some(frame) => match self.read(frame) {
                    Read::Delta(delta) => return Ok(Step::Delta(delta)),
                    Read::Completed => true,
                    Read::Other => false,
                },
                None => true,
            };
            if look && let Some(end) = self.look().await? {
                return Ok(Step::End(Some(end)));
            }
        }
    }

    fn read(&mut self, frame: Frame) -> Read {
        match frame {
            Frame::Event(event) => match event.body {
                EventBody::MessageCreated(created) if self.is_reply(&created) => {
                    self.begun = Some(created.id);
                    if created.status == MessageStatus::Streaming {
                        Read::Other
                    } else {
                        Read::Completed
                    }
                }
                EventBody::MessageCompleted(completed) if Some(completed.message) == self.begun => {
                    Read::Completed
                }
                _ => Read::Other,
            },
            Frame::Signal(signal) => match signal.body {
                SignalBody::MessageDelta(delta) if Some(delta.message) == self.begun => {
                    Read::Delta(delta)
                }
                _ => Read::Other,
            },
            _ => Read::Other,
        }
    }

    fn is_reply(&self, message: &Message) -> bool {
        let called = match self.calls {
            Calls::Known(Some(bot)) => message.sender.id == bot,
            Calls::Known(None) | Calls::Unknown => true,
        };
        called && message.bot.as_ref().is_some_and(|bot| bot.trigger == self.message.id)
    }

    /// Asks the store for the end of the reply.
    async fn look(&mut self) -> Outcome<Option<Box<Message>>> {
        let replies = self.node.store.list_replies(self.message.room, self.message.id).await?;
        let Some(reply) = replies.into_iter().find(|reply| self.is_reply(reply)) else {
            return Ok(None);
        };
        self.begun = Some(reply.id);
        Ok((reply.status != MessageStatus::Streaming).then(|| Box::new(reply)))
    }

    /// Finds out, by the same rule as the store, which bot a message calls.
    async fn find_called_bot(&self) -> Outcome<Option<UserId>> {
        let store = &self.node.store;
        let room = self.message.room;
        let bots: Vec<RoomBot> = store
            .list_room_bots(room)
            .await?
            .into_iter()
            .map(|bot| RoomBot {
                user: bot.user.id,
                username: bot.user.username,
                trigger: bot.trigger,
            })
            .collect();
        let answered = match self.message.reply_to {
            Some(message) => store.find_message(room, message).await?,
            None => None,
        };
        let call = Call {
            author: self.author,
            author_kind: self.message.sender.kind,
            body: &self.message.body,
            hops: 0,
            reply_to_author: answered.map(|message| message.sender.id),
        };
        let Some(access) = store.find_room(&room.into(), self.author).await? else {
            return Ok(None);
        };
        let max_hops = self.node.config.bots.max_hops.max(1);
        Ok(called_bots(access.room.kind, &bots, call, max_hops).into_iter().next())
    }
}

#[derive(Debug)]
enum Read {
    Delta(MessageDelta),
    Completed,
    Other,
}

/// Waits for the next frame that can be read; a stream that was cut is dropped, and then it waits
/// for ever.
async fn next_frame(stream: &mut Option<RoomStream>) -> Option<Frame> {
    while let Some(open) = stream {
        match open.next().await {
            Some(json) => {
                if let Ok(frame) = serde_json::from_slice(&json) {
                    return Some(frame);
                }
            }
            None => *stream = None,
        }
    }
    std::future::pending().await
}

fn sse(name: &str, data: &impl Serialize) -> SseEvent {
    let data = serde_json::to_string(data).unwrap_or_default();
    SseEvent::default().event(name).data(data)
}
