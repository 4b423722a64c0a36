//! What one reader has read of a room, and wants to be told of.

use anyhow::Context as _;
use clap::ValueEnum;
use parlor_client::Http;
use parlor_protocol::room::NotificationLevel;

use crate::context::Context;

/// Which messages someone wants to be told of.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Level {
    /// Every message
    All,
    /// Only those that mention me
    Mentions,
    /// None
    None,
}

impl From<Level> for NotificationLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::All => Self::All,
            Level::Mentions => Self::Mentions,
            Level::None => Self::None,
        }
    }
}

/// Sets the read marker.
pub(super) async fn read(
    http: &Http,
    room: &str,
    seq: Option<u64>,
    context: &Context,
) -> anyhow::Result<()> {
    let read =
        http.mark_read(room, seq.unwrap_or(u64::MAX)).await.context("set the read marker")?;
    if context.out.json {
        return Ok(context.out.json(&read)?);
    }
    let (seq, unread, mentions) = (read.read_seq, read.unread, read.mentions);
    context.out.note(&format!("read up to #{seq}; unread: {unread}, with mentions: {mentions}"));
    Ok(())
}

/// Sets which messages to be told of.
pub(super) async fn notify(
    http: &Http,
    room: &str,
    level: Level,
    context: &Context,
) -> anyhow::Result<()> {
    http.set_notifications(room, level.into()).await.context("set the notifications")?;
    context.out.note("set");
    Ok(())
}
