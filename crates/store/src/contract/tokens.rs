//! Personal access tokens.

use async_trait::async_trait;
use parlor_protocol::id::{TokenId, UserId};
use parlor_protocol::time::Timestamp;

use super::Result;
use crate::record::{NewToken, TokenConflict, TokenRecord};

/// Personal access tokens. What ends all logins of a user ends these as well.
#[async_trait]
pub trait Tokens {
    /// Makes a token; the same id again is a repeat.
    async fn create_token(
        &self,
        token: NewToken,
    ) -> Result<std::result::Result<TokenRecord, TokenConflict>>;

    /// Finds the tokens with these hashes that were not ended, also expired ones: one answer for
    /// each, by one call to the database.
    async fn find_tokens(&self, hashes: &[[u8; 32]]) -> Result<Vec<Option<TokenRecord>>>;

    /// Lists the tokens of a user that work at `at`, newest first.
    async fn list_tokens(&self, user: UserId, at: Timestamp) -> Result<Vec<TokenRecord>>;

    /// Ends a token of a user; `false` when there is none, or it had ended. Other nodes hear of it
    /// as of a login with the same id.
    async fn revoke_token(&self, user: UserId, token: TokenId, at: Timestamp) -> Result<bool>;

    /// Remembers when a token was last used; never moves it back.
    async fn touch_token(&self, token: TokenId, at: Timestamp) -> Result<()>;
}
