//! One row of the table of operations: what is documented and what is served.

use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, on};
use http::Method;
use parlor_protocol::code::Code;
use parlor_protocol::http::Scope;
use parlor_protocol::schema::Schemas;
use schemars::JsonSchema;
use serde_json::Value;

use super::App;
use super::guard::{self, Gate};
use crate::grant::Need;
use crate::rate::Rule;

/// Adds a type to a document's schemas and returns a reference to it.
pub(crate) type SchemaOf = fn(&mut Schemas) -> Value;

/// The media type of most bodies.
pub(crate) const JSON: &str = "application/json";
/// The media type of bytes that nothing is known of.
pub(crate) const OCTET_STREAM: &str = "application/octet-stream";
/// The media type of server-sent events.
pub(crate) const EVENT_STREAM: &str = "text/event-stream";

/// Who may call an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everyone, as often as they like: what load balancers and pages ask.
    Open,
    /// Everyone, at the rate of an address.
    Public,
    /// Whoever is logged in.
    User,
    /// Administrators of the server.
    Admin,
}

/// How long a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// As long as the settings say for all.
    Request,
    /// The handler sees to it itself.
    Own,
}

/// An answer that an operation gives when all is well.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) description: &'static str,
    /// Media types; without a schema the body is text.
    pub(crate) content: Vec<(&'static str, Option<SchemaOf>)>,
}

/// A header that an operation understands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestHeader {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
}

/// One operation.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) id: &'static str,
    pub(crate) tag: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) details: Option<&'static str>,
    pub(crate) access: Access,
    pub(crate) need: Need,
    pub(crate) query: Option<fn() -> Value>,
    pub(crate) headers: Vec<RequestHeader>,
    pub(crate) body: Vec<(&'static str, SchemaOf)>,
    pub(crate) body_required: bool,
    /// The media type of a body that is bytes.
    pub(crate) bytes: Option<&'static str>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) codes: Vec<Code>,
    limit: Limit,
    route: MethodRouter<App>,
}

impl Endpoint {
    /// Starts a row for `GET`.
    pub(crate) fn get<H, T>(path: &'static str, id: &'static str, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        Self::new(Method::GET, path, id, on(MethodFilter::GET, handler))
    }

    /// Starts a row for `POST`.
    pub(crate) fn post<H, T>(path: &'static str, id: &'static str, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        Self::new(Method::POST, path, id, on(MethodFilter::POST, handler))
    }

    /// Starts a row for `PUT`.
    pub(crate) fn put<H, T>(path: &'static str, id: &'static str, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        Self::new(Method::PUT, path, id, on(MethodFilter::PUT, handler))
    }

    /// Starts a row for `PATCH`.
    pub(crate) fn patch<H, T>(path: &'static str, id: &'static str, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        Self::new(Method::PATCH, path, id, on(MethodFilter::PATCH, handler))
    }

    /// Starts a row for `DELETE`.
    pub(crate) fn delete<H, T>(path: &'static str, id: &'static str, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        Self::new(Method::DELETE, path, id, on(MethodFilter::DELETE, handler))
    }

    fn new(method: Method, path: &'static str, id: &'static str, route: MethodRouter<App>) -> Self {
        Self {
            method,
            path,
            id,
            tag: "",
            summary: "",
            details: None,
            access: Access::User,
            need: Need::Login,
            query: None,
            headers: Vec::new(),
            body: Vec::new(),
            body_required: true,
            bytes: None,
            answers: Vec::new(),
            codes: Vec::new(),
            limit: Limit::Request,
            route,
        }
    }

    /// Says what the operation does, in a sentence without its period.
    pub(crate) fn about(mut self, tag: &'static str, summary: &'static str) -> Self {
        (self.tag, self.summary) = (tag, summary);
        self
    }

    /// Says more.
    pub(crate) fn details(mut self, details: &'static str) -> Self {
        self.details = Some(details);
        self
    }

    /// Says who may call it; without it, whoever is logged in.
    pub(crate) fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Says which scope a personal access token needs; without it no such token will do.
    pub(crate) fn scope(mut self, scope: Scope) -> Self {
        self.need = Need::Scope(scope);
        self
    }

