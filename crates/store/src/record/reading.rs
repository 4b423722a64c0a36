//! What one reader sees of a room.

use parlor_protocol::http::ReadState;

/// Where a member's read marker stands now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marked {
    /// The marker, and what is after it.
    pub state: ReadState,
    /// Whether it has moved forward, which is what others are told of.
    pub forward: bool,
}
