//! One client's connection, for scenarios in which clients come, wait and go.
//!
//! It takes as long as it takes: nothing here has a limit on time, so whoever waits sets one.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::dialect::frame::{self, CLOSE, PING, PONG, TEXT};
use crate::target::BenchError;

/// Longest answer to an upgrade.
const HEAD_MAX: usize = 16 * 1024;
/// How long someone waits who is told to come back, but not when.
pub(crate) const BACKOFF: Duration = Duration::from_millis(200);
/// What is added by chance to a wait, as a part of it.
const JITTER: f64 = 0.25;
/// Least room for what arrives.
const ROOM: usize = 2 * 1024;

/// Why there is no connection, or no longer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The server has too much to do, and says when to come back.
    #[error("the server is busy")]
    Busy {
        /// When to come back, if it says.
        retry_after: Option<Duration>,
    },
    /// The server does not want this connection.
    #[error("the server refused a connection: {0}")]
    Refused(String),
    /// The server has ended the connection.
    #[error("the server closed a connection with {0}")]
    Closed(u16),
    /// The connection broke.
    #[error("a connection broke")]
    Broken(#[from] io::Error),
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Link {
    stream: TcpStream,
    read: Vec<u8>,
    /// What waits to be sent.
    pub(crate) out: Vec<u8>,
}

impl Link {
    /// Connects without saying anything.
    pub(crate) async fn dial(authority: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(authority).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::new(), out: Vec::new() })
    }

    /// Connects to Parlor with an access token.
    pub(crate) async fn open(authority: &str, token: &str) -> Result<Self, LinkError> {
        let mut link = Self::dial(authority).await?;
        let headers = format!("Authorization: Bearer {token}\r\n");
        frame::write_upgrade(authority, "/v1/ws", &headers, &mut link.out);
        link.flush().await?;
        loop {
            link.fill().await?;
            let end = link.read.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            match end {
                Some(end) => {
                    check_upgrade(&String::from_utf8_lossy(&link.read[..end]))?;
                    link.read.drain(..end + 4);
                    return Ok(link);
                }
                None if link.read.len() > HEAD_MAX => {
                    return Err(LinkError::Refused("no answer to the upgrade".to_owned()));
                }
                None => {}
            }
        }
    }

    /// Connects to Parlor, and comes back later whenever it is told to. Takes as long as that takes.
    pub(crate) async fn open_patiently(authority: &str, token: &str) -> Result<Self, LinkError> {
        loop {
            match Self::open(authority, token).await {
                Err(LinkError::Busy { retry_after }) => {
                    sleep(jittered(retry_after.unwrap_or(BACKOFF))).await;
                }
                opened => return opened,
            }
        }
    }

    /// Queues a text frame.
    pub(crate) fn push(&mut self, text: &str) {
        frame::write(TEXT, text.as_bytes(), &mut self.out);
    }

    /// Sends what is queued.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was not sent stays queued.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        while !self.out.is_empty() {
            let sent = self.stream.write(&self.out).await?;
            self.out.drain(..sent);
        }
        Ok(())
    }

    /// Waits until something has arrived.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(crate) async fn fill(&mut self) -> io::Result<()> {
        self.read.reserve(ROOM);
        if self.stream.read_buf(&mut self.read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Shows what has arrived to `take`, which returns how much of it is done with.
    pub(crate) fn take<E>(
        &mut self,
        take: impl FnOnce(&[u8], &mut Vec<u8>) -> Result<usize, E>,
    ) -> Result<(), E> {
        let taken = take(&self.read, &mut self.out)?;
        if taken == self.read.len() && self.read.capacity() > 4 * ROOM {
            // Thousands of clients at rest need no room for their largest burst.
            self.read = Vec::new();
        } else {
            self.read.drain(..taken);
        }
        Ok(())
    }

    /// Waits until something has arrived, and hands each text frame that is whole to `each`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(crate) async fn receive(&mut self, mut each: impl FnMut(&[u8])) -> Result<(), LinkError> {
        if !self.out.is_empty() {
            self.flush().await?;
        }
        if frame::first(&self.read).is_none() {
            self.fill().await?;
        }
        self.take(|bytes, out| {
            let mut taken = 0;
            while let Some(frame) = bytes.get(taken..).and_then(frame::first) {
                taken += frame.length;
                match frame.opcode {
                    TEXT => each(frame.payload),
                    PING => frame::write(PONG, frame.payload, out),
                    CLOSE => return Err(LinkError::Closed(frame.close_code())),
                    _ => {}
                }
            }
            Ok(taken)
        })?;
        Ok(self.flush().await?)
    }

    /// Cuts the connection as a cable that is pulled: without a word, and without a port that stays
    /// taken for a minute.
    pub(crate) fn cut(self) {
        // Where this cannot be set the connection ends in the usual way.
        drop(self.stream.set_zero_linger());
    }
}

/// Tells from the head of an answer whether the server became a WebSocket.
fn check_upgrade(head: &str) -> Result<(), LinkError> {
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default();
    let code = status.split(' ').nth(1).unwrap_or_default();
    match code {
        "101" => Ok(()),
        "429" | "503" => {
            let seconds = lines.find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("retry-after").then(|| value.trim().parse().ok())?
            });
            Err(LinkError::Busy { retry_after: seconds.map(Duration::from_secs) })
        }
        _ => Err(LinkError::Refused(status.to_owned())),
    }
}

/// Returns a time with a part added by chance, so that not all come back at the same moment.
pub(crate) fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(1.0 + JITTER * rand::random::<f64>())
}

/// Turns the end of a connection that must not end into the end of the measurement.
pub(crate) fn gone(error: LinkError) -> BenchError {
    match error {
        LinkError::Broken(source) => BenchError::Connection(source.to_string()),
        other => BenchError::Connection(other.to_string()),
    }
}

/// Returns the number that follows a key in a frame.
pub(crate) fn number_after(text: &[u8], key: &[u8]) -> Option<u64> {
    let start = memchr::memmem::find(text, key)? + key.len();
    let digits = text[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&text[start..start + digits]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_comes_back_before_they_were_told_to() {
        let told = Duration::from_secs(2);
        let waits: Vec<_> = (0..100).map(|_| jittered(told)).collect();
        assert!(waits.iter().all(|wait| (told..told.mul_f64(1.26)).contains(wait)));
        assert!(waits.iter().any(|wait| *wait != waits[0]), "by chance");
    }

    #[test]
    fn a_busy_server_says_when_to_come_back() {
        assert!(check_upgrade("HTTP/1.1 101 Switching Protocols\r\nA: b").is_ok());
        let busy = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nretry-after: 3";
        let told = Duration::from_secs(3);
        assert!(matches!(
            check_upgrade(busy),
            Err(LinkError::Busy { retry_after: Some(after) }) if after == told
        ));
        let silent = check_upgrade("HTTP/1.1 503 Service Unavailable");
        assert!(matches!(silent, Err(LinkError::Busy { retry_after: None })));
        let refused = check_upgrade("HTTP/1.1 401 Unauthorized").unwrap_err().to_string();
        assert!(refused.contains("401 Unauthorized"), "{refused}");
    }
}
