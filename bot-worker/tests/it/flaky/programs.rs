//! Calls about tokens and webhooks, which a worker does not make.

use async_trait::async_trait;
use parlor_protocol::id::{TokenId, UserId};
use parlor_protocol::time::Timestamp;
use parlor_store::Tokens;
use parlor_store::contract::Result;
use parlor_store::record::{NewToken, TokenConflict, TokenRecord};

use super::FlakyStore;

unused! { Tokens:
    fn create_token(NewToken) -> Result<std::result::Result<TokenRecord, TokenConflict>>;
    fn find_tokens(&[[u8; 32]]) -> Result<Vec<Option<TokenRecord>>>;
    fn list_tokens(UserId, Timestamp) -> Result<Vec<TokenRecord>>;
    fn revoke_token(UserId, TokenId, Timestamp) -> Result<bool>;
    fn touch_token(TokenId, Timestamp) -> Result<()>;
}
