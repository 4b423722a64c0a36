//! The end of a run: everything heals, everyone has everything, and the store is read.

use std::{sync::Arc, time::Duration};

use parlor_protocol::{
    event::{Event, EventBody},
    user::PresenceStatus,
};
use parlor_testkit::{
    cluster::Cluster,
    fake_llm::FakeLlm,
    history::{Summary, Violation, canary, foreign_canary},
    process::{PASSWORD, User},
};
use tokio::time::{Instant, sleep, timeout};

use crate::{LOOK_EVERY, actor::Place, room::Room, soak, stage::LEASE};

/// Everyone is shown as they are so long after the last fault.
const PRESENCE_CONVERGES: Duration = Duration::from_secs(90);
/// A whole log is read in this time.
const READ: Duration = Duration::from_secs(15);

/// Everyone has every event so long after the last fault. A soak has the machine for itself.
fn events_converge() -> Duration {
    Duration::from_secs(if soak().is_some() { 2 } else { 10 })
}

/// Every reply has ended so long after the last fault, and after the last call.
fn replies_converge() -> Duration {
    LEASE + Duration::from_secs(if soak().is_some() { 5 } else { 15 })
}

/// Waits until everyone is connected and nothing is under way.
pub(crate) async fn rest(places: &[Place], patience: Duration) {
    let deadline = Instant::now() + patience.max(Duration::from_mins(1));
    loop {
        let restless: Vec<_> = places
            .iter()
            .filter(|place| {
                let state = place.state();
                state.following_since.is_none() || !state.is_resting
            })
            .map(|place| place.name.clone())
            .collect();
        if restless.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "no rest for {restless:?}");
        sleep(LOOK_EVERY).await;
    }
}

/// Waits until everyone has what the store had when all was well again. Returns how long the
/// slowest took, from then or from when they followed the room again.
pub(crate) async fn events(
    places: &[Place],
    room: &Arc<Room>,
    reader: &User,
    healed_at: Instant,
    patience: Duration,
) -> Duration {
    let head = head(reader, room, patience).await;
    let asked_at = Instant::now();
    let mut slowest = Duration::ZERO;
    let mut open: Vec<_> = places.iter().filter(|place| Arc::ptr_eq(&place.room, room)).collect();
    while !open.is_empty() {
        open.retain(|place| {
            if place.position() < head {
                return true;
            }
            let since = place.state().following_since.unwrap_or(healed_at).max(healed_at);
            slowest = slowest.max(since.elapsed().min(healed_at.elapsed()));
            false
        });
        if asked_at.elapsed() > patience {
            for place in open {
                let (reader, position) = (place.name.clone(), place.position());
                room.history().broken(Violation::Behind { reader, position, head });
            }
            return asked_at.elapsed();
        }
        sleep(Duration::from_millis(5)).await;
    }
    slow(room, "events", slowest, events_converge());
    slowest
}

async fn head(reader: &User, room: &Room, patience: Duration) -> u64 {
    let asked = timeout(patience, async {
        loop {
            if let Ok(found) = reader.http.room(&room.id).await {
                return found.seq;
            }
            sleep(LOOK_EVERY).await;
        }
    });
    asked.await.unwrap_or_else(|_| panic!("{} cannot be read", room.slug))
}

