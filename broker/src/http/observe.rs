//! The outermost layer: the id of a request, its problem document, its access line, its metrics.

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::guard::CalledBy;
use super::{App, problem};

/// The header that carries the id of a request.
pub(super) const REQUEST_ID: &str = "x-request-id";
/// Longest id that is taken over from the caller.
const REQUEST_ID_MAX: usize = 64;

/// Gives every request an id, and every answer an access line and its metrics.
pub(super) async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let node = app.node();
    let id = given_id(request.headers())
        .map_or_else(|| node.clock.new_id().simple().to_string(), str::to_owned);
    let method = method_name(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("(none)", MatchedPath::as_str);

    let span = tracing::info_span!("http.request", request.id = %id, http.route = route);
    let response = next.run(request).instrument(span).await;
    let mut response = problem::render(response, &id);
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }

    let status = response.status();
    let elapsed = started.elapsed();
    let http = &node.metrics.http;
    http.requests.with_label_values(&[method, route, status.as_str()]).inc();
    http.duration.with_label_values(&[route]).observe(elapsed.as_secs_f64());
    let user = response.extensions().get::<CalledBy>().map(|called_by| called_by.0);
    let line = AccessLine {
        id: &id,
        method,
        route,
        status: status.as_u16(),
        duration_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        user: user.map(|user| user.to_string()),
    };
    line.write();
    response
}

/// What is logged of a request. Never its query, its body or its address.
struct AccessLine<'a> {
    id: &'a str,
    method: &'a str,
    route: &'a str,
    status: u16,
    duration_ms: u64,
    user: Option<String>,
}

impl AccessLine<'_> {
    fn write(&self) {
        let Self { id, method, route, status, duration_ms, user } = self;
        // Asked every few seconds by machines; of interest only when they go wrong.
        if matches!(*route, "/healthz" | "/readyz" | "/metrics") && *status < 500 {
            tracing::debug!(
                request.id = id,
                http.method = method,
                http.route = route,
                http.status = status,
                duration_ms,
                "request served"
            );
        } else {
            tracing::info!(
                request.id = id,
                http.method = method,
                http.route = route,
                http.status = status,
                duration_ms,
                user.id = user,
                "request served"
            );
        }
    }
}

/// Takes an id over from a proxy when it is short and plain, so that it is safe in logs.
fn given_id(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    ((8..=REQUEST_ID_MAX).contains(&id.len()) && id.chars().all(plain)).then_some(id)
}

/// A closed set, because methods are labels of metrics.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(value: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_str(value).unwrap());
        given_id(&headers).map(str::to_owned)
    }

    #[test]
    fn only_plain_ids_are_taken_over() {
        assert_eq!(given("0af7651916cd43dd8448eb211c80319c").unwrap().len(), 32);
        assert_eq!(given("018f2f3e-7b1c-7000-8000-000000000000").unwrap().len(), 36);
        for bad in ["short", "has spaces in it", "a=b&token=hunter2", &"x".repeat(65)] {
            assert_eq!(given(bad), None, "{bad}");
        }
    }

    #[test]
    fn methods_are_a_closed_set() {
        assert_eq!(method_name(&Method::from_bytes(b"BREW").unwrap()), "other");
    }
}
