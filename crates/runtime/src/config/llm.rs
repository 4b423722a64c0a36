//! `[llm]`.

use std::time::Duration;

use url::Url;

use super::provider::ProviderConfig;
use super::section::section;
use crate::secret::Secret;

section! {
    /// Language models: which provider, which model, how long to wait.
    llm: LlmConfig {
        /// `auto`, `demo`, `ollama`, `groq`, `openai`, or the name of an entry of `providers`. `auto` looks for Ollama on this machine, then for keys, and else takes `demo`.
        provider: String = "auto".to_owned();
        /// The model of the default bot. When it is not set, one that the provider has.
        model: Option<String> = None, also "LLM_MODEL";
        /// How freely the model writes; 0 is the most sober. When it is not set, the provider decides.
        temperature: Option<f32> = None, also "TEMPERATURE", where |t| t.is_none_or(|t| (0.0..=2.0).contains(&t)) => "must be from 0 to 2";
        /// Longest reply, in tokens.
        max_tokens: u32 = 1_024, also "MAX_TOKENS", where |n| (1..=1_000_000).contains(n) => "must be from 1 to 1000000";
        /// Where Ollama is, as `HOST:PORT` or web address. When it is not set, `http://127.0.0.1:11434` is tried.
        ollama_host: Option<OllamaHost> = None, also "OLLAMA_HOST";
        /// Key of Groq.
        groq_api_key: Option<Secret<String>> = None, also "GROQ_API_KEY";
        /// Key of OpenAI, or of the server at `openai_base_url`.
        openai_api_key: Option<Secret<String>> = None, also "OPENAI_API_KEY";
        /// A server that speaks OpenAI's protocol. When it is not set, OpenAI.
        openai_base_url: Option<Url> = None, also "OPENAI_BASE_URL";
        /// More providers: a list of tables with name, kind (`ollama`, `openai_compatible`, `demo`), `base_url`, `api_key` and model.
        providers: Vec<ProviderConfig> = Vec::new();
        /// Time to connect to a provider.
        connect_timeout: Duration = Duration::from_secs(5), where |d| !d.is_zero() => "must be more than 0";
        /// Time to the first token; a model that is being loaded needs it.
        first_token_timeout: Duration = Duration::from_mins(1), where |d| !d.is_zero() => "must be more than 0";
        /// Time from one token to the next.
        between_tokens_timeout: Duration = Duration::from_secs(30), where |d| !d.is_zero() => "must be more than 0";
        /// Time for a whole reply.
        total_timeout: Duration = Duration::from_mins(5), where |d| !d.is_zero() => "must be more than 0";
        /// Further attempts when a provider fails before the first token.
        retries: u32 = 2, where |n| *n <= 10 => "must be at most 10";
        /// Lets Ollama download a model that it does not have.
        allow_pull: bool = false;
        /// Asks the provider at the start whether it is there.
        probe: bool = true;
    }
}

/// The address of Ollama.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OllamaHost(Url);

impl OllamaHost {
    /// Returns the address as a web address.
    pub fn url(&self) -> &Url {
        &self.0
    }
}

/// The variable is shared with Ollama's own server, where it is what to listen on: the scheme may
/// be missing, the port is 11434 unless said, and "all interfaces" means this machine.
impl super::setting::Setting for OllamaHost {
    fn kind() -> String {
        "host and port, or web address".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        let bare = text.split_once("://").is_none();
        let with_scheme = if bare { format!("http://{text}") } else { text.to_owned() };
        let mut url = Url::from_text(&with_scheme)
            .map_err(|_| "must be a host and port such as 127.0.0.1:11434".to_owned())?;
        let authority = with_scheme.split_once("://").map_or("", |(_, rest)| rest);
        let has_port = authority
            .split('/')
            .next()
            .and_then(|host| host.rsplit_once(':'))
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let unspecified = matches!(url.host_str(), Some("0.0.0.0" | "[::]"));
        let changed = (!bare || has_port || url.set_port(Some(11_434)).is_ok())
            && (!unspecified || url.set_host(Some("127.0.0.1")).is_ok());
        if changed { Ok(Self(url)) } else { Err("must have a host".to_owned()) }
    }

    fn to_toml(&self) -> Option<toml::Value> {
        Some(self.0.as_str().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::setting::Setting as _;

    #[test]
    fn ollama_host_is_read_as_ollama_reads_it() {
        for (text, url) in [
            ("127.0.0.1:11434", "http://127.0.0.1:11434/"),
            ("127.0.0.1", "http://127.0.0.1:11434/"),
            ("0.0.0.0", "http://127.0.0.1:11434/"),
            ("0.0.0.0:8080", "http://127.0.0.1:8080/"),
            ("gpu.lan:80", "http://gpu.lan/"),
            ("[::1]:11434", "http://[::1]:11434/"),
            ("https://ollama.example.com", "https://ollama.example.com/"),
            ("http://gpu.lan:11434/", "http://gpu.lan:11434/"),
        ] {
            assert_eq!(OllamaHost::from_text(text).unwrap().url().as_str(), url, "{text}");
        }
        for text in ["", "not a host", "ftp://gpu.lan", "http://"] {
            assert!(OllamaHost::from_text(text).is_err(), "{text}");
        }
    }
}
