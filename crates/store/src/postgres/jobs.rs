//! Jobs: claimed with a lease and a generation, ended by an intent.

use std::time::Duration;

use async_trait::async_trait;
use parlor_domain::permission::Action;
use parlor_protocol::id::{JobId, MessageId, RoomId, UserId};
use parlor_protocol::time::Timestamp;
use uuid::Uuid;

use super::access::Access;
use super::append::storable;
use super::codec::{count, id, id_opt, small, value};
use super::fault::{Fault, Outcome, Stop, settled};
use super::pools::Server;
use super::query::{self, Params};
use super::sql::{bots, jobs as sql, messages};
use super::transaction::{committing, reading, writing};
use super::{PostgresStore, rows};
use crate::append::{AppendRefused, QueuedJob};
use crate::contract::{Jobs, Result};
use crate::record::{BegunReply, CancelOutcome, ClaimedJob, Lease};

#[async_trait]
impl Jobs for PostgresStore {
    async fn claim_job(
        &self,
        worker: Uuid,
        lease: Duration,
        busy_providers: &[String],
    ) -> Result<Option<ClaimedJob>> {
        writing!(self, |tx| claim(tx, worker, lease, busy_providers).await)
    }

    async fn renew_lease(&self, job: JobId, generation: u32, lease: Duration) -> Result<Lease> {
        let params: Params<'_> = &[&job.0, &i64::from(generation), &length(lease)];
        committing!(self, |conn| hold(conn, sql::RENEW, params).await)
    }

    async fn checkpoint_reply(
        &self,
        job: JobId,
        generation: u32,
        chunk: u32,
        text: String,
        lease: Duration,
    ) -> Result<Lease> {
        let (generation, chunk) = (i64::from(generation), i64::from(chunk));
        let text = storable(text);
        let params: Params<'_> = &[&job.0, &generation, &length(lease), &chunk, &text];
        committing!(self, |conn| hold(conn, sql::CHECKPOINT, params).await)
    }

    async fn release_job(&self, job: JobId, generation: u32, delay: Duration) -> Result<()> {
        let params: Params<'_> = &[&job.0, &i64::from(generation), &length(delay)];
        committing!(self, |conn| query::execute(conn, sql::RELEASE, params).await.map(drop))
    }

    async fn hand_over_job(&self, job: JobId, generation: u32) -> Result<()> {
        let params: Params<'_> = &[&job.0, &i64::from(generation)];
        committing!(self, |conn| query::execute(conn, sql::HAND_OVER, params).await.map(drop))
    }

    async fn cancel_reply(
        &self,
        room: RoomId,
        message: MessageId,
        actor: UserId,
        at: Timestamp,
    ) -> Result<std::result::Result<CancelOutcome, AppendRefused>> {
        writing!(self, |tx| settled(cancel(tx, room, message, actor, at).await))
    }

    async fn release_all_leases(&self) -> Result<u64> {
        committing!(self, |conn| query::execute(conn, sql::RELEASE_ALL, &[]).await)
    }

    async fn list_waiting(&self, room: RoomId, limit: u32) -> Result<Vec<QueuedJob>> {
        let params: Params<'_> = &[&room.0, &i64::from(limit)];
        reading!(self, |conn| query::list(conn, sql::LIST_WAITING, params, |row| {
            Ok(QueuedJob {
                job: id(row, 0)?,
                bot: rows::user_ref(row, 1)?,
                position: small(row, 5)?,
            })
        })
        .await)
    }

    async fn count_jobs(&self) -> Result<(u64, u64)> {
        reading!(self, |conn| {
            query::get(conn, sql::COUNT, &[], |row| Ok((count(row, 0)?, count(row, 1)?))).await
        })
    }

    async fn find_longest_wait(&self) -> Result<Option<Duration>> {
        reading!(self, |conn| {
            query::get(conn, sql::LONGEST_WAIT, &[], |row| {
                let waited: Option<i64> = value(row, 0)?;
                // The clock may have gone back.
                Ok(waited.map(|waited| Duration::from_millis(u64::try_from(waited).unwrap_or(0))))
            })
            .await
        })
    }
}

