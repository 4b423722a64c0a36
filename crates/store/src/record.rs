//! What the store holds, as far as it is not part of the wire.

mod crowds;
mod files;
mod imports;
mod integrations;
mod reading;
mod tokens;
mod webhooks;

pub use crowds::MemberFilter;
pub use files::{
    FinishedUpload, NewPart, NewUpload, PartRecord, StoredFile, UploadRecord, UploadRefused,
    UploadState,
};
pub use imports::{
    ImportEnd, ImportPart, ImportRefused, ImportState, ImportedMember, ImportedReaction, NewImport,
    ReactionRecord,
};
pub use integrations::{
    CommandRecord, IntegrationRecord, IntegrationSecret, NewCommand, NewIntegration,
    ProgramConflict,
};
pub use tokens::{NewToken, TokenConflict, TokenRecord};
pub use webhooks::{
    ClaimedWebhook, DeadLetter, NewWebhook, WebhookChange, WebhookProgress, WebhookRecord,
};

use parlor_domain::log::Head;
use parlor_domain::permission::{Membership, RoomFacts};
use parlor_protocol::http::Trigger;
use parlor_protocol::id::{JobId, MessageId, RoomId, SessionId, UserId};
use parlor_protocol::message::Message;
use parlor_protocol::room::{NotificationLevel, Role, RoomKind, RoomSettings};
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::{ServerRole, User, UserKind, UserRef, Visibility};

pub use self::reading::Marked;

/// A new account.
#[derive(Clone)]
pub struct NewUser {
    /// Its id.
    pub id: UserId,
    /// The unique name, lower-case, checked.
    pub username: String,
    /// The name to show, checked.
    pub display_name: String,
    /// Person, bot or integration.
    pub kind: UserKind,
    /// Normalised address; unique.
    pub email: Option<String>,
    /// The password's hash (PHC string); bots have none.
    pub password_hash: Option<String>,
    /// The server-wide role.
    pub role: ServerRole,
    /// When.
    pub at: Timestamp,
}

impl std::fmt::Debug for NewUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewUser").field("id", &self.id).finish_non_exhaustive()
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The profile with everything in it.
    pub user: User,
    /// Whether they may log in.
    pub active: bool,
    /// When they were last connected.
    pub last_seen: Option<Timestamp>,
}

/// What a login is checked against.
#[derive(Clone)]
pub struct Credentials {
    /// The account.
    pub account: Account,
    /// The password's hash (PHC string).
    pub password_hash: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("account", &self.account).finish_non_exhaustive()
    }
}

/// Why an account cannot be made or renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UserConflict {
    /// The name is taken.
    #[error("the user name is taken")]
    Username,
    /// The user has had [`FORMER_NAMES_MAX`](crate::people::FORMER_NAMES_MAX) other names of late.
    #[error("the user has changed their name too often")]
    TooManyNames,
    /// The address is taken.
    #[error("the e-mail address is in use")]
    Email,
    /// There is an administrator already.
    #[error("the first administrator exists already")]
    AdminExists,
}

/// Changes of a profile; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct ProfileChange {
    /// The unique name, checked.
    pub username: Option<String>,
    /// The name to show, checked.
    pub display_name: Option<String>,
    /// The text about oneself.
    pub bio: Option<String>,
    /// Who may see the bio.
    pub visibility: Option<Visibility>,
}

/// A new login.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// The client's name.
    pub client: String,
    /// SHA-256 of the refresh token.
    pub refresh_hash: [u8; 32],
    /// When it begins.
    pub at: Timestamp,
    /// When it ends unless it is refreshed.
    pub idle_until: Timestamp,
    /// When it ends in any case.
    pub absolute_until: Timestamp,
    /// How many logins the user may have; the oldest above it are ended.
    pub max_sessions: u32,
}

/// A login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// Its id.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// The client's name.
    pub client: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends unless it is refreshed.
    pub expires_at: Timestamp,
    /// When it was ended.
    pub revoked_at: Option<Timestamp>,
}

