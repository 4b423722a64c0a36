//! What a room's bots can remember.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use parlor_domain::permission::Action;
use parlor_llm::estimate_tokens;
use parlor_protocol::code::Code;
use parlor_protocol::http::{MemoryStats, Page, Scope};
use parlor_protocol::id::RoomRef;
use parlor_protocol::message::{Message, MessageStatus};
use parlor_protocol::time::Timestamp;
use parlor_store::record::{BotRecord, Window};

use super::endpoint::Endpoint;
use super::extract::InPath;
use super::view::find_room;
use crate::node::{Caller, Node};
use crate::refusal::Outcome;

/// Most messages that are looked at, whatever a bot's settings say.
const MESSAGES_MAX: u32 = 1_000;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/rooms/{room}/memory", "get_memory", get_memory)
            .scope(Scope::Read)
            .about("Bots", "Tell what the bots of a room can remember")
            .details("Only messages of this room. `DELETE /v1/rooms/{room}/messages` resets it.")
            .answers::<Page<MemoryStats>>(200, "One entry for each bot of the room.")
            .refuses(&[Code::NotFound, Code::NotAMember]),
    ]
}

async fn get_memory(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(room): InPath<RoomRef>,
) -> Outcome<Json<Page<MemoryStats>>> {
    let (room, _) = find_room(&node, &caller, &room, Action::Read).await?;
    let bots = node.store.list_room_bots(room.id).await?;
    let most = bots.iter().map(|bot| bot.context_messages).max().unwrap_or(0);
    let history = if most == 0 {
        Vec::new()
    } else {
        node.store.list_messages(room.id, Window::Before(None), most.min(MESSAGES_MAX)).await?
    };
    let tokens = u64::try_from(node.config.bots.context_tokens).unwrap_or(u64::MAX);
    let now = node.now();
    let items = bots.into_iter().map(|bot| remembered(bot, &history, tokens, now)).collect();
    Ok(Json(Page { items, next: None }))
}

/// Counts the newest messages within the bot's bounds, as a reply now would be given them.
fn remembered(bot: BotRecord, history: &[Message], max_tokens: u64, now: Timestamp) -> MemoryStats {
    let oldest = match i64::try_from(bot.memory_ttl_seconds) {
        Ok(0) | Err(_) => i64::MIN,
        Ok(seconds) => now.as_millis().saturating_sub(seconds.saturating_mul(1_000)),
    };
    let mut stats = MemoryStats {
        bot: bot.user,
        messages: 0,
        tokens: 0,
        since: None,
        memory_ttl_seconds: bot.memory_ttl_seconds,
    };
    let shown = history.iter().rev().filter(|message| {
        message.redacted_at.is_none()
            && !matches!(message.status, MessageStatus::Streaming | MessageStatus::Failed)
            && message.created_at.as_millis() >= oldest
    });
    for message in shown.take(usize::try_from(bot.context_messages).unwrap_or(usize::MAX)) {
        let tokens = stats.tokens + u64::from(estimate_tokens(&message.body));
        if tokens > max_tokens {
            break;
        }
        stats.messages += 1;
        stats.tokens = tokens;
        stats.since = Some(message.created_at);
    }
    stats
}
