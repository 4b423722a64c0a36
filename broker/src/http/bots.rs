//! Bots: language models as members of rooms.
//!
//! Everyone may make a few bots with any of the configured providers, which only the operator can
//! configure. A bot is changed by its maker and by administrators; only they see its instructions.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use parlor_auth::{check_display_name, check_username};
use parlor_domain::body::{BodyRefused, check_body};
use parlor_protocol::code::Code;
use parlor_protocol::http::{Bot, CreateBotRequest, Page, PatchBotRequest, Scope, Trigger};
use parlor_protocol::id::UserId;
use parlor_protocol::user::{ServerRole, UserKind, UserRef};
use parlor_store::record::{BotRecord, NewUser};
use schemars::JsonSchema;
use serde::Deserialize;

use super::auth::username_code;
use super::cursor::{self, List};
use super::endpoint::Endpoint;
use super::extract::{InPath, InQuery, JsonBody};
use crate::names;
use crate::node::{Caller, Node};
use crate::refusal::{Outcome, Refusal};

/// Bots that one user may make.
const BOTS_PER_USER: usize = 20;
/// Longest instructions, in bytes.
const PROMPT_MAX: usize = 16 * 1024;
/// Longest name of a model, in characters.
const MODEL_MAX: usize = 200;
/// Longest reply that can be asked for, in tokens.
const TOKENS_MAX: u32 = 1_000_000;
/// Most messages that a bot can be shown.
const CONTEXT_MAX: u32 = 1_000;
/// Longest memory, in seconds: ten years.
const MEMORY_MAX: u64 = 10 * 365 * 86_400;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/bots", "list_bots", list_bots)
            .scope(Scope::Read)
            .about("Bots", "List the bots")
            .query::<BotsQuery>()
            .answers::<Page<Bot>>(200, "A page of bots, by name."),
        Endpoint::post("/v1/bots", "create_bot", create_bot)
            .scope(Scope::Bots)
            .about("Bots", "Make a bot")
            .details("It becomes a member of a room like a person: by an invite of a member.")
            .body::<CreateBotRequest>()
            .answers::<Bot>(201, "The bot was made.")
            .refuses(&[Code::Conflict]),
        Endpoint::get("/v1/bots/{bot}", "get_bot", get_bot)
            .scope(Scope::Read)
            .about("Bots", "Return a bot")
            .answers::<Bot>(200, "The bot.")
            .refuses(&[Code::NotFound]),
        Endpoint::patch("/v1/bots/{bot}", "patch_bot", patch_bot)
            .scope(Scope::Bots)
            .about("Bots", "Change a bot")
            .details("For its maker and administrators. What is absent stays as it is.")
            .body::<PatchBotRequest>()
            .answers::<Bot>(200, "The changed bot.")
            .refuses(&[Code::NotFound, Code::Forbidden]),
        Endpoint::delete("/v1/bots/{bot}", "delete_bot", delete_bot)
            .scope(Scope::Bots)
            .about("Bots", "Delete a bot")
            .details("It leaves all rooms; what it wrote stays.")
            .answers_nothing("The bot is gone.")
            .refuses(&[Code::NotFound, Code::Forbidden]),
    ]
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct BotsQuery {
    /// `next` of the page before.
    cursor: Option<String>,
    /// Items in the page, 1 to 200; 50 when absent.
    limit: Option<u32>,
}

async fn list_bots(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InQuery(query): InQuery<BotsQuery>,
) -> Outcome<Json<Page<Bot>>> {
    let limit = cursor::page_size(query.limit)?;
    let list = List::new("bots");
    let after = list.decode(query.cursor.as_deref())?;
    let mut bots = node.store.list_bots().await?;
    if let Some(after) = after {
        bots.retain(|bot| bot.user.username > after);
    }
    let page = list.page(bots, limit, |bot| bot.user.username.clone(), |bot| show(bot, &caller));
    Ok(Json(page))
}

