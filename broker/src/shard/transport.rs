//! What a WebSocket's bytes go through: TCP alone, or TLS on it.
//!
//! After the upgrade nothing stands between a session and its socket. With TLS the session drives
//! rustls itself, without a task: what is written becomes records at once, and what the socket does
//! not take of them waits in here, bounded. It was counted as written by then, so whoever asks
//! whether something waits must ask here as well.

use std::cell::RefCell;
use std::io::{self, IoSlice, Read, Write};

use rustls::ServerConnection;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// Bytes that are encrypted before the socket has taken them: two records.
const SENDING_MAX: usize = 32 * 1024;
/// Bytes from a client without anything in them to hand over. A record has a quarter of it; more is
/// empty records.
const BARREN_MAX: usize = 64 * 1024;

/// What became of bytes that were encrypted before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flushed {
    /// How many the socket has taken now.
    pub(crate) taken: usize,
    /// None are left.
    pub(crate) is_done: bool,
}

/// A connection, as far as its bytes are concerned.
#[derive(Debug)]
pub(crate) enum Transport {
    /// TCP.
    Plain(TcpStream),
    /// TLS on TCP.
    Tls(Box<Tls>),
}

/// A connection with TLS after its handshake.
#[derive(Debug)]
pub(crate) struct Tls {
    socket: TcpStream,
    session: RefCell<Session>,
}

#[derive(Debug)]
struct Session {
    tls: ServerConnection,
    /// Bytes read since something was handed over.
    barren: usize,
}

impl From<TcpStream> for Transport {
    fn from(socket: TcpStream) -> Self {
        Self::Plain(socket)
    }
}

impl From<TlsStream<TcpStream>> for Transport {
    fn from(stream: TlsStream<TcpStream>) -> Self {
        let (socket, mut tls) = stream.into_inner();
        tls.set_buffer_limit(Some(SENDING_MAX));
        let session = RefCell::new(Session { tls, barren: 0 });
        Self::Tls(Box::new(Tls { socket, session }))
    }
}

impl Transport {
    /// Returns the socket, to wait for it or to set it up. Bytes go through the transport.
    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => &tls.socket,
        }
    }

    /// Tells whether bytes may wait to be read although the socket has none.
    pub(crate) fn may_hold_bytes(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Reads what is there, without waiting.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_read(buffer),
            Self::Tls(tls) => tls.session.borrow_mut().read(&tls.socket, buffer),
        }
    }

    /// Writes what is taken, without waiting.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_write(bytes),
            Self::Tls(tls) => tls.write(|session| session.writer().write(bytes)),
        }
    }

    /// Writes what is taken of several pieces, without waiting. With TLS they share records.
    pub(crate) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_write_vectored(slices),
            Self::Tls(tls) => tls.write(|session| session.writer().write_vectored(slices)),
        }
    }

    /// Tells whether the socket has not taken all that was written.
    pub(crate) fn is_pending(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.session.borrow().tls.wants_write(),
        }
    }

    /// Writes what was not taken before, without waiting.
    pub(crate) fn flush(&self) -> io::Result<Flushed> {
        match self {
            Self::Plain(_) => Ok(Flushed { taken: 0, is_done: true }),
            Self::Tls(tls) => tls.session.borrow_mut().flush(&tls.socket),
        }
    }

    /// Says that nothing more will be written; goes out with the next flush.
    pub(crate) fn finish(&self) {
        if let Self::Tls(tls) = self {
            tls.session.borrow_mut().tls.send_close_notify();
        }
    }
}

impl Tls {
    fn write(
        &self,
        write: impl FnOnce(&mut ServerConnection) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut session = self.session.borrow_mut();
        // What came first goes first, and all of it: so there is room for whole records.
        if !session.flush(&self.socket)?.is_done {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let written = write(&mut session.tls)?;
        session.flush(&self.socket)?;
        Ok(written)
    }
}

impl Session {
    fn flush(&mut self, socket: &TcpStream) -> io::Result<Flushed> {
        let mut taken = 0;
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Raw(socket)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => taken += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Flushed { taken, is_done: false });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Flushed { taken, is_done: true })
    }

    fn read(&mut self, socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => {
                    self.barren = 0;
                    return read;
                }
            }
            if self.barren > BARREN_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.barren += self.tls.read_tls(&mut Raw(socket))?;
            if let Err(error) = self.tls.process_new_packets() {
                // The other side is told why, if there is room; it is the last that it is told.
                drop(self.flush(socket));
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
    }
}

/// The socket for rustls, which neither waits nor keeps it.
struct Raw<'a>(&'a TcpStream);

impl Read for Raw<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Raw<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
