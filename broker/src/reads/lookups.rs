//! Who someone is, what they may enter, and how a room stands: asked for by everyone who connects,
//! and read for all who connect in the same moment together.

use std::collections::HashMap;
use std::sync::Arc;

use parlor_domain::log::Head;
use parlor_protocol::id::{RoomId, RoomRef, UserId};
use parlor_store::record::{Account, Checkpoint, RoomAccess, TokenRecord};
use parlor_store::{MANY_MAX, Store};
use prometheus::HistogramVec;
use tokio::task::JoinSet;

use super::batch::{BatchWorker, Batched, Call};
use crate::refusal::Outcome;

/// Reads of one node that many share.
#[derive(Debug)]
pub struct Lookups {
    users: Batched<UserId, Option<Account>>,
    accesses: Batched<(RoomRef, UserId), Option<RoomAccess>>,
    heads: Batched<RoomId, Option<Head>>,
    streaming: Batched<RoomId, Vec<Checkpoint>>,
    tokens: Batched<[u8; 32], Option<TokenRecord>>,
}

/// The tasks behind [`Lookups`].
pub(crate) struct LookupWorkers {
    users: BatchWorker<UserId, Option<Account>>,
    accesses: BatchWorker<(RoomRef, UserId), Option<RoomAccess>>,
    heads: BatchWorker<RoomId, Option<Head>>,
    streaming: BatchWorker<RoomId, Vec<Checkpoint>>,
    tokens: BatchWorker<[u8; 32], Option<TokenRecord>>,
}

impl Lookups {
    /// Creates the lookups of one node, each kind with so many calls in a second over time. `sizes`
    /// is told by kind how many questions a call answers.
    pub(crate) fn new(
        store: &Arc<dyn Store>,
        per_second: u32,
        sizes: &HistogramVec,
    ) -> (Self, LookupWorkers) {
        let size = |kind: &str| sizes.with_label_values(&[kind]);
        let many = MANY_MAX;
        let (users, user_worker) = Batched::new(users(store), many, per_second, size("users"));
        let (accesses, access_worker) =
            Batched::new(accesses(store), many, per_second, size("accesses"));
        let (heads, head_worker) = Batched::new(heads(store), many, per_second, size("heads"));
        let (streaming, streaming_worker) =
            Batched::new(streaming(store), many, per_second, size("streaming"));
        let (tokens, token_worker) = Batched::new(tokens(store), many, per_second, size("tokens"));
        let workers = LookupWorkers {
            users: user_worker,
            accesses: access_worker,
            heads: head_worker,
            streaming: streaming_worker,
            tokens: token_worker,
        };
        (Self { users, accesses, heads, streaming, tokens }, workers)
    }

    /// Finds an account.
    pub async fn find_user(&self, user: UserId) -> Outcome<Option<Account>> {
        self.users.ask(user).await
    }

    /// Finds a room and one user's membership.
    pub async fn find_room(&self, room: &RoomRef, user: UserId) -> Outcome<Option<RoomAccess>> {
        self.accesses.ask((room.clone(), user)).await
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
        workers.spawn(self.users.run());
        workers.spawn(self.accesses.run());
        workers.spawn(self.heads.run());
        workers.spawn(self.streaming.run());
        workers.spawn(self.tokens.run());
        // The first that ends takes the others with it.
        workers.join_next().await;
    }
}

fn users(store: &Arc<dyn Store>) -> Call<UserId, Option<Account>> {
    let store = Arc::clone(store);
    Arc::new(move |users| {
        let store = Arc::clone(&store);
        Box::pin(async move { store.find_users(&users).await })
    })
}

fn accesses(store: &Arc<dyn Store>) -> Call<(RoomRef, UserId), Option<RoomAccess>> {
    let store = Arc::clone(store);
    Arc::new(move |asked| {
        let store = Arc::clone(&store);
        Box::pin(async move { store.find_accesses(&asked).await })
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
