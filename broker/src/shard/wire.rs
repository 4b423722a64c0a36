//! WebSocket frames from the server: never masked, never fragmented, so the same bytes serve every
//! reader. RFC 6455, section 5.2.

use bytes::{BufMut as _, Bytes, BytesMut};
use parlor_protocol::close::CloseCode;
use parlor_protocol::event::Event;
use parlor_protocol::frame::Frame;

const TEXT: u8 = 0x81;
const PING: u8 = 0x89;
const CLOSE: u8 = 0x88;

/// Returns a text frame around `payload`.
pub(crate) fn text(payload: &[u8]) -> Bytes {
    frame(TEXT, payload)
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
    frame(CLOSE, &payload)
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

fn frame(opcode: u8, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(payload.len() + 10);
    frame.put_u8(opcode);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ ..=125), _) => frame.put_u8(short),
        (_, Ok(medium)) => {
            frame.put_u8(126);
            frame.put_u16(medium);
        }
        _ => {
            frame.put_u8(127);
            frame.put_u64(payload.len() as u64);
        }
    }
    frame.put_slice(payload);
    frame.freeze()
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
            let stream = Cursor::new(text(payload.as_bytes()).to_vec());
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
}
