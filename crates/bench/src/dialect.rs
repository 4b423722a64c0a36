//! How clients of one system speak: what they send to connect, to join a room and to publish, and
//! how what arrives is told apart.
//!
//! A dialect does no input or output. It writes bytes into a buffer that it is given, and is shown
//! the bytes that arrive; sockets, times and counting are the generator's. So a system whose
//! messages travel in WebSocket frames, in frames within frames, or over plain TCP is one file in
//! `dialect/` and one line in [`by_name`].

use std::fmt::Debug;

pub mod frame;
mod mqtt;
mod nats;
mod parlor;
mod plain;
mod socketio;
#[cfg(test)]
mod split;

pub use mqtt::Mqtt;
pub use nats::Nats;
pub use parlor::Parlor;
pub use plain::Plain;
pub use socketio::SocketIo;

/// What one client says when it connects.
#[derive(Debug, Clone, Copy)]
pub struct Greeting<'a> {
    /// Host and port, as in a `Host` header.
    pub authority: &'a str,
    /// The path of the address, `/` when it has none.
    pub path: &'a str,
    /// The token of the user, empty for systems without users.
    pub token: &'a str,
    /// Names the connection: 0, 1, 2 …
    pub number: usize,
}

/// One system's way to speak.
pub trait Dialect: Debug + Send + Sync {
    /// Returns the name of the system for a report.
    fn system(&self) -> &str;

    /// Writes what a client sends first. The reader answers with [`Incoming::Opened`] once the
    /// server has let the client in; whatever must be said in between, the reader writes itself.
    fn open(&self, greeting: &Greeting<'_>, out: &mut Vec<u8>);

    /// Writes what makes the client a reader of a room. The reader tells [`Incoming::Joined`] once
    /// for each call; a system that does not answer writes something else that it does answer.
    fn join(&self, room: &str, out: &mut Vec<u8>);

    /// Writes a message with exactly this payload to a room. `number` is new for each message of a
    /// run; the answer to the message, where there is one, tells it.
    fn publish(&self, room: &str, number: u64, payload: &[u8], out: &mut Vec<u8>);

    /// Returns whether a sender that has joined the room gets its own messages.
    fn echoes(&self) -> bool {
        true
    }

    /// Returns whether each message is answered with [`Incoming::Accepted`] or
    /// [`Incoming::Refused`].
    fn answers(&self) -> bool {
        false
    }

    /// Makes what reads one connection from its first byte on.
    fn reader(&self) -> Box<dyn Reader>;
}

/// Tells apart what arrives on one connection.
pub trait Reader: Debug + Send {
    /// Takes as much from the front of `bytes` as is whole, hands it to `each` piece by piece, and
    /// returns how many bytes it took. The rest is shown again with what arrives next, so nothing
    /// needs to be kept. Answers that the protocol demands are written into `out`.
    ///
    /// # Errors
    /// [`Broken`] when the bytes are not what this system may send; the connection is given up.
    fn take(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        each: &mut dyn FnMut(Incoming<'_>),
    ) -> Result<usize, Broken>;
}

/// One thing that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// The client is let in and may join rooms.
    Opened,
    /// It has joined one.
    Joined,
    /// These bytes hold the payload of a message, or of several, as it was given to
    /// [`Dialect::publish`]; what stands around it does not matter.
    Message(&'a [u8]),
    /// The message of this number was taken.
    Accepted(u64),
    /// A command was refused with this code; its number, if the server tells.
    Refused {
        /// The number given to [`Dialect::publish`].
        number: Option<u64>,
        /// Why, as the server says it.
        code: &'a str,
    },
    /// The server closes the connection.
    Closed(u16),
}

/// Bytes that are not what a system may send.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);

/// Names that [`by_name`] knows.
pub const NAMES: &[&str] = &[
    "parlor",
    "parlor-durable",
    "epoll",
    "bun",
    "ws",
    "fastapi",
    "socket.io",
    "nats",
    "mosquitto",
];

/// Returns the dialect of this name.
pub fn by_name(name: &str) -> Option<Box<dyn Dialect>> {
    Some(match name {
        "parlor" => Box::new(Parlor::signals()),
        "parlor-durable" => Box::new(Parlor::durable()),
        "epoll" | "bun" | "ws" | "fastapi" => Box::new(Plain::new(name)),
        "socket.io" => Box::new(SocketIo),
        "nats" => Box::new(Nats),
        "mosquitto" => Box::new(Mqtt),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_dialect() {
        assert!(NAMES.iter().all(|name| by_name(name).is_some()));
        assert!(by_name("telegraph").is_none());
    }
}
