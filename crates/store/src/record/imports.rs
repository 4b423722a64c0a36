//! Rooms that come from files.

use parlor_protocol::event::Event;
use parlor_protocol::id::{RoomId, UserId};
use parlor_protocol::message::Message;
use parlor_protocol::room::{Role, RoomKind, RoomSettings};
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::UserRef;

use super::NewUser;

/// A reaction, with everything that is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReactionRecord {
    /// The position of the message.
    pub message_seq: u64,
    /// The position of the event that added it.
    pub seq: u64,
    /// The emoji.
    pub emoji: String,
    /// Who reacted.
    pub user: UserRef,
    /// When.
    pub at: Timestamp,
}

/// A room that is going to be read from a file.
#[derive(Debug, Clone, Copy)]
pub struct NewImport {
    /// Its id.
    pub room: RoomId,
    /// Who brings the file.
    pub importer: UserId,
    /// When.
    pub at: Timestamp,
}

/// What becomes of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportState {
    /// Its file is being read.
    Reading,
    /// What it brought is taken back, and nothing comes of it any more.
    GivenUp,
    /// The room is there.
    Finished,
}

/// A part of a file, as it is stored.
#[derive(Debug, Clone, Default)]
pub struct ImportPart {
    /// 1, 2, 3 …: a part that is written again is written once.
    pub number: u64,
    /// Accounts to make; they cannot log in.
    pub people: Vec<NewUser>,
    /// Events in order, numbered from 1.
    pub events: Vec<Event>,
    /// Messages as they are now, at the positions of their `message.created`.
    pub messages: Vec<Message>,
    /// Reactions as they are now.
    pub reactions: Vec<ImportedReaction>,
}

/// A reaction to a message of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedReaction {
    /// The position of the message.
    pub message_seq: u64,
    /// The position of the event that added it.
    pub seq: u64,
    /// The emoji.
    pub emoji: String,
    /// Who reacted.
    pub user: UserId,
}

/// What makes the room of a file visible.
#[derive(Debug, Clone)]
pub struct ImportEnd {
    /// The room.
    pub room: RoomId,
    /// The unique short name, checked.
    pub slug: String,
    /// The name, checked.
    pub name: String,
    /// Public or private.
    pub kind: RoomKind,
    /// The topic, checked.
    pub topic: String,
    /// Whether it is closed for new messages.
    pub archived: bool,
    /// Who may do what in it.
    pub settings: RoomSettings,
    /// When it was made.
    pub created_at: Timestamp,
    /// The position of the last event.
    pub last_seq: u64,
    /// Its members. Everything counts as read by them.
    pub members: Vec<ImportedMember>,
    /// Whoever of the file was here before: they have to be here still.
    pub existing: Vec<UserId>,
}

/// A member of a room of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedMember {
    /// Who.
    pub user: UserId,
    /// The role.
    pub role: Role,
    /// Whether it is a bot.
    pub bot: bool,
    /// Since when.
    pub joined_at: Timestamp,
    /// Until when they may not write.
    pub muted_until: Option<Timestamp>,
    /// Why.
    pub mute_reason: Option<String>,
}

/// Why a part of a file, or its end, is not written. Nothing of it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImportRefused {
    /// The import was given up, because it was thought to be dead.
    #[error("the import was given up")]
    Gone,
    /// Somebody of the file was erased, or came with another import that was not finished.
    #[error("somebody of the file is not here any more")]
    Person,
    /// The name of one of the accounts is taken.
    #[error("a user name is taken")]
    Username,
    /// The short name of the room is taken.
    #[error("the slug is taken")]
    Slug,
    /// There are more members than a room may have.
    #[error("too many members")]
    TooManyMembers,
}
