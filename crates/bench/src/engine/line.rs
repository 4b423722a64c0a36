//! One connection of the generator: a socket that never blocks, what is to be written, and the part
//! of a frame that has arrived so far.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;

use mio::net::TcpStream;
use socket2::SockRef;

use crate::dialect::{Broken, Incoming, Reader};

/// What the kernel keeps for a reader that is going to stall; small, so that the server soon
/// notices.
const STALLED_BUFFER: usize = 16 * 1024;
/// The same once it reads again: through the small one the rest would take seconds.
const REVIVED_BUFFER: usize = 1024 * 1024;
/// What may wait to be written on a connection whose server does not read.
const OUT_MAX: usize = 4 * 1024 * 1024;

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The server has not let it in.
    Opening,
    /// It is let in and not yet in its room.
    Joining,
    /// It reads.
    Ready,
    /// It does not read on purpose.
    Stalled,
    /// It is gone.
    Closed,
}

/// What a socket gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received {
    /// Bytes at the front of the buffer, with those that were kept.
    pub(crate) length: usize,
    /// Whether the socket may have more.
    pub(crate) has_more: bool,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error("closed by the server")]
    Eof,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Broken(#[from] Broken),
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Line {
    stream: TcpStream,
    reader: Box<dyn Reader>,
    /// What arrived and is not whole; empty most of the time.
    rest: Vec<u8>,
    pub(crate) out: Vec<u8>,
    written: usize,
    pub(crate) progress: Progress,
}

impl Line {
    /// Begins to connect.
    pub(crate) fn connect(
        address: SocketAddr,
        reader: Box<dyn Reader>,
        will_stall: bool,
    ) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        if will_stall {
            SockRef::from(&stream).set_recv_buffer_size(STALLED_BUFFER)?;
        }
        let (rest, out) = (Vec::new(), Vec::new());
        Ok(Self { stream, reader, rest, out, written: 0, progress: Progress::Opening })
    }

    /// Reads again after a stall.
    pub(crate) fn revive(&mut self) -> io::Result<()> {
        self.progress = Progress::Ready;
        SockRef::from(&self.stream).set_recv_buffer_size(REVIVED_BUFFER)
    }

    /// Returns the socket, to be registered.
    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Returns whether another message may be queued.
    pub(crate) fn has_space(&self) -> bool {
        self.out.len() < OUT_MAX
    }

    /// Reads once, behind what was kept; `None` when there is nothing.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> Result<Option<Received>, Ended> {
        let (front, space) = buffer.split_at_mut(self.rest.len());
        front.copy_from_slice(&self.rest);
        loop {
            match self.stream.read(space) {
                Ok(0) => return Err(Ended::Eof),
                // A socket that gave less than was asked for is empty, and tells when it is not.
                Ok(count) => {
                    let (length, has_more) = (front.len() + count, count == space.len());
                    return Ok(Some(Received { length, has_more }));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Hands what is whole of what was received to `each`, and keeps the rest.
    pub(crate) fn take(
        &mut self,
        buffer: &[u8],
        received: Received,
        each: &mut dyn FnMut(Incoming<'_>),
    ) -> Result<(), Ended> {
        let bytes = &buffer[..received.length];
        let taken = self.reader.take(bytes, &mut self.out, each)?;
        if taken == 0 && bytes.len() == buffer.len() {
            let reason = format!("a frame of more than {} bytes", buffer.len());
            return Err(Broken(reason).into());
        }
        self.rest.clear();
        self.rest.extend_from_slice(&bytes[taken..]);
        Ok(())
    }

    /// Writes as much as the socket takes.
    pub(crate) fn flush(&mut self) -> Result<(), Ended> {
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(0) => return Err(Ended::Eof),
                Ok(count) => self.written += count,
                // One that still connects tells when it has.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected
                    ) =>
                {
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }
}
