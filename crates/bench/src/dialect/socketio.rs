//! socket.io 4 over a WebSocket: Engine.IO packets (revision 4) with Socket.IO packets in them
//! (revision 5), one in each text frame.
//!
//! A client emits `join` with its room and gets `joined`; it emits `m` with a text, and all members
//! of the room get the same event.

use super::frame::{self, CLOSE, PING, PONG, TEXT};
use super::{Broken, Dialect, Greeting, Incoming, Reader};

/// Engine.IO's packets, by their first byte.
const OPEN: u8 = b'0';
const SHUT: u8 = b'1';
const HEARTBEAT: u8 = b'2';
const MESSAGE: u8 = b'4';
/// What follows a message's first byte: Socket.IO's packets.
const CONNECTED: u8 = b'0';
const DISCONNECTED: u8 = b'1';
const EVENT: u8 = b'2';
const REFUSED: u8 = b'4';

/// A socket.io server with rooms.
#[derive(Debug)]
pub struct SocketIo;

impl Dialect for SocketIo {
    fn system(&self) -> &'static str {
        "socket.io"
    }

    fn open(&self, greeting: &Greeting<'_>, out: &mut Vec<u8>) {
        let path = "/socket.io/?EIO=4&transport=websocket";
        frame::write_upgrade(greeting.authority, path, "", out);
    }

    fn join(&self, room: &str, out: &mut Vec<u8>) {
        frame::write_parts(TEXT, &[br#"42["join",""#, room.as_bytes(), br#""]"#], out);
    }

    fn publish(&self, _room: &str, _number: u64, payload: &[u8], out: &mut Vec<u8>) {
        frame::write_parts(TEXT, &[br#"42["m",""#, payload, br#""]"#], out);
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(SocketIoReader { upgraded: false })
    }
}

#[derive(Debug)]
struct SocketIoReader {
    upgraded: bool,
}

impl Reader for SocketIoReader {
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
        }
        while let Some(frame) = bytes.get(taken..).and_then(frame::first) {
            taken += frame.length;
            match frame.opcode {
                TEXT => tell(frame.payload, out, each)?,
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

/// Tells one packet apart and answers what must be answered.
fn tell(
    packet: &[u8],
    out: &mut Vec<u8>,
    each: &mut dyn FnMut(Incoming<'_>),
) -> Result<(), Broken> {
    match packet {
        [MESSAGE, EVENT, event @ ..] => match event {
            [b'[', b'"', b'm', b'"', b',', payload @ ..] => each(Incoming::Message(payload)),
            event if event.starts_with(br#"["joined""#) => each(Incoming::Joined),
            _ => {}
        },
        [HEARTBEAT, ..] => frame::write(TEXT, b"3", out),
        // The session is open; the name space is not yet.
        [OPEN, ..] => frame::write(TEXT, b"40", out),
        [MESSAGE, CONNECTED, ..] => each(Incoming::Opened),
        [MESSAGE, REFUSED, why @ ..] => {
            each(Incoming::Refused { number: None, code: std::str::from_utf8(why).unwrap_or("") });
        }
        [SHUT, ..] | [MESSAGE, DISCONNECTED, ..] => each(Incoming::Closed(1000)),
        other => {
            let begin = other.get(..other.len().min(16)).unwrap_or_default();
            return Err(Broken(format!("packet {}", String::from_utf8_lossy(begin))));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::split::{at_every_byte, from_server};

    #[test]
    fn session_is_the_same_wherever_it_is_cut() {
        let mut bytes = b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec();
        for packet in [
            r#"0{"sid":"a","upgrades":[],"pingInterval":25000}"#,
            r#"40{"sid":"b"}"#,
            r#"42["joined"]"#,
            "2",
            r#"42["m","hello"]"#,
            r#"42["other",1]"#,
            "41",
        ] {
            from_server(TEXT, packet.as_bytes(), &mut bytes);
        }
        let mut answers = Vec::new();
        frame::write(TEXT, b"40", &mut answers);
        frame::write(TEXT, b"3", &mut answers);
        let told = ["Opened", "Joined", r#"Message("hello"])"#, "Closed(1000)"];
        at_every_byte(&SocketIo, &bytes, &told, &answers);
    }

    #[test]
    fn unknown_packet_is_an_error() {
        let mut bytes = b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec();
        from_server(TEXT, b"9", &mut bytes);
        let mut reader = SocketIo.reader();
        let broken = reader.take(&bytes, &mut Vec::new(), &mut |_| {});
        assert_eq!(broken, Err(Broken("packet 9".to_owned())));
    }
}
