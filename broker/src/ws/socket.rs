//! Reading with tungstenite's protocol state, writing through the session's outbox.
//!
//! What tungstenite wants to write (pongs, the answer to a close) goes the same way as everything
//! else, so there is one writer for each socket.
//!
//! The reading state, with its buffer, is there while a message is being read and is given back
//! between messages: a session that says nothing holds a few words. Nothing is lost by that, because
//! it is given back only when everything that was read has been handed over.

use std::io::{self, Read, Write};

use bytes::Bytes;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

use super::boundary::Boundary;
use crate::shard::transport::Transport;

/// Read buffer of a connection that is being read. The library's default of 128 KiB would be filled
/// with zeros for each message (snapview/tungstenite-rs#480).
const READ_BUFFER: usize = 2 * 1024;
/// Bytes in a row before other sessions get a turn. A message in many small fragments is read in
/// one call, which would go on for as long as the client sends.
const BYTES_BEFORE_PAUSE: usize = 64 * 1024;
/// Bytes on the wire for each byte of the largest message. With one byte in a fragment it is seven;
/// more is nothing but empty fragments.
const WIRE_FACTOR: usize = 8;

/// What a client sent.
#[derive(Debug)]
pub(super) enum Received {
    /// A text message.
    Text(tungstenite::Utf8Bytes),
    /// A binary message.
    Binary(Bytes),
    /// A ping, a pong, or a part of something.
    Nothing,
    /// A goodbye, which has been answered.
    Goodbye,
    /// Nothing more for now.
    WouldBlock,
    /// A part of a message; there is more, but others have their turn first.
    Paused,
    /// Fragments that never become a message.
    Endless,
    /// The client broke the protocol: the close code to answer with.
    Broken(u16),
    /// A message above the limit.
    TooLarge,
    /// The connection is gone.
    Lost,
}

/// Where a client's bytes come from.
pub(super) trait Source {
    /// Reads what is there, without waiting.
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize>;
}

impl Source for Transport {
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Self::try_read(self, buffer)
    }
}

/// The reading side of one WebSocket.
#[derive(Debug)]
pub(super) struct Reader {
    /// There from the first byte of a message until nothing is left to hand over.
    context: Option<Box<WebSocketContext>>,
    boundary: Boundary,
    replies: Vec<u8>,
    /// Bytes read since the last message.
    unfinished: usize,
    max_message: usize,
}

impl Reader {
    /// Starts reading; `begun` are bytes that arrived together with the upgrade request.
    pub(super) fn new(begun: &[u8], max_message: usize) -> Self {
        let mut boundary = Boundary::default();
        boundary.advance(begun);
        let context = (!begun.is_empty()).then(|| new_context(begun, max_message));
        Self { context, boundary, replies: Vec::new(), unfinished: 0, max_message }
    }

    /// Reads one message, as far as the socket has it.
    pub(super) fn read(&mut self, source: &impl Source) -> Received {
        let Self { context, boundary, replies, max_message, .. } = self;
        let mut adaptor = Adaptor { source, boundary, replies, read: 0 };
        let state = context.get_or_insert_with(|| new_context(&[], *max_message));
        let message = state.read(&mut adaptor);
        let paused = adaptor.is_spent();
        self.unfinished = if message.is_ok() { 0 } else { self.unfinished + adaptor.read };
        if matches!(message, Ok(Message::Ping(_) | Message::Close(_))) {
            // Moves the answer into the adaptor; writing there never blocks.
            drop(state.flush(&mut adaptor));
        }
        match message {
            Ok(Message::Text(text)) => Received::Text(text),
            Ok(Message::Binary(bytes)) => Received::Binary(bytes),
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => Received::Nothing,
            Ok(Message::Close(_)) => Received::Goodbye,
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                if self.unfinished > self.max_message.saturating_mul(WIRE_FACTOR) {
                    Received::Endless
                } else if paused {
                    Received::Paused
                } else {
                    self.give_back();
                    Received::WouldBlock
                }
            }
            Err(Error::Capacity(_)) => Received::TooLarge,
            Err(Error::Utf8(_)) => Received::Broken(1007),
            Err(Error::Protocol(
                tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            )) => Received::Lost,
            Err(Error::Protocol(_)) => Received::Broken(1002),
            Err(_) => Received::Lost,
        }
    }

    /// Gives the reading state back if nothing is in it. That it asked for more than the socket has
    /// says that all whole frames were handed over; the boundary says that there is no part of one.
    fn give_back(&mut self) {
        let is_open = self.context.as_ref().is_some_and(|context| context.can_write());
        if is_open && self.boundary.is_between_messages() {
            self.context = None;
        }
    }

    /// Takes what is to be written in answer to control frames.
    pub(super) fn take_replies(&mut self) -> Option<Bytes> {
        (!self.replies.is_empty()).then(|| std::mem::take(&mut self.replies).into())
    }
}

fn new_context(begun: &[u8], max_message: usize) -> Box<WebSocketContext> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(64 * 1024)
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message));
    let begun = begun.to_vec();
    Box::new(WebSocketContext::from_partially_read(begun, Role::Server, Some(config)))
}

struct Adaptor<'a, S> {
    source: &'a S,
    boundary: &'a mut Boundary,
    replies: &'a mut Vec<u8>,
    read: usize,
}

impl<S> Adaptor<'_, S> {
    fn is_spent(&self) -> bool {
        self.read >= BYTES_BEFORE_PAUSE
    }
}

impl<S: Source> Read for Adaptor<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_spent() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let read = self.source.try_read(buffer)?;
        self.read += read;
        self.boundary.advance(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

impl<S> Write for Adaptor<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.replies.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
