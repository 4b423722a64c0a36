//! What every node must hear of, in the order in which it became visible.

use parlor_protocol::id::{RoomId, SessionId, UserId};

/// How far a node has read the tail. Opaque: only the store that gave it understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TailPosition(pub(crate) String);

/// A part of the tail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TailPage {
    /// Where to read on.
    pub position: TailPosition,
    /// The identity of the logs. When it is another than before, commits that were read may be
    /// gone and others may have been missed: compare everything.
    pub epoch: String,
    /// What was committed. A commit may be told again, but none is ever left out.
    pub commits: Vec<Commit>,
    /// Whether there is more to read at once.
    pub more: bool,
}

/// What one commit changed, as far as other nodes must hear of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commit {
    /// The rooms whose log has grown, with the last `seq` that this commit wrote.
    pub rooms: Vec<(RoomId, u64)>,
    /// The rooms that were removed.
    pub deleted_rooms: Vec<RoomId>,
    /// The logins that were ended.
    pub sessions: Vec<SessionId>,
    /// The users who may not be connected any more.
    pub users: Vec<UserId>,
}
