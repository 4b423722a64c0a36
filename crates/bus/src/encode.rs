//! Frames as bytes, encoded once for those who listen here and elsewhere.
//!
//! Between processes a frame carries one byte before its JSON: the version of the encoding. What is
//! delivered is the rest of the same bytes.

use std::sync::Arc;

use bytes::Bytes;
use parlor_protocol::event::Event;
use parlor_protocol::frame::Frame;
use parlor_protocol::signal::Signal;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::contract::Delivery;

/// The first byte of everything that goes to other processes. A process that does not know a
/// version skips it, so old and new ones can run side by side.
pub(crate) const VERSION: u8 = b'1';

/// How the JSON of each kind of frame begins.
const EVENT: &[u8] = br#"{"op":"event","#;
const SIGNAL: &[u8] = br#"{"op":"signal","#;

/// Most frames are smaller.
const TYPICAL: usize = 512;

/// A frame for listeners here and elsewhere.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// The version and the JSON.
    pub(crate) wire: Bytes,
    /// The JSON and what it says.
    pub(crate) delivery: Delivery,
}

/// Why bytes are not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Another version wrote it.
    Version,
    /// It is not what it should be.
    Garbage,
}

/// Encodes an event.
pub(crate) fn event(event: Event) -> Option<Encoded> {
    let frame = Frame::Event(Box::new(event));
    let wire = to_bytes(&frame)?;
    let Frame::Event(event) = frame else { return None };
    let json = wire.slice(1..);
    Some(Encoded { wire, delivery: Delivery::Event { event: Arc::from(event), json } })
}

/// Encodes a signal.
pub(crate) fn signal(signal: Signal) -> Option<Encoded> {
    let frame = Frame::Signal(Box::new(signal));
    let wire = to_bytes(&frame)?;
    let Frame::Signal(signal) = frame else { return None };
    let json = wire.slice(1..);
    Some(Encoded { wire, delivery: Delivery::Signal { signal: Arc::from(signal), json } })
}

/// Decodes an event. Its JSON is a copy of its own: it may be kept for long, and what was received
/// is part of a larger buffer.
pub(crate) fn read_event(wire: &[u8]) -> Result<(Arc<Event>, Bytes), Unreadable> {
    let json = content(wire)?;
    if !json.starts_with(EVENT) {
        return Err(Unreadable::Garbage);
    }
    let event = serde_json::from_slice(json).map_err(|_| Unreadable::Garbage)?;
    Ok((Arc::new(event), Bytes::copy_from_slice(json)))
}

/// Decodes a signal.
pub(crate) fn read_signal(wire: &Bytes) -> Result<(Arc<Signal>, Bytes), Unreadable> {
    let json = content(wire)?;
    if !json.starts_with(SIGNAL) {
        return Err(Unreadable::Garbage);
    }
    let signal = serde_json::from_slice(json).map_err(|_| Unreadable::Garbage)?;
    Ok((Arc::new(signal), wire.slice(1..)))
}

/// Decodes anything else.
pub(crate) fn read<T: DeserializeOwned>(wire: &[u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(content(wire)?).map_err(|_| Unreadable::Garbage)
}

/// Writes the version and the JSON.
pub(crate) fn to_bytes(value: &impl Serialize) -> Option<Bytes> {
    let mut wire = Vec::with_capacity(TYPICAL);
    wire.push(VERSION);
    match serde_json::to_writer(&mut wire, value) {
        Ok(()) => Some(wire.into()),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "frame cannot be encoded");
            None
        }
    }
}

fn content(wire: &[u8]) -> Result<&[u8], Unreadable> {
    match wire.split_first() {
        Some((&VERSION, json)) => Ok(json),
        Some(_) => Err(Unreadable::Version),
        None => Err(Unreadable::Garbage),
    }
}

#[cfg(test)]
mod tests {
    use parlor_protocol::id::{RoomId, UserId};
    use parlor_protocol::signal::{SignalBody, Typing};
    use parlor_protocol::user::{UserKind, UserRef};
    use uuid::Uuid;

    use super::*;

    fn typing() -> Signal {
        let user = UserRef {
            id: UserId(Uuid::from_u128(9)),
            username: "ada".into(),
            display_name: "Ada".into(),
            kind: UserKind::User,
        };
        let room = RoomId(Uuid::from_u128(1));
        Signal { room, body: SignalBody::Typing(Typing { user, on: true }) }
    }

    #[test]
    fn what_is_delivered_elsewhere_is_the_same_bytes() {
        let encoded = signal(typing()).unwrap();
        let Delivery::Signal { json: here, .. } = encoded.delivery else { panic!("a signal") };

        let (read, elsewhere) = read_signal(&encoded.wire).unwrap();

        assert_eq!(here, elsewhere);
        assert_eq!(*read, typing());
    }

    #[test]
    fn other_versions_and_garbage_are_told_apart() {
        let encoded = signal(typing()).unwrap();
        let mut later = encoded.wire.to_vec();
        later[0] = VERSION + 1;

        assert_eq!(read_signal(&later.into()).unwrap_err(), Unreadable::Version);
        assert_eq!(read_signal(&Bytes::new()).unwrap_err(), Unreadable::Garbage);
        assert_eq!(read_signal(&encoded.wire.slice(..20)).unwrap_err(), Unreadable::Garbage);
        assert_eq!(read_event(&encoded.wire).unwrap_err(), Unreadable::Garbage, "a signal");
    }
}
