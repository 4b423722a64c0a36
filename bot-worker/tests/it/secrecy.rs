//! What the logs do not hold.

use std::io;
use std::sync::{Arc, Mutex};

use parlor_testkit::fake_llm::{Behaviour, FakeLlm, PLANTED_SECRET, Script};
use tracing_subscriber::fmt::MakeWriter;

use crate::harness::World;
use crate::puppet::fake_providers;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Captured {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// The subscriber is that of the whole process, so the other tests are watched for keys too.
#[tokio::test]
async fn messages_prompts_replies_and_keys_are_not_logged() {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(captured.clone())
        .with_max_level(tracing::Level::TRACE)
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let world = World::new().await;
    world.add_bot("guide", |bot| bot.system_prompt = "persona-3141".to_owned()).await;
    let fake = FakeLlm::start().await;
    let worker = world.start(fake_providers(&fake));
    let mut observer = world.observe();

    for behaviour in [Behaviour::Normal, Behaviour::Malformed, Behaviour::Unauthorized] {
        fake.set_script(Script::says("answer-2718 and more").behaving(behaviour));
        world.say("@guide question-1618").await;
        observer.ending().await;
    }

    let log = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("bot.turn") && log.contains("provider failed"), "{log}");
    for secret in
        ["question-1618", "persona-3141", "answer-2718", PLANTED_SECRET, "sk-worker-test-key"]
    {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    worker.crash().await;
}
