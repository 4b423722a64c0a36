//! As much of the WebSocket as a fan-out needs: the upgrade, whole text frames, pings, closes.
//!
//! Frames of more than 64 KiB and messages in several frames are refused.

use tungstenite::handshake::derive_accept_key;

const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// What a client has sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// A message for the room.
    Text(&'a [u8]),
    /// To be answered with the same payload.
    Ping(&'a [u8]),
    /// Nothing that needs an answer.
    Other,
    /// The end, or what this does not speak.
    Close,
}

/// Takes the first frame of `read`, unmasked in place; `None` until it is whole. The second value
/// is its length with the header.
pub(crate) fn next(read: &mut [u8]) -> Option<(Frame<'_>, usize)> {
    let (&first, &second) = (read.first()?, read.get(1)?);
    let (header, length) = match second & 0x7F {
        126 => (4, usize::from(u16::from_be_bytes(read.get(2..4)?.try_into().ok()?))),
        127 => return Some((Frame::Close, read.len())),
        short => (2, usize::from(short)),
    };
    let start = header + 4;
    let mask: [u8; 4] = read.get(header..start)?.try_into().ok()?;
    let payload = read.get_mut(start..start + length)?;
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    let is_whole = first & 0x80 != 0 && second & 0x80 != 0;
    let frame = match first & 0x0F {
        TEXT if is_whole => Frame::Text(payload),
        PING if is_whole => Frame::Ping(payload),
        PONG => Frame::Other,
        _ => Frame::Close,
    };
    Some((frame, start + length))
}

/// Appends a frame for a client.
pub(crate) fn push_text(out: &mut Vec<u8>, payload: &[u8]) {
    push(out, TEXT, payload);
}

/// Appends the answer to a ping.
pub(crate) fn push_pong(out: &mut Vec<u8>, payload: &[u8]) {
    push(out, PONG, payload);
}

/// Appends the answer to a close.
pub(crate) fn push_close(out: &mut Vec<u8>) {
    push(out, CLOSE, &[]);
}

fn push(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(0x80 | opcode);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ ..=125), _) => out.push(short),
        (_, Ok(medium)) => {
            out.push(126);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        // What came in was shorter.
        _ => return out.truncate(out.len() - 1),
    }
    out.extend_from_slice(payload);
}

/// Returns the answer to a request for a WebSocket; `None` when it is none.
pub(crate) fn upgrade(request: &str) -> Option<String> {
    let key = request.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim())
    })?;
    Some(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_is_taken_once_it_is_whole() {
        let whole = [0x81, 0x83, 1, 2, 3, 4, b'a' ^ 1, b'b' ^ 2, b'c' ^ 3, 0x81];
        for end in 0..9 {
            assert_eq!(next(&mut whole[..end].to_vec()), None, "{end}");
        }
        assert_eq!(next(&mut whole.to_vec()), Some((Frame::Text(b"abc"), 9)));
    }

    #[test]
    fn what_is_not_spoken_ends_the_connection() {
        for first in [0x01, 0x82, 0x80, 0x88] {
            let mut read = [first, 0x80, 0, 0, 0, 0];
            assert_eq!(next(&mut read), Some((Frame::Close, 6)), "{first:#x}");
        }
        assert_eq!(next(&mut [0x89, 0x80, 0, 0, 0, 0]), Some((Frame::Ping(b""), 6)));
    }

    #[test]
    fn length_takes_two_more_bytes_when_it_must() {
        let mut out = Vec::new();
        push_text(&mut out, &[7; 125]);
        assert_eq!(out.len(), 127);
        out.clear();
        push_text(&mut out, &[7; 154]);
        assert_eq!((out.len(), &out[..4]), (158, &[0x81, 126, 0, 154][..]));
    }

    #[test]
    fn upgrade_is_answered_with_the_key() {
        // The example of RFC 6455.
        let key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
        let answer = upgrade(&format!("GET / HTTP/1.1\r\n{key}\r\n\r\n")).unwrap();
        assert!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
        assert_eq!(upgrade("GET / HTTP/1.1\r\n\r\n"), None);
    }
}
