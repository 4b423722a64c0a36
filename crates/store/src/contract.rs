//! The contract of a store. See the crate's documentation for what every method guarantees.

mod changes;
mod crowds;
mod files;
mod imports;
mod integrations;
mod reading;
mod tokens;
mod webhooks;

pub use changes::Changes;
pub use crowds::Crowds;
pub use files::Files;
pub use imports::Imports;
pub use integrations::Integrations;
pub use tokens::Tokens;
pub use webhooks::Webhooks;

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use parlor_domain::log::Head;
use parlor_domain::permission::Refused;
use parlor_protocol::event::Event;
use parlor_protocol::id::{JobId, MessageId, RoomId, RoomRef, SessionId, UserId};
use parlor_protocol::message::Message;
use parlor_protocol::room::RoomKind;
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::ServerRole;
use uuid::Uuid;

use crate::append::{Append, AppendRefused, Appended, QueuedJob};
use crate::error::StoreError;
use crate::moderation::Moderation;
use crate::people::{LastAdmin, People};
use crate::record::{
    Account, BotRecord, CancelOutcome, Checkpoint, ClaimedJob, CreatedRoom, Credentials,
    InviteRecord, Lease, MemberRecord, NewInvite, NewRoom, NewSession, NewUser, ProfileChange,
    RoomAccess, RoomConflict, RoomFilter, RoomListing, RoomSize, Rotated, Rotation, SessionRecord,
    UserConflict, Window,
};
use crate::search::Search;
use crate::tail::{TailPage, TailPosition};

pub use self::reading::Reading;

/// The result of a call to the store.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Everything that a node needs of its store.
pub trait Store:
    Users
    + Sessions
    + Tokens
    + Integrations
    + Webhooks
    + Rooms
    + Crowds
    + Imports
    + Moderation
    + People
    + Log
    + Reading
    + Many
    + Tail
    + Changes
    + Search
    + Jobs
    + Bots
    + Files
    + Operations
    + Send
    + Sync
    + Debug
{
}

impl<T> Store for T where
    T: Users
        + Sessions
        + Tokens
        + Integrations
        + Webhooks
        + Rooms
        + Crowds
        + Imports
        + Moderation
        + People
        + Log
        + Reading
        + Many
        + Tail
        + Changes
        + Search
        + Jobs
        + Bots
        + Files
        + Operations
        + Send
        + Sync
        + Debug
{
}

/// Accounts.
#[async_trait]
pub trait Users {
    /// Makes an account.
    async fn create_user(
        &self,
        user: NewUser,
    ) -> Result<std::result::Result<Account, UserConflict>>;

    /// Makes the first administrator; refused once there is one, however many ask at once.
    async fn create_first_admin(
        &self,
        user: NewUser,
    ) -> Result<std::result::Result<Account, UserConflict>>;

    /// Tells whether there is an active administrator.
    async fn has_admin(&self) -> Result<bool>;

    /// Finds an account by id.
    async fn find_user(&self, id: UserId) -> Result<Option<Account>>;

    /// Finds an account by its user name, without regard to case.
    async fn find_user_by_name(&self, username: &str) -> Result<Option<Account>>;

    /// Finds what a login with this user name or e-mail address is checked against.
    async fn find_credentials(&self, login: &str) -> Result<Option<Credentials>>;

    /// Replaces the password's hash.
    async fn set_password_hash(&self, user: UserId, hash: String) -> Result<()>;

    /// Changes a profile; `None` when there is no such user.
    async fn update_profile(
        &self,
        user: UserId,
        change: ProfileChange,
    ) -> Result<std::result::Result<Option<Account>, UserConflict>>;

    /// Allows or forbids logging in, and sets the role; `None` when there is no such user. Ends all
    /// logins of a user that is no longer active. The last administrator stays, however many lose
    /// their rights at once.
    async fn set_user_access(
        &self,
        user: UserId,
        active: Option<bool>,
        role: Option<ServerRole>,
        at: Timestamp,
    ) -> Result<std::result::Result<Option<Account>, LastAdmin>>;

