//! Jobs: claimed with a lease and a generation, ended by an intent.

use std::time::Duration;

use async_trait::async_trait;
use parlor_domain::permission::Action;
use parlor_protocol::id::{JobId, MessageId, RoomId, UserId};
use parlor_protocol::time::Timestamp;
use rusqlite::{Connection, Params, params};
use uuid::Uuid;

use super::SqliteStore;
use super::append::{Desk, Step};
use super::codec::{count, id, id_opt};
use super::fault::{Fault, Outcome, Stop};
use super::sql::{bots, jobs as sql};
use super::{Rules, query, rows};
use crate::append::{AppendRefused, QueuedJob};
use crate::contract::{Jobs, Result};
use crate::record::{BegunReply, CancelOutcome, ClaimedJob, Lease};

#[async_trait]
impl Jobs for SqliteStore {
    async fn claim_job(
        &self,
        worker: Uuid,
        lease: Duration,
        busy_providers: &[String],
    ) -> Result<Option<ClaimedJob>> {
        let busy = busy_providers.to_vec();
        self.write(move |conn| {
            let busy = serde_json::to_string(&busy)?;
            let due = query::find(conn, sql::FIND_DUE, [busy], |row| id(row, 0))?;
            let Some(job) = due else { return Ok(None) };
            claim(conn, job, worker, lease).map(Some)
        })
        .await
    }

    async fn renew_lease(&self, job: JobId, generation: u32, lease: Duration) -> Result<Lease> {
        self.write(move |conn| {
            hold(conn, sql::RENEW, params![job.0.as_bytes(), generation, length(lease)])
        })
        .await
    }

    async fn checkpoint_reply(
        &self,
        job: JobId,
        generation: u32,
        chunk: u32,
        text: String,
        lease: Duration,
    ) -> Result<Lease> {
        self.write(move |conn| {
            let params = params![job.0.as_bytes(), generation, length(lease), chunk, text];
            hold(conn, sql::CHECKPOINT, params)
        })
        .await
    }

    async fn release_job(&self, job: JobId, generation: u32, delay: Duration) -> Result<()> {
        self.write(move |conn| {
            let params = params![job.0.as_bytes(), generation, length(delay)];
            query::execute(conn, sql::RELEASE, params)?;
            Ok(())
        })
        .await
    }

    async fn hand_over_job(&self, job: JobId, generation: u32) -> Result<()> {
        self.write(move |conn| {
            query::execute(conn, sql::HAND_OVER, params![job.0.as_bytes(), generation])?;
            Ok(())
        })
        .await
    }

    async fn cancel_reply(
        &self,
        room: RoomId,
        message: MessageId,
        actor: UserId,
        at: Timestamp,
    ) -> Result<std::result::Result<CancelOutcome, AppendRefused>> {
        let rules = std::sync::Arc::clone(&self.rules);
        self.write(move |conn| match cancel(conn, &rules, room, message, actor, at) {
            Ok(outcome) => Ok(Ok(outcome)),
            Err(Stop::Refused(refused)) => Ok(Err(refused)),
            Err(Stop::Fault(fault)) => Err(fault),
        })
        .await
    }

    async fn release_all_leases(&self) -> Result<u64> {
        self.write(|conn| Ok(query::execute(conn, sql::RELEASE_ALL, [])? as u64)).await
    }

    async fn list_waiting(&self, room: RoomId, limit: u32) -> Result<Vec<QueuedJob>> {
        self.read(move |conn| {
            let open = query::list(conn, sql::LIST_OPEN_IN_ROOM, [room.0.as_bytes()], |row| {
                Ok((id(row, 0)?, rows::user_ref(row, 1)?, row.get(5)?))
            })?;
            let places = open.into_iter().zip(1..);
            let waiting = places.filter_map(|((job, bot, held), position): ((_, _, bool), _)| {
                (!held).then_some(QueuedJob { job, bot, position })
            });
            Ok(waiting.take(limit as usize).collect())
        })
        .await
    }

    async fn count_jobs(&self) -> Result<(u64, u64)> {
        self.read(|conn| {
            Ok(query::get(conn, sql::COUNT, [], |row| Ok((count(row, 0)?, count(row, 1)?)))?)
        })
        .await
    }

    async fn find_longest_wait(&self) -> Result<Option<Duration>> {
        self.read(|conn| {
            let waited: Option<i64> = query::get(conn, sql::LONGEST_WAIT, [], |row| row.get(0))?;
            // The clock may have gone back.
            Ok(waited.map(|waited| Duration::from_millis(u64::try_from(waited).unwrap_or(0))))
        })
        .await
    }
}

fn claim(conn: &Connection, job: JobId, worker: Uuid, lease: Duration) -> Outcome<ClaimedJob> {
    let params = params![job.0.as_bytes(), worker.as_bytes(), length(lease)];
    query::execute(conn, sql::CLAIM, params)?;
    let (room, trigger, bot, generation, attempt, cancel_requested, reply, text) =
        query::get(conn, sql::FIND, [job.0.as_bytes()], |row| {
            let room: RoomId = id(row, 1)?;
            let trigger: MessageId = id(row, 2)?;
            let bot: UserId = id(row, 3)?;
            let generation: u32 = row.get(6)?;
            let attempt: u32 = row.get(10)?;
            let cancel_requested: bool = row.get(7)?;
            let reply: Option<MessageId> = id_opt(row, 8)?;
            let text: String = row.get(9)?;
            Ok((room, trigger, bot, generation, attempt, cancel_requested, reply, text))
        })?;
    let trigger = rows::find_message(conn, room, trigger)?
        .ok_or(Fault::Contradiction("bot_jobs.trigger names no row of messages"))?;
    let bot = query::find(conn, bots::FIND, [bot.0.as_bytes()], rows::bot)?
        .ok_or(Fault::Contradiction("bot_jobs.bot names no row of bots"))?;
    Ok(ClaimedJob {
        id: job,
        room,
        trigger,
        bot,
        generation,
        attempt,
        begun: reply.map(|message| BegunReply { message, text }),
        cancel_requested,
    })
}

/// Returns a duration in milliseconds.
fn length(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 2)
}

fn hold(conn: &Connection, statement: &str, params: impl Params) -> Outcome<Lease> {
    let held = query::find(conn, statement, params, |row| row.get(0))?;
    Ok(held.map_or(Lease::Lost, |cancel_requested| Lease::Held { cancel_requested }))
}

fn cancel(
    conn: &Connection,
    rules: &Rules,
    room: RoomId,
    message: MessageId,
    actor: UserId,
    at: Timestamp,
) -> Step<CancelOutcome> {
    let desk = Desk::open(conn, rules, room, actor, at)?;
    desk.authorize(Action::SteerBot)?;
    desk.message_facts(message)?;
    let jobs: Vec<(JobId, bool)> =
        query::list(conn, sql::LIST_OF_MESSAGE, [message.0.as_bytes()], |row| {
            Ok((id(row, 0)?, row.get::<_, String>(1)? != "done"))
        })?;
    if jobs.is_empty() {
        return Err(AppendRefused::NotChangeable.into());
    }
    let open: Vec<JobId> = jobs.into_iter().filter_map(|(job, open)| open.then_some(job)).collect();
    for job in &open {
        query::execute(conn, sql::REQUEST_CANCEL, [job.0.as_bytes()])?;
    }
    Ok(open.first().map_or(CancelOutcome::Ended, |job| CancelOutcome::Requested(*job)))
}
