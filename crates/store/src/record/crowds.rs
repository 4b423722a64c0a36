//! Which members are looked for.

use parlor_protocol::room::Role;

/// Which members of a room to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberFilter {
    /// Only those with this role.
    pub role: Option<Role>,
    /// Only those whose user name begins with this, in any case.
    pub prefix: String,
}

impl MemberFilter {
    /// Returns what is above all names that begin with the prefix.
    pub(crate) fn end(&self) -> String {
        format!("{}\u{10ffff}", self.prefix)
    }
}
