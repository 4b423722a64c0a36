//! The same by line commands.

use std::sync::Arc;

use parlor_testkit::process::{ADMIN, Outcome, Parlor};
use tempfile::TempDir;

use super::*;

/// A terminal of one person.
pub(super) struct Terminal {
    server: String,
    home: Arc<TempDir>,
    password: &'static str,
}

impl Terminal {
    pub(super) fn new(stage: &Stage, password: &'static str) -> Self {
        let server = format!("http://{}", stage.addr());
        Self { server, home: Arc::new(tempfile::tempdir().unwrap()), password }
    }

    async fn run(&self, line: &str) -> Outcome {
        let arguments: Vec<&str> = line.split(' ').collect();
        let program = Parlor::builder().in_home(&self.home).env("PARLOR_SERVER", &self.server);
        let program = program.env("PARLOR_PASSWORD", self.password);
        program.env("PARLOR_NEW_PASSWORD", OTHER).arguments(&arguments).run().await
    }

    pub(super) async fn ok(&self, line: &str) -> String {
        let outcome = self.run(line).await;
        assert_eq!(outcome.code(), 0, "{line}: {outcome:?}");
        outcome.stdout
    }
}

pub(super) async fn accounts_are_looked_after_by_line_commands(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (mut ada, admin) = (Terminal::new(&stage, PASSWORD), Terminal::new(&stage, PASSWORD));
    ada.ok("register ada").await;
    admin.ok(&format!("login {ADMIN}")).await;
    let bob = stage.register("bob").await;

    ada.ok("account profile --bio mathematician --visibility public").await;
    ada.ok("account rename ida").await;
    assert_eq!(ada.ok("whoami").await.trim(), "ida");
    assert_eq!(bob.http.user("ida").await.unwrap().bio, "mathematician");
    let held = ada.ok("account export").await;
    let kinds: Vec<String> = held
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].to_string())
        .collect();
    assert_eq!(kinds.first().map(String::as_str), Some("\"header\""));
    assert_eq!(kinds.last().map(String::as_str), Some("\"end\""));
    ada.ok("account password").await;
    assert_ne!(ada.run("login ida").await.code(), 0, "with the old password");
    ada.password = OTHER;
    ada.ok("login ida").await;

    assert_ne!(ada.run("users deactivate bob").await.code(), 0, "not an administrator");
    admin.ok("users deactivate ida").await;
    let closed = ada.run("login ida").await;
    assert!(closed.stderr.contains("deactivated"), "{closed:?}");
    admin.ok("users reactivate ida").await;
    ada.ok("login ida").await;
    ada.ok("account deactivate").await;
    admin.ok("users reactivate ida").await;
    ada.ok("login ida").await;
    ada.ok("account erase --messages redact").await;
    admin.ok("users erase bob --messages keep").await;
    for name in ["ida", "bob"] {
        assert_code(stage.admin().await.http.user(name).await, Code::NotFound);
    }
}