async fn create_bot(
    State(node): State<Arc<Node>>,
    caller: Caller,
    JsonBody(request): JsonBody<CreateBotRequest>,
) -> Outcome<(StatusCode, Json<Bot>)> {
    let username = check_username(&request.name)
        .map_err(|refused| Refusal::field("name", username_code(refused), refused.to_string()))?;
    let own = |bot: &&BotRecord| bot.owner == Some(caller.user.id);
    let made = node.store.list_bots().await?.iter().filter(own).count();
    if made >= BOTS_PER_USER && caller.role != ServerRole::Admin {
        let detail = format!("You have made {BOTS_PER_USER} bots, as many as one user may.");
        return Err(Refusal::new(Code::Conflict, detail));
    }
    let bots = &node.config.bots;
    let fresh = BotRecord {
        user: UserRef {
            id: UserId(node.clock.new_id()),
            display_name: username.clone(),
            username,
            kind: UserKind::Bot,
        },
        provider: None,
        model: None,
        system_prompt: String::new(),
        trigger: request.trigger.unwrap_or(Trigger::Mention),
        temperature: None,
        max_tokens: None,
        context_messages: u32::try_from(bots.context_messages).unwrap_or(CONTEXT_MAX),
        memory_ttl_seconds: bots.memory_ttl.as_secs(),
        owner: Some(caller.user.id),
        created_at: node.now(),
    };
    let settings = PatchBotRequest {
        display_name: request.display_name,
        provider: request.provider,
        model: request.model,
        system_prompt: request.system_prompt,
        trigger: request.trigger,
        temperature: request.temperature,
        max_tokens: request.max_tokens,
        context_messages: request.context_messages,
        memory_ttl_seconds: request.memory_ttl_seconds,
    };
    let bot = apply(&node, fresh, settings)?;
    let user = NewUser {
        id: bot.user.id,
        username: bot.user.username.clone(),
        display_name: bot.user.display_name.clone(),
        kind: UserKind::Bot,
        email: None,
        password_hash: None,
        role: ServerRole::User,
        at: bot.created_at,
    };
    let made = node.store.create_bot(user, bot).await?;
    let made = made.map_err(|conflict| {
        let mut refusal = Refusal::from(conflict);
        refusal.errors.iter_mut().for_each(|error| "name".clone_into(&mut error.field));
        refusal
    })?;
    Ok((StatusCode::CREATED, Json(show(made, &caller))))
}

async fn get_bot(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(bot): InPath<String>,
) -> Outcome<Json<Bot>> {
    Ok(Json(show(find(&node, &bot).await?, &caller)))
}

async fn patch_bot(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(bot): InPath<String>,
    JsonBody(request): JsonBody<PatchBotRequest>,
) -> Outcome<Json<Bot>> {
    let before = find_own(&node, &caller, &bot).await?;
    let bot = apply(&node, before.clone(), request)?;
    let changed = node.store.update_bot(bot).await?.ok_or_else(|| Refusal::not_found("bot"))?;
    if changed.user.display_name != before.user.display_name {
        names::tell(&node, changed.user.id);
    }
    Ok(Json(show(changed, &caller)))
}

async fn delete_bot(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(bot): InPath<String>,
) -> Outcome<StatusCode> {
    let bot = find_own(&node, &caller, &bot).await?;
    let events = node.store.delete_bot(bot.user.id, node.now()).await?;
    node.bus.publish_events(events.ok_or_else(|| Refusal::not_found("bot"))?);
    Ok(StatusCode::NO_CONTENT)
}

async fn find(node: &Node, name: &str) -> Outcome<BotRecord> {
    node.store.find_bot(name).await?.ok_or_else(|| Refusal::not_found("bot"))
}

async fn find_own(node: &Node, caller: &Caller, name: &str) -> Outcome<BotRecord> {
    let bot = find(node, name).await?;
    if may_change(&bot, caller) {
        Ok(bot)
    } else {
        Err(Refusal::new(Code::Forbidden, "Only its maker and administrators may do this."))
    }
}

fn may_change(bot: &BotRecord, caller: &Caller) -> bool {
    caller.role == ServerRole::Admin || bot.owner == Some(caller.user.id)
}

