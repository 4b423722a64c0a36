//! A batch, from the wishes to the answers.

use std::collections::{HashMap, HashSet};

use parlor_protocol::id::{MessageId, RoomId, UserId};
use parlor_protocol::user::UserKind;

use super::messages::{self, Came, Wish};
use super::{Answer, transaction};
use crate::append::{Append, AppendRefused, Appended};
use crate::contract::Result;
use crate::error::StoreError;
use crate::postgres::PostgresStore;
use crate::postgres::fault::Outcome;
use crate::postgres::pools::Use;
use crate::postgres::transaction::Attempts;

/// Times that a batch is tried again with fresh knowledge of its rooms.
const STALE_MAX: u32 = 3;

/// Carries out a batch.
pub(in crate::postgres) async fn append_all(
    store: &PostgresStore,
    batch: &[Append],
) -> Result<Vec<Answer>> {
    let mut answers: Vec<Option<Answer>> = vec![None; batch.len()];
    match Box::pin(fill(store, batch, &mut answers)).await {
        Ok(()) => Ok(answers
            .into_iter()
            .map(|answer| answer.unwrap_or(Err(AppendRefused::NotStorable)))
            .collect()),
        // A part of the batch was kept: repeating it with the same ids finds that.
        Err(_) if answers.iter().any(|answer| matches!(answer, Some(Ok(Appended::New { .. })))) => {
            Err(StoreError::UnknownOutcome)
        }
        Err(error) => Err(error),
    }
}

async fn fill(
    store: &PostgresStore,
    batch: &[Append],
    answers: &mut [Option<Answer>],
) -> Result<()> {
    let plan = Plan::new(batch);
    Box::pin(write_messages(store, batch, &plan, answers)).await?;
    for (twin, first) in &plan.twins {
        let (twin, first) = (*twin, *first);
        let repeat = match answers.get(first) {
            Some(Some(Ok(Appended::New { events, .. }))) => events.first().cloned(),
            Some(Some(Ok(Appended::Repeat { event }))) => Some(event.clone()),
            _ => None,
        };
        if let (Some(answer), Some(event)) = (answers.get_mut(twin), repeat) {
            *answer = Some(Ok(Appended::Repeat { event }));
        }
    }
    Box::pin(carry_out_rest(store, batch, answers)).await
}

/// Which way each intent of a batch goes.
struct Plan {
    /// Messages that may be written together.
    messages: Vec<usize>,
    /// Messages that repeat an earlier one of the same batch, and which.
    twins: Vec<(usize, usize)>,
}

impl Plan {
    fn new(batch: &[Append]) -> Self {
        let mut other: HashSet<RoomId> = HashSet::new();
        let mut ids: HashSet<MessageId> = HashSet::new();
        for append in batch {
            match Wish::of(append) {
                // What names another message of the batch needs that one first.
                Some(wish)
                    if ids.insert(wish.message.id)
                        && !wish.message.reply_to.is_some_and(|id| ids.contains(&id))
                        && !wish.message.thread.is_some_and(|id| ids.contains(&id)) => {}
                _ => drop(other.insert(append.room)),
            }
        }
        let mut first: HashMap<(RoomId, UserId, &str), usize> = HashMap::new();
        let (mut messages, mut twins) = (Vec::new(), Vec::new());
        for (nth, append) in batch.iter().enumerate() {
            let Some(wish) = Wish::of(append) else { continue };
            if other.contains(&append.room) {
                continue;
            }
            let key = wish.message.client_id.as_deref();
            let earlier = key.and_then(|key| first.get(&(append.room, append.actor, key)));
            if let Some(earlier) = earlier {
                twins.push((nth, *earlier));
                continue;
            }
            if let Some(key) = key {
                first.insert((append.room, append.actor, key), nth);
            }
            messages.push(nth);
        }
        Self { messages, twins }
    }
}

/// Writes messages together, in halves where something in them cannot be stored. What stays without
/// an answer has to go the other way.
async fn write_messages(
    store: &PostgresStore,
    batch: &[Append],
    plan: &Plan,
    answers: &mut [Option<Answer>],
) -> Result<()> {
    let mut parts = vec![plan.messages.clone()];
    let mut stale = 0;
    while let Some(part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        let Some(came) = Box::pin(write_part(store, batch, &part)).await? else {
            if part.len() == 1 {
                continue;
            }
            let (one, two) = part.split_at(part.len() / 2);
            parts.extend([two.to_vec(), one.to_vec()]);
            continue;
        };
        let mut again = Vec::new();
        for (nth, came) in part.into_iter().zip(came) {
            match came {
                Came::Answered(answer) => {
                    if let Some(place) = answers.get_mut(nth) {
                        *place = Some(answer);
                    }
                }
                Came::Stale => again.push(nth),
                Came::Odd => {}
            }
        }
        for nth in &again {
            if let Some(append) = batch.get(*nth) {
                store.remembered.forget(append.room);
            }
        }
        stale += 1;
        if stale <= STALE_MAX {
            parts.push(again);
        }
    }
    Ok(())
}

