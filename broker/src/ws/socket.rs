//! Reading with tungstenite's protocol state, writing through the session's outbox.
//!
//! What tungstenite wants to write (pongs, the answer to a close) goes the same way as everything
//! else, so there is one writer for each socket.

use std::io::{self, Read, Write};

use bytes::Bytes;
use tokio::net::TcpStream;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

/// Read buffer of a connection. The library's default of 128 KiB would be resident for each
/// connection from its first frame on (snapview/tungstenite-rs#480).
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
    /// A binary message, which this contract has no use for.
    Binary,
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

/// The reading side of one WebSocket.
#[derive(Debug)]
pub(super) struct Reader {
    context: WebSocketContext,
    replies: Vec<u8>,
    /// Bytes read since the last message, and how many there may be.
    unfinished: usize,
    unfinished_max: usize,
}

impl Reader {
    /// Starts reading; `begun` are bytes that arrived together with the upgrade request.
    pub(super) fn new(begun: &Bytes, max_message: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_write_buffer_size(64 * 1024)
            .max_message_size(Some(max_message))
            .max_frame_size(Some(max_message));
        let context =
            WebSocketContext::from_partially_read(begun.to_vec(), Role::Server, Some(config));
        let unfinished_max = max_message.saturating_mul(WIRE_FACTOR);
        Self { context, replies: Vec::new(), unfinished: 0, unfinished_max }
    }

    /// Reads one message, as far as the socket has it.
    pub(super) fn read(&mut self, socket: &TcpStream) -> Received {
        let mut adaptor = Adaptor { socket, replies: &mut self.replies, read: 0 };
        let message = self.context.read(&mut adaptor);
        let paused = adaptor.is_spent();
        self.unfinished = if message.is_ok() { 0 } else { self.unfinished + adaptor.read };
        if matches!(message, Ok(Message::Ping(_) | Message::Close(_))) {
            // Moves the answer into the adaptor; writing there never blocks.
            drop(self.context.flush(&mut adaptor));
        }
        match message {
            Ok(Message::Text(text)) => Received::Text(text),
            Ok(Message::Binary(_)) => Received::Binary,
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => Received::Nothing,
            Ok(Message::Close(_)) => Received::Goodbye,
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                if self.unfinished > self.unfinished_max {
                    Received::Endless
                } else if paused {
                    Received::Paused
                } else {
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

    /// Takes what is to be written in answer to control frames.
    pub(super) fn take_replies(&mut self) -> Option<Bytes> {
        (!self.replies.is_empty()).then(|| std::mem::take(&mut self.replies).into())
    }
}

struct Adaptor<'a> {
    socket: &'a TcpStream,
    replies: &'a mut Vec<u8>,
    read: usize,
}

impl Adaptor<'_> {
    fn is_spent(&self) -> bool {
        self.read >= BYTES_BEFORE_PAUSE
    }
}

impl Read for Adaptor<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_spent() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let read = self.socket.try_read(buffer)?;
        self.read += read;
        Ok(read)
    }
}

impl Write for Adaptor<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.replies.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
