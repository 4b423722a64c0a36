//! A room as server-sent events: what a WebSocket subscription would bring, over plain HTTP.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::{HeaderMap, HeaderName};
use parlor_protocol::code::{Code, Problem};
use parlor_protocol::command::{Position, Since};
use parlor_protocol::frame::Subscribed;
use parlor_protocol::http::Scope;
use parlor_protocol::id::RoomRef;
use rand::Rng as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::endpoint::{EVENT_STREAM, Endpoint};
use super::extract::{InPath, InQuery};
use crate::admission::Permit;
use crate::node::{Caller, Node};
use crate::refusal::{Outcome, Refusal};
use crate::shard::intents::Intents;
use crate::stream::{RoomStream, ShardHandle};

/// How often a comment shows that the stream is alive.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(15);
/// Proxies that gather answers would hold events back.
pub(super) const NOT_BUFFERED: [(HeaderName, &str); 1] =
    [(HeaderName::from_static("x-accel-buffering"), "no")];
/// When a client connects again after the stream has ended; spread, so that not all come at once.
const RETRY_MS: std::ops::Range<u64> = 1_000..5_000;
/// How long a client waits when it has as many streams as it may have.
const PLACE_WAIT: Duration = Duration::from_secs(5);

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/rooms/{room}/events", "follow_room", follow_room).scope(Scope::Read)
            .about("Events", "Follow a room as server-sent events")
            .details(
                "First `subscribed`, then every event, named by its type and with its `seq` as id, \
                 and every signal, named `signal`. The data are the frames of the WebSocket. When \
                 the position cannot be continued, `resync` comes in place of what is missing: read \
                 the history again. The stream ends when the access token expires or the server \
                 drains; connect again with `Last-Event-ID`.",
            )
            .header(
                "Last-Event-ID",
                "The `seq` of the last event that the client has, or `epoch:seq`.",
            )
            .query::<EventsQuery>()
            .answers_text(200, EVENT_STREAM, "Events and signals, as they come.")
            .refuses(&[Code::NotFound, Code::NotAMember])
            .own_time_limit(),
    ]
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct EventsQuery {
    /// Where to continue, as in `Last-Event-ID`, which goes first.
    since: Option<String>,
    /// Families of signals that are to come, with commas between them: `typing`, `presence`,
    /// `receipts`, `deltas`, `bots`, `app`; all when absent. Events always come.
    intents: Option<String>,
}

async fn follow_room(
    State(node): State<Arc<Node>>,
    caller: Caller,
    shard: ShardHandle,
    headers: HeaderMap,
    InPath(room): InPath<RoomRef>,
    InQuery(query): InQuery<EventsQuery>,
) -> Outcome<impl IntoResponse> {
    let last = headers.get("last-event-id").map(|value| value.to_str().unwrap_or("?").to_owned());
    let since = match last.or(query.since).filter(|text| !text.is_empty()) {
        Some(text) => Some(parse_since(&text).ok_or_else(|| {
            Refusal::field("Last-Event-ID", "invalid", "must be a seq such as 41, or epoch:seq")
        })?),
        None => None,
    };
    let intents = query.intents.as_deref().map_or_else(|| Ok(Intents::default()), Intents::parse);
    let intents =
        intents.map_err(|refusal| Refusal::field("intents", "unknown", refusal.detail))?;
    let permit = node.admission.log_in(caller.user.id).map_err(|no_place| {
        node.metrics.http.refused.with_label_values(&[no_place.reason()]).inc();
        Refusal::rate_limited(PLACE_WAIT)
    })?;
    let stream = shard.open_stream(&caller, room, since.clone(), intents).await?;
    let retry = Duration::from_millis(rand::rng().random_range(RETRY_MS));
    let first = first_event(&stream.subscribed, since.as_ref(), retry);
    let lasts = caller.expires_at.as_millis() - node.now().as_millis();
    let feed = Feed {
        stream,
        draining: node.lifecycle.draining(),
        expires_at: Instant::now() + Duration::from_millis(u64::try_from(lasts).unwrap_or(0)),
        _permit: permit,
    };
    let events = stream::iter([Ok(first)]).chain(feed.into_events());
    Ok((NOT_BUFFERED, Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT))))
}

/// Reads `41` or `epoch:41`.
fn parse_since(text: &str) -> Option<Since> {
    match text.rsplit_once(':') {
        None => text.parse().ok().map(Since::Seq),
        Some((epoch, seq)) => {
            let seq = seq.parse().ok()?;
            Some(Since::Position(Position { epoch: epoch.to_owned(), seq }))
        }
    }
}