/// The exchange of a refresh token.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// SHA-256 of the presented token.
    pub presented: [u8; 32],
    /// SHA-256 of its successor, which is derived from it and so the same for every attempt.
    pub successor: [u8; 32],
    /// Now.
    pub at: Timestamp,
    /// A spent token presented again before this long has passed since its exchange gets the same
    /// successor: the first answer may have been lost.
    pub grace_ms: i64,
    /// The new end unless refreshed; never later than the absolute end.
    pub idle_until: Timestamp,
}

/// What came of a refresh token's exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotated {
    /// Exchanged, or repeated within the grace.
    Fresh(SessionRecord),
    /// The token had been spent before: the login is ended now.
    Reused(SessionRecord),
    /// The login has expired, was ended, or its user is not active.
    Ended,
    /// Nobody knows the token.
    Unknown,
}

/// A new room.
#[derive(Debug, Clone)]
pub struct NewRoom {
    /// Its id.
    pub id: RoomId,
    /// The unique short name, checked.
    pub slug: String,
    /// The name, checked.
    pub name: String,
    /// Public, private or direct.
    pub kind: RoomKind,
    /// The topic, checked.
    pub topic: String,
    /// Becomes its owner.
    pub creator: UserId,
    /// Further members. A direct room between the same participants exists once.
    pub members: Vec<UserId>,
    /// When.
    pub at: Timestamp,
    /// The creator's own id: the same one is one room.
    pub client_id: Option<String>,
    /// How many rooms one user may own.
    pub max_owned: u32,
}

/// Why a room was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RoomConflict {
    /// The short name is taken.
    #[error("the slug is taken")]
    Slug,
    /// A first member does not exist or is not active.
    #[error("there is no such user")]
    NoSuchUser,
    /// The creator owns as many rooms as one may, or there are more first members than a room may
    /// have.
    #[error("too many rooms of one owner, or too many members")]
    TooMany,
}

/// A room that was made, or had been made before.
#[derive(Debug, Clone, PartialEq)]
pub struct CreatedRoom {
    /// The room.
    pub room: RoomRecord,
    /// Its first events; empty when it had been made before.
    pub events: Vec<parlor_protocol::event::Event>,
}

/// A room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomRecord {
    /// Its id.
    pub id: RoomId,
    /// The unique short name.
    pub slug: String,
    /// The name.
    pub name: String,
    /// Public, private or direct.
    pub kind: RoomKind,
    /// The topic.
    pub topic: String,
    /// Whether it is closed for new messages.
    pub archived: bool,
    /// The state of its log.
    pub head: Head,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who may do what in it, besides what the roles say.
    pub settings: RoomSettings,
}

impl RoomRecord {
    /// Returns what decides who may do what.
    pub const fn facts(&self) -> RoomFacts {
        RoomFacts { kind: self.kind, archived: self.archived, settings: self.settings }
    }
}

/// A room together with one user's membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomAccess {
    /// The room.
    pub room: RoomRecord,
    /// The membership.
    pub membership: Option<Membership>,
}

/// A room and how many members it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomSize {
    /// The room.
    pub room: RoomId,
    /// Its members.
    pub members: u64,
}

/// A room as one user sees it in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomListing {
    /// The room.
    pub room: RoomRecord,
    /// The user's role.
    pub role: Option<Role>,
    /// The user's read marker.
    pub read_seq: u64,
    /// Messages by others after the read marker, up to a bound; see
    /// [`Reading`](crate::contract::Reading).
    pub unread: u64,
    /// Those of them that mention the user, or everyone; up to the same bound.
    pub mentions: u64,
    /// Which messages the user wants to be told of.
    pub notifications: NotificationLevel,
    /// How many members there are.
    pub members: u64,
    /// In a direct room: the other participants.
    pub participants: Vec<UserRef>,
}

