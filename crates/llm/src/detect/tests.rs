use std::time::Duration;

use super::*;
use crate::http_client;

/// Answers with fixed models for Ollama and for any other server.
#[derive(Default)]
struct FixedProbe {
    ollama: Option<&'static [&'static str]>,
    other: Option<&'static [&'static str]>,
}

#[async_trait]
impl ModelProbe for FixedProbe {
    async fn models(&self, config: &ProviderConfig) -> Option<Vec<Model>> {
        let names = match config.kind {
            ProviderKind::Ollama => self.ollama,
            _ => self.other,
        }?;
        Some(names.iter().map(|&name| Model { name: name.to_owned(), size_bytes: None }).collect())
    }
}

fn settings() -> DetectSettings {
    DetectSettings { allow_probe: true, ..DetectSettings::default() }
}

#[expect(clippy::unnecessary_wraps, reason = "the form of the settings")]
fn key() -> Option<ApiKey> {
    Some(ApiKey::new("sk-secret"))
}

async fn choose(settings: &DetectSettings, probe: &FixedProbe) -> Selection {
    let client = http_client(Duration::from_secs(1)).unwrap();
    detect(settings, probe, &client).await.unwrap()
}

fn chosen(selection: &Selection) -> (&str, String) {
    assert_eq!(selection.default, selection.providers.default_provider().name());
    (&selection.default, selection.providers.default_provider().default_model().to_owned())
}

const LLAMA: FixedProbe =
    FixedProbe { ollama: Some(&["llama3.2:latest", "qwen3:4b"]), other: None };
const NOTHING: FixedProbe = FixedProbe { ollama: None, other: None };

#[tokio::test]
async fn nothing_found_means_the_demo() {
    let selection = choose(&settings(), &NOTHING).await;

    assert_eq!(chosen(&selection).0, "demo");
    assert_eq!(
        selection.reason,
        "No Ollama with a model and no API key found; using the built-in demo."
    );
}

#[tokio::test]
async fn a_local_ollama_goes_before_keys_which_stay_available() {
    let settings = DetectSettings { groq_api_key: key(), openai_api_key: key(), ..settings() };

    let selection = choose(&settings, &LLAMA).await;

    assert_eq!(chosen(&selection), ("ollama", "llama3.2:latest".to_owned()));
    assert_eq!(selection.reason, "Ollama answers on this machine; using model `llama3.2:latest`.");
    let names: Vec<_> = selection.providers.iter().map(|p| p.name().to_owned()).collect();
    assert_eq!(names, ["demo", "groq", "ollama", "openai"]);
}

#[tokio::test]
async fn the_wanted_model_is_found_without_its_tag() {
    let settings = DetectSettings { model: Some("llama3.2".to_owned()), ..settings() };

    assert_eq!(chosen(&choose(&settings, &LLAMA).await), ("ollama", "llama3.2".to_owned()));
}

#[tokio::test]
async fn an_ollama_without_the_wanted_model_is_passed_over_unless_it_may_download() {
    let mut settings =
        DetectSettings { model: Some("m".to_owned()), groq_api_key: key(), ..settings() };

    let without = choose(&settings, &LLAMA).await;
    settings.allow_pull = true;
    let with = choose(&settings, &LLAMA).await;

    assert_eq!(chosen(&without), ("groq", "m".to_owned()));
    assert_eq!(
        without.reason,
        "Ollama answers on this machine but does not have the model LLM_MODEL. GROQ_API_KEY is \
         set; using Groq with model `m`."
    );
    assert_eq!(chosen(&with), ("ollama", "m".to_owned()));
}

#[tokio::test]
async fn an_ollama_that_is_named_but_silent_is_mentioned_and_kept() {
    let settings = DetectSettings { ollama_host: Some("gpu.example".to_owned()), ..settings() };

    let selection = choose(&settings, &NOTHING).await;

    assert_eq!(chosen(&selection).0, "demo");
    assert!(selection.reason.starts_with("Ollama does not answer at OLLAMA_HOST."));
    assert!(selection.providers.find("ollama").is_some());
}

