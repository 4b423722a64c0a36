//! Who someone is, what they may enter, and how a room stands: asked for by everyone who connects,
//! and read for all who connect in the same moment together, or remembered as long as it is true.

use std::collections::HashMap;
use std::sync::Arc;

use parlor_domain::log::Head;
use parlor_protocol::id::{RoomId, RoomRef, UserId};
use parlor_store::record::{Checkpoint, TokenRecord};
use parlor_store::{MANY_MAX, Store};
use tokio::task::JoinSet;

use super::batch::{BatchWorker, Batched, Call};
use super::checks::{CheckWorker, Checks};
use super::known::{Access, Known, KnownUser};
use crate::metrics::ReadMetrics;
use crate::refusal::Outcome;

/// Reads of one node that many share.
#[derive(Debug)]
pub struct Lookups {
    /// Absent when nothing is to be remembered.
    memory: Option<Memory>,
    users: Batched<UserId, Option<Arc<KnownUser>>>,
    accesses: Batched<(RoomRef, UserId), Option<(Access, Head)>>,
    heads: Batched<RoomId, Option<Head>>,
    streaming: Batched<RoomId, Vec<Checkpoint>>,
    tokens: Batched<[u8; 32], Option<TokenRecord>>,
}

/// What is remembered, and what keeps it true.
#[derive(Debug)]
struct Memory {
    known: Arc<Known>,
    checks: Checks,
}

/// What the reads of a node may cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LookupOptions {
    /// Calls of each kind in a second, over time.
    pub(crate) per_second: u32,
    /// Accounts, rooms and memberships that are remembered, of each; 0: none.
    pub(crate) remembered: usize,
    /// Checks of what is remembered in a second, over time, where they are questions to a database.
    pub(crate) checks_per_second: u32,
}

/// The tasks behind [`Lookups`].
pub(crate) struct LookupWorkers {
    checks: Option<CheckWorker>,
    users: BatchWorker<UserId, Option<Arc<KnownUser>>>,
    accesses: BatchWorker<(RoomRef, UserId), Option<(Access, Head)>>,
    heads: BatchWorker<RoomId, Option<Head>>,
    streaming: BatchWorker<RoomId, Vec<Checkpoint>>,
    tokens: BatchWorker<[u8; 32], Option<TokenRecord>>,
}

impl Lookups {
    /// Creates the lookups of one node.
    pub(crate) fn new(
        store: &Arc<dyn Store>,
        options: LookupOptions,
        metrics: &ReadMetrics,
    ) -> (Self, LookupWorkers) {
        let LookupOptions { per_second, remembered, checks_per_second } = options;
        let checks_per_second =
            if store.changes_are_in_memory() { u32::MAX } else { checks_per_second };
        let size = |kind: &str| metrics.batch.with_label_values(&[kind]);
        let many = MANY_MAX;
        let (memory, check_worker) = (remembered > 0)
            .then(|| {
                let cache = &metrics.cache;
                let known = Arc::new(Known::new(remembered, cache.clone()));
                let (checks, worker) =
                    Checks::new(store, &known, checks_per_second, size("changes"), cache.clone());
                (Memory { known, checks }, worker)
            })
            .unzip();
        let known = memory.as_ref().map(|memory| &memory.known);
        let (users, user_worker) =
            Batched::new(users(store, known), many, per_second, size("users"));
        let (accesses, access_worker) =
            Batched::new(accesses(store, known), many, per_second, size("accesses"));
        let (heads, head_worker) = Batched::new(heads(store), many, per_second, size("heads"));
        let (streaming, streaming_worker) =
            Batched::new(streaming(store), many, per_second, size("streaming"));
        let (tokens, token_worker) = Batched::new(tokens(store), many, per_second, size("tokens"));
        let workers = LookupWorkers {
            checks: check_worker,
            users: user_worker,
            accesses: access_worker,
            heads: head_worker,
            streaming: streaming_worker,
            tokens: token_worker,
        };
        (Self { memory, users, accesses, heads, streaming, tokens }, workers)
    }

    /// Finds an account.
    pub async fn find_user(&self, user: UserId) -> Outcome<Option<Arc<KnownUser>>> {
        if let Some(known) = self.checked().await
            && let Some(found) = known.user(user)
        {
            return Ok(Some(found));
        }
        self.users.ask(user).await
    }

    /// Finds a room and one user's membership.
    pub async fn find_room(&self, room: &RoomRef, user: UserId) -> Outcome<Option<Access>> {
        if let Some(found) = self.recall(room, user).await {
            return Ok(Some(found));
        }
        let found = self.accesses.ask((room.clone(), user)).await?;
        Ok(found.map(|(access, _)| access))
    }

    /// Finds a room, the state of its log, and one user's membership, which is not older than that.
    ///
    /// The state of the log is never remembered: it is what the store says after the question.
    pub async fn find_room_and_head(
        &self,
        room: &RoomRef,
        user: UserId,
    ) -> Outcome<Option<(Access, Head)>> {
        if let Some(Access { room, .. }) = self.recall(room, user).await
            && let Some(head) = self.heads.ask(room.id).await?
            // Once more, since the membership must not be older.
            && let Some(access) = self.recall(&room.id.into(), user).await
        {
            return Ok(Some((access, head)));
        }
        self.accesses.ask((room.clone(), user)).await
    }

