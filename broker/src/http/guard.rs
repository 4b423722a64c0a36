//! What happens before a handler: who calls, how often, and for how long.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use parlor_cluster::Left;
use parlor_protocol::code::Code;
use parlor_protocol::id::UserId;
use parlor_protocol::user::ServerRole;
use tokio::sync::oneshot;

use super::endpoint::{Access, Limit};
use super::{App, ClientAddress};
use crate::grant::Need;
use crate::node::{Caller, Node};
use crate::rate::{AddressKey, Rule};
use crate::refusal::{Outcome, Refusal};

/// The guard of one operation.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    app: App,
    access: Access,
    need: Need,
    rule: Rule,
    time_limit: Option<Duration>,
}

/// Where a request comes from, as far as it says.
#[derive(Debug, Clone, Copy)]
struct Origin<'a> {
    headers: &'a HeaderMap,
    address: Option<ClientAddress>,
}

/// Who called, as the access log names them.
#[derive(Debug, Clone, Copy)]
pub(super) struct CalledBy(pub(super) UserId);

impl Gate {
    pub(super) fn new(app: App, access: Access, need: Need, rule: Rule, limit: Limit) -> Self {
        let time_limit = match limit {
            Limit::Request => Some(app.node().config.limits.request_timeout),
            Limit::Own => None,
        };
        Self { app, access, need, rule, time_limit }
    }

    async fn check(&self, origin: &Origin<'_>) -> Outcome<Option<Caller>> {
        if self.access != Access::Open {
            self.app.node().check_has_admin()?;
        }
        match self.access {
            Access::Open => Ok(None),
            Access::Public => charge_address(self.app.node(), origin.address).map(|()| None),
            Access::User => self.authenticate(origin).await.map(Some),
            Access::Admin => {
                let caller = self.authenticate(origin).await?;
                if caller.role == ServerRole::Admin {
                    Ok(Some(caller))
                } else {
                    Err(Refusal::new(Code::Forbidden, "Only administrators may do this."))
                }
            }
        }
    }

    async fn authenticate(&self, origin: &Origin<'_>) -> Outcome<Caller> {
        let need = (self.need, self.rule);
        authenticate(&self.app, origin.headers, origin.address, need).await
    }
}

/// Finds out who asks, and counts the request: of a user, or of an address where that fails.
pub(super) async fn authenticate(
    app: &App,
    headers: &HeaderMap,
    address: Option<ClientAddress>,
    (need, rule): (Need, Rule),
) -> Outcome<Caller> {
    let node = app.node();
    let token = match bearer(headers) {
        Ok(token) => token,
        Err(refusal) => return Err(charge_address(node, address).err().unwrap_or(refusal)),
    };
    let caller = match node.authenticate(token).await {
        Ok(caller) => caller,
        // A stranger has the budget of an address, not of whom they claim to be.
        Err(refusal) if refusal.code.status() == 401 => {
            return Err(charge_address(node, address).err().unwrap_or(refusal));
        }
        Err(refusal) => return Err(refusal),
    };
    node.rate.requests_user.check(&caller.user.id).map_err(|limited| {
        node.metrics.auth.rate_limited.with_label_values(&["request"]).inc();
        Refusal::from(limited)
    })?;
    node.rate.check_rule(rule, caller.user.id).map_err(|limited| {
        node.metrics.auth.rate_limited.with_label_values(&[rule.as_str()]).inc();
        Refusal::from(limited)
    })?;
    caller.check(need)?;
    Ok(caller)
}

/// Counts a request of an address.
pub(super) fn charge_address(node: &Node, address: Option<ClientAddress>) -> Outcome<()> {
    let Some(address) = address else { return Ok(()) };
    node.rate.requests_address.check(&AddressKey::from(address.0)).map_err(|limited| {
        node.metrics.auth.rate_limited.with_label_values(&["request"]).inc();
        Refusal::from(limited)
    })
}

/// Returns what is left of a budget as the header says it: how many requests, and in how many
/// seconds all of them are there again.
fn to_header(policy: &str, left: Left) -> Option<HeaderValue> {
    let seconds = left.full_in.as_secs() + u64::from(left.full_in.subsec_nanos() > 0);
    HeaderValue::try_from(format!("\"{policy}\";r={};t={seconds}", left.count)).ok()
}

/// Lets a request through to its handler, with its [`Caller`] as extension, or refuses it.
pub(super) async fn admit(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let address = request.extensions().get::<ClientAddress>().copied();
    let checked = gate.check(&Origin { headers: request.headers(), address }).await;
    let caller = match checked {
        Ok(caller) => caller,
        Err(refusal) => return refusal.into_response(),
    };
    let called_by = caller.as_ref().map(|caller| CalledBy(caller.user.id));
    let rate = &gate.app.node().rate;
    let left = match (called_by, address) {
        (Some(CalledBy(user)), _) => rate.requests_user.left(&user).map(|left| ("user", left)),
        (None, Some(address)) if gate.access == Access::Public => {
            let left = rate.requests_address.left(&AddressKey::from(address.0));
            left.map(|left| ("address", left))
        }
        (None, _) => None,
    };
    if let Some(caller) = caller {
        request.extensions_mut().insert(caller);
    }
    let mut response = match gate.time_limit {
        None => next.run(request).await,
        Some(limit) => {
            let answer = to_its_end(&gate, request, next);
            tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| too_late())
        }
    };
    if let Some(called_by) = called_by {
        response.extensions_mut().insert(called_by);
    }
    if let Some(left) = left.and_then(|(policy, left)| to_header(policy, left)) {
        response.headers_mut().insert(HeaderName::from_static("ratelimit"), left);
    }
    response
}

/// Runs a handler that changes something in a task of its own: a client that hangs up between a
/// commit and what follows from it, such as cutting the connections of a login, must not stop it.
async fn to_its_end(gate: &Gate, request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let (sender, answer) = oneshot::channel();
    gate.app.node().lifecycle.spawn("request", async move {
        // Whoever asked may have gone.
        drop(sender.send(next.run(request).await));
    });
    answer.await.unwrap_or_else(|_| too_late())
}

fn too_late() -> Response {
    Refusal::unavailable(
        "This took too long. Whether a write was done is unknown; repeat it with the same \
         client_id.",
    )
    .into_response()
}

fn bearer(headers: &HeaderMap) -> Outcome<&str> {
    let missing = || {
        Refusal::new(
            Code::Unauthenticated,
            "Log in, and send the access token as `Authorization: Bearer`.",
        )
    };
    let value = headers.get(AUTHORIZATION).ok_or_else(missing)?;
    let value = value.to_str().map_err(|_| missing())?;
    let (scheme, token) = value.split_once(' ').ok_or_else(missing)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(missing()) }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn token(value: &'static str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
        bearer(&headers).ok().map(str::to_owned)
    }

    #[test]
    fn only_a_bearer_token_is_a_proof() {
        assert_eq!(token("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(token("bearer  abc").as_deref(), Some("abc"));
        assert_eq!(token("Basic abc"), None);
        assert_eq!(token("abc"), None);
        assert_eq!(bearer(&HeaderMap::new()).unwrap_err().code, Code::Unauthenticated);
    }
}
