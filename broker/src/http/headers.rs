//! Headers that protect: content policy, sniffing, framing, origins, caches. And compression.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{
    ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    RETRY_AFTER, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use parlor_runtime::config::ServerConfig;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate as _};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::endpoint::EVENT_STREAM;
use super::observe::REQUEST_ID;
use crate::node::Node;
use crate::rate::policies;
use crate::refusal::Refusal;

/// For the page: nothing but its own files, and no text that becomes script.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' blob: data:; connect-src 'self'; font-src 'self'; manifest-src 'self'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
/// For Swagger UI and `ReDoc`, which write styles into the page and start a worker.
const DOCS_POLICY: &str = "default-src 'none'; script-src 'self'; \
    style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; connect-src 'self'; \
    font-src 'self' data:; worker-src 'self' blob:; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'";
/// How long browsers remember that a server speaks TLS only: a year.
const TRANSPORT_POLICY: &str = "max-age=31536000";
/// How long browsers remember what an origin may do.
const CORS_MAX_AGE: std::time::Duration = std::time::Duration::from_mins(10);

/// What is the same for all answers of a node.
#[derive(Debug, Clone)]
pub(super) struct Policy(Arc<Fixed>);

#[derive(Debug)]
struct Fixed {
    tls: bool,
    /// The rates that every answer tells; none where rates are switched off.
    rates: Option<HeaderValue>,
    /// All rates, by name.
    policies: BTreeMap<String, String>,
}

impl Policy {
    pub(super) fn new(node: &Node) -> Self {
        let limits = &node.config.limits;
        let tls = node.config.server.public_url.as_ref().is_some_and(|url| url.scheme() == "https");
        let policies = policies(limits);
        let rates = policies.get("user").zip(policies.get("address"));
        let rates = rates.and_then(|(user, address)| to_header(&format!("{user}, {address}")));
        Self(Arc::new(Fixed { tls, rates, policies }))
    }

    /// Returns the rates that an answer tells: those of all requests, and the one that refused it.
    fn rates(&self, response: &Response) -> Option<HeaderValue> {
        let all = self.0.rates.clone()?;
        let rule = response.extensions().get::<Refusal>().and_then(|refusal| refusal.rule);
        let rule = rule.filter(|rule| !matches!(*rule, "user" | "address"));
        let Some(policy) = rule.and_then(|rule| self.0.policies.get(rule)) else {
            return Some(all);
        };
        to_header(&format!("{}, {policy}", all.to_str().ok()?))
    }
}

/// Marks an answer whose content is not changed on the way, and that has its own content policy and
/// its own rule for caches.
#[derive(Debug, Clone, Copy)]
pub(super) struct AsItIs;

/// Adds the headers that every answer has.
pub(super) async fn add(State(policy): State<Policy>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let api = path.starts_with("/v1/");
    let docs = is_below(path, "/docs") || is_below(path, "/redoc");
    let mut response = next.run(request).await;
    let own = response.extensions().get::<AsItIs>().is_some();
    let rates = policy.rates(&response);
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(REFERRER_POLICY, "no-referrer");
    set(X_FRAME_OPTIONS, "DENY");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    if !own {
        set(CONTENT_SECURITY_POLICY, if docs { DOCS_POLICY } else { PAGE_POLICY });
    }
    if policy.0.tls {
        set(STRICT_TRANSPORT_SECURITY, TRANSPORT_POLICY);
    }
    if api {
        if !own {
            set(CACHE_CONTROL, "no-store");
        }
        if let Some(rates) = rates {
            headers.insert(HeaderName::from_static("ratelimit-policy"), rates);
        }
    }
    response
}

fn to_header(text: &str) -> Option<HeaderValue> {
    HeaderValue::try_from(text).ok()
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Answers pages of the configured origins. Logins are bearer tokens, so no cookie is ever needed.
pub(super) fn cors(config: &ServerConfig) -> Option<CorsLayer> {
    let origins = config.cors_origins.iter();
    let origins: Vec<HeaderValue> =
        origins.filter_map(|origin| HeaderValue::from_str(origin.as_str()).ok()).collect();
    if origins.is_empty() {
        return None;
    }
    let name = HeaderName::from_static;
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            ACCEPT,
            AUTHORIZATION,
            CONTENT_TYPE,
            name("idempotency-key"),
            name("last-event-id"),
            name("upload-offset"),
            name(REQUEST_ID),
        ])
        .expose_headers([
            RETRY_AFTER,
            name(REQUEST_ID),
            name("ratelimit"),
            name("ratelimit-policy"),
            name("upload-offset"),
        ])
        .max_age(CORS_MAX_AGE);
    Some(layer)
}

/// Compresses everything but small answers, images, event streams and files.
pub(super) fn compression() -> CompressionLayer<impl tower_http::compression::Predicate> {
    let predicate = DefaultPredicate::new().and(NotForContentType::const_new(EVENT_STREAM));
    let changes =
        |_: StatusCode, _: Version, _: &HeaderMap, of: &Extensions| of.get::<AsItIs>().is_none();
    let predicate = predicate.and(changes);
    CompressionLayer::new().gzip(true).compress_when(predicate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looser_policy_is_for_the_documents_only() {
        assert!(is_below("/docs", "/docs") && is_below("/docs/x.js", "/docs"));
        assert!(!is_below("/docsy", "/docs") && !is_below("/", "/docs"));
        assert!(!PAGE_POLICY.contains("unsafe"));
    }

    #[test]
    fn without_configured_origins_no_page_of_another_origin_is_answered() {
        assert!(cors(&ServerConfig::default()).is_none());
    }
}