    /// Lists accounts by user name, after `after`.
    async fn list_users(&self, after: Option<&str>, limit: u32) -> Result<Vec<Account>>;

    /// Remembers when a user was last connected; never moves it back.
    async fn touch_last_seen(&self, user: UserId, at: Timestamp) -> Result<()>;
}

/// Logins and refresh tokens.
#[async_trait]
pub trait Sessions {
    /// Begins a login and returns the older ones that were ended to make room for it.
    async fn create_session(&self, session: NewSession) -> Result<Vec<SessionId>>;

    /// Finds a login, also one that has ended.
    async fn find_session(&self, id: SessionId) -> Result<Option<SessionRecord>>;

    /// Exchanges a refresh token, once.
    async fn rotate_refresh_token(&self, rotation: Rotation) -> Result<Rotated>;

    /// Ends a login; `false` when it had ended.
    async fn revoke_session(&self, id: SessionId, at: Timestamp) -> Result<bool>;

    /// Ends all logins of a user but `except`, and returns those that it ended.
    async fn revoke_sessions_of(
        &self,
        user: UserId,
        except: Option<SessionId>,
        at: Timestamp,
    ) -> Result<Vec<SessionId>>;

    /// Lists the logins that were ended since `since`.
    async fn list_revoked_since(&self, since: Timestamp) -> Result<Vec<SessionId>>;

    /// Lists logins that have not ended, newest first: of one user, or of all.
    async fn list_sessions(
        &self,
        user: Option<UserId>,
        at: Timestamp,
        limit: u32,
    ) -> Result<Vec<SessionRecord>>;
}

/// Rooms, memberships, read markers and invites.
#[async_trait]
pub trait Rooms {
    /// Makes a room with its first members, as one unit.
    async fn create_room(
        &self,
        room: NewRoom,
    ) -> Result<std::result::Result<CreatedRoom, RoomConflict>>;

    /// Finds a room by id or slug together with one user's membership.
    async fn find_room(&self, room: &RoomRef, user: UserId) -> Result<Option<RoomAccess>>;

    /// Finds a room as one user sees it in a list.
    async fn find_room_listing(&self, room: RoomId, user: UserId) -> Result<Option<RoomListing>>;

