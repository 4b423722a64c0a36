//! Providers whose replies a test decides.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use parlor_llm::{
    ApiKey, ChatChunk, ChatRequest, ChatStream, FinishReason, Model, Provider, ProviderConfig,
    ProviderError, ProviderKind, Providers, http_client,
};
use parlor_testkit::fake_llm::FakeLlm;
use tokio::sync::{Mutex as AsyncMutex, mpsc};

use crate::harness::within;

/// Providers with the fake as default, under the name `fake`.
pub(crate) fn fake_providers(fake: &FakeLlm) -> Providers {
    let config = ProviderConfig {
        name: "fake".to_owned(),
        kind: ProviderKind::OpenAi,
        base_url: Some(fake.openai_url()),
        api_key: Some(ApiKey::new("sk-worker-test-key")),
        model: Some("fake-model".to_owned()),
        allow_pull: false,
    };
    Providers::build(&[config], "fake", &http_client(Duration::from_secs(2)).unwrap()).unwrap()
}

/// A provider whose replies the test writes piece by piece.
#[derive(Debug)]
pub(crate) struct Puppet {
    calls: mpsc::Sender<Call>,
    waiting: AsyncMutex<mpsc::Receiver<Call>>,
    panics: Mutex<u32>,
}

/// One call of a [`Puppet`].
#[derive(Debug)]
pub(crate) struct Call {
    pieces: mpsc::Sender<Result<ChatChunk, ProviderError>>,
}

impl Call {
    pub(crate) async fn text(&self, text: &str) {
        self.pieces.send(Ok(ChatChunk::Text(text.to_owned()))).await.unwrap();
    }

    pub(crate) async fn progress(&self, detail: &str, percent: Option<u8>) {
        let detail = detail.to_owned();
        self.pieces.send(Ok(ChatChunk::Progress { detail, percent })).await.unwrap();
    }

    pub(crate) async fn finish(self) {
        let usage = parlor_llm::Usage { prompt_tokens: 5, completion_tokens: 2, estimated: false };
        let end = ChatChunk::Finished { usage, reason: FinishReason::Stop };
        self.pieces.send(Ok(end)).await.unwrap();
    }

    /// Waits until the worker has dropped the reply.
    pub(crate) async fn dropped(&self) {
        within(self.pieces.closed()).await;
    }
}

impl Puppet {
    pub(crate) fn new() -> Arc<Self> {
        let (calls, waiting) = mpsc::channel(100);
        Arc::new(Self { calls, waiting: AsyncMutex::new(waiting), panics: Mutex::new(0) })
    }

    /// Returns providers with this one as default.
    pub(crate) fn providers(self: &Arc<Self>) -> Providers {
        let puppet: Arc<dyn Provider> = Arc::<Self>::clone(self);
        Providers::with_default(puppet)
    }

    /// Makes the next calls panic.
    pub(crate) fn panic_times(&self, times: u32) {
        *self.panics.lock().unwrap() = times;
    }

    /// Waits for the next call.
    pub(crate) async fn call(&self) -> Call {
        within(async { self.waiting.lock().await.recv().await }).await.unwrap()
    }

    /// Returns how many calls wait that no test has taken.
    pub(crate) async fn untaken(&self) -> usize {
        self.waiting.lock().await.len()
    }
}

#[async_trait]
impl Provider for Puppet {
    fn name(&self) -> &'static str {
        "puppet"
    }

    fn kind(&self) -> ProviderKind {
        ProviderKind::OpenAi
    }

    fn default_model(&self) -> &'static str {
        "wood"
    }

    async fn chat(&self, _: ChatRequest) -> Result<ChatStream, ProviderError> {
        {
            let mut panics = self.panics.lock().unwrap();
            if let Some(left) = panics.checked_sub(1) {
                *panics = left;
                drop(panics);
                panic!("a provider that panics");
            }
        }
        let (pieces, receiver) = mpsc::channel(1_000);
        self.calls.send(Call { pieces }).await.unwrap();
        let pieces = futures_util::stream::unfold(receiver, |mut receiver| async move {
            Some((receiver.recv().await?, receiver))
        });
        Ok(pieces.boxed())
    }

    async fn list_models(&self) -> Result<Vec<Model>, ProviderError> {
        Ok(Vec::new())
    }

    async fn check_health(&self) -> Result<Duration, ProviderError> {
        Ok(Duration::ZERO)
    }
}
