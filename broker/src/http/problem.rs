//! Problem documents: how a refusal looks over HTTP, and what each code means.

use std::any::Any;

use axum::Json;
use axum::extract::Path;
use axum::response::{Html, IntoResponse, Response};
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use parlor_protocol::code::Code;
use schemars::JsonSchema;
use serde::Serialize;
use tower_http::catch_panic::ResponseForPanic;

use super::endpoint::{Access, Endpoint};
use crate::refusal::{Outcome, Refusal};

/// The media type of problem documents.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// The refusal travels as an extension; [`render`] writes it once the id of the request is known.
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status());
        let mut response = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the problem document of a refused request.
pub(super) fn render(mut response: Response, request_id: &str) -> Response {
    let Some(refusal) = response.extensions_mut().remove::<Refusal>() else { return response };
    let (mut parts, _) = response.into_parts();
    let code = refusal.code;
    let retry_after = refusal.retry_after;
    let refusal_rule = refusal.rule;
    let mut problem = refusal.into_problem(request_id.to_owned());
    problem.status = parts.status.as_u16();
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let headers = &mut parts.headers;
    headers.remove(http::header::CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    if let Some(challenge) = challenge(code) {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    if matches!(problem.status, 429 | 503) {
        let wait = retry_after.unwrap_or_default();
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let seconds = seconds.max(1);
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        // What is no rate of the server, such as slow mode, has no policy.
        if let Some(rule) = refusal_rule
            && let Ok(rate) = HeaderValue::try_from(format!("\"{rule}\";r=0;t={seconds}"))
        {
            headers.insert(HeaderName::from_static("ratelimit"), rate);
        }
    }
    Response::from_parts(parts, body.into())
}

fn challenge(code: Code) -> Option<HeaderValue> {
    match code {
        Code::Unauthenticated => Some(HeaderValue::from_static("Bearer realm=\"parlor\"")),
        Code::TokenExpired => Some(HeaderValue::from_static(
            "Bearer realm=\"parlor\", error=\"invalid_token\", error_description=\"expired\"",
        )),
        _ => None,
    }
}

/// Answers a method that a path does not have.
pub(super) async fn method_not_allowed() -> Response {
    let refusal = Refusal::new(Code::Unsupported, "This address has no such method.");
    (StatusCode::METHOD_NOT_ALLOWED, refusal).into_response()
}

/// Answers a request whose handler panicked.
#[derive(Debug, Clone, Copy)]
pub(super) struct PanicAnswer;

impl ResponseForPanic for PanicAnswer {
    type ResponseBody = axum::body::Body;

    fn response_for_panic(&mut self, _: Box<dyn Any + Send + 'static>) -> Response {
        // The panic hook has printed the message.
        tracing::error!("request panicked");
        Refusal::new(Code::Internal, "Something went wrong on the server; it was logged.")
            .into_response()
    }
}

/// What a code means.
#[derive(Debug, Serialize, JsonSchema)]
struct ProblemType {
    /// The URI reference, as in `type`.
    #[serde(rename = "type")]
    kind: String,
    /// The code.
    code: Code,
    /// The title.
    title: String,
    /// The HTTP status that goes with it.
    status: u16,
    /// Whether the same request may succeed later without a change.
    retryable: bool,
    /// What it means and what helps.
    description: String,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/problems/{code}", "get_problem_type", get_problem_type)
            .about("Server", "Explain an error code")
            .details("The `type` of every problem document leads here.")
            .access(Access::Open)
            .answers::<ProblemType>(200, "What the code means.")
            .also_as("text/html")
            .refuses(&[Code::NotFound]),
    ]
}

async fn get_problem_type(Path(name): Path<String>, headers: HeaderMap) -> Outcome<Response> {
    let wanted = name.replace('-', "_");
    let code = Code::ALL.into_iter().find(|code| code.as_str() == wanted);
    let code = code.ok_or_else(|| Refusal::not_found("problem"))?;
    let description = describe(code);
    let wants_page = headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    if wants_page {
        return Ok(Html(format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
             <h1>{title}</h1><p><code>{code}</code>, HTTP status {status}</p>\
             <p>{description}</p>",
            title = code.title(),
            status = code.status(),
        ))
        .into_response());
    }
    Ok(Json(ProblemType {
        kind: format!("/problems/{}", code.as_str().replace('_', "-")),
        code,
        title: code.title().to_owned(),
        status: code.status(),
        retryable: code.is_retryable(),
        description: description.to_owned(),
    })
    .into_response())
}

