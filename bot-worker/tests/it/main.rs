//! Workers over a real store, a local bus and providers that misbehave.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail at once")]

/// Declares tests that hold with every store: functions of a world, each run over SQLite and over a
/// Postgres of its own.
macro_rules! over_each_store {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::harness::World::new().await).await;
            })*
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::harness::World::on_postgres().await).await;
            })*
        }
    };
}

mod cancel;
mod context;
mod drain;
mod faults;
mod flaky;
mod hand_over;
mod harness;
mod observe;
mod providers;
mod puppet;
mod queue;
mod reply;
mod secrecy;
mod stall;
mod turn_taking;
