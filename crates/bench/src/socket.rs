//! The generator's side of a WebSocket: frames in and out, nothing hidden, one buffer each way.
//!
//! RFC 6455. Masks are zero, which costs the server the same work; a server never masks and Parlor
//! never fragments.

use std::io;

use bytes::{Buf as _, BufMut as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::target::BenchError;

const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;
/// Set in the second byte of every frame of a client.
const MASKED: u8 = 0x80;
/// Longest answer to an upgrade.
const HEAD_MAX: usize = 16 * 1024;

/// An open WebSocket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    read: BytesMut,
    write: BytesMut,
}

impl Socket {
    /// Connects with an access token.
    pub(crate) async fn open(authority: &str, token: &str) -> Result<Self, BenchError> {
        let failed = |error: io::Error| BenchError::Connection(error.to_string());
        let mut stream = TcpStream::connect(authority).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let request = format!(
            "GET /v1/ws HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.map_err(failed)?;
        let mut read = BytesMut::with_capacity(4 * 1024);
        let end = loop {
            let end = read.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            if let Some(end) = end {
                break end + 4;
            }
            let count = stream.read_buf(&mut read).await.map_err(failed)?;
            if count == 0 || read.len() > HEAD_MAX {
                return Err(BenchError::Connection("no answer to the upgrade".to_owned()));
            }
        };
        let head = read.split_to(end);
        if !head.starts_with(b"HTTP/1.1 101") {
            let head = String::from_utf8_lossy(&head);
            let status = head.lines().next().unwrap_or_default().to_owned();
            return Err(BenchError::Connection(status));
        }
        Ok(Self { stream, read, write: BytesMut::new() })
    }

    /// Queues a text frame.
    pub(crate) fn push(&mut self, text: &[u8]) {
        self.push_frame(TEXT, text);
    }

    fn push_frame(&mut self, opcode: u8, payload: &[u8]) {
        self.write.put_u8(0x80 | opcode);
        match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
            (Ok(short @ ..=125), _) => self.write.put_u8(MASKED | short),
            (_, Ok(medium)) => {
                self.write.put_u8(0xFE);
                self.write.put_u16(medium);
            }
            _ => {
                self.write.put_u8(0xFF);
                self.write.put_u64(payload.len() as u64);
            }
        }
        self.write.put_u32(0);
        self.write.put_slice(payload);
    }

    /// Sends what is queued.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all_buf(&mut self.write).await
    }

    /// Waits until something has arrived, and hands each text frame to `take`. `false` when the
    /// server has closed the connection.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what has arrived stays in the buffer.
    pub(crate) async fn receive(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<bool> {
        if self.read.is_empty() || !self.is_frame_whole() {
            self.read.reserve(4 * 1024);
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Ok(false);
            }
        }
        while let Some((opcode, start, end)) = header(&self.read) {
            if self.read.len() < end {
                break;
            }
            match opcode {
                TEXT => take(&self.read[start..end]),
                PING => {
                    let payload = self.read[start..end].to_vec();
                    self.push_frame(PONG, &payload);
                }
                CLOSE => return Ok(false),
                _ => {}
            }
            self.read.advance(end);
        }
        Ok(true)
    }

    fn is_frame_whole(&self) -> bool {
        header(&self.read).is_some_and(|(_, _, end)| self.read.len() >= end)
    }
}

/// Returns opcode, start and end of the first frame's payload, once its header is there.
fn header(read: &[u8]) -> Option<(u8, usize, usize)> {
    let (first, second) = (*read.first()?, *read.get(1)?);
    let (start, length) = match second & 0x7F {
        126 => (4, usize::from(u16::from_be_bytes(read.get(2..4)?.try_into().ok()?))),
        127 => {
            let length = u64::from_be_bytes(read.get(2..10)?.try_into().ok()?);
            (10, usize::try_from(length).ok()?)
        }
        short => (2, usize::from(short)),
    };
    Some((first & 0x0F, start, start + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_is_read_once_it_is_whole() {
        assert_eq!(header(&[0x81]), None);
        assert_eq!(header(&[0x81, 5]), Some((TEXT, 2, 7)));
        assert_eq!(header(&[0x81, 126, 1]), None);
        assert_eq!(header(&[0x81, 126, 1, 0]), Some((TEXT, 4, 260)));
        assert_eq!(header(&[0x89, 127, 0, 0, 0, 0, 0, 1, 0, 0]), Some((PING, 10, 65_546)));
    }
}