    /// Lists rooms by slug, after `after`.
    async fn list_rooms(
        &self,
        user: UserId,
        filter: RoomFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<RoomListing>>;

    /// Lists the rooms that a user is a member of.
    async fn list_room_ids_of(&self, user: UserId) -> Result<Vec<RoomId>>;

    /// Lists members by user name, after `after`.
    async fn list_members(
        &self,
        room: RoomId,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<MemberRecord>>;

    /// Removes a room with all that is in it; the actor must be an owner.
    async fn delete_room(
        &self,
        room: RoomId,
        actor: UserId,
        at: Timestamp,
    ) -> Result<std::result::Result<(), AppendRefused>>;

    /// Removes all rooms of one kind that a user is the only owner of, and returns them.
    async fn delete_rooms_owned_by(
        &self,
        user: UserId,
        kind: Option<RoomKind>,
    ) -> Result<Vec<RoomId>>;

    /// Moves a member's read marker forward, at most to the newest event. `Some` when it moved.
    async fn set_read_marker(&self, room: RoomId, user: UserId, seq: u64) -> Result<Option<u64>>;

    /// Makes an invite link; the creator must be allowed to invite.
    async fn create_invite(
        &self,
        invite: NewInvite,
    ) -> Result<std::result::Result<(), AppendRefused>>;

    /// Finds an invite link that still works.
    async fn find_invite(&self, code: &str, at: Timestamp) -> Result<Option<InviteRecord>>;
}

/// The log of each room, and its messages.
#[async_trait]
pub trait Log {
    /// Carries out intents as one commit and returns what came of each, in order.
    ///
    /// Each intent succeeds or is refused on its own; a refusal changes nothing and never touches
    /// its neighbours. `seq` follows the order of the batch within a room. Never returns before the
    /// commit is durable.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: if the future is dropped the intents may still be carried out. Repeat them
    /// with the same ids.
    async fn append(
        &self,
        batch: Vec<Append>,
    ) -> Result<Vec<std::result::Result<Appended, AppendRefused>>>;

    /// Returns the state of a room's log.
    async fn find_head(&self, room: RoomId) -> Result<Option<Head>>;

    /// Reads the events after `after` in order, at most `limit`.
    async fn read_events(&self, room: RoomId, after: u64, limit: u32) -> Result<Vec<Event>>;

    /// Reads a part of the history.
    async fn list_messages(&self, room: RoomId, window: Window, limit: u32)
    -> Result<Vec<Message>>;

    /// Finds a message.
    async fn find_message(&self, room: RoomId, message: MessageId) -> Result<Option<Message>>;

    /// Finds the replies of bots to a message.
    async fn list_replies(&self, room: RoomId, trigger: MessageId) -> Result<Vec<Message>>;

    /// Lists the replies of a room that are being written, as of their last checkpoint.
    async fn list_streaming(&self, room: RoomId) -> Result<Vec<Checkpoint>>;
}

/// Most that one call of [`Many`] asks for. Callers see to it.
pub const MANY_MAX: usize = 512;

/// What the other traits do for one, done for many by one call to the database: when many people
/// come at once, the store sees few calls.
///
/// Answers are in the order of what was asked for, once for each time that it was asked for, and
/// equal to those of the method for one.
#[async_trait]
pub trait Many {
    /// Finds accounts, as [`Users::find_user`] does.
    async fn find_users(&self, users: &[UserId]) -> Result<Vec<Option<Account>>>;

    /// Finds rooms, each with one user's membership, as [`Rooms::find_room`] does.
    async fn find_accesses(&self, asked: &[(RoomRef, UserId)]) -> Result<Vec<Option<RoomAccess>>>;

    /// Lists the rooms that each user is a member of, as [`Rooms::list_room_ids_of`] does, with
    /// their numbers of members.
    async fn list_rooms_of_users(&self, users: &[UserId]) -> Result<Vec<Vec<RoomSize>>>;

    /// Reads events of rooms, each after a position and at most so many, as [`Log::read_events`]
    /// does.
    async fn read_events_of_rooms(&self, asked: &[(RoomId, u64, u32)]) -> Result<Vec<Vec<Event>>>;

    /// Lists the replies of each room that are being written, as [`Log::list_streaming`] does.
    async fn list_streaming_of_rooms(&self, rooms: &[RoomId]) -> Result<Vec<Vec<Checkpoint>>>;

    /// Remembers when users were last connected, as [`Users::touch_last_seen`] does. Users who do
    /// not exist are passed over.
    async fn touch_last_seen_of_users(&self, seen: &[(UserId, Timestamp)]) -> Result<()>;
}

/// What was committed, by whichever node, for those that were not told in time.
#[async_trait]
pub trait Tail {
    /// Returns where the tail stands now.
    async fn tail_start(&self) -> Result<TailPosition>;

    /// Reads what was committed after a position, at most `limit` commits.
    ///
    /// May tell a commit twice and never leaves one out, however long a transaction was open.
    async fn read_tail(&self, position: &TailPosition, limit: u32) -> Result<TailPage>;

    /// Returns the state of the logs of several rooms; rooms that do not exist are left out.
    async fn list_heads(&self, rooms: &[RoomId]) -> Result<Vec<(RoomId, Head)>>;

    /// Forgets commits that are older than `keep`, and returns how many. Whoever has not read for
    /// so long has to compare everything.
    async fn prune_tail(&self, keep: Duration) -> Result<u64>;
}

/// Jobs: the durable duty of a bot to answer a message exactly once.
///
/// Leases and waits are measured by the clock of the store, so workers need not agree on the time.
#[async_trait]
pub trait Jobs {
    /// Claims a job that is due and that nobody holds, with a new generation.
    ///
    /// Of these it takes one of the room with the fewest held jobs, and there the oldest. At most
    /// one job of the same bot in the same room is held at a time. A job whose lease has expired
    /// is due again. Jobs of bots whose provider is in `busy_providers` are passed over, unless they
    /// only have to be ended because someone has stopped them; bots that name no provider have the
    /// provider `""`.
    async fn claim_job(
        &self,
        worker: Uuid,
        lease: Duration,
        busy_providers: &[String],
    ) -> Result<Option<ClaimedJob>>;

    /// Prolongs a lease: it ends `lease` from now.
    async fn renew_lease(&self, job: JobId, generation: u32, lease: Duration) -> Result<Lease>;

    /// Stores the text so far and prolongs the lease.
    async fn checkpoint_reply(
        &self,
        job: JobId,
        generation: u32,
        chunk: u32,
        text: String,
        lease: Duration,
    ) -> Result<Lease>;

    /// Gives a job back, due after `delay`; does nothing when the claim is stale.
    async fn release_job(&self, job: JobId, generation: u32, delay: Duration) -> Result<()>;

    /// Gives a job back because its holder is being stopped: it is due at once, and the claim does
    /// not count as an attempt. Does nothing when the claim is stale.
    async fn hand_over_job(&self, job: JobId, generation: u32) -> Result<()>;

    /// Asks to stop a reply, named by its own id or by the message that called the bot.
    async fn cancel_reply(
        &self,
        room: RoomId,
        message: MessageId,
        actor: UserId,
        at: Timestamp,
    ) -> Result<std::result::Result<CancelOutcome, AppendRefused>>;

    /// Makes every held job due at once. Only for a process that is the store's only user: whoever
    /// held them is gone.
    async fn release_all_leases(&self) -> Result<u64>;

    /// Lists the jobs of a room that nobody holds, with their places in its queue.
    async fn list_waiting(&self, room: RoomId, limit: u32) -> Result<Vec<QueuedJob>>;

    /// Counts the jobs that wait and those that are held.
    async fn count_jobs(&self) -> Result<(u64, u64)>;

    /// Returns for how long the job that waits longest has been due; `None` when none is.
    async fn find_longest_wait(&self) -> Result<Option<Duration>>;
}

/// Bots.
#[async_trait]
pub trait Bots {
    /// Makes a bot and its user.
    async fn create_bot(
        &self,
        user: NewUser,
        bot: BotRecord,
    ) -> Result<std::result::Result<BotRecord, UserConflict>>;

    /// Finds a bot by its user name.
    async fn find_bot(&self, username: &str) -> Result<Option<BotRecord>>;

    /// Lists bots by user name.
    async fn list_bots(&self) -> Result<Vec<BotRecord>>;

    /// Lists the bots that are members of a room.
    async fn list_room_bots(&self, room: RoomId) -> Result<Vec<BotRecord>>;

    /// Replaces a bot's settings (not its user name); `None` when there is no such bot.
    async fn update_bot(&self, bot: BotRecord) -> Result<Option<BotRecord>>;

    /// Ends a bot: it leaves all rooms, its open jobs are dropped, its messages stay. Returns the
    /// events to tell, and `None` when there is no such bot.
    async fn delete_bot(&self, bot: UserId, at: Timestamp) -> Result<Option<Vec<Event>>>;
}

/// What an operator asks of a store.
#[async_trait]
pub trait Operations {
    /// Returns the name of the backend, such as `sqlite`.
    fn backend(&self) -> &'static str;

    /// Proves with a small write that the store works.
    async fn check_health(&self) -> Result<()>;

    /// Notes `value` under `key` when nothing is noted there, and returns what is noted: the first
    /// value that anyone gave.
    async fn pin(&self, key: &str, value: &str) -> Result<String>;

    /// Returns how many reads were asked of the database since the store was opened. The tail is
    /// not among them: it is read all the time, whoever is there.
    fn reads(&self) -> u64;

    /// Writes what is queued and closes. Later calls answer [`StoreError::Unavailable`].
    async fn close(&self);
}

/// A refusal by the rules, with rooms that the actor may not know of hidden.
impl From<Refused> for AppendRefused {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Hidden => Self::NoSuchRoom,
            Refused::NotAMember
            | Refused::Role(_)
            | Refused::Muted { .. }
            | Refused::Archived
            | Refused::NoSignals
            | Refused::SlowMode { .. }
            | Refused::Direct => Self::Rule(refused),
        }
    }
}