/// Waits until every call has a reply that has ended, and returns how long that took from a time.
pub(crate) async fn replies(
    room: &Arc<Room>,
    reader: &User,
    from: Instant,
    patience: Duration,
) -> Duration {
    let deadline = Instant::now() + patience;
    loop {
        let log = reader.log_within(&room.slug, READ).await;
        let open = log.as_deref().map(open_replies);
        if open.as_ref().is_some_and(Vec::is_empty) {
            break;
        }
        if Instant::now() > deadline {
            // The check of the history finds them, too.
            room.journal.note("replies", &format!("no end of {open:?}"));
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    let took = from.elapsed();
    slow(room, "replies", took, replies_converge());
    took
}

/// Returns the calls without a reply that has ended.
fn open_replies(log: &[Event]) -> Vec<String> {
    let mut open = std::collections::BTreeMap::new();
    let mut replies = std::collections::BTreeMap::new();
    for event in log {
        match &event.body {
            EventBody::MessageCreated(message) => match &message.bot {
                Some(bot) => {
                    replies.insert(message.id, bot.trigger);
                }
                None if message.body.contains("@guide") => {
                    open.insert(message.id, message.body.clone());
                }
                None => {}
            },
            EventBody::MessageCompleted(ended) => {
                if let Some(trigger) = replies.get(&ended.message) {
                    open.remove(trigger);
                }
            }
            _ => {}
        }
    }
    open.into_iter().map(|(id, body)| format!("{id} {body}")).collect()
}

/// Waits until every broker shows everyone as `wanted`, and returns how long that took.
pub(crate) async fn presence(
    cluster: &Cluster,
    reader: &User,
    places: &[Place],
    wanted: PresenceStatus,
) -> Duration {
    let begun = Instant::now();
    for addr in cluster.addrs() {
        let reader = reader.through(addr);
        for place in places {
            loop {
                let shown = reader.http.presence(&place.name).await;
                if shown.as_ref().is_ok_and(|shown| shown.status == wanted) {
                    break;
                }
                if begun.elapsed() > PRESENCE_CONVERGES {
                    let (name, shown) = (place.name.clone(), format!("{shown:?}"));
                    place.room.history().broken(Violation::PresenceDiffers { name, shown });
                    break;
                }
                sleep(LOOK_EVERY).await;
            }
        }
    }
    begun.elapsed()
}

/// Reads the store by way of every broker and checks everything that was noted of a room.
pub(crate) async fn check(
    cluster: &Cluster,
    room: &Arc<Room>,
    reader: &User,
) -> Result<Summary, Vec<Violation>> {
    let log = reader.log_within(&room.slug, READ).await.unwrap_or_default();
    let list = reader.history(&room.slug).await;
    let mut history = room.take_history();
    for addr in cluster.addrs() {
        let other = reader.through(addr).log_within(&room.slug, READ).await.unwrap_or_default();
        let differs = |(one, other): &(&Event, &Event)| one != other;
        if let Some((one, _)) = log.iter().zip(&other).find(differs) {
            history.broken(Violation::Disagree { seq: one.seq });
        }
        if other.len() < log.len() {
            let (position, head) = (other.len() as u64, log.len() as u64);
            history.broken(Violation::Behind { reader: addr.to_string(), position, head });
        }
    }
    for event in &log {
        history.stored(event);
    }
    for message in &list {
        history.listed(message);
    }
    let checked = history.finish();
    for violation in checked.as_ref().err().into_iter().flatten() {
        room.journal.note(&room.slug, &format!("violation: {violation}"));
    }
    checked
}

/// Looks for texts of rooms where none must be: in prompts of other rooms and in logs.
pub(crate) fn leaks(cluster: &Cluster, llm: &FakeLlm, rooms: &[Arc<Room>]) {
    for request in llm.requests() {
        let prompt = request.body.to_string();
        let own = rooms.iter().find(|room| prompt.contains(&room.canary));
        if let Some(own) = own
            && let Some(text) = foreign_canary(&prompt, &own.canary)
        {
            let place = format!("a prompt of {}", own.slug);
            own.history().broken(Violation::Leaked { place, text });
        }
    }
    let mut logs = cluster.logs();
    logs.push(("postgres".to_owned(), cluster.postgres.log()));
    logs.push(("nats".to_owned(), cluster.nats.log()));
    logs.push(("redis".to_owned(), cluster.redis.log()));
    for (place, log) in logs {
        for secret in [canary(""), PASSWORD.to_owned()] {
            if log.contains(&secret) {
                let leaked = Violation::Leaked { place: place.clone(), text: secret };
                rooms[0].history().broken(leaked);
            }
        }
    }
}

fn slow(room: &Room, what: &str, took: Duration, bound: Duration) {
    if took > bound {
        let (what, took_ms) = (what.to_owned(), took.as_millis());
        room.history().broken(Violation::SlowToConverge { what, took_ms });
    }
}
