//! Intents, one after the other in one transaction.

use std::sync::Arc;

use tokio::time::{Duration, sleep};
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use super::desk::{Desk, Ledger, Rules};
use super::publish::Kind;
use super::{Answer, Step, answer, edit, members, pins, publish, replies, reset, room};
use crate::append::{Append, AppendRefused, Appended, Intent};
use crate::postgres::PostgresStore;
use crate::postgres::codec::{integer, value};
use crate::postgres::commit_log;
use crate::postgres::fault::{Fault, Outcome, settled};
use crate::postgres::pools::{Server, Use};
use crate::postgres::query;
use crate::postgres::rows;
use crate::postgres::sql::{append as sql, rooms};
use crate::postgres::transaction::Attempts;

/// How long to wait before a transaction's fate is asked for again.
const FATE_PAUSE: Duration = Duration::from_millis(20);

/// Times that a transaction may find something taken which was free when it looked.
const DOUBLES_MAX: u32 = 3;

/// What a transaction has done whose commit was asked for.
struct Asked {
    /// Its name; `None` when it has changed no log.
    name: Option<Name>,
    epoch: Arc<str>,
    answers: Vec<Answer>,
}

/// Names a transaction that has changed a log.
struct Name {
    /// Its number. After a crash the server gives it out again if nothing of the transaction was on
    /// disk.
    xid: String,
    /// What it wrote beside its number, and no other transaction did.
    mark: Uuid,
}

/// What became of it.
enum Fate {
    Committed,
    Aborted,
    /// This server cannot know.
    Unknown,
}

/// Carries out intents in order. `None`: one of them is nothing that the database can store, and
/// nothing was kept.
pub(super) async fn carry_out_all(
    store: &PostgresStore,
    batch: &[&Append],
) -> Result<Option<Vec<Answer>>, crate::StoreError> {
    let mut attempts = store.writes(Use::Lanes)?;
    let mut asked: Option<Asked> = None;
    let mut doubles = 0;
    loop {
        let outcome = attempts.run(attempt(store, &attempts, batch, &mut asked));
        let outcome = Box::pin(outcome).await;
        if let Err(fault) = &outcome {
            doubles += u32::from(fault.is_state(&SqlState::UNIQUE_VIOLATION));
            if fault.is_about_data() || doubles > DOUBLES_MAX {
                return Ok(None);
            }
        }
        if let Some(answers) = attempts.settle(outcome).await? {
            return Ok(Some(answers));
        }
    }
}

async fn attempt(
    store: &PostgresStore,
    attempts: &Attempts<'_>,
    batch: &[&Append],
    asked: &mut Option<Asked>,
) -> Outcome<Vec<Answer>> {
    if attempts.repeated()
        && let Some(before) = asked.as_ref()
    {
        // Boxed: rarely needed, and large.
        match Box::pin(fate(attempts, before)).await? {
            Fate::Committed => return Ok(before.answers.clone()),
            // Messages carry ids, so a repetition finds what was kept. The rest must not be done twice.
            Fate::Unknown if batch.iter().any(|append| !is_message(append)) => {
                return Err(Fault::Commit(Box::new(Fault::Contradiction(
                    "the server is another one than that which was asked to commit",
                ))));
            }
            Fate::Aborted | Fate::Unknown => {}
        }
    }
    *asked = None;
    let work = attempts.begin().await?;
    let done = carry_out(&work, Rules::of(&store.options), batch).await;
    let done = done.map(|(answers, name)| {
        *asked = Some(Asked { name, epoch: Arc::clone(work.epoch()), answers: answers.clone() });
        answers
    });
    work.conclude(done).await
}

const fn is_message(append: &Append) -> bool {
    matches!(append.intent, Intent::Publish(_) | Intent::Emote(_) | Intent::Answer { .. })
}

/// Finds out what became of an earlier attempt.
async fn fate(attempts: &Attempts<'_>, asked: &Asked) -> Outcome<Fate> {
    // What changed no log is the same when it is done twice.
    let Some(Name { xid, mark }) = &asked.name else { return Ok(Fate::Aborted) };
    loop {
        let mut work = attempts.connect().await?;
        if *work.epoch() != asked.epoch {
            work.give_back();
            return Ok(Fate::Unknown);
        }
        let status = async {
            let status =
                query::get(&work, sql::FATE, &[xid], |row| value::<Option<String>>(row, 0)).await;
            match status.as_ref().map(Option::as_deref) {
                Ok(Some("in progress")) => Ok(None),
                // The number was not given out again yet.
                Err(fault) if fault.is_state(&SqlState::INVALID_PARAMETER_VALUE) => {
                    Ok(Some(Fate::Aborted))
                }
                Ok(status) => {
                    let is_known = status.is_some();
                    // A statement of its own: it sees whatever has ended by now.
                    let kept = query::exists(&work, sql::HAS_MARK, &[xid, mark]).await?;
                    Ok(Some(match (kept, is_known) {
                        (true, _) => Fate::Committed,
                        (false, true) => Fate::Aborted,
                        (false, false) => Fate::Unknown,
                    }))
                }
                Err(_) => status.map(|_| None),
            }
        };
        let status = status.await;
        match work.finish(status)? {
            Some(fate) => return Ok(fate),
            // The server still works on it, or waits for its standby.
            None => sleep(FATE_PAUSE).await,
        }
    }
}