fn show(bot: BotRecord, caller: &Caller) -> Bot {
    let system_prompt = may_change(&bot, caller).then_some(bot.system_prompt);
    Bot {
        user: bot.user,
        provider: bot.provider,
        model: bot.model,
        system_prompt,
        trigger: bot.trigger,
        temperature: bot.temperature,
        max_tokens: bot.max_tokens,
        context_messages: bot.context_messages,
        memory_ttl_seconds: bot.memory_ttl_seconds,
        owner: bot.owner,
        created_at: bot.created_at,
    }
}

/// Checks the settings and puts them into the bot.
fn apply(node: &Node, mut bot: BotRecord, settings: PatchBotRequest) -> Outcome<BotRecord> {
    if let Some(name) = settings.display_name {
        bot.user.display_name = check_display_name(&name)
            .map_err(|refused| Refusal::field("display_name", "invalid", refused.to_string()))?;
    }
    if let Some(provider) = settings.provider {
        if node.providers.find(&provider).is_none() {
            let detail = "is not one of the providers at /v1/llm/providers";
            return Err(Refusal::field("provider", "unknown", detail));
        }
        bot.provider = Some(provider);
    }
    if let Some(model) = settings.model {
        let length = model.chars().count();
        if !(1..=MODEL_MAX).contains(&length) || model.chars().any(char::is_control) {
            let detail = format!("must have 1 to {MODEL_MAX} visible characters");
            return Err(Refusal::field("model", "invalid", detail));
        }
        bot.model = Some(model);
    }
    if let Some(prompt) = settings.system_prompt {
        bot.system_prompt = check_prompt(&prompt)?;
    }
    bot.trigger = settings.trigger.unwrap_or(bot.trigger);
    bot.temperature = settings
        .temperature
        .map(|t| in_range("temperature", t, 0.0, 2.0))
        .transpose()?
        .or(bot.temperature);
    bot.max_tokens = settings
        .max_tokens
        .map(|n| in_range("max_tokens", n, 1, TOKENS_MAX))
        .transpose()?
        .or(bot.max_tokens);
    if let Some(messages) = settings.context_messages {
        bot.context_messages = in_range("context_messages", messages, 1, CONTEXT_MAX)?;
    }
    if let Some(seconds) = settings.memory_ttl_seconds {
        bot.memory_ttl_seconds = in_range("memory_ttl_seconds", seconds, 0, MEMORY_MAX)?;
    }
    Ok(bot)
}

fn check_prompt(prompt: &str) -> Outcome<String> {
    match check_body(prompt, PROMPT_MAX) {
        Ok(prompt) => Ok(prompt),
        Err(BodyRefused::Blank) => Ok(String::new()),
        Err(refused @ (BodyRefused::TooLarge { .. } | BodyRefused::Control(_))) => {
            let (code, detail) = match refused {
                BodyRefused::TooLarge { .. } => {
                    ("length", format!("may have at most {PROMPT_MAX} bytes"))
                }
                _ => ("characters", "may not contain control characters".to_owned()),
            };
            Err(Refusal::field("system_prompt", code, detail))
        }
    }
}

fn in_range<T>(field: &str, value: T, least: T, most: T) -> Outcome<T>
where
    T: Copy + PartialOrd + std::fmt::Display,
{
    if value >= least && value <= most {
        Ok(value)
    } else {
        Err(Refusal::field(field, "range", format!("must be from {least} to {most}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_must_be_in_their_range() {
        assert!(in_range("temperature", 2.0_f32, 0.0, 2.0).is_ok());
        assert!(in_range("temperature", 2.1_f32, 0.0, 2.0).is_err());
        assert!(in_range("temperature", f32::NAN, 0.0, 2.0).is_err());
        assert!(in_range("max_tokens", 0_u32, 1, TOKENS_MAX).is_err());
    }

    #[test]
    fn instructions_may_be_emptied() {
        assert_eq!(check_prompt(" ").unwrap(), "");
        assert!(check_prompt(&"x".repeat(PROMPT_MAX + 1)).is_err());
    }
}
