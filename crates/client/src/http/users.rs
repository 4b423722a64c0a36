//! Profiles and presence.

use parlor_protocol::http::{
    DeactivateRequest, EraseRequest, EraseUserRequest, PatchMeRequest, PresenceResponse,
    PutPasswordRequest,
};
use parlor_protocol::user::User;
use reqwest::Method;

use super::{ByteStream, Call, Http};
use crate::error::ClientError;

impl Http {
    /// Returns one's own profile.
    pub async fn me(&self) -> Result<User, ClientError> {
        self.json(Call::v1(Method::GET, &["users", "me"])).await
    }

    /// Changes one's own profile.
    pub async fn patch_me(&self, request: &PatchMeRequest) -> Result<User, ClientError> {
        self.json(Call::v1(Method::PATCH, &["users", "me"]).body(request)?).await
    }

    /// Erases one's own account and forgets the tokens.
    pub async fn delete_me(&self, request: &EraseRequest) -> Result<(), ClientError> {
        self.empty(Call::v1(Method::DELETE, &["users", "me"]).body(request)?).await?;
        self.forget().await
    }

    /// Deactivates one's own account and forgets the tokens.
    pub async fn deactivate_me(&self, request: &DeactivateRequest) -> Result<(), ClientError> {
        let call = Call::v1(Method::POST, &["users", "me", "deactivate"]);
        self.empty(call.body(request)?).await?;
        self.forget().await
    }

    /// Erases another's account. For administrators.
    pub async fn erase_user(
        &self,
        username: &str,
        request: &EraseUserRequest,
    ) -> Result<(), ClientError> {
        let call = Call::v1(Method::DELETE, &["admin", "users", username]);
        self.empty(call.body(request)?).await
    }

    /// Downloads everything that is held of oneself, as JSON lines.
    pub async fn export_me(&self) -> Result<ByteStream, ClientError> {
        self.stream(Call::v1(Method::GET, &["users", "me", "export"])).await
    }

    /// Changes one's own password.
    pub async fn put_password(&self, request: &PutPasswordRequest) -> Result<(), ClientError> {
        self.empty(Call::v1(Method::PUT, &["users", "me", "password"]).body(request)?).await
    }

    /// Returns a profile.
    pub async fn user(&self, username: &str) -> Result<User, ClientError> {
        self.json(Call::v1(Method::GET, &["users", username])).await
    }

    /// Returns whether someone is there.
    pub async fn presence(&self, username: &str) -> Result<PresenceResponse, ClientError> {
        self.json(Call::v1(Method::GET, &["users", username, "presence"])).await
    }
}