    /// Takes parameters from the query.
    pub(crate) fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(inline_schema::<T>);
        self
    }

    /// Understands a header.
    pub(crate) fn header(mut self, name: &'static str, description: &'static str) -> Self {
        self.headers.push(RequestHeader { name, description });
        self
    }

    /// Understands a key that makes a repeated request give the first answer again.
    pub(crate) fn idempotent(self) -> Self {
        self.header(
            "Idempotency-Key",
            "The caller's own id for this write; the same as `client_id` in the body.",
        )
    }

    /// Needs a JSON body.
    pub(crate) fn body<T: JsonSchema>(mut self) -> Self {
        self.body.push((JSON, Schemas::add::<T>));
        self
    }

    /// Takes a body of another media type, which its handler reads.
    pub(crate) fn streams<T: JsonSchema>(mut self, media_type: &'static str) -> Self {
        self.body.push((media_type, Schemas::add::<T>));
        self
    }

    /// Takes a JSON body or none.
    pub(crate) fn optional_body<T: JsonSchema>(mut self) -> Self {
        self.body_required = false;
        self.body::<T>()
    }

    /// Takes the same body also as a form.
    pub(crate) fn or_form<T: JsonSchema>(mut self) -> Self {
        self.body.push(("application/x-www-form-urlencoded", Schemas::add::<T>));
        self
    }

    /// Takes bytes, whatever they are.
    pub(crate) fn takes_bytes(mut self, media_type: &'static str) -> Self {
        self.bytes = Some(media_type);
        self
    }

    /// Answers with JSON.
    pub(crate) fn answers<T: JsonSchema>(mut self, status: u16, description: &'static str) -> Self {
        let content = vec![(JSON, Some(Schemas::add::<T> as SchemaOf))];
        self.answers.push(Answer { status, description, content });
        self
    }

    /// Answers the last status also in another media type.
    pub(crate) fn also_as(mut self, media_type: &'static str) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.content.push((media_type, None));
        }
        self
    }

    /// Answers with text of some media type.
    pub(crate) fn answers_text(
        mut self,
        status: u16,
        media_type: &'static str,
        description: &'static str,
    ) -> Self {
        self.answers.push(Answer { status, description, content: vec![(media_type, None)] });
        self
    }

    /// Answers without a body.
    pub(crate) fn answers_empty(mut self, status: u16, description: &'static str) -> Self {
        self.answers.push(Answer { status, description, content: Vec::new() });
        self
    }

    /// Answers that it is done.
    pub(crate) fn answers_nothing(self, description: &'static str) -> Self {
        self.answers_empty(204, description)
    }

    /// Names refusals besides those that every operation of its kind has.
    pub(crate) fn refuses(mut self, codes: &[Code]) -> Self {
        self.codes.extend_from_slice(codes);
        self
    }

    /// Bounds its time by itself: streams, and answers that wait for a bot.
    pub(crate) fn own_time_limit(mut self) -> Self {
        self.limit = Limit::Own;
        self
    }

    /// Returns the route, with its guard before it.
    pub(crate) fn into_route(self, app: &App) -> MethodRouter<App> {
        let rule = Rule::of(&self.method, self.path);
        let gate = Gate::new(app.clone(), self.access, self.need, rule, self.limit);
        self.route
            .route_layer(from_fn_with_state(gate, guard::admit))
            // The extractors have their own limit and say it in a problem document.
            .route_layer(DefaultBodyLimit::disable())
    }

    /// Returns every code that the operation can refuse with, in the order of the table of codes.
    pub(crate) fn all_codes(&self) -> Vec<Code> {
        let mut codes = self.codes.clone();
        if self.access != Access::Open {
            codes.extend([Code::RateLimited, Code::Unavailable, Code::Internal]);
        }
        if matches!(self.access, Access::User | Access::Admin) {
            codes.extend([Code::Unauthenticated, Code::TokenExpired, Code::Forbidden]);
        }
        if !self.body.is_empty() {
            codes.extend([
                Code::BadRequest,
                Code::PayloadTooLarge,
                Code::Unsupported,
                Code::ValidationFailed,
            ]);
        }
        if self.query.is_some() {
            codes.push(Code::ValidationFailed);
        }
        Code::ALL.into_iter().filter(|code| codes.contains(code)).collect()
    }
}

/// The schema of a query, without references.
fn inline_schema<T: JsonSchema>() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>().to_value()
}
