//! What every part of one node shares.

use std::sync::Arc;
use std::time::Duration;

use parlor_auth::{AccessRefused, AccessTokens, CLOCK_LEEWAY, Mark, PasswordHasher, RefreshTokens};
use parlor_bus::{Bus, Control};
use parlor_cluster::{Presence, Revocations, SharedLimits, Tickets, Transition};
use parlor_domain::log::Head;
use parlor_llm::Providers;
use parlor_protocol::code::Code;
use parlor_protocol::frame::StreamingReply;
use parlor_protocol::id::{RoomId, RoomRef, SessionId, UserId};
use parlor_protocol::limits::Limits;
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::{ServerRole, UserRef};
use parlor_runtime::{Clock, Config, Lifecycle};
use parlor_store::Store;
use parlor_store::record::Checkpoint;
use tokio::sync::Semaphore;

use crate::admission::Admission;
use crate::committer::Committer;
use crate::crowd::Crowds;
use crate::files::Files;
use crate::grant::Grant;
use crate::metrics::Metrics;
use crate::names::NewNames;
use crate::outgoing::Outgoing;
use crate::presence::PresenceNews;
use crate::presence::last_seen::LastSeen;
use crate::rate::RateLimits;
use crate::reads::EventReads;
use crate::reads::known::Access;
use crate::reads::lookups::Lookups;
use crate::refusal::{Outcome, Refusal};
use crate::setup::SetupToken;
use crate::tls::Tls;

/// One node: its settings, its backends, and what its parts share.
#[derive(Debug)]
pub struct Node {
    /// The node's name, as told in `welcome`.
    pub name: String,
    /// The settings.
    pub config: Config,
    /// Wall time and ids.
    pub clock: Arc<dyn Clock>,
    /// The truth.
    pub store: Arc<dyn Store>,
    /// What just happened.
    pub bus: Arc<dyn Bus>,
    /// The way into rooms' logs.
    pub committer: Committer,
    /// Reads of events, shared by all shards.
    pub reads: EventReads,
    /// Reads of users, memberships and rooms, shared by all who ask at once.
    pub lookups: Lookups,
    /// Who is there.
    pub presence: Arc<dyn Presence>,
    /// Tells rooms who came and who went.
    pub presence_news: PresenceNews,
    /// Who of the members of rooms is there.
    pub crowds: Crowds,
    /// Whose new names are being told.
    pub new_names: NewNames,
    /// When users were last connected.
    pub last_seen: LastSeen,
    /// Single-use tickets for the WebSocket.
    pub tickets: Arc<dyn Tickets>,
    /// Limits that nodes share.
    pub limits: Arc<dyn SharedLimits>,
    /// Logins that have ended.
    pub revocations: Revocations,
    /// Hashes passwords.
    pub passwords: PasswordHasher,
    /// Signs and checks access tokens.
    pub access_tokens: AccessTokens,
    /// Makes refresh tokens.
    pub refresh_tokens: RefreshTokens,
    /// Calls other programs.
    pub outgoing: Outgoing,
    /// Model providers.
    pub providers: Arc<Providers>,
    /// Files.
    pub files: Files,
    /// Rate limits.
    pub rate: RateLimits,
    /// How many connections there are, and may be.
    pub admission: Admission,
    /// The certificate, if the node speaks TLS itself.
    pub tls: Option<Arc<Tls>>,
    /// The one-time token for the first administrator, while there is none.
    pub setup: SetupToken,
    /// Metrics.
    pub metrics: Metrics,
    /// The one place for reading the file of a room.
    pub importing: Arc<Semaphore>,
    /// Start, drain, stop.
    pub lifecycle: Lifecycle,
    /// Since when the node runs.
    pub started_at: Timestamp,
}

/// Someone who has proved who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub user: UserRef,
    /// Their server-wide role.
    pub role: ServerRole,
    /// Their login, or the personal access token that stands for one.
    pub session: SessionId,
    /// What the proof allows.
    pub grant: Grant,
    /// When the proof expires.
    pub expires_at: Timestamp,
}

impl Node {
    /// Returns the present time as on the wire.
    pub fn now(&self) -> Timestamp {
        Timestamp::new(self.clock.now())
    }

    /// Returns how many shards the node has.
    pub fn shards(&self) -> usize {
        match self.config.server.shards {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            shards => shards,
        }
    }

