//! Profiles and presence.

use parlor_protocol::http::{PatchMeRequest, PresenceResponse, PutPasswordRequest};
use parlor_protocol::user::User;
use reqwest::Method;

use super::{Call, Http};
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
    pub async fn delete_me(&self) -> Result<(), ClientError> {
        self.empty(Call::v1(Method::DELETE, &["users", "me"])).await?;
        self.forget().await
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
