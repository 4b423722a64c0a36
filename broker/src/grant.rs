//! What a proof of who calls allows: a login everything, a personal access token its scopes.

use std::time::Duration;

use parlor_auth::Mark;
use parlor_protocol::code::Code;
use parlor_protocol::http::{Scope, Scopes};
use parlor_protocol::id::SessionId;
use parlor_protocol::time::Timestamp;

use crate::node::{Caller, Node};
use crate::refusal::{Outcome, Refusal};

/// How exactly the time of a token's last use is kept.
const USED_EVERY: Duration = Duration::from_mins(1);

/// What a proof allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// Everything that the user may.
    Login,
    /// Of that, what the scopes of a personal access token name.
    Token(Scopes),
}

/// What an operation asks of a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// A login: a personal access token cannot make others, nor change who owns the account.
    Login,
    /// A login, or a token with this scope.
    Scope(Scope),
}

impl Grant {
    /// Tells whether it is enough for something.
    pub(crate) fn suffices(self, need: Need) -> bool {
        match (self, need) {
            (Self::Login, _) => true,
            (Self::Token(_), Need::Login) => false,
            (Self::Token(scopes), Need::Scope(scope)) => scopes.contains(scope),
        }
    }
}

impl Caller {
    /// Refuses what the proof does not allow.
    pub(crate) fn check(&self, need: Need) -> Outcome<()> {
        if self.grant.suffices(need) {
            return Ok(());
        }
        let detail = match need {
            Need::Login => "A personal access token cannot do this; log in.".to_owned(),
            Need::Scope(scope) => format!("The token does not have the scope `{scope}`."),
        };
        Err(Refusal::new(Code::Forbidden, detail))
    }

    /// Refuses what needs a further scope than that of the operation.
    pub(crate) fn check_scope(&self, scope: Scope) -> Outcome<()> {
        self.check(Need::Scope(scope))
    }
}

impl Node {
    /// Finds the owner of a personal access token that still works.
    pub(crate) async fn authenticate_personal(&self, secret: &str) -> Outcome<Caller> {
        let wrong =
            || Refusal::new(Code::Unauthenticated, "The personal access token is not valid.");
        let hash = Mark::PersonalToken.hash(secret).ok_or_else(wrong)?;
        let token = self.lookups.find_token(hash).await?.ok_or_else(wrong)?;
        let now = self.now();
        if token.expires_at <= now {
            return Err(wrong());
        }
        let caller = self.identify(token.user, SessionId(token.id.0), token.expires_at).await?;
        let used_at = token.last_used_at.map_or(i64::MIN, Timestamp::as_millis);
        let exact = i64::try_from(USED_EVERY.as_millis()).unwrap_or(i64::MAX);
        if now.as_millis().saturating_sub(exact) >= used_at {
            let store = std::sync::Arc::clone(&self.store);
            self.lifecycle.spawn("token use", async move {
                if let Err(error) = store.touch_token(token.id, now).await {
                    tracing::debug!(%error, "the last use of a token was not noted");
                }
            });
        }
        Ok(Caller { grant: Grant::Token(token.scopes), ..caller })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_allows_its_scopes_and_never_what_needs_a_login() {
        let token = Grant::Token([Scope::Read, Scope::Rooms].into_iter().collect());
        for scope in Scope::ALL {
            let need = Need::Scope(scope);
            assert_eq!(token.suffices(need), matches!(scope, Scope::Read | Scope::Rooms));
            assert!(Grant::Login.suffices(need));
        }
        assert!(!token.suffices(Need::Login));
        assert!(Grant::Login.suffices(Need::Login));
    }
}
