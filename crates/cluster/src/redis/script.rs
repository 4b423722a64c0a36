//! Scripts that run inside Redis, so that nothing comes between what they read and what they write.

use std::sync::LazyLock;

use ::redis::aio::ConnectionLike;
use ::redis::{FromRedisValue, Pipeline, RedisResult, Script, ServerErrorKind};

/// The presence of users: one connection's change, a batch, or all that are due.
pub(super) static TOUCH: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("presence.lua"), include_str!("touch.lua"))));
pub(super) static SWEEP: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("presence.lua"), include_str!("sweep.lua"))));
pub(super) static LOOK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("look.lua")));
/// A budget that nodes share.
pub(super) static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("take.lua")));
pub(super) static CHARGE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("charge.lua")));
/// Attempts to log in.
pub(super) static LOGIN: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("login.lua")));
pub(super) static REFUND: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("refund.lua")));

/// All of them.
pub(super) fn all() -> [&'static Script; 7] {
    [&TOUCH, &SWEEP, &LOOK, &TAKE, &CHARGE, &LOGIN, &REFUND]
}

/// Runs one script for many keys in one round trip, each with its own arguments.
pub(super) async fn run_many<T: FromRedisValue>(
    connection: &mut (impl ConnectionLike + Send),
    script: &Script,
    runs: &[(String, Vec<u64>)],
) -> RedisResult<Vec<T>> {
    let mut pipeline = Pipeline::with_capacity(runs.len());
    for (key, arguments) in runs {
        pipeline.cmd("EVALSHA").arg(script.get_hash()).arg(1).arg(key).arg(arguments);
    }
    match pipeline.query_async(connection).await {
        // Redis was restarted and has forgotten it.
        Err(error) if error.kind() == ServerErrorKind::NoScript.into() => {
            script.load_async(connection).await?;
            pipeline.query_async(connection).await
        }
        done => done,
    }
}
