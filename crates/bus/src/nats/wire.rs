//! Subjects, and what is sent besides frames.

use async_nats::Subject;
use bytes::Bytes;
use parlor_protocol::frame::StreamingReply;
use parlor_protocol::id::{JobId, RoomId, SessionId, UserId};
use serde::{Deserialize, Serialize};

use crate::contract::Control;
use crate::encode::{self, Unreadable};

/// The names of the subjects.
///
/// Permissions of the servers name them too: see `deploy/nats`.
#[derive(Debug, Clone)]
pub(super) struct Subjects {
    prefix: String,
    /// What answers to this process have in their subject.
    inbox: String,
}

impl Subjects {
    pub(super) fn new(prefix: &str, inbox: &str) -> Self {
        Self { prefix: prefix.to_owned(), inbox: inbox.to_owned() }
    }

    /// A room's events.
    pub(super) fn events(&self, room: RoomId) -> Subject {
        format!("{}.e.{room}", self.prefix).into()
    }

    /// A room's signals.
    pub(super) fn signals(&self, room: RoomId) -> Subject {
        format!("{}.s.{room}", self.prefix).into()
    }

    /// Questions for the texts so far in a room.
    pub(super) fn questions(&self, room: RoomId) -> Subject {
        format!("{}.q.{room}", self.prefix).into()
    }

    /// What nodes tell each other.
    pub(super) fn controls(&self) -> Subject {
        format!("{}.c", self.prefix).into()
    }

    /// Where nobody listens, so that the server itself answers.
    pub(super) fn probes(&self) -> Subject {
        format!("{}.p", self.prefix).into()
    }

    /// Where the answer to one question goes.
    pub(super) fn answer(&self, token: u64) -> Subject {
        format!("{}.r.{}.{token}", self.prefix, self.inbox).into()
    }

    /// All answers to this process.
    pub(super) fn answers(&self) -> Subject {
        format!("{}.r.{}.*", self.prefix, self.inbox).into()
    }

    /// Tells whether a process may be answered there.
    pub(super) fn is_answer(&self, subject: &Subject) -> bool {
        let rest = subject.strip_prefix(&self.prefix).and_then(|rest| rest.strip_prefix(".r."));
        rest.is_some_and(|rest| !rest.is_empty())
    }
}

/// Which question an answer is for.
pub(super) fn token(subject: &Subject) -> Option<u64> {
    subject.rsplit_once('.')?.1.parse().ok()
}

/// One part of the answer to a question.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answer {
    /// How many parts come after it.
    pub(super) left: usize,
    /// Absent when there is nothing to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reply: Option<StreamingReply>,
}

/// A control on its way.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WireControl {
    JobQueued,
    CancelReply(JobId),
    SessionRevoked(SessionId),
    UserRevoked(UserId),
    RoomDeleted(RoomId),
    StoreMayBeAhead,
    /// Of a later version.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

/// Encodes a control.
pub(super) fn write_control(control: Control) -> Option<Bytes> {
    encode::to_bytes(&match control {
        Control::JobQueued => WireControl::JobQueued,
        Control::CancelReply(job) => WireControl::CancelReply(job),
        Control::SessionRevoked(session) => WireControl::SessionRevoked(session),
        Control::UserRevoked(user) => WireControl::UserRevoked(user),
        Control::RoomDeleted(room) => WireControl::RoomDeleted(room),
        Control::StoreMayBeAhead => WireControl::StoreMayBeAhead,
    })
}

/// Decodes a control.
pub(super) fn read_control(wire: &[u8]) -> Result<Control, Unreadable> {
    Ok(match encode::read(wire)? {
        WireControl::JobQueued => Control::JobQueued,
        WireControl::CancelReply(job) => Control::CancelReply(job),
        WireControl::SessionRevoked(session) => Control::SessionRevoked(session),
        WireControl::UserRevoked(user) => Control::UserRevoked(user),
        WireControl::RoomDeleted(room) => Control::RoomDeleted(room),
        WireControl::StoreMayBeAhead => Control::StoreMayBeAhead,
        WireControl::Unknown(_) => return Err(Unreadable::Version),
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn every_control_arrives_as_it_was_sent() {
        let id = Uuid::from_u128(7);
        for control in [
            Control::JobQueued,
            Control::CancelReply(JobId(id)),
            Control::SessionRevoked(SessionId(id)),
            Control::UserRevoked(UserId(id)),
            Control::RoomDeleted(RoomId(id)),
            Control::StoreMayBeAhead,
        ] {
            let wire = write_control(control).unwrap();
            assert_eq!(read_control(&wire).unwrap(), control);
        }
    }

    #[test]
    fn control_of_a_later_version_is_told_from_garbage() {
        assert_eq!(read_control(br#"1{"tea_time":1}"#).unwrap_err(), Unreadable::Version);
        assert_eq!(read_control(br#"2"job_queued""#).unwrap_err(), Unreadable::Version);
        assert_eq!(read_control(b"1{tea").unwrap_err(), Unreadable::Garbage);
        assert_eq!(read_control(b"").unwrap_err(), Unreadable::Garbage);
    }

    #[test]
    fn answers_go_only_where_answers_are_awaited() {
        let subjects = Subjects::new("parlor", "n1");
        let answer = subjects.answer(42);
        assert_eq!(token(&answer), Some(42));
        assert!(subjects.is_answer(&answer));
        for elsewhere in ["parlor.c", "parlor.r.", "parlorx.r.n1.1", "other.r.n1.1"] {
            assert!(!subjects.is_answer(&elsewhere.into()), "{elsewhere}");
        }
    }
}
