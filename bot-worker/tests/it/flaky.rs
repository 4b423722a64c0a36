//! A store that fails on demand where a worker uses it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use parlor_domain::log::Head;
use parlor_protocol::event::Event;
use parlor_protocol::id::{JobId, MessageId, RoomId, RoomRef, SessionId, UserId};
use parlor_protocol::message::Message;
use parlor_protocol::room::RoomKind;
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::ServerRole;
use parlor_store::contract::Result;
use parlor_store::people::LastAdmin;
use parlor_store::record::{
    Account, BotRecord, CancelOutcome, Checkpoint, ClaimedJob, CreatedRoom, Credentials,
    InviteRecord, Lease, MemberRecord, NewInvite, NewRoom, NewSession, NewUser, ProfileChange,
    RoomAccess, RoomConflict, RoomFilter, RoomListing, RoomSize, Rotated, Rotation, SessionRecord,
    UserConflict, Window,
};
use parlor_store::{
    Append, AppendRefused, Appended, Bots, ChangePage, ChangePosition, Changes, Intent, Jobs, Log,
    Many, Operations, QueuedJob, Rooms, Sessions, Store, StoreError, Tail, TailPage, TailPosition,
    Users,
};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::harness::within;

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing is done.
    Unavailable,
    /// The work is done, but the answer is lost.
    AnswerLost,
    /// There is no answer.
    Hang,
    /// The thread of the caller stands still for so long.
    Stall(Duration),
}

/// Passes calls on, but for those that a test wants to fail.
#[derive(Debug)]
pub(crate) struct FlakyStore {
    inner: Arc<dyn Store>,
    starts: Mutex<VecDeque<Fault>>,
    ends: Mutex<VecDeque<Fault>>,
    claims: Mutex<VecDeque<Fault>>,
    renewals: Mutex<VecDeque<Fault>>,
    away: AtomicBool,
    asked_to_claim: AtomicUsize,
    asked_to_renew: AtomicUsize,
    stalled: Notify,
}

impl FlakyStore {
    pub(crate) fn new(inner: &Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(inner),
            starts: Mutex::default(),
            ends: Mutex::default(),
            claims: Mutex::default(),
            renewals: Mutex::default(),
            away: AtomicBool::new(false),
            asked_to_claim: AtomicUsize::new(0),
            asked_to_renew: AtomicUsize::new(0),
            stalled: Notify::new(),
        })
    }

    /// Makes the next attempts to begin a reply fail.
    pub(crate) fn fail_starts(&self, faults: &[Fault]) {
        self.starts.lock().unwrap().extend(faults);
    }

    /// Makes the next attempts to end a reply fail.
    pub(crate) fn fail_ends(&self, faults: &[Fault]) {
        self.ends.lock().unwrap().extend(faults);
    }

    /// Makes the next claims fail.
    pub(crate) fn fail_claims(&self, faults: &[Fault]) {
        self.claims.lock().unwrap().extend(faults);
    }

    /// Makes the next renewals of a lease fail.
    pub(crate) fn fail_renewals(&self, faults: &[Fault]) {
        self.renewals.lock().unwrap().extend(faults);
    }

    /// Makes all calls of a worker fail until it is called with `false`.
    pub(crate) fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    /// Returns how often a job was asked for.
    pub(crate) fn asked_to_claim(&self) -> usize {
        self.asked_to_claim.load(Ordering::Relaxed)
    }

    /// Waits until a lease was prolonged so often.
    pub(crate) async fn renewed(&self, times: usize) {
        within(async {
            while self.asked_to_renew.load(Ordering::Relaxed) < times {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// Waits until a thread stands still.
    pub(crate) async fn stalled(&self) {
        within(self.stalled.notified()).await;
    }

    /// Does the next thing that is to go wrong, before the work is done.
    async fn trip(&self, faults: &Mutex<VecDeque<Fault>>) -> Result<Option<Fault>> {
        if self.away.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable(None));
        }
        let fault = faults.lock().unwrap().pop_front();
        match fault {
            Some(Fault::Unavailable) => Err(StoreError::Unavailable(None)),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Stall(time)) => {
                self.stalled.notify_one();
                std::thread::sleep(time);
                Ok(fault)
            }
            Some(Fault::AnswerLost) | None => Ok(fault),
        }
    }
}