/// Its id is the position after which events follow, so that a client that is cut before the first
/// one loses nothing.
fn first_event(subscribed: &Subscribed, since: Option<&Since>, retry: Duration) -> SseEvent {
    let from = match since {
        Some(Since::Seq(seq) | Since::Position(Position { seq, .. })) if subscribed.resumed => *seq,
        _ => subscribed.seq,
    };
    let frame = parlor_protocol::frame::Frame::Subscribed(Box::new(subscribed.clone()));
    event("subscribed", &frame).id(from.to_string()).retry(retry)
}

/// A room's frames until the token expires or the node drains.
#[derive(Debug)]
struct Feed {
    stream: RoomStream,
    draining: CancellationToken,
    expires_at: Instant,
    _permit: Permit,
}

impl Feed {
    fn into_events(self) -> impl Stream<Item = Result<SseEvent, Infallible>> {
        stream::unfold(Some(self), |feed| async move {
            let mut feed = feed?;
            tokio::select! {
                biased;
                () = feed.draining.cancelled() => None,
                () = sleep_until(feed.expires_at) => {
                    let detail = "The access token has expired; connect again with a new one.";
                    let problem = Problem::new(Code::TokenExpired, detail);
                    Some((Ok(event("error", &problem)), None))
                }
                frame = feed.stream.next() => {
                    let event = frame_event(&frame?);
                    Some((Ok(event), Some(feed)))
                }
            }
        })
    }
}

/// What decides about an event's name and id.
#[derive(Debug, Deserialize)]
struct Head<'a> {
    op: &'a str,
    #[serde(default, rename = "type", borrow)]
    kind: Option<&'a str>,
    #[serde(default)]
    seq: Option<u64>,
    #[serde(default)]
    from: Option<u64>,
}

/// Wraps a frame, whose JSON has no line breaks, without encoding it again.
fn frame_event(json: &Bytes) -> SseEvent {
    let text = std::str::from_utf8(json).unwrap_or_default();
    let event = SseEvent::default().data(text);
    match serde_json::from_str::<Head<'_>>(text) {
        Ok(Head { op: "event", kind: Some(kind), seq: Some(seq), .. }) => {
            event.event(kind).id(seq.to_string())
        }
        Ok(Head { op: "resync", from: Some(from), .. }) => {
            event.event("resync").id(from.to_string())
        }
        Ok(head) => event.event(head.op),
        Err(_) => event,
    }
}

fn event(name: &str, data: &impl Serialize) -> SseEvent {
    SseEvent::default().event(name).data(serde_json::to_string(data).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    async fn written(event: SseEvent) -> String {
        let stream = stream::iter([Ok::<_, Infallible>(event)]);
        let body = Sse::new(stream).into_response().into_body();
        let bytes = axum::body::to_bytes(body, 4_096).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    fn subscribed(resumed: bool) -> Subscribed {
        Subscribed {
            re: None,
            room: Uuid::nil().into(),
            slug: "general".to_owned(),
            epoch: "a1".to_owned(),
            seq: 45,
            resumed,
            streaming: Vec::new(),
        }
    }

    #[test]
    fn position_is_a_seq_with_or_without_its_epoch() {
        assert_eq!(parse_since("41"), Some(Since::Seq(41)));
        let position = Position { epoch: "a1".to_owned(), seq: 41 };
        assert_eq!(parse_since("a1:41"), Some(Since::Position(position)));
        for text in ["", "x", "a1:", "-1", "a1:x"] {
            assert_eq!(parse_since(text), None, "{text}");
        }
    }

    #[tokio::test]
    async fn first_id_is_the_position_that_events_follow() {
        let id = async |since: Option<Since>, resumed| {
            let first = first_event(&subscribed(resumed), since.as_ref(), Duration::from_secs(2));
            let text = written(first).await;
            text.lines().find_map(|line| line.strip_prefix("id: ").map(str::to_owned)).unwrap()
        };
        assert_eq!(id(None, false).await, "45");
        assert_eq!(id(Some(Since::Seq(41)), true).await, "41");
        assert_eq!(id(Some(Since::Seq(41)), false).await, "45");
    }

    #[tokio::test]
    async fn frames_are_named_and_events_carry_their_seq() {
        let text = |json: &'static str| written(frame_event(&Bytes::from_static(json.as_bytes())));
        let event = text(r#"{"op":"event","room":"r","seq":42,"type":"message.created"}"#).await;
        assert!(event.contains("event: message.created\n") && event.contains("id: 42\n"));
        let signal = text(r#"{"op":"signal","room":"r","type":"typing","data":{}}"#).await;
        assert!(signal.contains("event: signal\n") && !signal.contains("id:"), "{signal}");
        let resync = text(r#"{"op":"resync","room":"r","from":9,"reason":"x"}"#).await;
        assert!(resync.contains("event: resync\n") && resync.contains("id: 9\n"), "{resync}");
    }
}
