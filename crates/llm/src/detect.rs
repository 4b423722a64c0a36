//! Chooses the providers at start, so that a newcomer needs no settings.
//!
//! The order for the default: explicit settings, then an Ollama that answers and has the model,
//! then Groq's key, then OpenAI's key or address, then the demo. Every provider that was found is
//! registered, so bots may name it, whichever becomes the default. The environment is read
//! elsewhere and passed in.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Client, Url};
use tokio::time::timeout;

use crate::{ApiKey, ConfigError, Model, ProviderConfig, ProviderKind, Providers};

/// How long a look at one provider may take; start must not wait for one that is not there.
const PROBE_WAIT: Duration = Duration::from_millis(500);

const OLLAMA_PORT: u16 = 11434;
const GROQ_URL: &str = "https://api.groq.com/openai/v1";
const GROQ_MODEL: &str = "llama-3.3-70b-versatile";
const OPENAI_URL: &str = "https://api.openai.com/v1";
const OPENAI_MODEL: &str = "gpt-4o-mini";

/// What the choice is made from.
#[derive(Clone, Debug, Default)]
pub struct DetectSettings {
    /// `OLLAMA_HOST`, in any form that Ollama itself takes.
    pub ollama_host: Option<String>,
    /// `GROQ_API_KEY`.
    pub groq_api_key: Option<ApiKey>,
    /// `OPENAI_API_KEY`.
    pub openai_api_key: Option<ApiKey>,
    /// `OPENAI_BASE_URL`.
    pub openai_base_url: Option<String>,
    /// `LLM_MODEL`.
    pub model: Option<String>,
    /// Providers written down in the settings; the first is the default.
    pub explicit: Vec<ProviderConfig>,
    /// Whether to look for Ollama and for the models of a server. Without it an Ollama counts
    /// only when `ollama_host` and `model` are both set.
    pub allow_probe: bool,
    /// Whether Ollama may download the model when it lacks it.
    pub allow_pull: bool,
}

/// The providers that were found.
#[derive(Clone, Debug)]
pub struct Selection {
    /// All of them, the demo included, with the default marked.
    pub providers: Providers,
    /// The name of the default provider.
    pub default: String,
    /// One or two sentences that say which provider answers and why, for the log and `doctor`.
    pub reason: String,
}

/// Looks at a provider that may not be there.
#[async_trait]
pub trait ModelProbe: Send + Sync {
    /// Returns the provider's models, or `None` if it does not answer at once.
    async fn models(&self, config: &ProviderConfig) -> Option<Vec<Model>>;
}

/// Looks over HTTP, for at most half a second unless told otherwise.
#[derive(Clone, Debug)]
pub struct HttpProbe {
    client: Client,
    wait: Duration,
}

impl HttpProbe {
    /// Returns a probe that uses the shared client.
    pub fn new(client: Client) -> Self {
        Self { client, wait: PROBE_WAIT }
    }

    /// Sets how long to wait for each provider.
    #[must_use]
    pub fn with_wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }
}

#[async_trait]
impl ModelProbe for HttpProbe {
    async fn models(&self, config: &ProviderConfig) -> Option<Vec<Model>> {
        let provider = config.build(&self.client).ok()?;
        timeout(self.wait, provider.list_models()).await.ok()?.ok()
    }
}

/// Chooses the providers and the default among them.
pub async fn detect(
    settings: &DetectSettings,
    probe: &dyn ModelProbe,
    client: &Client,
) -> Result<Selection, ConfigError> {
    if let Some(first) = settings.explicit.first() {
        let reason = format!(
            "Using provider `{}` ({}) because the settings name it.",
            first.name,
            first.kind.as_str()
        );
        return select(&settings.explicit, &first.name, reason, client);
    }
    let mut search = Search { settings, probe, found: Vec::new(), chosen: None, notes: Vec::new() };
    search.look_for_ollama().await?;
    search.look_for_groq();
    search.look_for_openai().await;
    search.finish(client)
}

struct Search<'a> {
    settings: &'a DetectSettings,
    probe: &'a dyn ModelProbe,
    found: Vec<ProviderConfig>,
    /// The name of the default and why it is.
    chosen: Option<(String, String)>,
    /// Why something that was looked for is not used.
    notes: Vec<String>,
}

