//! The task that reads and writes one socket.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use parlor_protocol::frame::Frame;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};
use tokio_tungstenite::tungstenite::{self, Utf8Bytes};

use super::handshake::Socket;
use super::{CLOSE_PATIENCE, Outgoing, Pending};
use crate::error::Ended;

/// Frames written before the network is made to take them.
const BATCH: usize = 64;
const PING: Utf8Bytes = Utf8Bytes::from_static(r#"{"op":"ping"}"#);

/// How a socket lives.
pub(super) struct Life {
    pub(super) heartbeat: Duration,
    pub(super) silence: Duration,
    pub(super) write_timeout: Duration,
    pub(super) pending: Arc<Pending>,
}

impl Life {
    /// Reads and writes until the connection ends, and tells how it did.
    pub(super) async fn run(
        self,
        socket: Socket,
        mut commands: mpsc::Receiver<Outgoing>,
        frames: mpsc::Sender<Result<Frame, Ended>>,
    ) {
        let (mut sink, mut stream) = socket.split();
        let mut ended = tokio::select! {
            // What was received is delivered before a failed write is looked at.
            biased;
            ended = self.read(&mut stream, &frames) => ended,
            ended = self.write(&mut sink, &mut commands) => ended,
        };
        if let Ended::Lost(_) = ended {
            // The server's reason may have come just before the network failed.
            let reason = timeout(CLOSE_PATIENCE, self.read(&mut stream, &frames)).await;
            if let Ok(closed @ Ended::Closed { .. }) = reason {
                ended = closed;
            }
        }
        commands.close();
        self.pending.clear();
        let goodbye = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::default() };
        if matches!(ended, Ended::Here | Ended::Closed { .. }) {
            // The connection is over whether or not the server hears it.
            drop(timeout(CLOSE_PATIENCE, sink.send(Message::Close(Some(goodbye)))).await);
        }
        drop(frames.send(Err(ended)).await);
    }

    async fn read(
        &self,
        stream: &mut SplitStream<Socket>,
        frames: &mpsc::Sender<Result<Frame, Ended>>,
    ) -> Ended {
        loop {
            let received = match timeout(self.silence, stream.next()).await {
                Ok(Some(received)) => received,
                Ok(None) => return Ended::Lost("end of stream".to_owned()),
                Err(_) => return Ended::Silent,
            };
            let frame = match receive(received) {
                Ok(Received::Frame(frame)) => frame,
                Ok(Received::Nothing) => continue,
                Err(ended) => return ended,
            };
            if let Some(frame) = self.pending.offer(frame)
                && frames.send(Ok(frame)).await.is_err()
            {
                return Ended::Here;
            }
        }
    }

    async fn write(
        &self,
        sink: &mut SplitSink<Socket, Message>,
        commands: &mut mpsc::Receiver<Outgoing>,
    ) -> Ended {
        let mut heartbeat = interval_at(Instant::now() + self.heartbeat, self.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let mut closing = false;
            tokio::select! {
                // The heartbeat is rare; commands must not keep it from going out.
                biased;
                _ = heartbeat.tick() => batch.push(Message::Text(PING)),
                outgoing = commands.recv() => {
                    closing = gather(outgoing, &mut batch);
                    while !closing && batch.len() < BATCH {
                        match commands.try_recv() {
                            Ok(outgoing) => closing = gather(Some(outgoing), &mut batch),
                            Err(_) => break,
                        }
                    }
                }
            }
            let written = timeout(self.write_timeout, async {
                for message in batch.drain(..) {
                    sink.feed(message).await?;
                }
                sink.flush().await
            });
            match written.await {
                Ok(Ok(())) if closing => return Ended::Here,
                Ok(Ok(())) => {}
                Ok(Err(error)) => return lost(error),
                Err(_) => return Ended::Silent,
            }
        }
    }
}

/// Adds a frame to the batch; returns true when there will be no more.
fn gather(outgoing: Option<Outgoing>, batch: &mut Vec<Message>) -> bool {
    match outgoing {
        Some(Outgoing::Text(text)) => {
            batch.push(Message::text(text));
            false
        }
        Some(Outgoing::Close) | None => true,
    }
}

/// What came from the network.
pub(super) enum Received {
    Frame(Frame),
    /// A control frame, or something of a newer version.
    Nothing,
}

/// Reads what came from the network.
pub(super) fn receive(received: Result<Message, tungstenite::Error>) -> Result<Received, Ended> {
    match received.map_err(lost)? {
        Message::Text(text) => decode(text.as_str()),
        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(Received::Nothing),
        Message::Binary(_) => Err(Ended::Malformed("binary".to_owned())),
        Message::Close(Some(close)) => {
            Err(Ended::Closed { code: close.code.into(), reason: close.reason.as_str().to_owned() })
        }
        Message::Close(None) => Err(Ended::Closed { code: 1005, reason: String::new() }),
    }
}

fn decode(text: &str) -> Result<Received, Ended> {
    /// The part of a frame that says what it is.
    #[derive(Deserialize)]
    struct Head {
        op: String,
    }
    const VITAL: [&str; 8] =
        ["welcome", "ok", "error", "subscribed", "event", "resync", "drain", "pong"];
    let error = match serde_json::from_str(text) {
        Ok(frame) => return Ok(Received::Frame(frame)),
        Err(error) => error,
    };
    match serde_json::from_str::<Head>(text) {
        // A newer server may say more than this client knows, and signals may be lost anyway.
        Ok(head) if !VITAL.contains(&head.op.as_str()) => {
            tracing::debug!(op = head.op, "frame of an unknown kind is ignored");
            Ok(Received::Nothing)
        }
        _ => Err(Ended::Malformed(format!("line {}, column {}", error.line(), error.column()))),
    }
}

fn lost(error: tungstenite::Error) -> Ended {
    match error {
        tungstenite::Error::Capacity(_) => Ended::Malformed("too large".to_owned()),
        tungstenite::Error::Utf8(_) => Ended::Malformed("not UTF-8".to_owned()),
        tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed
        | tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            Ended::Lost("end of stream".to_owned())
        }
        tungstenite::Error::Io(error) => Ended::Lost(error.kind().to_string()),
        other => Ended::Lost(other.to_string()),
    }
}
