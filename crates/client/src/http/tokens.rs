//! Personal access tokens.

use parlor_protocol::http::{CreateTokenRequest, NewPersonalToken, Page, PersonalToken};
use parlor_protocol::id::TokenId;
use reqwest::Method;

use super::{Call, Http};
use crate::error::ClientError;

impl Http {
    /// Returns one's own tokens that work.
    pub async fn tokens(&self) -> Result<Page<PersonalToken>, ClientError> {
        self.page(Call::v1(Method::GET, &["users", "me", "tokens"])).await
    }

    /// Makes a token; its secret is in the answer and nowhere else.
    pub async fn create_token(
        &self,
        request: &CreateTokenRequest,
    ) -> Result<NewPersonalToken, ClientError> {
        self.json(Call::v1(Method::POST, &["users", "me", "tokens"]).body(request)?).await
    }

    /// Ends a token.
    pub async fn delete_token(&self, token: TokenId) -> Result<(), ClientError> {
        let token = token.to_string();
        self.empty(Call::v1(Method::DELETE, &["users", "me", "tokens", &token])).await
    }
}
