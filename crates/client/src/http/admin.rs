//! The server's state, for everyone and for administrators.

use parlor_protocol::http::{AdminUser, Info, Page, PatchUserRequest, Readiness, Status};
use reqwest::Method;

use super::{Call, Http};
use crate::error::ClientError;

impl Http {
    /// Returns when the server is alive.
    pub async fn healthz(&self) -> Result<(), ClientError> {
        self.empty(Call::root(Method::GET, vec!["healthz"])).await
    }

    /// Returns whether the server takes work, and what it waits for.
    pub async fn readyz(&self) -> Result<Readiness, ClientError> {
        let mut call = Call::root(Method::GET, vec!["readyz"]);
        call.also = Some(503);
        self.json(call).await
    }

    /// Returns what the server is.
    pub async fn info(&self) -> Result<Info, ClientError> {
        self.json(Call::root(Method::GET, vec!["info"])).await
    }

    /// Returns the state of all nodes.
    pub async fn admin_status(&self) -> Result<Status, ClientError> {
        self.json(Call::v1(Method::GET, &["admin", "status"])).await
    }

    /// Returns one page of users.
    pub async fn admin_users(&self, cursor: Option<&str>) -> Result<Page<AdminUser>, ClientError> {
        self.page(Call::v1(Method::GET, &["admin", "users"]).query_if("cursor", cursor)).await
    }

    /// Changes a user's role, or whether they may log in.
    pub async fn patch_user(
        &self,
        username: &str,
        request: &PatchUserRequest,
    ) -> Result<AdminUser, ClientError> {
        self.json(Call::v1(Method::PATCH, &["admin", "users", username]).body(request)?).await
    }
}
