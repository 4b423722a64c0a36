//! The providers of one process, by name.

use std::{collections::BTreeMap, fmt, sync::Arc};

use reqwest::{Client, Url};
use serde::Deserialize;

use crate::{DemoProvider, OllamaProvider, OpenAiProvider, Provider, ProviderKind};

/// A key for a provider; its `Debug` form hides it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ApiKey(String);

impl ApiKey {
    /// Wraps a key, without the white space that pasting leaves around it.
    pub fn new(key: &str) -> Self {
        Self(key.trim().to_owned())
    }

    /// Returns the key itself, for the one place that sends it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

/// The settings of one provider.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderConfig {
    /// The name that bots refer to.
    pub name: String,
    /// The protocol to speak.
    pub kind: ProviderKind,
    /// Where the provider is; ignored by the demo, required by the others.
    #[serde(default)]
    pub base_url: Option<String>,
    /// The key to send.
    #[serde(default)]
    pub api_key: Option<ApiKey>,
    /// The model for bots that name none.
    #[serde(default)]
    pub model: Option<String>,
    /// Whether Ollama may download a model that it lacks.
    #[serde(default)]
    pub allow_pull: bool,
}

/// Leaves the address out, because it may hold a password.
impl fmt::Debug for ProviderConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderConfig")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("model", &self.model)
            .field("allow_pull", &self.allow_pull)
            .finish_non_exhaustive()
    }
}

/// Settings that no provider can be built from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The address is absent or not an HTTP address.
    #[error("base_url of provider `{name}` is not an http or https address")]
    BaseUrl {
        /// The provider's name.
        name: String,
    },
    /// The key holds characters that no HTTP header may have.
    #[error("api_key of provider `{name}` has characters that cannot be sent")]
    ApiKey {
        /// The provider's name.
        name: String,
    },
    /// The name is empty.
    #[error("a provider has no name")]
    Name,
    /// Two providers have the same name.
    #[error("provider `{name}` is defined twice")]
    Duplicate {
        /// The provider's name.
        name: String,
    },
    /// The default names no provider.
    #[error("default provider `{name}` is not defined")]
    UnknownDefault {
        /// The name that was given.
        name: String,
    },
    /// The HTTP client could not be set up.
    #[error("HTTP client could not be set up")]
    HttpClient,
}

impl ProviderConfig {
    /// Builds the provider. Nothing is connected yet.
    pub fn build(&self, client: &Client) -> Result<Arc<dyn Provider>, ConfigError> {
        Ok(match self.kind {
            ProviderKind::Demo => Arc::new(DemoProvider::named(&self.name)),
            ProviderKind::Ollama => Arc::new(OllamaProvider::new(self, client.clone())?),
            ProviderKind::OpenAi => Arc::new(OpenAiProvider::new(self, client.clone())?),
        })
    }

    pub(crate) fn parse_base_url(&self) -> Result<Url, ConfigError> {
        self.base_url
            .as_deref()
            .and_then(|url| Url::parse(url.trim()).ok())
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| ConfigError::BaseUrl { name: self.name.clone() })
    }
}

/// All providers of a process and the one for bots that name none.
///
/// The demo is always among them.
#[derive(Clone, Debug)]
pub struct Providers {
    by_name: BTreeMap<String, Arc<dyn Provider>>,
    default: Arc<dyn Provider>,
}

impl Providers {
    /// Returns the demo alone.
    pub fn demo() -> Self {
        Self::with_default(Arc::new(DemoProvider::default()))
    }

    /// Returns the given provider as the default, and the demo beside it.
    pub fn with_default(default: Arc<dyn Provider>) -> Self {
        let demo: Arc<dyn Provider> = Arc::new(DemoProvider::default());
        let both = [demo, Arc::clone(&default)];
        let by_name =
            both.into_iter().map(|provider| (provider.name().to_owned(), provider)).collect();
        Self { by_name, default }
    }

