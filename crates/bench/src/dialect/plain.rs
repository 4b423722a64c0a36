//! Text frames over a bare WebSocket: the first that a client sends names its room and is answered
//! with `joined`, every other is a message for all members of that room, the sender among them. This
//! is what the peers that only offer sockets are given; see `bench/peers` and `bench/floor`.
//!
//! A connection is in one room at most.

use super::frame::{self, CLOSE, PING, PONG, TEXT};
use super::{Broken, Dialect, Greeting, Incoming, Reader};

/// How the room's name is answered. Payloads never look like this.
const JOINED: &[u8] = b"joined";

/// A server that passes text on as it is.
#[derive(Debug)]
pub struct Plain {
    system: String,
}

impl Plain {
    /// Returns the dialect for a system of this name.
    pub fn new(system: &str) -> Self {
        Self { system: system.to_owned() }
    }
}

impl Dialect for Plain {
    fn system(&self) -> &str {
        &self.system
    }

    fn open(&self, greeting: &Greeting<'_>, out: &mut Vec<u8>) {
        frame::write_upgrade(greeting.authority, greeting.path, "", out);
    }

    fn join(&self, room: &str, out: &mut Vec<u8>) {
        frame::write(TEXT, room.as_bytes(), out);
    }

    fn publish(&self, _room: &str, _number: u64, payload: &[u8], out: &mut Vec<u8>) {
        frame::write(TEXT, payload, out);
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(PlainReader { upgraded: false, joined: false })
    }
}

#[derive(Debug)]
struct PlainReader {
    upgraded: bool,
    joined: bool,
}

impl Reader for PlainReader {
    fn take(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        each: &mut dyn FnMut(Incoming<'_>),
    ) -> Result<usize, Broken> {
        let mut taken = 0;
        if !self.upgraded {
            let Some(head) = frame::upgraded(bytes)? else { return Ok(0) };
            self.upgraded = true;
            taken = head;
            each(Incoming::Opened);
        }
        while let Some(frame) = bytes.get(taken..).and_then(frame::first) {
            taken += frame.length;
            match frame.opcode {
                TEXT if !self.joined && frame.payload == JOINED => {
                    self.joined = true;
                    each(Incoming::Joined);
                }
                TEXT => each(Incoming::Message(frame.payload)),
                PING => frame::write(PONG, frame.payload, out),
                CLOSE => {
                    each(Incoming::Closed(frame.close_code()));
                    break;
                }
                _ => {}
            }
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::split::{at_every_byte, from_server};

    #[test]
    fn session_is_the_same_wherever_it_is_cut() {
        let mut bytes = b"HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n".to_vec();
        from_server(TEXT, b"joined", &mut bytes);
        from_server(PING, b"?", &mut bytes);
        from_server(TEXT, &[b'x'; 154], &mut bytes);
        from_server(TEXT, b"joined", &mut bytes);
        from_server(CLOSE, &1001_u16.to_be_bytes(), &mut bytes);
        let mut pong = Vec::new();
        frame::write(PONG, b"?", &mut pong);
        let message = format!("Message({})", "x".repeat(154));
        let told = ["Opened", "Joined", &message, "Message(joined)", "Closed(1001)"];
        at_every_byte(&Plain::new("ws"), &bytes, &told, &pong);
    }

    #[test]
    fn refused_upgrade_is_an_error() {
        let mut reader = Plain::new("ws").reader();
        let refused = reader.take(b"HTTP/1.1 404 Not Found\r\n\r\n", &mut Vec::new(), &mut |_| {});
        assert_eq!(refused, Err(Broken("HTTP/1.1 404 Not Found".to_owned())));
    }
}
