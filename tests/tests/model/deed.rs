//! What people do to rooms.

/// A person, by number.
pub(crate) type Person = usize;
/// A message of a room, by the order in which it was written.
pub(crate) type Nth = usize;

/// What one person does in one room.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    Join,
    Leave,
    Invite(Person),
    Kick(Person),
    Ban(Person),
    LiftBan(Person),
    Mute(Person),
    LiftMute(Person),
    SetRole(Person, Role),
    Publish { body: String, reply_to: Option<Nth>, thread: Option<Nth> },
    Edit(Nth, String),
    Redact(Nth),
    React(Nth, &'static str),
    Unreact(Nth, &'static str),
    Pin(Nth),
    Unpin(Nth),
    Read(u64),
    Retopic(String),
    Archive(bool),
    Reset,
}

/// A role, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Member,
    Moderator,
    Owner,
}

impl Role {
    /// Returns the word on the wire.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Moderator => "moderator",
            Self::Owner => "owner",
        }
    }
}

/// What the model expects of a deed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is done, or was so already.
    Done,
    /// It is refused, and nothing changes.
    Refused,
    /// It is refused as if there were no such room.
    Hidden,
}

/// Returns the user name of a person.
pub(crate) fn name(person: Person) -> String {
    format!("person{person:02}")
}

impl Deed {
    /// How many kinds of deeds there are.
    pub(crate) const KINDS: usize = 20;

    /// Returns the name of the kind.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Invite(_) => "invite",
            Self::Kick(_) => "kick",
            Self::Ban(_) => "ban",
            Self::LiftBan(_) => "lift_ban",
            Self::Mute(_) => "mute",
            Self::LiftMute(_) => "lift_mute",
            Self::SetRole(..) => "set_role",
            Self::Publish { .. } => "publish",
            Self::Edit(..) => "edit",
            Self::Redact(_) => "redact",
            Self::React(..) => "react",
            Self::Unreact(..) => "unreact",
            Self::Pin(_) => "pin",
            Self::Unpin(_) => "unpin",
            Self::Read(_) => "read",
            Self::Retopic(_) => "retopic",
            Self::Archive(_) => "archive",
            Self::Reset => "reset",
        }
    }
}
