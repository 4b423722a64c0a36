//! Where a login's tokens are kept.

use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

use parlor_protocol::http::TokenResponse;
use serde::{Deserialize, Serialize};

/// A login: a short-lived access token and the single-use token that renews it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Proves who is asking.
    pub access_token: String,
    /// Is exchanged for the next pair, once.
    pub refresh_token: String,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

impl From<&TokenResponse> for Tokens {
    fn from(response: &TokenResponse) -> Self {
        Self {
            access_token: response.access_token.clone(),
            refresh_token: response.refresh_token.clone(),
        }
    }
}

/// Held while tokens are renewed; dropping it lets the next one in.
pub type TokenLock = Box<dyn Send>;

/// Keeps the tokens of one login.
///
/// A refresh token works once, and using it twice ends the login. So where several programs share
/// a store, `lock` must keep them apart while one of them renews, and `save` must be atomic.
/// Methods may block for as long as a small file takes; they are called off the async threads.
pub trait TokenStore: Send + Sync + fmt::Debug {
    /// Returns the present tokens.
    fn load(&self) -> io::Result<Option<Tokens>>;

    /// Replaces the tokens; `None` forgets them.
    fn save(&self, tokens: Option<&Tokens>) -> io::Result<()>;

    /// Waits until no other program renews this login.
    fn lock(&self) -> io::Result<TokenLock> {
        Ok(Box::new(()))
    }
}

/// Keeps tokens for the life of the process.
#[derive(Debug, Default)]
pub struct MemoryTokens {
    tokens: Mutex<Option<Tokens>>,
}

impl MemoryTokens {
    /// Creates a store that holds `tokens`.
    pub fn new(tokens: Tokens) -> Self {
        Self { tokens: Mutex::new(Some(tokens)) }
    }
}

impl TokenStore for MemoryTokens {
    fn load(&self) -> io::Result<Option<Tokens>> {
        Ok(self.tokens.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn save(&self, tokens: Option<&Tokens>) -> io::Result<()> {
        *self.tokens.lock().unwrap_or_else(PoisonError::into_inner) = tokens.cloned();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_do_not_show_themselves() {
        let tokens = Tokens { access_token: "s3cret".into(), refresh_token: "s3cret".into() };
        assert!(!format!("{:?}", MemoryTokens::new(tokens)).contains("s3cret"));
    }
}
