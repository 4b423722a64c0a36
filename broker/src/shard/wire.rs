//! WebSocket frames from the server: never masked, never fragmented, so the same bytes serve every
//! reader. RFC 6455, section 5.2.

use bytes::{BufMut as _, Bytes, BytesMut};
use parlor_protocol::close::CloseCode;
use parlor_protocol::event::Event;
use parlor_protocol::frame::Frame;

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const PING: u8 = 0x89;
const CLOSE: u8 = 0x88;
/// Longest header of a frame that is not masked.
pub(super) const HEADER_MAX: usize = 10;
/// As deep as `serde_json` reads, so that both encodings take the same.
const DEPTH_MAX: usize = 128;

/// How frames are written for one connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum Encoding {
    /// Text messages.
    #[default]
    Json,
    /// Binary messages with the same content.
    MessagePack,
}

/// Why `MessagePack` cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not MessagePack")]
pub(crate) struct NotMessagePack;

/// Returns the frame around a message that is given as JSON.
pub(crate) fn frame(encoding: Encoding, json: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(json.len() + HEADER_MAX);
    put_frame(&mut out, encoding, json);
    out.freeze()
}

/// Appends the frame around a message that is given as JSON.
pub(crate) fn put_frame(out: &mut BytesMut, encoding: Encoding, json: &[u8]) {
    match encoding {
        Encoding::Json => put(out, TEXT, json),
        Encoding::MessagePack => {
            // Deeper than this program reads or takes from anybody: no frame is better than a part.
            if let Ok(packed) = to_message_pack(json) {
                put(out, BINARY, &packed);
            }
        }
    }
}

/// Writes the same value as `MessagePack`, so that both encodings always say the same.
fn to_message_pack(json: &[u8]) -> Result<Vec<u8>, NotMessagePack> {
    let mut packed = Vec::with_capacity(json.len());
    let mut from = serde_json::Deserializer::from_slice(json);
    let mut to = rmp_serde::Serializer::new(&mut packed);
    serde_transcode::transcode(&mut from, &mut to).map_err(|_| NotMessagePack)?;
    Ok(packed)
}

/// Reads `MessagePack` as the JSON that says the same: binary data is a list of numbers there. A
/// command takes such a list nowhere but in the data of a signal.
pub(crate) fn to_json(packed: &[u8]) -> Result<String, NotMessagePack> {
    let mut rest = packed;
    let mut from = rmp_serde::Deserializer::new(&mut rest);
    from.set_max_depth(DEPTH_MAX);
    let mut json = Vec::with_capacity(packed.len() * 2);
    let mut to = serde_json::Serializer::new(&mut json);
    serde_transcode::transcode(&mut from, &mut to).map_err(|_| NotMessagePack)?;
    if !rest.is_empty() {
        return Err(NotMessagePack);
    }
    String::from_utf8(json).map_err(|_| NotMessagePack)
}

/// Returns an empty ping.
pub(crate) fn ping() -> Bytes {
    Bytes::from_static(&[PING, 0])
}

/// Returns a close frame.
pub(crate) fn close(code: u16, reason: &str) -> Bytes {
    let mut payload = BytesMut::with_capacity(2 + reason.len());
    payload.put_u16(code);
    payload.put_slice(reason.as_bytes());
    control(CLOSE, &payload)
}

/// Returns a close frame with one of the contract's codes.
pub(crate) fn close_with(code: CloseCode) -> Bytes {
    close(code.as_u16(), code.reason())
}

/// Encodes a frame of the contract as JSON.
pub(crate) fn json(frame: &Frame) -> Bytes {
    // These types hold no maps with keys that are not strings, which is all that could fail.
    serde_json::to_vec(frame).map(Bytes::from).unwrap_or_default()
}

/// Encodes an entry of a room's log as JSON.
pub(crate) fn event(event: &Event) -> Bytes {
    json(&Frame::Event(Box::new(event.clone())))
}

fn control(opcode: u8, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(payload.len() + HEADER_MAX);
    put(&mut out, opcode, payload);
    out.freeze()
}

fn put(out: &mut BytesMut, opcode: u8, payload: &[u8]) {
    out.put_u8(opcode);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ ..=125), _) => out.put_u8(short),
        (_, Ok(medium)) => {
            out.put_u8(126);
            out.put_u16(medium);
        }
        _ => {
            out.put_u8(127);
            out.put_u64(payload.len() as u64);
        }
    }
    out.put_slice(payload);
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use tungstenite::protocol::{Role, WebSocket};

    use super::*;

    #[test]
    fn every_length_is_read_by_another_implementation() {
        for len in [0, 1, 125, 126, 127, 65_535, 65_536, 100_000] {
            let payload = "x".repeat(len);
            let stream = Cursor::new(frame(Encoding::Json, payload.as_bytes()).to_vec());
            let mut socket = WebSocket::from_raw_socket(stream, Role::Client, None);
            assert_eq!(socket.read().unwrap().into_text().unwrap().as_str(), payload, "{len}");
        }
    }

    #[test]
    fn close_carries_code_and_reason() {
        let stream = Cursor::new(close_with(CloseCode::SlowConsumer).to_vec());
        let mut socket = WebSocket::from_raw_socket(stream, Role::Client, None);
        let tungstenite::Message::Close(Some(frame)) = socket.read().unwrap() else {
            panic!("not a close frame")
        };
        assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4001, "slow_consumer"));
    }

    #[test]
    fn both_encodings_say_the_same() {
        let json = r#"{"op":"event","seq":18446744073709551615,"data":{"n":-1,"f":0.5,"t":true,"z":null,"list":[1,"zwei",{}],"text":"\u00e4\n"}}"#;
        let packed = to_message_pack(json.as_bytes()).unwrap();
        assert!(packed.len() < json.len());
        let back: serde_json::Value = serde_json::from_str(&to_json(&packed).unwrap()).unwrap();
        assert_eq!(back, serde_json::from_str::<serde_json::Value>(json).unwrap());
    }

    #[test]
    fn what_is_no_message_pack_is_refused() {
        let nested = vec![0x91; 100_000];
        for packed in [
            &[][..],
            &[0xc1],
            // A key that is a map, more than one value, a cut map.
            &[0x81, 0x80, 1],
            &[0x80, 0x80],
            &[0x82, 0xa1, b'a', 1],
            // A length that is never sent, a nesting without end.
            &[0xdd, 0xff, 0xff, 0xff, 0xff],
            &nested,
        ] {
            assert_eq!(to_json(packed), Err(NotMessagePack), "{packed:?}");
        }
        // Binary data, and text that is not UTF-8, which the library takes for such.
        assert_eq!(to_json(&[0xc4, 1, 7]).as_deref(), Ok("[7]"));
        assert_eq!(to_json(&[0xa2, 0xc3, 0x28]).as_deref(), Ok("[195,40]"));
    }
}