/// Does everything but the commit, and returns the name of the transaction.
async fn carry_out(
    tx: &Server,
    rules: Rules,
    batch: &[&Append],
) -> Outcome<(Vec<Answer>, Option<Name>)> {
    let mut ledger = Ledger::default();
    let ids: Vec<Uuid> = batch.iter().map(|append| append.room.0).collect();
    let locked =
        query::list(tx, rooms::LOCK_MANY, &[&ids], |row| rows::room(row, tx.epoch())).await?;
    ledger.rooms.extend(locked.into_iter().map(|room| (room.id, room)));
    let mut answers = Vec::with_capacity(batch.len());
    for append in batch {
        answers.push(settled(carry_out_one(tx, rules, &mut ledger, append).await)?);
    }
    ledger.flush(tx).await?;
    if ledger.heads.is_empty() {
        return Ok((answers, None));
    }
    let (rooms, seqs): (Vec<Uuid>, Vec<i64>) =
        ledger.heads.iter().map(|(room, seq)| (room.0, integer(*seq))).unzip();
    let params: query::Params<'_> = &[&rooms, &seqs];
    let mark = Uuid::new_v4();
    let (_, (), xid) = tokio::try_join!(
        query::execute(tx, rooms::SET_LAST_SEQS, params),
        commit_log::tell_of_append(tx, &rooms, &seqs, mark),
        query::get(tx, sql::XID, &[], |row| value(row, 0)),
    )?;
    Ok((answers, Some(Name { xid, mark })))
}

async fn carry_out_one(
    tx: &Server,
    rules: Rules,
    ledger: &mut Ledger,
    append: &Append,
) -> Step<Appended> {
    let (mut desk, active) = Desk::open(tx, rules, ledger, append).await?;
    // What a bot owes is ended also when it may do nothing else any more.
    let owed = matches!(
        append.intent,
        Intent::StartReply { .. }
            | Intent::CompleteReply { .. }
            | Intent::Depart
            | Intent::EraseMessage { .. }
    );
    if !active && !owed {
        return Err(AppendRefused::NoSuchRoom.into());
    }
    let came = Box::pin(dispatch(&mut desk, append.intent.clone())).await;
    match &came {
        Ok(appended) => desk.close(appended),
        // What was written would be kept.
        Err(crate::postgres::fault::Stop::Refused(_)) if desk.has_written() => {
            return Err(Fault::Contradiction("an intent was refused half way").into());
        }
        Err(_) => {}
    }
    came
}

async fn dispatch(desk: &mut Desk<'_>, intent: Intent) -> Step<Appended> {
    match intent {
        Intent::Publish(message) => publish::publish(desk, message, Kind::Said).await,
        Intent::Emote(message) => publish::publish(desk, message, Kind::Emote).await,
        Intent::Answer { speaker, message } => {
            Box::pin(answer::answer(desk, speaker, message)).await
        }
        Intent::Edit { message, body } => edit::edit(desk, message, body).await,
        Intent::Redact { message } => edit::redact(desk, message).await,
        Intent::React { message, emoji, add } => edit::react(desk, message, emoji, add).await,
        Intent::Pin { message, pin } => pins::pin(desk, message, pin).await,
        Intent::Join { invite } => members::join(desk, invite.as_deref()).await,
        Intent::Invite { user } => members::invite(desk, user).await,
        Intent::Leave => members::leave(desk).await,
        Intent::Depart => members::depart(desk).await,
        Intent::TellName => Ok(members::tell_name(desk)),
        Intent::EraseMessage { message } => edit::erase_message(desk, message).await,
        Intent::Kick { user, reason } => members::kick(desk, user, reason).await,
        Intent::Ban { user, until, reason } => members::ban(desk, user, until, reason).await,
        Intent::Mute { user, until, reason } => members::mute(desk, user, until, reason).await,
        Intent::SetRole { user, role } => members::set_role(desk, user, role).await,
        Intent::Transfer { user } => members::transfer(desk, user).await,
        Intent::Update { name, topic, archived, settings } => {
            room::update(desk, room::Change { name, topic, archived, settings }).await
        }
        Intent::ResetHistory => reset::reset_history(desk).await,
        Intent::StartReply { job, generation, message, provider, model } => {
            let claim = replies::Claim { job, generation, message };
            replies::start(desk, &claim, provider, model).await
        }
        Intent::CompleteReply { job, generation, message, end } => {
            replies::complete(desk, &replies::Claim { job, generation, message }, end).await
        }
    }
}
