//! WebSocket frames (RFC 6455) for dialects that travel in them: reading without copying, writing
//! into a buffer. Masks are zero, which costs the server the same work. Servers never mask.

use super::Broken;

/// Text.
pub const TEXT: u8 = 0x1;
/// Bytes.
pub const BINARY: u8 = 0x2;
/// The end.
pub const CLOSE: u8 = 0x8;
/// A question whether the other side is there.
pub const PING: u8 = 0x9;
/// Its answer.
pub const PONG: u8 = 0xA;
/// Set in the first byte of the last frame of a message.
const LAST: u8 = 0x80;
/// Set in the second byte of every frame of a client.
const MASKED: u8 = 0x80;
/// Lengths of more than one byte follow.
const TWO_BYTES: u8 = 0b0111_1110;
const EIGHT_BYTES: u8 = 0b0111_1111;
/// Longest answer to an upgrade.
const HEAD_MAX: usize = 16 * 1024;

/// The first frame of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// [`TEXT`], [`BINARY`], [`CLOSE`], [`PING`], [`PONG`], or 0 for a continuation.
    pub opcode: u8,
    /// Whether the message ends with it.
    pub is_last: bool,
    /// What it carries.
    pub payload: &'a [u8],
    /// Its length with the header.
    pub length: usize,
}

impl Frame<'_> {
    /// Returns the code of a close frame; 1005 when it has none.
    pub fn close_code(&self) -> u16 {
        match self.payload {
            [high, low, ..] => u16::from_be_bytes([*high, *low]),
            _ => 1005,
        }
    }
}

/// Returns the first frame once it is whole.
#[inline]
pub fn first(bytes: &[u8]) -> Option<Frame<'_>> {
    let (&[first, second], rest) = bytes.split_first_chunk::<2>()?;
    let (start, length) = match second & !MASKED {
        TWO_BYTES => (4, usize::from(u16::from_be_bytes(*rest.first_chunk()?))),
        EIGHT_BYTES => (10, usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?),
        short => (2, usize::from(short)),
    };
    let end = usize::checked_add(start, length)?;
    let payload = bytes.get(start..end)?;
    Some(Frame { opcode: first & 0x0F, is_last: first & LAST != 0, payload, length: end })
}

/// Writes one frame of a client.
pub fn write(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    write_parts(opcode, &[payload], out);
}

/// Writes one frame of a client whose payload stands in pieces.
pub fn write_parts(opcode: u8, parts: &[&[u8]], out: &mut Vec<u8>) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.push(LAST | opcode);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..=125), _) => out.push(MASKED | short),
        (_, Ok(medium)) => {
            out.push(MASKED | TWO_BYTES);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            out.push(MASKED | EIGHT_BYTES);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// Writes the request that turns HTTP into a WebSocket. `headers` are whole lines, each with its
/// line end.
pub fn write_upgrade(authority: &str, path: &str, headers: &str, out: &mut Vec<u8>) {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{headers}\r\n"
    );
    out.extend_from_slice(request.as_bytes());
}

/// Returns the length of the answer to the upgrade once it is whole.
///
/// # Errors
/// [`Broken`] when the server does not become a WebSocket.
pub fn upgraded(bytes: &[u8]) -> Result<Option<usize>, Broken> {
    let Some(end) = bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return if bytes.len() > HEAD_MAX {
            Err(Broken("no answer to the upgrade".to_owned()))
        } else {
            Ok(None)
        };
    };
    if bytes.starts_with(b"HTTP/1.1 101") {
        return Ok(Some(end + 4));
    }
    let head = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default());
    Err(Broken(head.lines().next().unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_told_once_it_is_whole() {
        for length in [0, 5, 125, 126, 300, 65_535, 65_536] {
            let mut bytes = Vec::new();
            write(TEXT, &vec![b'x'; length], &mut bytes);
            // As a server sends it: without a mask.
            let header = bytes.len() - length - 4;
            bytes[1] &= 0x7F;
            bytes.drain(header..header + 4);
            for cut in (0..bytes.len()).rev().take(300).chain(0..bytes.len().min(20)) {
                assert_eq!(first(&bytes[..cut]), None, "{cut} of {length}");
            }
            let payload = vec![b'x'; length];
            let whole =
                Frame { opcode: TEXT, is_last: true, payload: &payload, length: bytes.len() };
            assert_eq!(first(&bytes), Some(whole));
        }
    }

    #[test]
    fn impossible_lengths_are_never_whole() {
        let bytes = [0x81, 127, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
        assert_eq!(first(&bytes), None);
    }

    #[test]
    fn upgrade_is_answered_or_refused() {
        assert_eq!(upgraded(b"HTTP/1.1 101 Switching"), Ok(None));
        assert_eq!(upgraded(b"HTTP/1.1 101 Switching\r\n\r\n\x81"), Ok(Some(26)));
        let refused = upgraded(b"HTTP/1.1 401 Unauthorized\r\n\r\n").unwrap_err();
        assert_eq!(refused.0, "HTTP/1.1 401 Unauthorized");
        assert!(upgraded(&vec![b'x'; HEAD_MAX + 1]).is_err());
    }
}