/// Returns what a code means, for people.
pub(super) const fn describe(code: Code) -> &'static str {
    match code {
        Code::BadRequest => "The request cannot be read, for instance because its JSON is broken.",
        Code::Unauthenticated => "There is no valid proof of who is asking. Log in.",
        Code::TokenExpired => "The access token has expired. Get a new one with the refresh token.",
        Code::Forbidden => "The caller is known and may not do this.",
        Code::NotFound => "It does not exist, or the caller may not know that it does.",
        Code::Conflict => "It contradicts what exists, for instance a name that is taken.",
        Code::PayloadTooLarge => "The request or the text in it is larger than the limit.",
        Code::Unsupported => "This version does not understand the method or the content type.",
        Code::ValidationFailed => "A field has a value that is not allowed; `errors` names it.",
        Code::RateLimited => "Too many requests. Try again after the time in `Retry-After`.",
        Code::BudgetExhausted => "The budget for model tokens is spent.",
        Code::RoomFull => "The room has as many members as it may have.",
        Code::NotAMember => "Only members of the room may do this. Join it first.",
        Code::ResyncRequired => "The position cannot be continued. Read the history again.",
        Code::ProviderError => "The model provider failed.",
        Code::ProviderUnavailable => "The model provider cannot be reached. Try again later.",
        Code::Unavailable => "Something that is needed is away for the moment. Try again.",
        Code::Internal => "A fault of the server. It was logged under the id of the request.",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn header(response: &Response, name: HeaderName) -> Option<&str> {
        response.headers().get(name).and_then(|value| value.to_str().ok())
    }

    #[test]
    fn retry_after_is_whole_seconds_and_never_zero() {
        for (wait, seconds) in [(1, "1"), (1_000, "1"), (1_001, "2")] {
            let refusal = Refusal::rate_limited(Duration::from_millis(wait));
            let response = render(refusal.into_response(), "r");
            assert_eq!(header(&response, RETRY_AFTER), Some(seconds));
        }
        let response = render(Refusal::unavailable("away").into_response(), "r");
        assert_eq!(header(&response, RETRY_AFTER), Some("1"));
    }

    #[tokio::test]
    async fn refusal_becomes_a_problem_document_with_the_id_of_the_request() {
        let response = render(Refusal::not_found("room").into_response(), "r-1");
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(header(&response, CONTENT_TYPE), Some(PROBLEM_JSON));
        let body = axum::body::to_bytes(response.into_body(), 4_096).await.unwrap();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            problem,
            serde_json::json!({
                "type": "/problems/not-found",
                "title": "Not found",
                "status": 404,
                "detail": "There is no such room.",
                "code": "not_found",
                "request_id": "r-1",
            })
        );
    }

    #[tokio::test]
    async fn unknown_method_keeps_its_status() {
        let response = render(method_not_allowed().await, "r");
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        let body = axum::body::to_bytes(response.into_body(), 4_096).await.unwrap();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&problem["status"], &problem["code"]), (&405.into(), &"unsupported".into()));
    }

    #[test]
    fn missing_login_is_challenged() {
        let refusal = Refusal::new(Code::Unauthenticated, "Log in.");
        assert!(header(&render(refusal.into_response(), "r"), WWW_AUTHENTICATE).is_some());
    }
}
