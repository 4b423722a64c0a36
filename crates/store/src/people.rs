//! What people do with their own accounts: new passwords, leaving for a while, leaving for good, and
//! what is held of them.

use std::time::Duration;

use async_trait::async_trait;
use parlor_protocol::id::{MessageId, RoomId, SessionId, UserId};
use parlor_protocol::message::Message;
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::ServerRole;
use uuid::Uuid;

use crate::contract::Result;
use crate::record::UploadRecord;

/// Accounts, as their owners close and take them along.
///
/// Erasing is one short transaction, after which nobody knows the account any more. What is left of
/// it in rooms is then taken away by intents ([`crate::Intent::Depart`] and
/// [`crate::Intent::EraseMessage`]), room by room; what is left to do is remembered until it is done,
/// so whoever looks after it can stop at any moment.
#[async_trait]
pub trait People {
    /// Replaces the hash of a password if it is still `checked`, and ends all logins but `keep`.
    /// Returns those that ended; `None` when another change came first.
    async fn change_password(
        &self,
        user: UserId,
        checked: &str,
        hash: String,
        keep: SessionId,
        at: Timestamp,
    ) -> Result<Option<Vec<SessionId>>>;

    /// Deactivates an account and ends its logins, which it returns.
    async fn close_account(
        &self,
        user: UserId,
        at: Timestamp,
    ) -> Result<std::result::Result<Vec<SessionId>, LastAdmin>>;

    /// Erases an account: name, profile, address and password go, all logins end, and its links and
    /// bans go. Returns the logins.
    async fn erase_account(
        &self,
        erasure: NewErasure,
    ) -> Result<std::result::Result<Vec<SessionId>, LastAdmin>>;

    /// Lists the erased accounts of which something is left to do.
    async fn list_erasures(&self) -> Result<Vec<Erasure>>;

    /// Notes that nothing is left of an erased account.
    async fn finish_erasure(&self, user: UserId) -> Result<()>;

    /// Lists the rooms that someone was a member of once and that may hold messages of theirs.
    async fn list_past_rooms(&self, user: UserId) -> Result<Vec<RoomId>>;

    /// Forgets that someone was a member of a room once.
    async fn forget_past_room(&self, user: UserId, room: RoomId) -> Result<()>;

    /// Takes the names of users, which older versions wrote there, out of the events of a room after a
    /// position and up to another; and the reasons of kicks, bans and mutes that concern an erased
    /// user. Returns how many events it changed.
    async fn forget_names(
        &self,
        room: RoomId,
        erased: Erased,
        after: u64,
        through: u64,
    ) -> Result<u64>;

    /// Forgets the reasons that someone gave for the bans and mutes of a room.
    async fn forget_reasons(&self, room: RoomId, user: UserId) -> Result<()>;

    /// Removes the room of an erased user in which no other person is. `false` when there is one.
    async fn delete_deserted_room(&self, room: RoomId, user: UserId) -> Result<bool>;

    /// Reads the messages of one author after a position and up to another, in order, at most `limit`.
    async fn list_own_messages(
        &self,
        room: RoomId,
        user: UserId,
        after: u64,
        through: u64,
        limit: u32,
    ) -> Result<Vec<Message>>;

    /// Lists the names that someone had before and that are held for them, oldest first.
    async fn list_former_names(&self, user: UserId) -> Result<Vec<FormerName>>;

    /// Lists the uploads of someone that no message has.
    async fn list_uploads_of(&self, user: UserId) -> Result<Vec<UploadRecord>>;

    /// Lists the bans of someone from rooms that they may know of, because they were in them once or
    /// everyone may see them, by the id of the room, after `after`.
    async fn list_bans_of(
        &self,
        user: UserId,
        after: Option<RoomId>,
        limit: u32,
    ) -> Result<Vec<OwnBan>>;

    /// Lists what someone has made in a room for other programs, oldest first.
    async fn list_programs_of(&self, user: UserId, room: RoomId) -> Result<Vec<OwnProgram>>;

    /// Reads someone's reactions to messages after a position and up to another, in order.
    async fn list_own_reactions(
        &self,
        room: RoomId,
        user: UserId,
        after: u64,
        through: u64,
    ) -> Result<Vec<(MessageId, String)>>;
}

/// The only administrator who can log in stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the last administrator cannot leave")]
pub struct LastAdmin;

/// Tells whether a change makes of an administrator none.
pub(crate) fn takes_rights(active: Option<bool>, role: Option<ServerRole>) -> bool {
    active == Some(false) || role.is_some_and(|role| role != ServerRole::Admin)
}

/// An account to be erased.
#[derive(Debug, Clone)]
pub struct NewErasure {
    /// Whose.
    pub user: UserId,
    /// The name that nobody can have, which it has from now on.
    pub username: String,
    /// Whether the texts of its messages go as well.
    pub redact: bool,
    /// When.
    pub at: Timestamp,
}

/// An erased account of which something is left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erasure {
    /// Whose.
    pub user: UserId,
    /// Whether the texts of its messages go as well.
    pub redact: bool,
    /// When it was erased.
    pub at: Timestamp,
}

/// Whose words are to leave a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    /// The user. Why they were removed, banned or muted is told no longer.
    pub user: UserId,
    /// Whether what they wrote goes as well: the reasons that they gave.
    pub redact: bool,
}

/// A name that someone had before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormerName {
    /// The name.
    pub name: String,
    /// Until when nobody else can take it.
    pub until: Timestamp,
}

/// A ban, as it is told to whom it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnBan {
    /// The room.
    pub room: RoomId,
    /// When.
    pub at: Timestamp,
    /// When it ends; `None`: when it is lifted.
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: Option<String>,
}

/// What someone has made in a room for another program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnProgram {
    /// What it is.
    pub kind: ProgramKind,
    /// Its id.
    pub id: Uuid,
    /// The name of an integration or a command.
    pub name: Option<String>,
    /// What a command does.
    pub description: Option<String>,
    /// The address of a webhook or a command.
    pub url: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What other programs have in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramKind {
    /// A user that posts for them.
    Integration,
    /// An address that is told what happens.
    Webhook,
    /// A command that they answer.
    Command,
}

impl ProgramKind {
    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Integration => "integration",
            Self::Webhook => "webhook",
            Self::Command => "command",
        }
    }
}

/// How long nobody else can take a name that someone had: 30 days.
pub const FORMER_NAME_HELD: Duration = Duration::from_hours(30 * 24);
/// Names that are held for one user.
pub const FORMER_NAMES_MAX: u32 = 5;

/// What an erased account is called.
pub(crate) const ERASED_NAME: &str = "Deleted user";
