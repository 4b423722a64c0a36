//! For administrators: nodes, users, logins.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use parlor_bus::Control;
use parlor_protocol::code::Code;
use parlor_protocol::http::{
    AdminUser, NodeStatus, Page, PatchUserRequest, Scope, Session, Status,
};
use parlor_protocol::user::{ServerRole, UserRef};
use parlor_store::record::Account;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::cursor::{self, List};
use super::endpoint::{Access, Endpoint};
use super::extract::{InPath, InQuery, JsonBody};
use super::view::find_user;
use crate::node::{Caller, Node};
use crate::refusal::{Outcome, Refusal};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/admin/status", "get_status", get_status)
            .scope(Scope::Admin)
            .about("Administration", "Return the state of the server")
            .access(Access::Admin)
            .answers::<Status>(200, "Nodes, dependencies, uptime."),
        Endpoint::get("/v1/admin/users", "admin_list_users", list_users)
            .scope(Scope::Admin)
            .about("Administration", "List all users")
            .access(Access::Admin)
            .query::<PageQuery>()
            .answers::<Page<AdminUser>>(200, "A page of users, by user name."),
        Endpoint::patch("/v1/admin/users/{username}", "admin_patch_user", patch_user)
            .scope(Scope::Admin)
            .about("Administration", "Deactivate or reactivate a user, or give them a role")
            .details(
                "Deactivating ends all logins of the user and cuts their connections. The last \
                 administrator who can log in stays one.",
            )
            .access(Access::Admin)
            .body::<PatchUserRequest>()
            .answers::<AdminUser>(200, "The changed user.")
            .refuses(&[Code::NotFound, Code::Conflict]),
        Endpoint::get("/v1/admin/sessions", "admin_list_sessions", list_sessions)
            .scope(Scope::Admin)
            .about("Administration", "List logins that have not ended, newest first")
            .access(Access::Admin)
            .query::<SessionsQuery>()
            .answers::<Page<AdminSession>>(200, "Logins.")
            .refuses(&[Code::NotFound]),
    ]
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct PageQuery {
    /// `next` of the page before.
    cursor: Option<String>,
    /// Items in the page, 1 to 200; 50 when absent.
    limit: Option<u32>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct SessionsQuery {
    /// Only logins of this user.
    username: Option<String>,
    /// Items in the page, 1 to 200; 50 when absent.
    limit: Option<u32>,
}

/// A login, and whose it is.
#[derive(Debug, Serialize, JsonSchema)]
struct AdminSession {
    /// The login.
    #[serde(flatten)]
    session: Session,
    /// Whose.
    user: UserRef,
}

async fn get_status(State(app): State<App>) -> Json<Status> {
    let node = app.node();
    let gauge = |value: i64| u64::try_from(value).unwrap_or(0);
    let uptime = node.now().as_millis() - node.started_at.as_millis();
    let this = NodeStatus {
        name: node.name.clone(),
        started_at: node.started_at,
        uptime_seconds: gauge(uptime / 1_000),
        connections: gauge(node.metrics.ws.sessions.get()),
        rooms: gauge(node.metrics.room.resident.get()),
    };
    Json(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        nodes: vec![this],
        dependencies: app.health().dependencies(node).await,
    })
}

async fn list_users(
    State(node): State<Arc<Node>>,
    InQuery(query): InQuery<PageQuery>,
) -> Outcome<Json<Page<AdminUser>>> {
    let limit = cursor::page_size(query.limit)?;
    let list = List::new("users");
    let after = list.decode(query.cursor.as_deref())?;
    let found = node.store.list_users(after.as_deref(), limit + 1).await?;
    Ok(Json(list.page(found, limit, |account| account.user.username.clone(), show)))
}

fn show(account: Account) -> AdminUser {
    AdminUser { user: account.user, active: account.active }
}

async fn patch_user(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(username): InPath<String>,
    JsonBody(request): JsonBody<PatchUserRequest>,
) -> Outcome<Json<AdminUser>> {
    let user = find_user(&node, &caller, &username).await?.user.id;
    let demotes = request.role.is_some_and(|role| role != ServerRole::Admin);
    if user == caller.user.id && (request.active == Some(false) || demotes) {
        // Nobody does that by accident. That one is always left is seen to by the store.
        let detail = "Administrators cannot take their own rights away; another one can.";
        return Err(Refusal::new(Code::Conflict, detail));
    }
    let now = node.now();
    let ended = if request.active == Some(false) {
        node.store.close_account(user, now).await?.map_err(Refusal::from)?
    } else {
        Vec::new()
    };
    let changed = node.store.set_user_access(user, request.active, request.role, now).await??;
    let account = changed.ok_or_else(|| Refusal::not_found("user"))?;
    for session in ended {
        node.end_session(session);
    }
    if !account.active {
        node.bus.publish_control(Control::UserRevoked(user));
    }
    Ok(Json(show(account)))
}

async fn list_sessions(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InQuery(query): InQuery<SessionsQuery>,
) -> Outcome<Json<Page<AdminSession>>> {
    let limit = cursor::page_size(query.limit)?;
    let user = match query.username {
        Some(name) => Some(find_user(&node, &caller, &name).await?.user.id),
        None => None,
    };
    let mut items = Vec::new();
    for record in node.store.list_sessions(user, node.now(), limit).await? {
        let Some(account) = node.store.find_user(record.user).await? else { continue };
        let session = Session {
            id: record.id,
            created_at: record.created_at,
            expires_at: record.expires_at,
            client: record.client,
        };
        items.push(AdminSession { session, user: account.user.to_ref() });
    }
    Ok(Json(Page { items, next: None }))
}
