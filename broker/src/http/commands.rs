//! Slash commands over HTTP, and the commands that rooms register.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use parlor_domain::naming::check_topic;
use parlor_domain::permission::{Action, Membership};
use parlor_domain::slash::{is_builtin, is_name};
use parlor_protocol::code::Code;
use parlor_protocol::http::{
    CommandAnswer, CreateCommandRequest, NewCommandSecret, Page, RegisteredCommand,
    RunCommandRequest, Scope,
};
use parlor_protocol::id::{CommandId, RoomRef};
use parlor_protocol::room::Role;
use parlor_store::record::{CommandRecord, NewCommand};
use schemars::JsonSchema;
use serde::Deserialize;

use super::ClientAddress;
use super::endpoint::Endpoint;
use super::extract::{IdempotencyKey, InPath, InQuery, JsonBody};
use super::integrations::{bring_in, end, new_integration, refuse};
use super::view::find_room;
use super::webhooks::salt;
use crate::commands::Asked;
use crate::node::{Caller, Node};
use crate::refusal::{Outcome, Refusal};

const REFUSALS: [Code; 3] = [Code::NotFound, Code::NotAMember, Code::Forbidden];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/v1/rooms/{room}/commands", "run_command", run_command)
            .scope(Scope::Write)
            .about("Messages", "Carry out a slash command")
            .details(
                "Built in are `/ban`, `/help`, `/invite`, `/kick`, `/me`, `/mute`, `/search` and \
                 `/topic`, each by the rules of the call that means the same; a room may register \
                 more. The answer is for the caller only. A published message is never a command.",
            )
            .header(
                "Idempotency-Key",
                "The caller's own id for the message that the command may write; the same as \
                 `client_id` in the body. Whatever else the command does is done again.",
            )
            .body::<RunCommandRequest>()
            .answers::<CommandAnswer>(200, "What came of it.")
            .refuses(&REFUSALS)
            .refuses(&[Code::Conflict, Code::RoomFull]),
        Endpoint::get("/v1/commands", "list_commands", list_commands)
            .scope(Scope::Read)
            .about("Integrations", "List the commands that a room has registered")
            .query::<CommandsQuery>()
            .answers::<Page<RegisteredCommand>>(200, "All of them, by name.")
            .refuses(&REFUSALS),
        Endpoint::post("/v1/commands", "create_command", create_command)
            .scope(Scope::Rooms)
            .about("Integrations", "Register a command that another program answers")
            .details(
                "For owners of the room. The program is posted `{command, text, user, room}`, \
                 signed like a webhook, and answers `{text, visible}` within a few seconds: with \
                 `visible: room` its text is written as a message of an integration with the name \
                 of the command, else only the caller reads it.",
            )
            .body::<CreateCommandRequest>()
            .answers::<NewCommandSecret>(201, "The command with its secret.")
            .refuses(&REFUSALS)
            .refuses(&[Code::Conflict, Code::RoomFull]),
        Endpoint::delete("/v1/commands/{command}", "delete_command", delete_command)
            .scope(Scope::Rooms)
            .about("Integrations", "Remove a registered command")
            .details("For owners of the room. What it wrote stays.")
            .answers_nothing("The room does not know the command any more.")
            .refuses(&REFUSALS),
    ]
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CommandsQuery {
    /// The room, by id or short name.
    room: String,
}

async fn run_command(
    State(node): State<Arc<Node>>,
    caller: Caller,
    address: ClientAddress,
    key: IdempotencyKey,
    InPath(room): InPath<RoomRef>,
    JsonBody(request): JsonBody<RunCommandRequest>,
) -> Outcome<Json<CommandAnswer>> {
    let client_id = key.or(request.client_id)?;
    let (address, text) = (address.key(), request.text);
    let asked = Asked { node, caller, address, room, text, client_id };
    asked.run().await.map(Json)
}

async fn list_commands(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InQuery(query): InQuery<CommandsQuery>,
) -> Outcome<Json<Page<RegisteredCommand>>> {
    let (room, member) = find_room(&node, &caller, &RoomRef(query.room), Action::Read).await?;
    let found = node.store.list_commands(room.id).await?;
    let items = found.into_iter().map(|command| view(command, member)).collect();
    Ok(Json(Page { items, next: None }))
}

async fn create_command(
    State(node): State<Arc<Node>>,
    caller: Caller,
    JsonBody(request): JsonBody<CreateCommandRequest>,
) -> Outcome<(StatusCode, Json<NewCommandSecret>)> {
    let (room, member) = find_room(&node, &caller, &RoomRef(request.room), Action::Own).await?;
    let name = request.name;
    if !is_name(&name) {
        let detail = "must begin with a lower-case letter and may go on with letters, digits and \
                      hyphens, 32 in all";
        return Err(Refusal::field("name", "characters", detail));
    }
    if is_builtin(&name) {
        return Err(Refusal::field("name", "reserved", "is built in"));
    }
    let description = check_topic(&request.description)
        .map_err(|refused| Refusal::name("description", refused))?;
    let salt = salt();
    let url = node.outgoing.check_url(&request.url, caller.user.id).await?;
    let command = NewCommand {
        id: CommandId(node.clock.new_id()),
        name: name.clone(),
        description,
        url,
        salt,
    };
    let speaker = new_integration(&node, room.id, &caller, name);
    let made = node.store.create_command(speaker, command).await?.map_err(refuse)?;
    bring_in(&node, room.id, &caller, made.integration.id).await?;
    let secret = node.outgoing.secret(&salt).show();
    Ok((StatusCode::CREATED, Json(NewCommandSecret { command: view(made, member), secret })))
}

async fn delete_command(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(command): InPath<CommandId>,
) -> Outcome<StatusCode> {
    let gone = || Refusal::not_found("command");
    let found = node.store.find_command_by_id(command).await?.ok_or_else(gone)?;
    // Of a room that the caller may not know of there is no command either.
    let access = find_room(&node, &caller, &found.room.into(), Action::Own).await;
    access.map_err(|refusal| if refusal.code == Code::NotFound { gone() } else { refusal })?;
    end(&node, found.room, &caller, found.integration.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn view(command: CommandRecord, member: Membership) -> RegisteredCommand {
    RegisteredCommand {
        id: command.id,
        room: command.room,
        name: command.name,
        description: command.description,
        url: Some(command.url).filter(|_| member.role == Role::Owner),
        integration: command.integration,
        created_at: command.created_at,
    }
}