/// Writes messages in one call. `None`: nothing was kept, because of something in them.
async fn write_part(
    store: &PostgresStore,
    batch: &[Append],
    part: &[usize],
) -> Result<Option<Vec<Came>>> {
    let wishes: Vec<Wish<'_>> =
        part.iter().filter_map(|nth| batch.get(*nth)).filter_map(Wish::of).collect();
    let mut attempts = store.writes(Use::Lanes)?;
    let mut check_ids = false;
    loop {
        check_ids |= attempts.repeated();
        let outcome = attempts.run(attempt(store, &attempts, &wishes, check_ids));
        let outcome = Box::pin(outcome).await;
        match &outcome {
            Err(fault) if fault.is_about_data() => return Ok(None),
            // An id is taken: the next attempt looks which.
            Err(fault) => check_ids |= fault.is_conflict(),
            Ok(_) => {}
        }
        if let Some(came) = attempts.settle(outcome).await? {
            return Ok(Some(came));
        }
    }
}

async fn attempt(
    store: &PostgresStore,
    attempts: &Attempts<'_>,
    wishes: &[Wish<'_>],
    check_ids: bool,
) -> Outcome<Vec<Came>> {
    let mut work = attempts.connect().await?;
    let came = async {
        let facts = store.remembered.facts(&work, wishes.iter().map(|wish| wish.append)).await?;
        // What a bot writes of its own accord depends on what it answers, and in some rooms it
        // depends on more than membership who may write.
        let needs_a_closer_look = |wish: &&Wish<'_>| {
            facts.kind(wish.append.actor) == UserKind::Bot
                || facts.rooms.get(&wish.append.room).is_some_and(|room| !room.is_plain)
        };
        let odd: HashSet<RoomId> =
            wishes.iter().filter(needs_a_closer_look).map(|wish| wish.append.room).collect();
        // A room that was just not there has no mark to be checked.
        let is_there = |room: &RoomId| facts.rooms.contains_key(room);
        let by_people: Vec<Wish<'_>> = wishes
            .iter()
            .filter(|wish| is_there(&wish.append.room) && !odd.contains(&wish.append.room))
            .copied()
            .collect();
        let called = messages::called(&facts, &by_people, store.options.max_hops);
        let call = messages::Call { facts: &facts, wishes: &by_people, called: &called, check_ids };
        #[cfg(feature = "planted-bugs")]
        if parlor_domain::planted::shows("acknowledged-without-commit") {
            work.batch_execute("BEGIN").await?;
            let came = call.run(&work).await?;
            work.batch_execute("ROLLBACK").await?;
            return Ok(came);
        }
        let mut came = call.run(work.commits()).await?.into_iter();
        let all = wishes.iter().map(|wish| {
            if !is_there(&wish.append.room) {
                Came::Answered(Err(AppendRefused::NoSuchRoom))
            } else if odd.contains(&wish.append.room) {
                Came::Odd
            } else {
                came.next().unwrap_or(Came::Odd)
            }
        });
        Ok(all.collect())
    };
    let came = came.await;
    work.finish(came)
}

/// Carries out what has no answer yet, in halves where something in it cannot be stored.
async fn carry_out_rest(
    store: &PostgresStore,
    batch: &[Append],
    answers: &mut [Option<Answer>],
) -> Result<()> {
    let rest = answers.iter().enumerate().filter(|(_, answer)| answer.is_none());
    let mut parts: Vec<Vec<usize>> = vec![rest.map(|(nth, _)| nth).collect()];
    while let Some(part) = parts.pop() {
        let wishes: Vec<&Append> = part.iter().filter_map(|nth| batch.get(*nth)).collect();
        if wishes.is_empty() {
            continue;
        }
        match Box::pin(transaction::carry_out_all(store, &wishes)).await? {
            Some(came) => {
                for (nth, came) in part.into_iter().zip(came) {
                    if let Some(answer) = answers.get_mut(nth) {
                        *answer = Some(came);
                    }
                }
            }
            None if part.len() == 1 => {}
            None => {
                let (one, two) = part.split_at(part.len() / 2);
                parts.extend([two.to_vec(), one.to_vec()]);
            }
        }
    }
    Ok(())
}