impl Search<'_> {
    async fn look_for_ollama(&mut self) -> Result<(), ConfigError> {
        let host = self.settings.ollama_host.as_deref().filter(|host| !host.trim().is_empty());
        let url = parse_ollama_host(host.unwrap_or_default())
            .ok_or_else(|| ConfigError::BaseUrl { name: "ollama".to_owned() })?;
        let place = if host.is_some() { "at OLLAMA_HOST" } else { "on this machine" };
        let mut config = ProviderConfig {
            name: "ollama".to_owned(),
            kind: ProviderKind::Ollama,
            base_url: Some(url.into()),
            api_key: None,
            model: self.settings.model.clone(),
            allow_pull: self.settings.allow_pull,
        };
        if !self.settings.allow_probe {
            if let (Some(_), Some(model)) = (host, &config.model) {
                let reason = format!("OLLAMA_HOST is set; using model `{model}`");
                self.choose(config, reason);
            } else if host.is_some() {
                self.notes.push("OLLAMA_HOST is set, but LLM_MODEL is not.".to_owned());
                self.found.push(config);
            }
            return Ok(());
        }
        match self.probe.models(&config).await {
            Some(models) => {
                if let Some(model) = self.pick_model(&models) {
                    let reason = format!("Ollama answers {place}; using model `{model}`");
                    config.model = Some(model);
                    self.choose(config, reason);
                } else {
                    let lack = if models.is_empty() { "any model" } else { "the model LLM_MODEL" };
                    self.notes.push(format!("Ollama answers {place} but does not have {lack}."));
                    self.found.push(config);
                }
            }
            None if host.is_some() => {
                self.notes.push("Ollama does not answer at OLLAMA_HOST.".to_owned());
                // It may come back, and bots may name it.
                self.found.push(config);
            }
            None => {}
        }
        Ok(())
    }

    /// Returns the model to use of those installed.
    ///
    /// A wanted model that is absent still counts if it may be downloaded.
    fn pick_model(&self, installed: &[Model]) -> Option<String> {
        let Some(wanted) = &self.settings.model else {
            return installed.first().map(|model| model.name.clone());
        };
        let latest = format!("{wanted}:latest");
        let present = installed.iter().any(|model| model.name == *wanted || model.name == latest);
        (present || self.settings.allow_pull).then(|| wanted.clone())
    }

    fn look_for_groq(&mut self) {
        let Some(key) = &self.settings.groq_api_key else { return };
        let model = self.settings.model.clone().unwrap_or_else(|| GROQ_MODEL.to_owned());
        let reason = format!("GROQ_API_KEY is set; using Groq with model `{model}`");
        let config = openai_compatible("groq", GROQ_URL, Some(key.clone()), Some(model));
        self.choose(config, reason);
    }

    async fn look_for_openai(&mut self) {
        let key = self.settings.openai_api_key.clone();
        let base_url =
            self.settings.openai_base_url.as_deref().filter(|url| !url.trim().is_empty());
        let Some(base_url) = base_url else {
            if let Some(key) = key {
                let model = self.settings.model.clone().unwrap_or_else(|| OPENAI_MODEL.to_owned());
                let reason = format!("OPENAI_API_KEY is set; using OpenAI with model `{model}`");
                let config = openai_compatible("openai", OPENAI_URL, Some(key), Some(model));
                self.choose(config, reason);
            }
            return;
        };
        let model = self.settings.model.clone();
        let mut config = openai_compatible("openai", base_url, key, model);
        if config.model.is_none() && self.settings.allow_probe {
            let models = self.probe.models(&config).await.unwrap_or_default();
            config.model = models.into_iter().next().map(|model| model.name);
        }
        let reason = match &config.model {
            Some(model) => format!("OPENAI_BASE_URL is set; using model `{model}`"),
            None => "OPENAI_BASE_URL is set; using the server's only model".to_owned(),
        };
        self.choose(config, reason);
    }

    /// Registers a provider; the first one becomes the default.
    fn choose(&mut self, config: ProviderConfig, reason: String) {
        self.chosen.get_or_insert((config.name.clone(), reason));
        self.found.push(config);
    }

    fn finish(mut self, client: &Client) -> Result<Selection, ConfigError> {
        let (default, reason) = self.chosen.unwrap_or_else(|| {
            let looked =
                if self.settings.allow_probe { "No Ollama with a model" } else { "No provider" };
            ("demo".to_owned(), format!("{looked} and no API key found; using the built-in demo"))
        });
        self.notes.push(format!("{reason}."));
        select(&self.found, &default, self.notes.join(" "), client)
    }
}

fn select(
    configs: &[ProviderConfig],
    default: &str,
    reason: String,
    client: &Client,
) -> Result<Selection, ConfigError> {
    let providers = Providers::build(configs, default, client)?;
    Ok(Selection { providers, default: default.to_owned(), reason })
}

fn openai_compatible(
    name: &str,
    base_url: &str,
    api_key: Option<ApiKey>,
    model: Option<String>,
) -> ProviderConfig {
    ProviderConfig {
        name: name.to_owned(),
        kind: ProviderKind::OpenAi,
        base_url: Some(base_url.to_owned()),
        api_key,
        model,
        allow_pull: false,
    }
}

/// Reads `OLLAMA_HOST` the way Ollama's own client does: scheme and port may be missing, and the
/// address that means "all interfaces" to the server means this machine to a client.
fn parse_ollama_host(host: &str) -> Option<Url> {
    let host = host.trim();
    let (scheme, rest) = host.split_once("://").unwrap_or(("http", host));
    let rest = if rest.is_empty() || rest.starts_with(':') {
        format!("127.0.0.1{rest}")
    } else {
        rest.to_owned()
    };
    let mut url = Url::parse(&format!("{scheme}://{rest}")).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let all_interfaces = match url.host()? {
        url::Host::Ipv4(address) => address.is_unspecified(),
        url::Host::Ipv6(address) => address.is_unspecified(),
        url::Host::Domain(_) => false,
    };
    if all_interfaces {
        url.set_host(Some("127.0.0.1")).ok()?;
    }
    // A port that is written out but usual for the scheme is not kept by the parser.
    let authority = rest.split('/').next().unwrap_or_default();
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if !has_port && !host.contains("://") {
        url.set_port(Some(OLLAMA_PORT)).ok()?;
    }
    Some(url)
}

#[cfg(test)]
mod tests;
