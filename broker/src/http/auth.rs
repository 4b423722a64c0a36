//! Accounts and logins: what all their operations share.

use http::HeaderMap;
use http::header::USER_AGENT;
use jiff::SignedDuration;
use parlor_auth::{HashError, Known, NewAccess, NewPasswordError, PasswordRule, RefreshTokens};
use parlor_protocol::code::Code;
use parlor_protocol::http::TokenResponse;
use parlor_protocol::id::SessionId;
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::User;
use parlor_store::record::NewSession;

use super::endpoint::Endpoint;
use crate::node::Node;
use crate::refusal::{Outcome, Refusal};

pub(super) mod login;
mod logout;
mod refresh;
mod register;
mod session;
mod setup;

/// Logins that one user may have; the oldest above it are ended.
const SESSIONS_MAX: u32 = 50;
/// Longest name of a client that is kept, in characters.
const CLIENT_MAX: usize = 120;

pub(super) use register::username_code;

pub(super) fn endpoints() -> Vec<Endpoint> {
    [
        register::endpoint(),
        login::endpoint(),
        refresh::endpoint(),
        logout::endpoint(),
        setup::endpoint(),
    ]
    .into_iter()
    .chain(session::endpoints())
    .collect()
}

/// Begins a login and returns its first pair of tokens.
async fn begin_session(node: &Node, user: User, headers: &HeaderMap) -> Outcome<TokenResponse> {
    let session = SessionId(node.clock.new_id());
    let refresh_token = node.refresh_tokens.issue();
    let now = node.now();
    let ended = node
        .store
        .create_session(NewSession {
            id: session,
            user: user.id,
            client: client_name(headers),
            refresh_hash: RefreshTokens::hash(&refresh_token),
            at: now,
            idle_until: later(now, node.config.auth.refresh_idle),
            absolute_until: later(now, node.config.auth.refresh_absolute),
            max_sessions: SESSIONS_MAX,
        })
        .await?;
    for session in ended {
        node.end_session(session);
    }
    Ok(issue(node, user, session, refresh_token))
}

/// Makes the access token that goes with a refresh token.
fn issue(node: &Node, user: User, session: SessionId, refresh_token: String) -> TokenResponse {
    let life = node.config.auth.access_token_expire;
    let new = NewAccess { user: user.id, session, role: user.role, id: node.clock.new_id() };
    let (access_token, _) = node.access_tokens.issue(new, node.clock.now(), life);
    TokenResponse {
        user,
        access_token,
        token_type: "bearer".to_owned(),
        expires_in: life.as_secs(),
        refresh_token,
    }
}

/// Hashes a new password, or says what is wrong with it.
pub(super) async fn hash_new(
    node: &Node,
    field: &str,
    password: &str,
    known: Known,
) -> Outcome<String> {
    let rule = password_rule(node);
    node.passwords.hash_new(password, rule, known).await.map_err(|error| match error {
        NewPasswordError::Refused(refused) => refuse_password(field, &refused),
        NewPasswordError::Hash(error) => refuse_hash(error),
    })
}

fn password_rule(node: &Node) -> PasswordRule {
    PasswordRule { min: node.config.auth.password_min, max: node.config.auth.password_max }
}

fn refuse_password(field: &str, refused: &parlor_auth::PasswordRefused) -> Refusal {
    use parlor_auth::PasswordRefused::{Guessable, TooLong, TooShort};
    let code = match refused {
        TooShort { .. } | TooLong { .. } => "length",
        Guessable { .. } => "guessable",
    };
    let mut refusal = Refusal::field(field, code, refused.to_string());
    // The rule speaks in whole sentences.
    refusal.detail = refused.to_string();
    refusal
}

/// Says why a password was not compared or hashed.
pub(super) fn refuse_hash(error: HashError) -> Refusal {
    match error {
        HashError::Busy => {
            Refusal::unavailable("Too many people are logging in; try again in a moment.")
        }
        HashError::Failed => Refusal::internal(&error),
    }
}

/// One answer for every reason, so that nobody learns which user names exist.
fn wrong_login() -> Refusal {
    Refusal::new(Code::Unauthenticated, "The user name or the password is wrong.")
}

fn later(now: Timestamp, by: std::time::Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    Timestamp::new(now.as_jiff().saturating_add(by).unwrap_or(jiff::Timestamp::MAX))
}

/// What the client calls itself, in plain characters.
fn client_name(headers: &HeaderMap) -> String {
    let name = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    name.chars().filter(|c| !c.is_control()).take(CLIENT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn name_of_a_client_is_short() {
        let mut headers = HeaderMap::new();
        assert_eq!(client_name(&headers), "");
        headers.insert(USER_AGENT, HeaderValue::from_str(&"x".repeat(500)).unwrap());
        assert_eq!(client_name(&headers).len(), CLIENT_MAX);
    }

    #[test]
    fn refused_password_says_why_in_its_field() {
        let refused = parlor_auth::PasswordRefused::TooShort { min: 8 };
        let refusal = refuse_password("password", &refused);
        assert_eq!(refusal.code, Code::ValidationFailed);
        assert_eq!(refusal.errors[0].code, "length");
        assert_eq!(refusal.detail, "The password needs at least 8 characters.");
    }
}
