//! What is written while nobody is there.

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::timeout;

use super::ResumePlan;
use crate::accounts::{Crowd, Seat};
use crate::link::{Link, gone};
use crate::progress::Progress;
use crate::target::{BenchError, Target};

/// Rooms that are written to at the same time.
const ROOMS_AT_ONCE: usize = 32;
/// How long the messages of one room may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Writes messages into every room, and waits until each is acknowledged.
pub(super) async fn messages(
    target: &Target,
    crowd: &Crowd,
    plan: &ResumePlan,
    progress: &Progress,
) -> Result<(), BenchError> {
    let authority = target.authority();
    stream::iter(0..crowd.rooms.len())
        .map(|room| write(&authority, crowd.writer(room), plan, progress))
        .buffer_unordered(ROOMS_AT_ONCE)
        .try_collect()
        .await
}

async fn write(
    authority: &str,
    seat: Seat,
    plan: &ResumePlan,
    progress: &Progress,
) -> Result<(), BenchError> {
    let written = timeout(PATIENCE, publish(authority, seat, plan)).await;
    written.map_err(|_| BenchError::Connection("a message was not acknowledged".to_owned()))??;
    progress.advance(plan.missed as u64);
    Ok(())
}

async fn publish(authority: &str, seat: Seat, plan: &ResumePlan) -> Result<(), BenchError> {
    let mut link = Link::open_patiently(authority, &seat.person.token).await.map_err(gone)?;
    let body = "x".repeat(plan.payload);
    for number in 0..plan.missed {
        let room = seat.room;
        link.push(&format!(
            r#"{{"op":"publish","id":"{number}","room":"{room}","body":"{body}"}}"#
        ));
    }
    let (mut acknowledged, mut refused) = (0, None);
    while acknowledged < plan.missed {
        link.receive(|text| {
            if text.starts_with(br#"{"op":"ok""#) {
                acknowledged += 1;
            } else if text.starts_with(br#"{"op":"error""#) {
                refused = Some(String::from_utf8_lossy(text).into_owned());
            }
        })
        .await
        .map_err(gone)?;
        if let Some(refused) = refused {
            return Err(BenchError::Command(refused));
        }
    }
    Ok(())
}
