//! One entry of `llm.providers`.

use url::Url;

use super::setting::Setting;
use crate::secret::{REDACTED, Secret};

/// The protocol that a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderProtocol {
    /// Ollama's native API.
    Ollama,
    /// The chat completions API of OpenAI, which many servers copy.
    OpenAiCompatible,
    /// The built-in provider without a model.
    Demo,
}

super::setting::words! {
    ProviderProtocol { "ollama" => Ollama, "openai_compatible" => OpenAiCompatible, "demo" => Demo }
}

/// A model provider besides the well-known ones.
#[derive(Debug, Clone, PartialEq)]
pub struct ProviderConfig {
    /// The name by which bots choose it.
    pub name: String,
    /// The protocol it speaks.
    pub kind: ProviderProtocol,
    /// Where it is; needed but for `demo`.
    pub base_url: Option<Url>,
    /// The key, when it wants one.
    pub api_key: Option<Secret<String>>,
    /// The model to ask for.
    pub model: Option<String>,
}

const FIELDS: &str = "name, kind (ollama | openai_compatible | demo), base_url, api_key, model";

impl Setting for ProviderConfig {
    fn kind() -> String {
        "provider".to_owned()
    }

    /// Reads an inline table, such as `{name = "lab", kind = "ollama", base_url = "http://lab"}`.
    fn from_text(text: &str) -> Result<Self, String> {
        let wrapped: toml::Table = toml::from_str(&format!("provider = {text}"))
            .map_err(|_| format!("must be an inline table with {FIELDS}"))?;
        wrapped.get("provider").map_or_else(|| Err(String::new()), Self::from_toml)
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        let table = value.as_table().ok_or_else(|| format!("must be tables with {FIELDS}"))?;
        if let Some(unknown) = table.keys().find(|key| !known(key)) {
            return Err(format!("must not have {unknown:?}; a provider has {FIELDS}"));
        }
        let provider = Self {
            name: field(table, "name")?.ok_or("must have a name in each provider")?,
            kind: field(table, "kind")?.ok_or_else(|| format!("must have a kind: {FIELDS}"))?,
            base_url: field(table, "base_url")?,
            api_key: field(table, "api_key")?,
            model: field(table, "model")?,
        };
        if provider.base_url.is_none() && provider.kind != ProviderProtocol::Demo {
            return Err(format!("must have a base_url in provider {:?}", provider.name));
        }
        Ok(provider)
    }

    fn to_toml(&self) -> Option<toml::Value> {
        let fields = [
            ("name", self.name.to_toml()),
            ("kind", self.kind.to_toml()),
            ("base_url", self.base_url.to_toml()),
            ("api_key", self.api_key.as_ref().map(|_| REDACTED.into())),
            ("model", self.model.to_toml()),
        ];
        let table = fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        Some(toml::Value::Table(table.collect()))
    }
}

fn known(key: &str) -> bool {
    ["name", "kind", "base_url", "api_key", "model"].contains(&key)
}

fn field<T: Setting>(table: &toml::Table, key: &str) -> Result<Option<T>, String> {
    let read = |value| T::from_toml(value).map_err(|allowed| format!("{key} {allowed}"));
    table.get(key).map(read).transpose()
}