    /// Tells at once whether somebody was a member of a room not long ago, as far as this node
    /// remembers. For what needs no certainty; it allows nothing.
    pub fn was_member(&self, room: RoomId, user: UserId) -> bool {
        self.memory.as_ref().is_some_and(|memory| memory.known.was_member(room, user))
    }

    /// Forgets what [`Lookups::was_member`] answers from, when something speaks against it.
    pub fn forget_member(&self, room: RoomId, user: UserId) {
        if let Some(memory) = &self.memory {
            memory.known.forget_member(room, user);
        }
    }

    /// Returns a room and a membership if they are remembered and true.
    async fn recall(&self, room: &RoomRef, user: UserId) -> Option<Access> {
        self.checked().await?.access(room, user)
    }

    /// Returns what is remembered, after everything was forgotten that is not true any more.
    async fn checked(&self) -> Option<&Known> {
        let Memory { known, checks } = self.memory.as_ref()?;
        checks.check().await.then_some(&**known)
    }

    /// Finds the state of a room's log.
    pub async fn find_head(&self, room: RoomId) -> Outcome<Option<Head>> {
        self.heads.ask(room).await
    }

    /// Lists the replies of a room that are being written, as of their last checkpoint.
    pub async fn list_streaming(&self, room: RoomId) -> Outcome<Vec<Checkpoint>> {
        self.streaming.ask(room).await
    }

    /// Finds a personal access token that was not ended, by the hash of its secret.
    pub async fn find_token(&self, hash: [u8; 32]) -> Outcome<Option<TokenRecord>> {
        self.tokens.ask(hash).await
    }
}

impl LookupWorkers {
    /// Answers until the lookups are gone or the future is dropped.
    pub(crate) async fn run(self) {
        let mut workers = JoinSet::new();
        if let Some(checks) = self.checks {
            workers.spawn(checks.run());
        }
        workers.spawn(self.users.run());
        workers.spawn(self.accesses.run());
        workers.spawn(self.heads.run());
        workers.spawn(self.streaming.run());
        workers.spawn(self.tokens.run());
        // The first that ends takes the others with it.
        workers.join_next().await;
    }
}

fn users(
    store: &Arc<dyn Store>,
    known: Option<&Arc<Known>>,
) -> Call<UserId, Option<Arc<KnownUser>>> {
    let (store, known) = (Arc::clone(store), known.cloned());
    Arc::new(move |users| {
        let (store, known) = (Arc::clone(&store), known.clone());
        Box::pin(async move {
            let moment = known.as_ref().map(|known| known.moment());
            let found = store.find_users(&users).await?;
            let found = found.into_iter().map(|found| {
                let found = Arc::new(KnownUser::from(found?));
                if let Some((known, moment)) = known.as_ref().zip(moment) {
                    known.learn_user(moment, &found);
                }
                Some(found)
            });
            Ok(found.collect())
        })
    })
}

fn accesses(
    store: &Arc<dyn Store>,
    known: Option<&Arc<Known>>,
) -> Call<(RoomRef, UserId), Option<(Access, Head)>> {
    let (store, known) = (Arc::clone(store), known.cloned());
    Arc::new(move |asked| {
        let (store, known) = (Arc::clone(&store), known.clone());
        Box::pin(async move {
            let moment = known.as_ref().map(|known| known.moment());
            let found = store.find_accesses(&asked).await?;
            let found = asked.iter().zip(found).map(|((_, user), found)| {
                let found = found?;
                let head = found.room.head.clone();
                let access = Access::from(found);
                if let Some((known, moment)) = known.as_ref().zip(moment) {
                    known.learn_access(moment, *user, &access);
                }
                Some((access, head))
            });
            Ok(found.collect())
        })
    })
}

fn heads(store: &Arc<dyn Store>) -> Call<RoomId, Option<Head>> {
    let store = Arc::clone(store);
    Arc::new(move |rooms| {
        let store = Arc::clone(&store);
        Box::pin(async move {
            // Each room is asked for once.
            let mut heads: HashMap<RoomId, Head> =
                store.list_heads(&rooms).await?.into_iter().collect();
            Ok(rooms.iter().map(|room| heads.remove(room)).collect())
        })
    })
}

fn streaming(store: &Arc<dyn Store>) -> Call<RoomId, Vec<Checkpoint>> {
    let store = Arc::clone(store);
    Arc::new(move |rooms| {
        let store = Arc::clone(&store);
        Box::pin(async move { store.list_streaming_of_rooms(&rooms).await })
    })
}

fn tokens(store: &Arc<dyn Store>) -> Call<[u8; 32], Option<TokenRecord>> {
    let store = Arc::clone(store);
    Arc::new(move |hashes| {
        let store = Arc::clone(&store);
        Box::pin(async move { store.find_tokens(&hashes).await })
    })
}
