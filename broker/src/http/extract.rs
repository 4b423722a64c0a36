//! What handlers take from a request. Each refusal says what is wrong and quotes nothing.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Path};
use http::HeaderMap;
use http::request::Parts;
use parlor_protocol::code::Code;
use serde::de::DeserializeOwned;

use super::{App, ClientAddress};
use crate::node::Caller;
use crate::rate::AddressKey;
use crate::refusal::{Outcome, Refusal};
use crate::stream::ShardHandle;

mod body;
pub(super) mod explain;

pub(crate) use body::discard;
pub(super) use body::{JsonBody, JsonOrForm, OptionalJson, read_bytes};

/// The guard has put the caller there; without a guard nobody is logged in.
impl FromRequestParts<App> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Outcome<Self> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Refusal::new(Code::Unauthenticated, "Log in."))
    }
}

impl FromRequestParts<App> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Infallible> {
        let unknown = Self(std::net::Ipv4Addr::UNSPECIFIED.into());
        Ok(parts.extensions.get::<Self>().copied().unwrap_or(unknown))
    }
}

impl ClientAddress {
    /// Returns the address as rate limits count it.
    pub(super) fn key(self) -> AddressKey {
        self.0.into()
    }
}

impl FromRequestParts<App> for ShardHandle {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Outcome<Self> {
        let shard = parts.extensions.get::<Self>().cloned();
        shard.ok_or_else(|| Refusal::unavailable("Live events are not available here."))
    }
}

/// Parts of the path. What has the wrong form does not exist.
#[derive(Debug, Clone, Copy)]
pub(super) struct InPath<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for InPath<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Outcome<Self> {
        let Path(value) = Path::from_request_parts(parts, app)
            .await
            .map_err(|_| Refusal::new(Code::NotFound, "There is nothing at this address."))?;
        Ok(Self(value))
    }
}

/// Parameters in the query. Unknown ones are refused where `T` refuses unknown fields.
#[derive(Debug, Clone, Copy)]
pub(super) struct InQuery<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<App> for InQuery<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Outcome<Self> {
        explain::from_form(parts.uri.query().unwrap_or_default().as_bytes()).map(Self)
    }
}

/// The caller's own id for a write, from the `Idempotency-Key` header.
#[derive(Debug, Clone)]
pub(super) struct IdempotencyKey(Option<String>);

impl FromRequestParts<App> for IdempotencyKey {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Outcome<Self> {
        idempotency_key(&parts.headers).map(Self)
    }
}

impl IdempotencyKey {
    /// Returns the one id that header and body agree on, checked.
    pub(super) fn or(self, client_id: Option<String>) -> Outcome<Option<String>> {
        let id = match (self.0, client_id) {
            (Some(key), Some(id)) if key != id => {
                return Err(Refusal::field(
                    "client_id",
                    "contradiction",
                    "differs from the header Idempotency-Key",
                ));
            }
            (key, id) => id.or(key),
        };
        if let Some(id) = &id {
            parlor_domain::naming::check_client_id(id)
                .map_err(|refused| Refusal::name("client_id", refused))?;
        }
        Ok(id)
    }
}

fn idempotency_key(headers: &HeaderMap) -> Outcome<Option<String>> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refusal::field("Idempotency-Key", "duplicate", "is given twice"));
    }
    let Ok(value) = value.to_str() else {
        return Err(Refusal::field(
            "Idempotency-Key",
            "characters",
            "may only contain visible ASCII characters",
        ));
    };
    // The draft standard writes the key as a quoted string, most clients do not.
    let bare = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    Ok(Some(bare.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> IdempotencyKey {
        IdempotencyKey(Some(text.to_owned()))
    }

    #[test]
    fn header_and_body_name_the_same_write() {
        assert_eq!(key("a").or(None).unwrap().as_deref(), Some("a"));
        assert_eq!(IdempotencyKey(None).or(Some("b".into())).unwrap().as_deref(), Some("b"));
        assert_eq!(key("a").or(Some("a".into())).unwrap().as_deref(), Some("a"));
        assert_eq!(key("a").or(Some("b".into())).unwrap_err().code, Code::ValidationFailed);
        assert_eq!(key("").or(None).unwrap_err().code, Code::ValidationFailed);
    }

    #[test]
    fn key_may_be_quoted() {
        let mut headers = HeaderMap::new();
        headers.insert("idempotency-key", http::HeaderValue::from_static("\"k1\""));
        assert_eq!(idempotency_key(&headers).unwrap().as_deref(), Some("k1"));
    }
}
