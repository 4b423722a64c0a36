//! Accounts and logins.

use parlor_protocol::http::{
    RegisterRequest, SessionResponse, SetupRequest, TokenRequest, TokenResponse, WsTicket,
};
use parlor_protocol::user::User;
use reqwest::Method;

use super::{Call, Http};
use crate::error::ClientError;

impl Http {
    /// Makes an account and logs in to it.
    pub async fn register(&self, request: &RegisterRequest) -> Result<User, ClientError> {
        self.obtain(Call::v1(Method::POST, &["auth", "register"]).body(request)?).await
    }

    /// Makes the first administrator by the token of the setup link, and logs in.
    pub async fn set_up(&self, request: &SetupRequest) -> Result<User, ClientError> {
        self.obtain(Call::v1(Method::POST, &["auth", "setup"]).body(request)?).await
    }

    /// Logs in.
    pub async fn log_in(&self, username: &str, password: &str) -> Result<User, ClientError> {
        let request = TokenRequest {
            username: username.to_owned(),
            password: password.to_owned(),
            grant_type: None,
            scope: None,
            client_id: None,
            client_secret: None,
        };
        self.obtain(Call::v1(Method::POST, &["auth", "token"]).body(&request)?).await
    }

    /// Ends this login, or all logins of the user, and forgets the tokens.
    ///
    /// The tokens are forgotten also when the server cannot be told.
    pub async fn log_out(&self, all: bool) -> Result<(), ClientError> {
        let call = Call::v1(Method::POST, &["auth", "logout"]);
        let told = self.empty(call.query_if("all", all.then_some("true"))).await;
        self.forget().await?;
        told
    }

    /// Returns who is logged in, and how.
    pub async fn session(&self) -> Result<SessionResponse, ClientError> {
        self.json(Call::v1(Method::GET, &["auth", "session"])).await
    }

    /// Returns a single-use ticket for the WebSocket.
    pub async fn ws_ticket(&self) -> Result<WsTicket, ClientError> {
        self.json(Call::v1(Method::POST, &["auth", "ws-ticket"])).await
    }

    async fn obtain(&self, call: Call<'_>) -> Result<User, ClientError> {
        let response: TokenResponse = self.json(call.anonymous()).await?;
        self.obtained(&response).await?;
        Ok(response.user)
    }
}
