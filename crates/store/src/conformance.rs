//! What a store promises, as tests that every backend runs unchanged.
//!
//! A backend names a [`Factory`] and calls [`crate::store_conformance`] once in its tests.

#![expect(clippy::missing_panics_doc, reason = "tests fail by panicking")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

pub mod jobs;
pub mod log;
pub mod world;

use std::sync::Arc;

use async_trait::async_trait;

use crate::contract::Store;

/// Replies of bots that may follow one message of a person, in every store of the suite.
pub const MAX_HOPS: u32 = 3;
/// Members that a room may have, in every store of the suite.
pub const ROOM_MEMBERS: u32 = 12;

/// Opens stores for the suite.
#[async_trait]
pub trait Factory: Send + Sync {
    /// Opens an empty store with [`MAX_HOPS`] and [`ROOM_MEMBERS`].
    async fn open(&self) -> Box<dyn Opened>;
}

/// A store and what is behind it.
#[async_trait]
pub trait Opened: Send + Sync {
    /// Returns the store.
    fn store(&self) -> Arc<dyn Store>;

    /// Closes the store and returns every byte that it has left behind.
    async fn remains(&self) -> Vec<u8>;
}

/// Runs the suite on a backend: `store_conformance!(sqlite, SqliteFactory)` makes a module of tests.
#[macro_export]
macro_rules! store_conformance {
    ($backend:ident, $factory:expr) => {
        mod $backend {
            use super::*;

            $crate::store_conformance!(@tests $factory, jobs {
                message_queues_one_job_for_each_bot_that_it_calls,
            });
            $crate::store_conformance!(@tests $factory, log {
                seq_is_dense_under_concurrent_writers_and_repeats,
            });
        }
    };
    (@tests $factory:expr, $module:ident { $($test:ident,)* }) => {
        mod $module {
            use super::*;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                $crate::conformance::$module::$test(&$factory).await;
            })*
        }
    };
}