#[async_trait]
impl Log for FlakyStore {
    async fn append(
        &self,
        batch: Vec<Append>,
    ) -> Result<Vec<std::result::Result<Appended, AppendRefused>>> {
        let none = Mutex::default();
        let faults = match batch[0].intent {
            Intent::StartReply { .. } => &self.starts,
            Intent::CompleteReply { .. } => &self.ends,
            _ => &none,
        };
        let fault = self.trip(faults).await?;
        let answer = self.inner.append(batch).await;
        if fault == Some(Fault::AnswerLost) { Err(StoreError::UnknownOutcome) } else { answer }
    }

    async fn find_head(&self, room: RoomId) -> Result<Option<Head>> {
        self.inner.find_head(room).await
    }

    async fn read_events(&self, room: RoomId, after: u64, limit: u32) -> Result<Vec<Event>> {
        self.inner.read_events(room, after, limit).await
    }

    async fn list_messages(
        &self,
        room: RoomId,
        window: Window,
        limit: u32,
    ) -> Result<Vec<Message>> {
        self.trip(&Mutex::default()).await?;
        self.inner.list_messages(room, window, limit).await
    }

    async fn find_message(&self, room: RoomId, message: MessageId) -> Result<Option<Message>> {
        self.inner.find_message(room, message).await
    }

    async fn list_replies(&self, room: RoomId, trigger: MessageId) -> Result<Vec<Message>> {
        self.inner.list_replies(room, trigger).await
    }

    async fn list_streaming(&self, room: RoomId) -> Result<Vec<Checkpoint>> {
        self.inner.list_streaming(room).await
    }
}

#[async_trait]
impl Jobs for FlakyStore {
    async fn claim_job(
        &self,
        worker: Uuid,
        lease: Duration,
        busy_providers: &[String],
    ) -> Result<Option<ClaimedJob>> {
        self.asked_to_claim.fetch_add(1, Ordering::Relaxed);
        self.trip(&self.claims).await?;
        self.inner.claim_job(worker, lease, busy_providers).await
    }

    async fn renew_lease(&self, job: JobId, generation: u32, lease: Duration) -> Result<Lease> {
        self.asked_to_renew.fetch_add(1, Ordering::Relaxed);
        self.trip(&self.renewals).await?;
        self.inner.renew_lease(job, generation, lease).await
    }

    async fn checkpoint_reply(
        &self,
        job: JobId,
        generation: u32,
        chunk: u32,
        text: String,
        lease: Duration,
    ) -> Result<Lease> {
        self.trip(&self.renewals).await?;
        self.inner.checkpoint_reply(job, generation, chunk, text, lease).await
    }

    async fn release_job(&self, job: JobId, generation: u32, delay: Duration) -> Result<()> {
        self.trip(&Mutex::default()).await?;
        self.inner.release_job(job, generation, delay).await
    }

    async fn cancel_reply(
        &self,
        room: RoomId,
        message: MessageId,
        actor: UserId,
        at: Timestamp,
    ) -> Result<std::result::Result<CancelOutcome, AppendRefused>> {
        self.inner.cancel_reply(room, message, actor, at).await
    }

    async fn release_all_leases(&self) -> Result<u64> {
        self.inner.release_all_leases().await
    }

    async fn hand_over_job(&self, job: JobId, generation: u32) -> Result<()> {
        self.trip(&Mutex::default()).await?;
        self.inner.hand_over_job(job, generation).await
    }

    async fn find_longest_wait(&self) -> Result<Option<Duration>> {
        self.inner.find_longest_wait().await
    }

    async fn list_waiting(&self, room: RoomId, limit: u32) -> Result<Vec<QueuedJob>> {
        self.inner.list_waiting(room, limit).await
    }

    async fn count_jobs(&self) -> Result<(u64, u64)> {
        self.inner.count_jobs().await
    }
}