/// Which rooms to list.
#[derive(Debug, Clone, Default)]
pub struct RoomFilter {
    /// Only those with the user as member; else also public ones.
    pub mine: bool,
    /// Only those whose name, slug or topic contains this, without regard to case.
    pub query: Option<String>,
    /// Whether archived rooms are listed.
    pub archived: bool,
}

/// A member of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRecord {
    /// Who.
    pub user: UserRef,
    /// The role.
    pub role: Role,
    /// Since when.
    pub joined_at: Timestamp,
    /// Until when they may not write.
    pub muted_until: Option<Timestamp>,
    /// Why.
    pub mute_reason: Option<String>,
}

/// A new invite link.
#[derive(Debug, Clone)]
pub struct NewInvite {
    /// The secret code.
    pub code: String,
    /// The room.
    pub room: RoomId,
    /// Who makes it.
    pub creator: UserId,
    /// When.
    pub at: Timestamp,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// How many may join by it.
    pub max_uses: u32,
}

/// An invite link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteRecord {
    /// The room.
    pub room: RoomId,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// How many more may join by it.
    pub uses_left: u32,
}

/// Which part of a room's history to read. Messages come in ascending order of `seq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// The newest ones before this `seq`; `None`: the newest of all.
    Before(Option<u64>),
    /// The oldest ones after this `seq`.
    After(u64),
    /// The newest ones after leaving out this many.
    Offset(u64),
    /// Half of them before this `seq`, the others from it on.
    Around(u64),
    /// The same around the first one of this time or later.
    At(Timestamp),
    /// Messages of a thread, without its root: the newest ones before this `seq`.
    ThreadBefore(MessageId, Option<u64>),
    /// The oldest ones of a thread after this `seq`.
    ThreadAfter(MessageId, u64),
}

/// A bot.
#[derive(Debug, Clone, PartialEq)]
pub struct BotRecord {
    /// The bot's user.
    pub user: UserRef,
    /// The provider; `None`: the default.
    pub provider: Option<String>,
    /// The model; `None`: the provider's default.
    pub model: Option<String>,
    /// What the bot is told about itself.
    pub system_prompt: String,
    /// When it answers.
    pub trigger: Trigger,
    /// Sampling temperature.
    pub temperature: Option<f32>,
    /// Longest reply in tokens.
    pub max_tokens: Option<u32>,
    /// Messages of the room that it is shown at most.
    pub context_messages: u32,
    /// How far back it remembers, in seconds; 0: without end.
    pub memory_ttl_seconds: u64,
    /// Who made it; `None`: the server.
    pub owner: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A job that a worker has claimed.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedJob {
    /// The job.
    pub id: JobId,
    /// The room.
    pub room: RoomId,
    /// The message to answer.
    pub trigger: Message,
    /// The bot that owes the reply.
    pub bot: BotRecord,
    /// The fence: writes of an older generation are refused.
    pub generation: u32,
    /// Which attempt this is: 1, 2, 3 … A claim that was handed over is none.
    pub attempt: u32,
    /// The reply that an earlier attempt began, with its last checkpoint.
    pub begun: Option<BegunReply>,
    /// Whether someone has asked to stop it.
    pub cancel_requested: bool,
}

/// A reply that an earlier attempt began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BegunReply {
    /// The reply.
    pub message: MessageId,
    /// The text of the last checkpoint.
    pub text: String,
}

/// Whether a worker still holds its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// It does.
    Held {
        /// Whether someone has asked to stop the reply.
        cancel_requested: bool,
    },
    /// Another one holds it, or it has ended: drop the work.
    Lost,
}

/// What came of asking to stop a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelOutcome {
    /// The worker that holds the job is to be told.
    Requested(JobId),
    /// The reply had ended before.
    Ended,
}

/// A reply in the making as of its last checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The reply.
    pub message: MessageId,
    /// The generation, which is the turn on the wire.
    pub turn: u32,
    /// The last chunk in `text`.
    pub chunk: u32,
    /// The text so far.
    pub text: String,
}
