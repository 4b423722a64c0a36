//! Takes away what erased accounts have left in rooms: memberships, and where that was asked for the
//! texts of messages, with their files.
//!
//! Every step is an intent of its own and may be done twice, so any node may go on with what another
//! one has left, and stop at any moment. What is left to do stands in the store.

use std::sync::Arc;
use std::time::Duration;

use parlor_bus::Control;
use parlor_protocol::code::Code;
use parlor_protocol::id::{RoomId, UserId};
use parlor_store::people::{Erased, Erasure};
use parlor_store::{Append, Intent};
use tokio::time::{MissedTickBehavior, interval};

use crate::node::Node;
use crate::refusal::{Outcome, Refusal};

/// How often what is left over is looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// Positions of a log that are looked at in one read.
const SPAN: u64 = 2_000;
/// Positions of a log that are rid of names at once, while nothing else is written in the room.
const SPAN_OF_NAMES: u64 = 500;
/// Messages whose texts are removed at once.
const AT_ONCE: u32 = 64;
/// Files that are removed at once.
const AT_ONCE_FILES: u32 = 200;
/// How long an erasure is looked after: whoever was bringing the user into a room when the account
/// went has ended by then.
const LINGER_MS: i64 = 60_000;

/// Goes on with erasures for ever.
pub(crate) async fn run(node: Arc<Node>) {
    let mut due = interval(SWEEP_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let Ok(erasures) = node.store.list_erasures().await else { continue };
        for erasure in erasures {
            if let Err(refusal) = advance(&node, erasure).await {
                tracing::debug!(%refusal, "an erasure goes on later");
            }
        }
    }
}

/// Does what is left of an erasure. A room in which that fails holds up no other one: the rest is done,
/// and then the first failure is returned.
///
/// # Cancel safety
///
/// Cancel safe: what was not done is done later.
pub(crate) async fn advance(node: &Node, erasure: Erasure) -> Outcome<()> {
    let Erasure { user, redact, at } = erasure;
    let mut failures = Failures::default();
    for room in node.store.list_room_ids_of(user).await? {
        failures.note(node, depart(node, room, user).await).await?;
    }
    for room in node.store.list_past_rooms(user).await? {
        failures.note(node, clear_room(node, room, user, redact).await).await?;
    }
    // After all messages, whose events name their files.
    let attached = redact && failures.first.is_none();
    loop {
        let removed = node.store.remove_files_of_user(user, attached, AT_ONCE_FILES).await?;
        if removed < u64::from(AT_ONCE_FILES) {
            break;
        }
    }
    failures.into_outcome()?;
    if node.now().as_millis() - at.as_millis() > LINGER_MS {
        node.store.finish_erasure(user).await?;
    }
    Ok(())
}

/// Rooms in which something could not be done.
#[derive(Debug, Default)]
struct Failures {
    rooms: usize,
    first: Option<Refusal>,
}

impl Failures {
    /// Remembers a failure, unless it is that of the whole store: then nothing else would go better.
    async fn note(&mut self, node: &Node, outcome: Outcome<()>) -> Outcome<()> {
        let Err(refusal) = outcome else { return Ok(()) };
        node.metrics.erasure_failures.inc();
        self.rooms += 1;
        self.first.get_or_insert(refusal);
        node.store.list_erasures().await?;
        Ok(())
    }

    fn into_outcome(self) -> Outcome<()> {
        let Some(refusal) = self.first else { return Ok(()) };
        let rooms = self.rooms;
        tracing::warn!(rooms, %refusal, "an erasure could not be done in some rooms, and goes on later");
        Err(refusal)
    }
}

/// Does in a room what is left after its member has gone.
async fn clear_room(node: &Node, room: RoomId, user: UserId, redact: bool) -> Outcome<()> {
    if redact {
        erase_messages(node, room, user).await?;
        node.store.forget_reasons(room, user).await?;
    }
    forget_names(node, room, Erased { user, redact }).await?;
    node.store.forget_past_room(user, room).await?;
    Ok(())
}

async fn depart(node: &Node, room: RoomId, user: UserId) -> Outcome<()> {
    if node.store.delete_deserted_room(room, user).await? {
        node.bus.publish_control(Control::RoomDeleted(room));
        return Ok(());
    }
    append(node, room, user, Intent::Depart).await
}

async fn erase_messages(node: &Node, room: RoomId, user: UserId) -> Outcome<()> {
    let Some(head) = node.store.find_head(room).await? else { return Ok(()) };
    let mut after = head.reset_through;
    while after < head.seq {
        let mut through = after + SPAN;
        let messages = node.store.list_own_messages(room, user, after, through, AT_ONCE).await?;
        if let Some(last) = messages.last().filter(|_| messages.len() == AT_ONCE as usize) {
            through = last.seq;
        }
        let left: Vec<_> =
            messages.into_iter().filter(|message| message.redacted_at.is_none()).collect();
        let removed = left
            .iter()
            .map(|message| append(node, room, user, Intent::EraseMessage { message: message.id }));
        for removed in futures_util::future::join_all(removed).await {
            removed?;
        }
        after = through;
    }
    Ok(())
}

/// Takes names out of what older versions wrote into the log of a room, where what is written now has
/// none, and the reasons of kicks, bans and mutes that concern who was erased.
async fn forget_names(node: &Node, room: RoomId, erased: Erased) -> Outcome<()> {
    let Some(head) = node.store.find_head(room).await? else { return Ok(()) };
    let mut after = head.reset_through;
    while after < head.seq {
        let through = after + SPAN_OF_NAMES;
        node.store.forget_names(room, erased, after, through).await?;
        after = through;
    }
    Ok(())
}

async fn append(node: &Node, room: RoomId, actor: UserId, intent: Intent) -> Outcome<()> {
    match node.committer.append(Append { room, actor, at: node.now(), intent }).await {
        Ok(_) => Ok(()),
        // The room or the message has gone in the meantime.
        Err(refusal) if refusal.code == Code::NotFound => Ok(()),
        Err(refusal) => Err(refusal),
    }
}