    /// Builds all providers of the settings and makes `default` the default.
    pub fn build(
        configs: &[ProviderConfig],
        default: &str,
        client: &Client,
    ) -> Result<Self, ConfigError> {
        let mut providers = Self::demo();
        for (index, config) in configs.iter().enumerate() {
            if config.name.trim().is_empty() {
                return Err(ConfigError::Name);
            }
            if configs.iter().take(index).any(|earlier| earlier.name == config.name) {
                return Err(ConfigError::Duplicate { name: config.name.clone() });
            }
            providers.insert(config.build(client)?);
        }
        providers.default = providers
            .find(default)
            .ok_or_else(|| ConfigError::UnknownDefault { name: default.to_owned() })?;
        Ok(providers)
    }

    /// Adds a provider, in place of one with the same name.
    pub fn insert(&mut self, provider: Arc<dyn Provider>) {
        if self.default.name() == provider.name() {
            self.default = Arc::clone(&provider);
        }
        self.by_name.insert(provider.name().to_owned(), provider);
    }

    /// Returns the provider with this name.
    pub fn find(&self, name: &str) -> Option<Arc<dyn Provider>> {
        self.by_name.get(name).cloned()
    }

    /// Returns the provider for bots that name none.
    pub fn default_provider(&self) -> Arc<dyn Provider> {
        Arc::clone(&self.default)
    }

    /// Returns all providers, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Provider>> {
        self.by_name.values()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::http_client;

    fn config(name: &str, base_url: &str) -> ProviderConfig {
        ProviderConfig {
            name: name.to_owned(),
            kind: ProviderKind::OpenAi,
            base_url: Some(base_url.to_owned()),
            api_key: Some(ApiKey::new(" sk-secret\n")),
            model: Some("m".to_owned()),
            allow_pull: false,
        }
    }

    fn build(configs: &[ProviderConfig], default: &str) -> Result<Providers, ConfigError> {
        Providers::build(configs, default, &http_client(Duration::from_secs(1)).unwrap())
    }

    #[test]
    fn the_demo_is_always_there() {
        let providers = build(&[config("a", "http://localhost/v1")], "a").unwrap();

        assert_eq!(providers.default_provider().name(), "a");
        assert_eq!(providers.find("demo").unwrap().kind(), ProviderKind::Demo);
        assert_eq!(providers.iter().count(), 2);
    }

    #[test]
    fn bad_settings_name_the_provider() {
        let good = config("a", "http://localhost/v1");

        for url in ["", "localhost:80", "ftp://h", "file:///etc/passwd"] {
            let error = build(&[config("a", url)], "a").unwrap_err();
            assert_eq!(error, ConfigError::BaseUrl { name: "a".to_owned() }, "{url}");
        }
        assert!(matches!(
            build(&[good.clone(), good.clone()], "a"),
            Err(ConfigError::Duplicate { .. })
        ));
        assert!(matches!(build(&[good], "b"), Err(ConfigError::UnknownDefault { .. })));
        assert!(matches!(build(&[config("", "http://h")], "b"), Err(ConfigError::Name)));
    }

    #[test]
    fn a_key_that_no_header_can_hold_is_refused() {
        let mut config = config("a", "http://localhost/v1");
        config.api_key = Some(ApiKey::new("sk-\nsecret"));

        let error = build(&[config], "a").unwrap_err();

        assert_eq!(error, ConfigError::ApiKey { name: "a".to_owned() });
    }

    #[test]
    fn debug_shows_neither_key_nor_address() {
        let config = config("a", "http://user:hunter2@host.example/v1");
        let providers = build(std::slice::from_ref(&config), "a").unwrap();

        for shown in [format!("{config:?}"), format!("{providers:?}")] {
            assert!(!shown.contains("sk-secret"), "{shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
            assert!(!shown.contains("host.example"), "{shown}");
        }
    }
}
