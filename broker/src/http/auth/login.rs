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
use crate::node::{Caller, Node};
use crate::refusal::{Outcome, Refusal};

/// Longest user name or e-mail address that is looked up, in bytes.
const LOGIN_MAX: usize = 254;

pub(super) fn endpoint() -> Endpoint {
    Endpoint::post("/v1/auth/token", "log_in", log_in)
        .about("Login", "Log in with user name or e-mail address, and password")
        .details(
            "As JSON, or as an OAuth2 password form. The answer is the same for an unknown user and \
             a wrong password. With the right one, an account that was deactivated is `forbidden`.",
        )
        .access(Access::Public)
        .body::<TokenRequest>()
        .or_form::<TokenRequest>()
        .answers::<TokenResponse>(200, "A pair of tokens.")
        .refuses(&[Code::Unauthenticated, Code::Forbidden])
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
    let checked = check_password(&app, address, &login, &request.password).await?;
    let (node, user) = (app.node(), checked.account.user.id);
    let tokens = begin_session(node, checked.account.user, &headers).await?;
    // A password that changes, or an account that closes, ends the logins that are there by then:
    // this one may have come after that.
    let now = node.store.find_credentials(&login).await?;
    let holds = now.is_some_and(|now| {
        let same = now.password_hash == checked.hash;
        now.account.user.id == user && now.account.active && same
    });
    if !holds {
        end_newest(node, &tokens).await?;
        return Err(wrong_login());
    }
    Ok(Json(tokens))
}

/// Ends the login that was just begun.
async fn end_newest(node: &Node, tokens: &TokenResponse) -> Outcome<()> {
    let begun = node.authenticate(&tokens.access_token).await;
    let Ok(caller) = begun else { return Ok(()) };
    node.store.revoke_session(caller.session, node.now()).await?;
    node.end_session(caller.session);
    Ok(())
}

/// Whose password was right, and the hash that it fits.
pub(in crate::http) struct Checked {
    pub(in crate::http) account: Account,
    pub(in crate::http) hash: Option<String>,
}

/// Finds the active account that has this name and this password.
///
/// Takes the same time whatever is wrong. Wrong passwords are counted and slowed down.
pub(in crate::http) async fn check_password(
    app: &App,
    address: ClientAddress,
    login: &str,
    password: &str,
) -> Outcome<Checked> {
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
    let Some(credentials) = credentials.filter(|_| same) else {
        count("refused");
        return Err(wrong_login());
    };
    attempt.succeeded().await;
    let (account, mut hash) = (credentials.account, credentials.password_hash);
    if !account.active {
        count("inactive");
        let detail = "This account is deactivated; an administrator can reactivate it.";
        return Err(Refusal::new(Code::Forbidden, detail));
    }
    count("ok");
    if let Some(stored) = &hash
        && let Some(renewed) = renew_hash(node, &account, stored, password).await
    {
        hash = Some(renewed);
    }
    Ok(Checked { account, hash })
}

/// Checks the password of whoever calls, for what a login alone is not enough for. Wrong ones are
/// counted and slowed down as at a login.
pub(in crate::http) async fn check_own_password(
    app: &App,
    address: ClientAddress,
    caller: &Caller,
    field: &str,
    password: &str,
) -> Outcome<Checked> {
    let wrong = || Refusal::field(field, "wrong", "is not the present password");
    // The name that the caller had may be another's by now.
    let account = app.node().store.find_user(caller.user.id).await?;
    let name = account.map(|account| account.user.username).ok_or_else(wrong)?;
    match check_password(app, address, &name, password).await {
        Ok(checked) if checked.account.user.id == caller.user.id => Ok(checked),
        Ok(_) => Err(wrong()),
        // The login itself is fine, so this is not about it.
        Err(refusal) if refusal.code == Code::Unauthenticated => Err(wrong()),
        Err(refusal) => Err(refusal),
    }
}

/// Replaces a hash that was made with other parameters than those of today. The login succeeds in
/// any case; the next one tries again.
async fn renew_hash(
    node: &Node,
    account: &Account,
    stored: &str,
    password: &str,
) -> Option<String> {
    if !node.passwords.needs_rehash(stored) {
        return None;
    }
    let hash = node.passwords.hash(password).await.ok()?;
    if let Err(error) = node.store.set_password_hash(account.user.id, hash.clone()).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "cannot renew a password's hash");
        return None;
    }
    Some(hash)
}