async fn claim(
    tx: &Server,
    worker: Uuid,
    lease: Duration,
    busy_providers: &[String],
) -> Outcome<Option<ClaimedJob>> {
    let params: Params<'_> = &[&worker, &length(lease), &busy_providers];
    let claimed = query::get(tx, sql::CLAIM, params, |row| id_opt(row, 0)).await?;
    match claimed {
        Some(job) => describe(tx, job).await.map(Some),
        None => Ok(None),
    }
}

/// Reads all that the worker of a job needs.
async fn describe(tx: &Server, job: JobId) -> Outcome<ClaimedJob> {
    let (room, trigger, bot, mut claimed) = query::get(tx, sql::FIND, &[&job.0], |row| {
        let (room, trigger, bot): (RoomId, MessageId, UserId) =
            (id(row, 1)?, id(row, 2)?, id(row, 3)?);
        let reply: Option<MessageId> = id_opt(row, 8)?;
        let text: String = value(row, 9)?;
        let claimed = Claimed {
            generation: small(row, 6)?,
            attempt: small(row, 10)?,
            cancel_requested: value(row, 7)?,
            begun: reply.map(|message| BegunReply { message, text }),
        };
        Ok((room, trigger, bot, claimed))
    })
    .await?;
    let key: Params<'_> = &[&bot.0];
    let (trigger, bot) = tokio::try_join!(
        rows::find_message(tx, room, trigger),
        query::find(tx, bots::FIND, key, rows::bot),
    )?;
    Ok(ClaimedJob {
        id: job,
        room,
        trigger: trigger
            .ok_or(Fault::Contradiction("bot_jobs.trigger names no row of messages"))?,
        bot: bot.ok_or(Fault::Contradiction("bot_jobs.bot names no row of bots"))?,
        generation: claimed.generation,
        attempt: claimed.attempt,
        begun: claimed.begun.take(),
        cancel_requested: claimed.cancel_requested,
    })
}

/// What the row of a job that was claimed says.
struct Claimed {
    generation: u32,
    attempt: u32,
    cancel_requested: bool,
    begun: Option<BegunReply>,
}

/// Returns a duration in milliseconds.
fn length(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 2)
}

async fn hold(conn: &Server, statement: &str, params: Params<'_>) -> Outcome<Lease> {
    let held = query::find(conn, statement, params, |row| value(row, 0)).await?;
    #[cfg(feature = "planted-bugs")]
    let held = held.or_else(|| parlor_domain::planted::is("fence-ignored").then_some(false));
    Ok(held.map_or(Lease::Lost, |cancel_requested| Lease::Held { cancel_requested }))
}

async fn cancel(
    tx: &Server,
    room: RoomId,
    message: MessageId,
    actor: UserId,
    at: Timestamp,
) -> std::result::Result<CancelOutcome, Stop> {
    let access = Access::open(tx, room, actor).await?;
    access.authorize(Action::SteerBot, at)?;
    let named: Params<'_> = &[&message.0, &room.0];
    if !query::exists(tx, messages::FIND_FACTS, named).await? {
        return Err(AppendRefused::NoSuchMessage.into());
    }
    let jobs: Vec<(JobId, bool)> = query::list(tx, sql::LIST_OF_MESSAGE, &[&message.0], |row| {
        Ok((id(row, 0)?, value::<&str>(row, 1)? != "done"))
    })
    .await?;
    if jobs.is_empty() {
        return Err(AppendRefused::NotChangeable.into());
    }
    let open: Vec<Uuid> =
        jobs.into_iter().filter_map(|(job, open)| open.then_some(job.0)).collect();
    query::execute(tx, sql::REQUEST_CANCEL, &[&open]).await?;
    Ok(open.first().map_or(CancelOutcome::Ended, |job| CancelOutcome::Requested(JobId(*job))))
}
