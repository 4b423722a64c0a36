//! Logging in with a password.

use axum::Json;
use axum::extract::State;
use http::HeaderMap;
use parlor_auth::HashError;
use parlor_cluster::TakeRefused;
use parlor_protocol::code::Code;
use parlor_protocol::http::{TokenRequest, TokenResponse};
use parlor_store::record::Account;

use super::{begin_session, refuse_hash, wrong_login};
use crate::http::endpoint::{Access, Endpoint};
use crate::http::extract::JsonOrForm;
use crate::http::{App, ClientAddress};
use crate::node::Node;
use crate::refusal::{Outcome, Refusal};

/// Longest user name or e-mail address that is looked up, in bytes.
const LOGIN_MAX: usize = 254;

pub(super) fn endpoint() -> Endpoint {
    Endpoint::post("/v1/auth/token", "log_in", log_in)
        .about("Login", "Log in with user name or e-mail address, and password")
        .details(
            "As JSON, or as an OAuth2 password form. The answer is the same for an unknown user, a \
             wrong password and an account that was deactivated.",
        )
        .access(Access::Public)
        .body::<TokenRequest>()
        .or_form::<TokenRequest>()
        .answers::<TokenResponse>(200, "A pair of tokens.")
        .refuses(&[Code::Unauthenticated])
}

async fn log_in(
    State(app): State<App>,
    address: ClientAddress,
    headers: HeaderMap,
    JsonOrForm(request): JsonOrForm<TokenRequest>,
) -> Outcome<Json<TokenResponse>> {
    if request.grant_type.as_deref().is_some_and(|grant| grant != "password") {
        return Err(Refusal::field("grant_type", "unsupported", "must be `password`"));
    }
    let login = request.username.trim().to_lowercase();
    let account = check_password(&app, address, &login, &request.password).await?;
    Ok(Json(begin_session(app.node(), account.user, &headers).await?))
}

/// Finds the active account that has this name and this password.
///
/// Takes the same time whatever is wrong. Wrong passwords are counted and slowed down.
pub(in crate::http) async fn check_password(
    app: &App,
    address: ClientAddress,
    login: &str,
    password: &str,
) -> Outcome<Account> {
    let node = app.node();
    let count = |outcome: &str| node.metrics.auth.logins.with_label_values(&[outcome]).inc();
    if node.passwords.is_full() {
        // Before anyone else is asked anything: in a storm of logins most end here.
        count("busy");
        return Err(refuse_hash(HashError::Busy));
    }
    let attempt = app.throttle().begin(login, address.key()).await;
    let attempt = attempt.map_err(|refused| match refused {
        TakeRefused::Limited(limited) => {
            count("throttled");
            node.metrics.auth.rate_limited.with_label_values(&["login"]).inc();
            limited.into()
        }
        TakeRefused::Unavailable => {
            count("unavailable");
            Refusal::unavailable("Passwords cannot be checked at the moment; try again soon.")
        }
    })?;
    let credentials =
        if login.len() <= LOGIN_MAX { node.store.find_credentials(login).await? } else { None };
    let stored = credentials.as_ref().and_then(|found| found.password_hash.as_deref());
    let same = match node.passwords.verify(password, stored).await {
        Ok(same) => same,
        Err(error) => {
            attempt.give_back().await;
            count("busy");
            return Err(refuse_hash(error));
        }
    };
    let Some(credentials) = credentials.filter(|found| same && found.account.active) else {
        count("refused");
        return Err(wrong_login());
    };
    attempt.succeeded().await;
    count("ok");
    if let Some(stored) = &credentials.password_hash {
        renew_hash(node, &credentials.account, stored, password).await;
    }
    Ok(credentials.account)
}

/// Replaces a hash that was made with other parameters than those of today. The login succeeds in
/// any case; the next one tries again.
async fn renew_hash(node: &Node, account: &Account, stored: &str, password: &str) {
    if !node.passwords.needs_rehash(stored) {
        return;
    }
    let Ok(hash) = node.passwords.hash(password).await else { return };
    if let Err(error) = node.store.set_password_hash(account.user.id, hash).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "cannot renew a password's hash");
    }
}
