//! Bodies of requests: their size, their type, their fields.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{FromRequest, Request};
use bytes::BytesMut;
use futures_util::StreamExt as _;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use parlor_protocol::code::Code;
use serde::de::DeserializeOwned;

use super::explain;
use crate::http::App;
use crate::refusal::{Outcome, Refusal};

/// Bytes of a body that is too large that are still read, and thrown away.
const DISCARD_MAX: usize = 4 << 20;
/// How long they are waited for.
const DISCARD_TIME: Duration = Duration::from_secs(1);

/// A JSON body.
#[derive(Debug)]
pub(in crate::http) struct JsonBody<T>(pub(in crate::http) T);

impl<T: DeserializeOwned> FromRequest<App> for JsonBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Outcome<Self> {
        let (kind, bytes) = read(request, app).await?;
        match kind {
            Kind::Json => explain::from_json(&bytes).map(Self),
            Kind::Form | Kind::Other => Err(unsupported("application/json")),
        }
    }
}

/// A JSON body, or none.
#[derive(Debug)]
pub(in crate::http) struct OptionalJson<T>(pub(in crate::http) T);

impl<T: DeserializeOwned + Default> FromRequest<App> for OptionalJson<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Outcome<Self> {
        let (kind, bytes) = read(request, app).await?;
        match kind {
            _ if bytes.is_empty() => Ok(Self(T::default())),
            Kind::Json => explain::from_json(&bytes).map(Self),
            Kind::Form | Kind::Other => Err(unsupported("application/json")),
        }
    }
}

/// A JSON body or a form.
#[derive(Debug)]
pub(in crate::http) struct JsonOrForm<T>(pub(in crate::http) T);

impl<T: DeserializeOwned> FromRequest<App> for JsonOrForm<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Outcome<Self> {
        let (kind, bytes) = read(request, app).await?;
        match kind {
            Kind::Json => explain::from_json(&bytes).map(Self),
            Kind::Form => explain::from_form(&bytes).map(Self),
            Kind::Other => {
                Err(unsupported("application/json or application/x-www-form-urlencoded"))
            }
        }
    }
}

/// Reads a body of bytes within a size and a time. `room` is told how many bytes there are before
/// they are kept, and may refuse.
pub(in crate::http) async fn read_bytes(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    time: Duration,
    room: impl FnMut(usize) -> Outcome<()>,
) -> Outcome<Bytes> {
    refuse_announced(headers, limit)?;
    let bytes = tokio::time::timeout(time, collect(body, limit, room)).await;
    let bytes = bytes.map_err(|_| incomplete())??;
    if bytes.is_empty() { Err(incomplete()) } else { Ok(bytes) }
}

/// Refuses a body that says itself that it is too large.
fn refuse_announced(headers: &HeaderMap, limit: usize) -> Outcome<()> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    match announced.and_then(|length| length.parse::<usize>().ok()) {
        Some(length) if length > limit => Err(too_large(limit)),
        _ => Ok(()),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Form,
    Other,
}

async fn read(request: Request, app: &App) -> Outcome<(Kind, Bytes)> {
    let limits = &app.node().config.limits;
    let limit = limits.request_body.get();
    let kind = kind(request.headers());
    // Refused before any of it is kept.
    if let Err(refusal) = refuse_announced(request.headers(), limit) {
        // Who asks first has not sent anything yet.
        if !request.headers().contains_key(EXPECT) {
            discard(request.into_body().into_data_stream()).await;
        }
        return Err(refusal);
    }
    // Also where the handler bounds its own time: nobody may send a body for ever.
    let body = collect(request.into_body(), limit, |_| Ok(()));
    let body = tokio::time::timeout(limits.request_timeout, body);
    Ok((kind, body.await.map_err(|_| incomplete())??))
}

async fn collect(
    body: Body,
    limit: usize,
    mut room: impl FnMut(usize) -> Outcome<()>,
) -> Outcome<Bytes> {
    let mut chunks = body.into_data_stream();
    let mut bytes = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| incomplete())?;
        let given = bytes.len() + chunk.len();
        if given > limit {
            discard(chunks).await;
            return Err(too_large(limit));
        }
        if let Err(refusal) = room(given) {
            discard(chunks).await;
            return Err(refusal);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

/// Lets a client finish what it is sending, within reason: one whose connection is closed while it
/// still writes never sees why.
pub(crate) async fn discard(mut chunks: BodyDataStream) {
    let mut left = DISCARD_MAX;
    let reading = async {
        while let Some(Ok(chunk)) = chunks.next().await {
            let Some(rest) = left.checked_sub(chunk.len()) else { return };
            left = rest;
        }
    };
    // Whether it has finished or not, it is told.
    drop(tokio::time::timeout(DISCARD_TIME, reading).await);
}

fn kind(headers: &HeaderMap) -> Kind {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json")
        || (essence.starts_with("application/") && essence.ends_with("+json"))
    {
        Kind::Json
    } else if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        Kind::Form
    } else {
        Kind::Other
    }
}

fn too_large(limit: usize) -> Refusal {
    Refusal::new(Code::PayloadTooLarge, format!("A request may have at most {limit} bytes."))
}

fn incomplete() -> Refusal {
    Refusal::new(Code::BadRequest, "The body of the request did not arrive.")
}

fn unsupported(types: &str) -> Refusal {
    Refusal::new(Code::Unsupported, format!("Send the body with `Content-Type: {types}`."))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn kind_of(value: &'static str) -> Kind {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
        kind(&headers)
    }

    #[test]
    fn content_type_is_read_without_its_parameters() {
        assert_eq!(kind_of("application/json; charset=utf-8"), Kind::Json);
        assert_eq!(kind_of("Application/JSON"), Kind::Json);
        assert_eq!(kind_of("application/merge-patch+json"), Kind::Json);
        assert_eq!(kind_of("application/x-www-form-urlencoded"), Kind::Form);
        assert_eq!(kind_of("text/plain"), Kind::Other);
        assert_eq!(kind(&HeaderMap::new()), Kind::Other);
    }

    #[tokio::test]
    async fn body_without_a_length_is_bounded_too() {
        let chunks = || ["12345", "67890", "x"].map(Ok::<_, std::io::Error>);
        let body = || Body::from_stream(futures_util::stream::iter(chunks()));
        let room = |_| Ok(());
        assert_eq!(collect(body(), 11, room).await.unwrap().len(), 11);
        assert_eq!(collect(body(), 10, room).await.unwrap_err().code, Code::PayloadTooLarge);
    }
}
