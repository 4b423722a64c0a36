//! The choice of a provider with real probes.

use std::time::Duration;

use parlor_llm::{DetectSettings, HttpProbe, Selection, detect, http_client};
use parlor_testkit::fake_llm::{Behaviour, FakeLlm, Script};
use tokio::time::Instant;

use crate::harness::PATIENCE;

/// Waits long enough for a busy machine.
async fn choose(settings: &DetectSettings) -> Selection {
    choose_with(settings, |probe| probe.with_wait(PATIENCE)).await
}

async fn choose_with(
    settings: &DetectSettings,
    tune: impl FnOnce(HttpProbe) -> HttpProbe,
) -> Selection {
    let client = http_client(Duration::from_secs(3)).expect("a client");
    let probe = tune(HttpProbe::new(client.clone()));
    detect(settings, &probe, &client).await.expect("good settings")
}

fn at(fake: &FakeLlm) -> DetectSettings {
    DetectSettings {
        ollama_host: Some(fake.addr().to_string()),
        allow_probe: true,
        ..DetectSettings::default()
    }
}

#[tokio::test]
async fn an_ollama_that_answers_is_used_with_its_first_model() {
    let fake = FakeLlm::start().await;
    fake.set_models(&["alpha", "beta"]);

    let selection = choose(&at(&fake)).await;

    assert_eq!(selection.default, "ollama");
    assert_eq!(selection.providers.default_provider().default_model(), "alpha");
    assert_eq!(selection.reason, "Ollama answers at OLLAMA_HOST; using model `alpha`.");
}

#[tokio::test]
async fn an_ollama_without_models_gives_way_to_the_demo() {
    let fake = FakeLlm::start().await;
    fake.set_models(&[]);

    let selection = choose(&at(&fake)).await;

    assert_eq!(selection.default, "demo");
    assert!(selection.reason.starts_with("Ollama answers at OLLAMA_HOST but"));
}

#[tokio::test]
async fn an_ollama_that_hangs_does_not_hold_up_the_start() {
    let fake = FakeLlm::start().await;
    fake.set_script(Script::says("x").behaving(Behaviour::Hang));
    let began = Instant::now();

    let selection = choose_with(&at(&fake), |probe| probe).await;

    assert_eq!(selection.default, "demo");
    assert!(began.elapsed() < Duration::from_secs(20));
    assert!(selection.reason.starts_with("Ollama does not answer at OLLAMA_HOST."));
}
