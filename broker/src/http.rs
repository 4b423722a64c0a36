//! HTTP: the REST API, server-sent events, the documents that describe both, and the page.
//!
//! Every operation stands once in a table ([`endpoint`]); the routes and the `OpenAPI` document are
//! made from it, so neither can know an operation that the other does not. Who may call an
//! operation is part of its row and is checked before its handler sees the request. Every error is
//! a problem document with a stable code; what a client sent is never quoted in it, but for the name
//! of a slash command that nobody knows, which can only be plain letters.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use axum::middleware::from_fn_with_state;
use tower_http::catch_panic::CatchPanicLayer;

use crate::node::Node;

mod account;
mod admin;
mod assets;
mod asyncapi;
mod auth;
mod avatars;
mod bots;
mod commands;
mod cursor;
mod documents;
mod endpoint;
mod events;
mod export;
mod extract;
mod files;
mod guard;
mod headers;
pub(crate) mod import;
mod integrations;
mod invites;
mod llm;
mod login_throttle;
mod members;
mod memory;
mod messages;
mod observe;
mod openapi;
mod personal;
mod problem;
mod reading;
mod rooms;
mod search;
mod system;
mod table;
mod tokens;
mod uploads;
mod users;
mod view;
mod webhooks;

pub(crate) use search::find_in_room;
pub(crate) use view::find_user;

use documents::Documents;
pub(crate) use extract::discard;
use login_throttle::LoginThrottle;
use system::Health;

/// The address of the client, behind trusted proxies. The edge adds it to every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// What all handlers share.
#[derive(Debug, Clone)]
pub(crate) struct App(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    node: Arc<Node>,
    throttle: LoginThrottle,
    documents: Documents,
    health: Health,
}

impl App {
    fn new(node: Arc<Node>) -> Self {
        let throttle = LoginThrottle::new(&node.config.limits, &*node.limits);
        let documents = Documents::new(&table::endpoints());
        let health = Health::new(&node);
        Self(Arc::new(Parts { node, throttle, documents, health }))
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.0.node
    }

    fn throttle(&self) -> &LoginThrottle {
        &self.0.throttle
    }

    fn documents(&self) -> &Documents {
        &self.0.documents
    }

    fn health(&self) -> &Health {
        &self.0.health
    }
}

impl FromRef<App> for Arc<Node> {
    fn from_ref(app: &App) -> Self {
        Self::clone(app.node())
    }
}

/// Makes the router with all its layers. Clones share their state, so call it once for a node.
pub fn router(node: Arc<Node>) -> Router {
    let app = App::new(node);
    let mut router = Router::new();
    for endpoint in table::endpoints() {
        let path = endpoint.path;
        router = router.route(path, endpoint.into_route(&app));
    }
    let router = router
        .merge(assets::routes())
        .fallback(assets::fallback)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(CatchPanicLayer::custom(problem::PanicAnswer))
        .layer(headers::compression());
    let router = match headers::cors(&app.node().config.server) {
        Some(cors) => router.layer(cors),
        None => router,
    };
    router
        .layer(from_fn_with_state(headers::Policy::new(app.node()), headers::add))
        .layer(from_fn_with_state(app.clone(), observe::observe))
        .with_state(app)
}
