//! What the HTTP backends share: the client, the mapping of failures and bounded reading.
//!
//! The body of an error answer is read only to tell kinds of errors apart. It goes nowhere else;
//! the log gets its status and length.

use std::{io, pin::Pin, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, header, redirect};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::timeout;

use crate::{ConfigError, ProviderError, TimeoutStage};

/// Bytes of an error answer that are looked at.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// Bytes of any other answer that is not a stream, such as a list of models.
const MAX_ANSWER_BYTES: usize = 2 * 1024 * 1024;

/// How long reading an error answer may take.
const ERROR_BODY_WAIT: Duration = Duration::from_secs(2);

/// How long a call that is not a chat may take.
pub(crate) const SHORT_CALL: Duration = Duration::from_secs(5);

/// The body of a streaming answer.
pub(crate) type Body = Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>;

/// Returns the HTTP client that all providers share.
///
/// It follows no redirect, uses no proxy from the environment and gives up connecting after
/// `connect`. On a machine without certificate authorities it still works for plain HTTP, which
/// is what Ollama speaks; HTTPS is then refused when used.
pub fn http_client(connect: Duration) -> Result<Client, ConfigError> {
    let builder = || {
        Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(connect)
            .tcp_nodelay(true)
            .user_agent(concat!("parlor/", env!("CARGO_PKG_VERSION")))
    };
    builder().build().or_else(|_| {
        tracing::warn!("no certificate authorities found, HTTPS providers will not work");
        builder().tls_certs_only([]).build().map_err(|_| ConfigError::HttpClient)
    })
}

/// Returns the address of an endpoint below a base address, with or without a slash at its end.
pub(crate) fn endpoint(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path.split('/'));
    }
    url
}

/// Sends a request; an answer without a success status becomes an error.
pub(crate) async fn send(request: RequestBuilder) -> Result<Response, ProviderError> {
    let response = request.send().await.map_err(|error| from_send(&error))?;
    if response.status().is_success() { Ok(response) } else { Err(from_answer(response).await) }
}

/// Sends a short request and decodes its JSON answer.
pub(crate) async fn fetch<T: DeserializeOwned>(
    request: RequestBuilder,
) -> Result<T, ProviderError> {
    let response = send(request.timeout(SHORT_CALL)).await?;
    let body = read_up_to(response, MAX_ANSWER_BYTES).await?;
    serde_json::from_slice(&body).map_err(|_| ProviderError::Malformed)
}

/// Returns why a body could not be read to its end.
pub(crate) fn from_body(error: &reqwest::Error) -> ProviderError {
    if error.is_timeout() {
        ProviderError::TimedOut { stage: TimeoutStage::Total }
    } else {
        ProviderError::Truncated
    }
}

/// Returns the kind of an error that came within a stream or as an answer's `error` member.
pub(crate) fn from_reported(error: &ReportedError) -> Option<ProviderError> {
    let ReportedError::Detailed { code, kind } = error else { return None };
    let words = [code, kind].map(|word| word.as_ref().and_then(|word| word.as_str()).unwrap_or(""));
    let says = |word: &str| words.iter().any(|said| said.eq_ignore_ascii_case(word));
    if says("insufficient_quota") {
        Some(ProviderError::QuotaExhausted)
    } else if says("rate_limit_exceeded") || says("rate_limit_error") {
        Some(ProviderError::RateLimited { retry_after: None })
    } else if says("model_not_found") {
        Some(ProviderError::ModelNotFound)
    } else if says("invalid_api_key") || says("authentication_error") {
        Some(ProviderError::Unauthorized)
    } else if says("overloaded_error") {
        Some(ProviderError::Overloaded { retry_after: None })
    } else {
        None
    }
}

/// The `error` member of a provider's answer, without its message.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum ReportedError {
    Detailed {
        #[serde(default)]
        code: Option<serde_json::Value>,
        #[serde(default, rename = "type")]
        kind: Option<serde_json::Value>,
    },
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: ReportedError,
}

fn from_send(error: &reqwest::Error) -> ProviderError {
    if error.is_timeout() {
        let stage = if error.is_connect() { TimeoutStage::Connect } else { TimeoutStage::Total };
        return ProviderError::TimedOut { stage };
    }
    ProviderError::Unreachable { cause: cause_of(error) }
}

