//! From the settings to the model providers.

use anyhow::Context as _;
use parlor_llm::{
    ApiKey, DetectSettings, HttpProbe, ProviderConfig, ProviderKind, Selection, detect, http_client,
};
use parlor_runtime::Secret;
use parlor_runtime::config::provider::ProviderProtocol;
use parlor_runtime::config::{LlmConfig, ProviderConfig as ProviderSettings};

const OLLAMA_URL: &str = "http://127.0.0.1:11434";
const GROQ_URL: &str = "https://api.groq.com/openai/v1";
const OPENAI_URL: &str = "https://api.openai.com/v1";

/// Chooses the providers as the settings say, or by looking around.
///
/// # Errors
///
/// Fails when the settings name a provider that cannot be built.
pub(crate) async fn select_providers(config: &LlmConfig) -> anyhow::Result<Selection> {
    let client = http_client(config.connect_timeout).context("set up the HTTP client")?;
    let settings = DetectSettings {
        ollama_host: config.ollama_host.as_ref().map(|host| host.url().to_string()),
        groq_api_key: config.groq_api_key.as_ref().map(key),
        openai_api_key: config.openai_api_key.as_ref().map(key),
        openai_base_url: config.openai_base_url.as_ref().map(ToString::to_string),
        model: config.model.clone(),
        explicit: explicit(config)?,
        allow_probe: config.probe,
        allow_pull: config.allow_pull,
    };
    Ok(detect(&settings, &HttpProbe::new(client.clone()), &client).await?)
}

fn key(secret: &Secret<String>) -> ApiKey {
    ApiKey::new(secret.expose())
}

/// Returns what the settings name, the default first; nothing means to look around.
fn explicit(config: &LlmConfig) -> anyhow::Result<Vec<ProviderConfig>> {
    let mut named: Vec<ProviderConfig> =
        config.providers.iter().map(|provider| convert(provider, config)).collect();
    let name = config.provider.as_str();
    if name == "auto" {
        return Ok(named);
    }
    if let Some(place) = named.iter().position(|provider| provider.name == name) {
        let chosen = named.remove(place);
        named.insert(0, chosen);
        return Ok(named);
    }
    let chosen = match name {
        "demo" => well_known(config, "demo", ProviderKind::Demo, None, None),
        "ollama" => {
            let host = config.ollama_host.as_ref().map(|host| host.url().to_string());
            let url = host.unwrap_or_else(|| OLLAMA_URL.to_owned());
            well_known(config, "ollama", ProviderKind::Ollama, Some(url), None)
        }
        "groq" => {
            let key = config
                .groq_api_key
                .as_ref()
                .context("llm.provider is groq, but GROQ_API_KEY is not set")?;
            let url = Some(GROQ_URL.to_owned());
            well_known(config, "groq", ProviderKind::OpenAi, url, Some(key))
        }
        "openai" => {
            let url = config.openai_base_url.as_ref().map(ToString::to_string);
            let key = config.openai_api_key.as_ref();
            if url.is_none() && key.is_none() {
                anyhow::bail!("llm.provider is openai, but OPENAI_API_KEY is not set");
            }
            let url = Some(url.unwrap_or_else(|| OPENAI_URL.to_owned()));
            well_known(config, "openai", ProviderKind::OpenAi, url, key)
        }
        other => anyhow::bail!(
            "llm.provider is {other:?}, but it must be auto, demo, ollama, groq, openai or the \
             name of an entry of llm.providers"
        ),
    };
    named.insert(0, chosen);
    Ok(named)
}

fn well_known(
    config: &LlmConfig,
    name: &str,
    kind: ProviderKind,
    base_url: Option<String>,
    api_key: Option<&Secret<String>>,
) -> ProviderConfig {
    ProviderConfig {
        name: name.to_owned(),
        kind,
        base_url,
        api_key: api_key.map(key),
        model: config.model.clone(),
        allow_pull: config.allow_pull,
    }
}

fn convert(provider: &ProviderSettings, config: &LlmConfig) -> ProviderConfig {
    ProviderConfig {
        name: provider.name.clone(),
        kind: match provider.kind {
            ProviderProtocol::Ollama => ProviderKind::Ollama,
            ProviderProtocol::OpenAiCompatible => ProviderKind::OpenAi,
            ProviderProtocol::Demo => ProviderKind::Demo,
        },
        base_url: provider.base_url.as_ref().map(ToString::to_string),
        api_key: provider.api_key.as_ref().map(key),
        model: provider.model.clone().or_else(|| config.model.clone()),
        allow_pull: config.allow_pull,
    }
}
