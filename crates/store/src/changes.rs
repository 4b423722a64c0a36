//! What was changed of accounts, rooms and memberships, for those who remember them.

use parlor_protocol::id::{RoomId, UserId};

/// How far changes were read. Opaque: only the store that gave it understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangePosition(pub(crate) String);

/// What was changed since a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangePage {
    /// Where to read on.
    pub position: ChangePosition,
    /// Whether anything may have changed: what was remembered before is worth nothing.
    pub everything: bool,
    /// What was changed, each at least once. Something may be named that was not.
    pub changes: Vec<Change>,
}

/// Something that is no longer what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// An account, except for its password and when it was last seen.
    User(UserId),
    /// A room, except for its log and the number of its members. Also: it is gone.
    Room(RoomId),
    /// That someone is a member of a room, or with which role, or until when muted.
    Member(RoomId, UserId),
    /// The same, of anyone in the room.
    Members(RoomId),
}

/// More changes than this at once are told as "everything".
pub(crate) const CHANGES_MAX: usize = 1_000;

/// Returns what a row names: a kind, an id, and a user.
pub(crate) fn change(what: &str, id: uuid::Uuid, user: Option<uuid::Uuid>) -> Option<Change> {
    match (what, user) {
        ("user", _) => Some(Change::User(UserId(id))),
        ("room", _) => Some(Change::Room(RoomId(id))),
        ("member", Some(user)) => Some(Change::Member(RoomId(id), UserId(user))),
        ("member", None) => Some(Change::Members(RoomId(id))),
        _ => None,
    }
}
