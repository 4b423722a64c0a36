//! Bots and model providers.

use parlor_protocol::http::{
    Bot, CreateBotRequest, MemoryStats, Page, PatchBotRequest, ProviderHealth, ProviderSummary,
    TestPromptRequest, TestPromptResponse,
};
use reqwest::Method;

use super::{Call, Http};
use crate::error::ClientError;

impl Http {
    /// Returns one page of bots.
    pub async fn bots(&self, cursor: Option<&str>) -> Result<Page<Bot>, ClientError> {
        self.page(Call::v1(Method::GET, &["bots"]).query_if("cursor", cursor)).await
    }

    /// Makes a bot.
    pub async fn create_bot(&self, request: &CreateBotRequest) -> Result<Bot, ClientError> {
        self.json(Call::v1(Method::POST, &["bots"]).body(request)?).await
    }

    /// Returns a bot.
    pub async fn bot(&self, bot: &str) -> Result<Bot, ClientError> {
        self.json(Call::v1(Method::GET, &["bots", bot])).await
    }

    /// Changes a bot.
    pub async fn patch_bot(
        &self,
        bot: &str,
        request: &PatchBotRequest,
    ) -> Result<Bot, ClientError> {
        self.json(Call::v1(Method::PATCH, &["bots", bot]).body(request)?).await
    }

    /// Deletes a bot.
    pub async fn delete_bot(&self, bot: &str) -> Result<(), ClientError> {
        self.empty(Call::v1(Method::DELETE, &["bots", bot])).await
    }

    /// Returns what the bots of a room can remember.
    pub async fn memory(&self, room: &str) -> Result<Page<MemoryStats>, ClientError> {
        self.page(Call::v1(Method::GET, &["rooms", room, "memory"])).await
    }

    /// Returns the configured model providers.
    pub async fn providers(&self) -> Result<Page<ProviderSummary>, ClientError> {
        self.page(Call::v1(Method::GET, &["llm", "providers"])).await
    }

    /// Returns whether the model providers can be reached.
    pub async fn provider_health(&self) -> Result<Page<ProviderHealth>, ClientError> {
        self.page(Call::v1(Method::GET, &["llm", "health"])).await
    }

    /// Sends one prompt through a provider.
    pub async fn test_prompt(
        &self,
        request: &TestPromptRequest,
    ) -> Result<TestPromptResponse, ClientError> {
        let mut call = Call::v1(Method::POST, &["llm", "test"]).body(request)?;
        call.timeout = Some(self.config().reply_timeout);
        self.json(call).await
    }
}
