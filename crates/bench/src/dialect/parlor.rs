//! Parlor's own protocol: a WebSocket with the token in the upgrade, and JSON in text frames.

use memchr::memmem;

use super::frame::{self, CLOSE, PING, PONG, TEXT};
use super::{Broken, Dialect, Greeting, Incoming, Reader};

/// Parlor, whose messages are signals or durable.
#[derive(Debug)]
pub struct Parlor {
    durable: bool,
    /// Makes the ids of durable messages new in each run.
    run: String,
}

impl Parlor {
    /// Returns the dialect that publishes signals of its own: at most once, as most peers do.
    pub fn signals() -> Self {
        Self { durable: false, run: String::new() }
    }

    /// Returns the dialect that publishes messages: kept, numbered and acknowledged.
    pub fn durable() -> Self {
        Self { durable: true, run: uuid::Uuid::new_v4().simple().to_string() }
    }
}

impl Dialect for Parlor {
    fn system(&self) -> &'static str {
        "parlor"
    }

    fn open(&self, greeting: &Greeting<'_>, out: &mut Vec<u8>) {
        let headers = format!("Authorization: Bearer {}\r\n", greeting.token);
        frame::write_upgrade(greeting.authority, "/v1/ws", &headers, out);
    }

    fn join(&self, room: &str, out: &mut Vec<u8>) {
        frame::write(TEXT, format!(r#"{{"op":"subscribe","room":"{room}"}}"#).as_bytes(), out);
    }

    fn publish(&self, room: &str, number: u64, payload: &[u8], out: &mut Vec<u8>) {
        if self.durable {
            let run = &self.run;
            let head = format!(
                r#"{{"op":"publish","id":"{number}","room":"{room}","client_id":"{run}-{number}","body":""#
            );
            frame::write_parts(TEXT, &[head.as_bytes(), payload, br#""}"#], out);
        } else {
            let head = [br#"{"op":"signal","room":""#, room.as_bytes(), br#"","data":""#];
            frame::write_parts(TEXT, &[head[0], head[1], head[2], payload, br#""}"#], out);
        }
    }

    fn answers(&self) -> bool {
        self.durable
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(ParlorReader { upgraded: false })
    }
}

#[derive(Debug)]
struct ParlorReader {
    upgraded: bool,
}

impl Reader for ParlorReader {
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
                TEXT => tell(frame.payload, each),
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

/// Every frame that the server sends begins with its `op`.
fn tell(text: &[u8], each: &mut dyn FnMut(Incoming<'_>)) {
    let Some(op) = text.strip_prefix(br#"{"op":""#) else { return };
    match op {
        // `signal` and `event`
        [b's', b'i', ..] | [b'e', b'v', ..] => each(Incoming::Message(op)),
        // `ok`
        [b'o', b'k', ..] => {
            if let Some(number) = value(op, br#""re":""#).and_then(|re| re.parse().ok()) {
                each(Incoming::Accepted(number));
            }
        }
        // `error`
        [b'e', b'r', ..] => each(Incoming::Refused {
            number: value(op, br#""re":""#).and_then(|re| re.parse().ok()),
            code: value(op, br#""code":""#).unwrap_or_default(),
        }),
        // `subscribed`
        [b's', b'u', ..] => each(Incoming::Joined),
        // `welcome`
        [b'w', ..] => each(Incoming::Opened),
        _ => {}
    }
}

/// Returns the text between a key and the next quote.
fn value<'a>(text: &'a [u8], key: &[u8]) -> Option<&'a str> {
    let rest = text.get(memmem::find(text, key)? + key.len()..)?;
    std::str::from_utf8(rest.get(..memchr::memchr(b'"', rest)?)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame as the server sends it.
    fn from_server(opcode: u8, payload: &str) -> Vec<u8> {
        let mut bytes = vec![0x80 | opcode, 126];
        bytes.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(payload.as_bytes());
        bytes
    }

    fn read(pieces: &[&[u8]]) -> (Vec<String>, Vec<u8>) {
        let mut reader = Parlor::signals().reader();
        let (mut rest, mut out, mut told) = (Vec::new(), Vec::new(), Vec::new());
        for piece in pieces {
            rest.extend_from_slice(piece);
            let taken = reader
                .take(&rest, &mut out, &mut |incoming| {
                    told.push(match incoming {
                        Incoming::Message(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
                        other => format!("{other:?}"),
                    });
                })
                .unwrap();
            rest.drain(..taken);
        }
        assert!(rest.is_empty());
        (told, out)
    }

    #[test]
    fn the_same_is_told_wherever_the_bytes_are_cut() {
        let mut bytes = b"HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n".to_vec();
        for (opcode, text) in [
            (TEXT, r#"{"op":"welcome","session":"s"}"#),
            (TEXT, r#"{"op":"subscribed","room":"r","seq":7}"#),
            (TEXT, r#"{"op":"signal","room":"r","type":"app","data":{"data":"x"}}"#),
            (PING, "there?"),
            (TEXT, r#"{"op":"event","seq":8}"#),
            (TEXT, r#"{"op":"ok","re":"12","seq":8}"#),
            (TEXT, r#"{"op":"error","re":"13","code":"unavailable","detail":"no"}"#),
            (TEXT, r#"{"op":"error","code":"rate_limited","detail":"no"}"#),
            (TEXT, r#"{"op":"pong"}"#),
            (CLOSE, "\u{f}\u{21}"),
        ] {
            bytes.extend_from_slice(&from_server(opcode, text));
        }
        let whole = read(&[&bytes]);
        assert_eq!(
            whole.0,
            [
                "Opened",
                "Joined",
                r#"signal","room":"r","type":"app","data":{"data":"x"}}"#,
                r#"event","seq":8}"#,
                "Accepted(12)",
                r#"Refused { number: Some(13), code: "unavailable" }"#,
                r#"Refused { number: None, code: "rate_limited" }"#,
                "Closed(3873)",
            ]
        );
        for cut in 0..bytes.len() {
            let (front, back) = bytes.split_at(cut);
            assert_eq!(read(&[front, back]), whole, "cut at {cut}");
        }
    }

    #[test]
    fn commands_are_what_the_protocol_knows() {
        use parlor_protocol::command::Command;

        let parse = |out: &[u8]| {
            let mut out = out.to_vec();
            out[1] &= 0x7F;
            let payload = frame::first(&out).unwrap().payload;
            // The frame is longer by its mask, which is zero.
            let start = out.len() - payload.len();
            serde_json::from_slice::<Command>(&out[start..]).unwrap()
        };
        let mut out = Vec::new();
        Parlor::signals().publish("general", 7, b"payload", &mut out);
        let Command::Signal { data, .. } = parse(&out) else { panic!("not a signal") };
        assert_eq!(data, "payload");
        out.clear();
        Parlor::durable().publish("general", 7, b"payload", &mut out);
        let Command::Publish { id, body, .. } = parse(&out) else { panic!("not a publish") };
        assert_eq!((id.as_deref(), body.as_str()), (Some("7"), "payload"));
        out.clear();
        Parlor::signals().join("general", &mut out);
        assert!(matches!(parse(&out), Command::Subscribe { .. }));
    }
}