/// Returns a fixed phrase for the cause, because the error's own text holds addresses.
fn cause_of(error: &reqwest::Error) -> &'static str {
    let chain = std::iter::successors(std::error::Error::source(error), |error| error.source());
    let kind =
        chain.filter_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind).last();
    match kind {
        _ if error.is_dns() => "name not resolved",
        Some(io::ErrorKind::ConnectionRefused) => "connection refused",
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => "connection reset",
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => "no route",
        Some(io::ErrorKind::InvalidData) => "no secure connection",
        _ if error.is_connect() => "connection failed",
        _ => "connection closed",
    }
}

async fn from_answer(response: Response) -> ProviderError {
    let status = response.status();
    let retry_after = retry_after(&response);
    let body = match timeout(ERROR_BODY_WAIT, read_up_to(response, MAX_ERROR_BYTES)).await {
        Ok(Ok(body)) => body,
        _ => Vec::new(),
    };
    tracing::debug!(
        http.status = status.as_u16(),
        size_bytes = body.len(),
        "provider answered with an error"
    );
    let reported = serde_json::from_slice::<ErrorAnswer>(&body)
        .ok()
        .and_then(|answer| from_reported(&answer.error));
    match (status, reported) {
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => ProviderError::Unauthorized,
        (StatusCode::PAYMENT_REQUIRED, _)
        | (StatusCode::TOO_MANY_REQUESTS, Some(ProviderError::QuotaExhausted)) => {
            ProviderError::QuotaExhausted
        }
        (StatusCode::TOO_MANY_REQUESTS, _) => ProviderError::RateLimited { retry_after },
        (StatusCode::NOT_FOUND, _)
        | (StatusCode::BAD_REQUEST, Some(ProviderError::ModelNotFound)) => {
            ProviderError::ModelNotFound
        }
        (StatusCode::REQUEST_TIMEOUT | StatusCode::SERVICE_UNAVAILABLE, _) => {
            ProviderError::Overloaded { retry_after }
        }
        // Used by several providers for "overloaded".
        (status, _) if status.as_u16() == 529 => ProviderError::Overloaded { retry_after },
        (status, _) if status.is_server_error() => {
            ProviderError::ServerError { status: status.as_u16() }
        }
        (status, _) if status.is_client_error() => {
            ProviderError::Rejected { status: status.as_u16() }
        }
        _ => ProviderError::Malformed,
    }
}

/// Returns the wait asked for in seconds; the form with a date is rare and left out.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    let seconds: f64 = value.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

async fn read_up_to(response: Response, max: usize) -> Result<Vec<u8>, ProviderError> {
    let mut body = response.bytes_stream();
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| from_body(&error))?;
        if bytes.len() + piece.len() > max {
            return Err(ProviderError::Malformed);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_keep_the_path_of_the_base_address() {
        let joined = |base: &str| endpoint(&base.parse().unwrap(), "chat/completions").to_string();

        assert_eq!(joined("http://h:1/v1"), "http://h:1/v1/chat/completions");
        assert_eq!(joined("http://h:1/v1/"), "http://h:1/v1/chat/completions");
        assert_eq!(joined("http://h:1"), "http://h:1/chat/completions");
    }

    #[test]
    fn the_client_needs_no_process_wide_crypto_provider() {
        assert!(http_client(Duration::from_secs(1)).is_ok());
    }

    #[test]
    fn reported_errors_are_told_apart_by_code_or_type() {
        let kind =
            |json: &str| from_reported(&serde_json::from_str::<ErrorAnswer>(json).unwrap().error);

        assert_eq!(
            kind(r#"{"error":{"code":"insufficient_quota"}}"#),
            Some(ProviderError::QuotaExhausted)
        );
        assert_eq!(
            kind(r#"{"error":{"type":"rate_limit_error","code":429}}"#),
            Some(ProviderError::RateLimited { retry_after: None })
        );
        assert_eq!(kind(r#"{"error":{"message":"x"}}"#), None);
        assert_eq!(kind(r#"{"error":"x"}"#), None);
    }
}