#[tokio::test]
async fn keys_choose_their_provider_in_order() {
    let openai = DetectSettings { openai_api_key: key(), ..settings() };
    let both = DetectSettings { groq_api_key: key(), ..openai.clone() };

    assert_eq!(chosen(&choose(&openai, &NOTHING).await), ("openai", OPENAI_MODEL.to_owned()));
    assert_eq!(chosen(&choose(&both, &NOTHING).await), ("groq", GROQ_MODEL.to_owned()));
}

#[tokio::test]
async fn a_server_with_the_same_api_needs_no_key_and_is_asked_for_its_model() {
    let settings = DetectSettings {
        openai_base_url: Some("http://localhost:8000/v1".to_owned()),
        ..settings()
    };
    let probe = FixedProbe { ollama: None, other: Some(&["local-model"]) };

    let selection = choose(&settings, &probe).await;

    assert_eq!(chosen(&selection), ("openai", "local-model".to_owned()));
    assert_eq!(selection.reason, "OPENAI_BASE_URL is set; using model `local-model`.");
}

#[tokio::test]
async fn explicit_settings_go_before_everything() {
    let mine = openai_compatible("mine", "http://localhost:1/v1", None, Some("m".to_owned()));
    let settings = DetectSettings { explicit: vec![mine], groq_api_key: key(), ..settings() };

    let selection = choose(&settings, &LLAMA).await;

    assert_eq!(chosen(&selection), ("mine", "m".to_owned()));
    assert_eq!(
        selection.reason,
        "Using provider `mine` (openai_compatible) because the settings name it."
    );
}

#[tokio::test]
async fn without_leave_to_look_nothing_is_looked_for() {
    let silent = DetectSettings { allow_probe: false, ..settings() };
    let named = DetectSettings {
        ollama_host: Some("127.0.0.1".to_owned()),
        model: Some("m".to_owned()),
        ..silent.clone()
    };

    assert_eq!(chosen(&choose(&silent, &LLAMA).await).0, "demo");
    assert_eq!(chosen(&choose(&named, &LLAMA).await), ("ollama", "m".to_owned()));
}

#[tokio::test]
async fn a_bad_address_is_an_error_and_not_a_silent_fallback() {
    let client = http_client(Duration::from_secs(1)).unwrap();
    let ollama = DetectSettings { ollama_host: Some("ftp://x".to_owned()), ..settings() };
    let openai = DetectSettings { openai_base_url: Some("nowhere".to_owned()), ..settings() };

    for settings in [ollama, openai] {
        let outcome = detect(&settings, &NOTHING, &client).await;
        assert!(matches!(outcome, Err(ConfigError::BaseUrl { .. })));
    }
}

#[test]
fn the_reason_and_the_settings_hide_keys() {
    let settings = DetectSettings { groq_api_key: key(), ..settings() };

    assert!(!format!("{settings:?}").contains("sk-secret"));
}

#[test]
fn ollama_host_is_read_in_every_usual_form() {
    for (host, url) in [
        ("", "http://127.0.0.1:11434/"),
        (":1234", "http://127.0.0.1:1234/"),
        ("0.0.0.0", "http://127.0.0.1:11434/"),
        ("0.0.0.0:1234", "http://127.0.0.1:1234/"),
        ("[::]:1234", "http://127.0.0.1:1234/"),
        ("[::1]", "http://[::1]:11434/"),
        ("gpu.example", "http://gpu.example:11434/"),
        ("gpu.example:80", "http://gpu.example/"),
        ("http://gpu.example:11434", "http://gpu.example:11434/"),
        ("https://gpu.example/ollama/", "https://gpu.example/ollama/"),
    ] {
        assert_eq!(parse_ollama_host(host).unwrap().as_str(), url, "{host}");
    }
    assert_eq!(parse_ollama_host("ftp://gpu.example"), None);
    assert_eq!(parse_ollama_host("gpu.example:99999"), None);
}
