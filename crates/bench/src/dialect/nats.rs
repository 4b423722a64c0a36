//! NATS over its WebSocket gateway: the text protocol in binary frames, with any number of its
//! operations in a frame, and perhaps one that ends in the next.
//!
//! Rooms are subjects. A `PING` after `CONNECT` and after each `SUB` is answered with a `PONG`, which
//! tells that the server has taken what came before.

use super::frame::{self, BINARY, CLOSE, PING, PONG};
use super::{Broken, Dialect, Greeting, Incoming, Reader};

const LINE_END: &[u8] = b"\r\n";
/// Longest line of a server: `INFO` with the addresses of a cluster.
const LINE_MAX: usize = 64 * 1024;

/// A NATS server.
#[derive(Debug)]
pub struct Nats;

impl Dialect for Nats {
    fn system(&self) -> &'static str {
        "nats"
    }

    fn open(&self, greeting: &Greeting<'_>, out: &mut Vec<u8>) {
        frame::write_upgrade(greeting.authority, greeting.path, "", out);
    }

    fn join(&self, room: &str, out: &mut Vec<u8>) {
        let commands = format!("SUB room.{room} 1\r\nPING\r\n");
        frame::write(BINARY, commands.as_bytes(), out);
    }

    fn publish(&self, room: &str, _number: u64, payload: &[u8], out: &mut Vec<u8>) {
        let head = format!("PUB room.{room} {}\r\n", payload.len());
        frame::write_parts(BINARY, &[head.as_bytes(), payload, LINE_END], out);
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(NatsReader { upgraded: false, opened: false, begun: Vec::new() })
    }
}

#[derive(Debug)]
struct NatsReader {
    upgraded: bool,
    opened: bool,
    /// The beginning of an operation whose end is in the next frame.
    begun: Vec<u8>,
}

impl Reader for NatsReader {
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
                PING => frame::write(PONG, frame.payload, out),
                PONG => {}
                CLOSE => {
                    each(Incoming::Closed(frame.close_code()));
                    break;
                }
                // Binary, or the continuation of a binary frame.
                _ => self.operations(frame.payload, out, each)?,
            }
        }
        Ok(taken)
    }
}

impl NatsReader {
    fn operations(
        &mut self,
        payload: &[u8],
        out: &mut Vec<u8>,
        each: &mut dyn FnMut(Incoming<'_>),
    ) -> Result<(), Broken> {
        if self.begun.is_empty() {
            let taken = self.whole_operations(payload, out, each)?;
            self.begun.extend_from_slice(payload.get(taken..).unwrap_or_default());
        } else {
            let mut all = std::mem::take(&mut self.begun);
            all.extend_from_slice(payload);
            let taken = self.whole_operations(&all, out, each)?;
            all.drain(..taken);
            self.begun = all;
        }
        Ok(())
    }

    /// Takes what is whole and returns how much that was.
    fn whole_operations(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        each: &mut dyn FnMut(Incoming<'_>),
    ) -> Result<usize, Broken> {
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            let Some(end) = memchr::memchr(b'\n', rest) else {
                if rest.len() > LINE_MAX {
                    return Err(Broken("a line without an end".to_owned()));
                }
                break;
            };
            let line = rest.get(..end).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let start = end + 1;
            if line.starts_with(b"MSG ") {
                let payload_end = start.saturating_add(payload_length(line)?);
                let whole = payload_end.saturating_add(LINE_END.len());
                if rest.len() < whole {
                    break;
                }
                each(Incoming::Message(rest.get(start..payload_end).unwrap_or_default()));
                taken += whole;
                continue;
            }
            taken += start;
            self.tell(line, out, each)?;
        }
        Ok(taken)
    }

    fn tell(
        &mut self,
        line: &[u8],
        out: &mut Vec<u8>,
        each: &mut dyn FnMut(Incoming<'_>),
    ) -> Result<(), Broken> {
        match line {
            b"PING" => frame::write(BINARY, b"PONG\r\n", out),
            b"PONG" if self.opened => each(Incoming::Joined),
            b"PONG" => {
                self.opened = true;
                each(Incoming::Opened);
            }
            b"+OK" => {}
            line if line.starts_with(b"INFO ") => {
                // It is told again when a cluster changes.
                if !self.opened {
                    let hello = b"CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":true,\
                                  \"lang\":\"rust\",\"version\":\"1\",\"protocol\":1}\r\nPING\r\n";
                    frame::write(BINARY, hello, out);
                }
            }
            line if line.starts_with(b"-ERR ") => {
                let code = line.get(5..).and_then(|why| std::str::from_utf8(why).ok());
                each(Incoming::Refused { number: None, code: code.unwrap_or_default() });
            }
            other => {
                let begin = other.get(..other.len().min(16)).unwrap_or_default();
                return Err(Broken(format!("operation {}", String::from_utf8_lossy(begin))));
            }
        }
        Ok(())
    }
}

/// Reads the last word of `MSG SUBJECT SID [REPLY] BYTES`.
fn payload_length(line: &[u8]) -> Result<usize, Broken> {
    let word = line.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
    std::str::from_utf8(word)
        .ok()
        .and_then(|word| word.parse().ok())
        .ok_or_else(|| Broken("a message without a length".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::split::{at_every_byte, from_server};

    const HEAD: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";

    fn answers() -> Vec<u8> {
        let mut out = Vec::new();
        let hello = b"CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":true,\
                      \"lang\":\"rust\",\"version\":\"1\",\"protocol\":1}\r\nPING\r\n";
        frame::write(BINARY, hello, &mut out);
        frame::write(BINARY, b"PONG\r\n", &mut out);
        out
    }

    const SESSION: &[u8] = b"INFO {\"server_id\":\"A\"}\r\nPONG\r\nPONG\r\nPING\r\n\
                             MSG room.1 1 5\r\nhello\r\nMSG room.1 1 reply 4\r\n\r\n\r\n\r\n\
                             INFO {}\r\n-ERR 'Stale Connection'\r\n";
    const TOLD: [&str; 5] = [
        "Opened",
        "Joined",
        "Message(hello)",
        "Message(\r\n\r\n)",
        r#"Refused { number: None, code: "'Stale Connection'" }"#,
    ];

    #[test]
    fn session_is_the_same_wherever_it_is_cut() {
        let mut bytes = HEAD.to_vec();
        from_server(BINARY, SESSION, &mut bytes);
        at_every_byte(&Nats, &bytes, &TOLD, &answers());
    }

    #[test]
    fn operations_may_end_in_another_frame() {
        for at in 0..SESSION.len() {
            let mut bytes = HEAD.to_vec();
            from_server(BINARY, &SESSION[..at], &mut bytes);
            from_server(BINARY, &SESSION[at..], &mut bytes);
            let (mut out, mut told) = (Vec::new(), 0);
            let taken = Nats.reader().take(&bytes, &mut out, &mut |_| told += 1).unwrap();
            assert_eq!((taken, told), (bytes.len(), TOLD.len()), "cut at {at}");
        }
    }

    #[test]
    fn what_no_server_sends_is_an_error() {
        for wrong in ["HELLO\r\n", "MSG room.1 1 many\r\n"] {
            let mut bytes = HEAD.to_vec();
            from_server(BINARY, wrong.as_bytes(), &mut bytes);
            assert!(Nats.reader().take(&bytes, &mut Vec::new(), &mut |_| {}).is_err(), "{wrong}");
        }
    }
}