    /// Returns the limits that clients are told.
    pub fn limits(&self) -> Limits {
        let limits = &self.config.limits;
        Limits {
            frame_bytes: limits.frame.get(),
            body_bytes: limits.body.get(),
            signal_bytes: limits.signal.get(),
            subscriptions: limits.subscriptions,
            outbox_bytes: limits.outbox.get(),
            file_bytes: self.config.files.file.get(),
            part_bytes: self.config.files.part.get(),
            attachments: self.config.files.per_message,
        }
    }

    /// Finds out whether the storage for files is the one that all nodes of the store use.
    pub async fn compare_files(&self) {
        let fresh = self.clock.new_id().simple().to_string();
        let alone = self.config.store.postgres().is_none();
        self.files.compare(&*self.store, &fresh, alone).await;
    }

    /// Checks an access token of a login, or a personal one, and finds out whose it is.
    pub async fn authenticate(&self, token: &str) -> Outcome<Caller> {
        if Mark::PersonalToken.is_on(token) {
            return self.authenticate_personal(token).await;
        }
        let access = self.access_tokens.verify(token, self.clock.now());
        let access = access.map_err(|refused| match refused {
            AccessRefused::Expired => {
                Refusal::new(Code::TokenExpired, "The access token has expired; refresh it.")
            }
            AccessRefused::Invalid => {
                Refusal::new(Code::Unauthenticated, "The access token is not valid; log in.")
            }
        })?;
        self.identify(access.user, access.session, Timestamp::new(access.expires_at)).await
    }

    /// Finds the user of a login that has not ended.
    pub async fn identify(
        &self,
        user: UserId,
        session: SessionId,
        expires_at: Timestamp,
    ) -> Outcome<Caller> {
        let ended = || Refusal::new(Code::Unauthenticated, "The login has ended; log in again.");
        if self.revocations.is_revoked(session) {
            return Err(ended());
        }
        let account = self.lookups.find_user(user).await?.ok_or_else(ended)?;
        if !account.active {
            return Err(ended());
        }
        let role = account.user.role;
        let user = account.user.to_ref();
        Ok(Caller { user, role, session, grant: Grant::Login, expires_at })
    }

    /// Finds a room and the caller's membership, also one that the caller may not know of: nothing of
    /// it may be told before [`parlor_domain::permission::authorize`] was asked, not even by another
    /// refusal than `not_found`.
    pub async fn find_room(&self, room: &RoomRef, user: UserId) -> Outcome<Access> {
        let access = self.lookups.find_room(room, user).await?;
        access.ok_or_else(|| Refusal::not_found("room"))
    }

    /// The same, with the state of the room's log; the membership is not older than that.
    pub async fn find_room_and_head(
        &self,
        room: &RoomRef,
        user: UserId,
    ) -> Outcome<(Access, Head)> {
        let found = self.lookups.find_room_and_head(room, user).await?;
        found.ok_or_else(|| Refusal::not_found("room"))
    }

    /// Returns the replies of a room that are being written, with their text so far: what this node
    /// was told, or at least the last checkpoint.
    pub async fn list_streaming(&self, room: RoomId) -> Vec<StreamingReply> {
        let mut replies = self.bus.list_streaming(room).await;
        // Without the store the bus has to do.
        for stored in self.lookups.list_streaming(room).await.unwrap_or_default() {
            let Checkpoint { message, turn, chunk, text } = stored;
            let stored = StreamingReply { message, turn, chunk, text };
            match replies.iter_mut().find(|reply| reply.message == message) {
                Some(told) if (told.turn, told.chunk) < (turn, chunk) => *told = stored,
                Some(_) => {}
                None => replies.push(stored),
            }
        }
        replies
    }

    /// Cuts a login's connections on every node and refuses its access tokens.
    pub fn end_session(&self, session: SessionId) {
        self.revocations.revoke(session, self.tokens_expire_by());
        self.bus.publish_control(Control::SessionRevoked(session));
    }

    /// Returns how long a token works at the most, by the clock of any node: those of others may
    /// differ from this one's, either way.
    pub fn token_life(&self) -> Duration {
        self.config.auth.access_token_expire + 2 * Duration::from_secs(CLOCK_LEEWAY.unsigned_abs())
    }

    /// Returns when the last access token that was given out until now will have expired.
    pub fn tokens_expire_by(&self) -> Timestamp {
        let life = jiff::SignedDuration::try_from(self.token_life()).unwrap_or_default();
        Timestamp::new(self.clock.now() + life)
    }

    /// Has a change of presence told to the rooms of the user, in a moment.
    pub fn announce_presence(&self, transition: Option<Transition>, user: &UserRef) {
        if let Some(transition) = transition {
            self.presence_news.tell(transition, Some(user));
        }
    }
}