/// What a worker has no business with.
macro_rules! unused {
    ($trait:ident: $(fn $name:ident($($arg:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl $trait for FlakyStore {
            $(async fn $name(&self, $(_: $arg),*) -> $answer {
                unreachable!("a worker does not call {}", stringify!($name))
            })*
        }
    };
}

mod crowds;
mod files;
mod imports;
mod people;
mod programs;
mod reading;
mod search;

type Conflicting<T> = std::result::Result<T, UserConflict>;
type Refusable = std::result::Result<(), AppendRefused>;

unused! { Tail:
    fn tail_start() -> Result<TailPosition>;
    fn read_tail(&TailPosition, u32) -> Result<TailPage>;
    fn list_heads(&[RoomId]) -> Result<Vec<(RoomId, Head)>>;
    fn prune_tail(Duration) -> Result<u64>;
}

unused! { Changes:
    fn read_changes(Option<&ChangePosition>) -> Result<ChangePage>;
}

unused! { Users:
    fn create_user(NewUser) -> Result<Conflicting<Account>>;
    fn create_first_admin(NewUser) -> Result<Conflicting<Account>>;
    fn has_admin() -> Result<bool>;
    fn find_user(UserId) -> Result<Option<Account>>;
    fn find_user_by_name(&str) -> Result<Option<Account>>;
    fn find_credentials(&str) -> Result<Option<Credentials>>;
    fn set_password_hash(UserId, String) -> Result<()>;
    fn update_profile(UserId, ProfileChange) -> Result<Conflicting<Option<Account>>>;
    fn set_user_access(UserId, Option<bool>, Option<ServerRole>, Timestamp)
        -> Result<std::result::Result<Option<Account>, LastAdmin>>;
    fn list_users(Option<&str>, u32) -> Result<Vec<Account>>;
    fn touch_last_seen(UserId, Timestamp) -> Result<()>;
}

unused! { Sessions:
    fn create_session(NewSession) -> Result<Vec<SessionId>>;
    fn find_session(SessionId) -> Result<Option<SessionRecord>>;
    fn rotate_refresh_token(Rotation) -> Result<Rotated>;
    fn revoke_session(SessionId, Timestamp) -> Result<bool>;
    fn revoke_sessions_of(UserId, Option<SessionId>, Timestamp) -> Result<Vec<SessionId>>;
    fn list_revoked_since(Timestamp) -> Result<Vec<SessionId>>;
    fn list_sessions(Option<UserId>, Timestamp, u32) -> Result<Vec<SessionRecord>>;
}

unused! { Rooms:
    fn create_room(NewRoom) -> Result<std::result::Result<CreatedRoom, RoomConflict>>;
    fn find_room(&RoomRef, UserId) -> Result<Option<RoomAccess>>;
    fn find_room_listing(RoomId, UserId) -> Result<Option<RoomListing>>;
    fn list_rooms(UserId, RoomFilter, Option<&str>, u32) -> Result<Vec<RoomListing>>;
    fn list_room_ids_of(UserId) -> Result<Vec<RoomId>>;
    fn list_members(RoomId, Option<&str>, u32) -> Result<Vec<MemberRecord>>;
    fn delete_room(RoomId, UserId, Timestamp) -> Result<Refusable>;
    fn delete_rooms_owned_by(UserId, Option<RoomKind>) -> Result<Vec<RoomId>>;
    fn set_read_marker(RoomId, UserId, u64) -> Result<Option<u64>>;
    fn create_invite(NewInvite) -> Result<Refusable>;
    fn find_invite(&str, Timestamp) -> Result<Option<InviteRecord>>;
}

unused! { Many:
    fn find_users(&[UserId]) -> Result<Vec<Option<Account>>>;
    fn find_accesses(&[(RoomRef, UserId)]) -> Result<Vec<Option<RoomAccess>>>;
    fn list_rooms_of_users(&[UserId]) -> Result<Vec<Vec<RoomSize>>>;
    fn read_events_of_rooms(&[(RoomId, u64, u32)]) -> Result<Vec<Vec<Event>>>;
    fn list_streaming_of_rooms(&[RoomId]) -> Result<Vec<Vec<Checkpoint>>>;
    fn touch_last_seen_of_users(&[(UserId, Timestamp)]) -> Result<()>;
}

unused! { Bots:
    fn create_bot(NewUser, BotRecord) -> Result<Conflicting<BotRecord>>;
    fn find_bot(&str) -> Result<Option<BotRecord>>;
    fn list_bots() -> Result<Vec<BotRecord>>;
    fn list_room_bots(RoomId) -> Result<Vec<BotRecord>>;
    fn update_bot(BotRecord) -> Result<Option<BotRecord>>;
    fn delete_bot(UserId, Timestamp) -> Result<Option<Vec<Event>>>;
}

#[async_trait]
impl Operations for FlakyStore {
    fn backend(&self) -> &'static str {
        "flaky"
    }

    async fn check_health(&self) -> Result<()> {
        self.trip(&Mutex::default()).await?;
        self.inner.check_health().await
    }

    async fn pin(&self, key: &str, value: &str) -> Result<String> {
        self.inner.pin(key, value).await
    }

    fn reads(&self) -> u64 {
        self.inner.reads()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
