//! Starts that must not succeed: one sentence each, the right exit code, nothing damaged.

use parlor_testkit::process::{Builder, Outcome, Parlor};

use crate::MACHINE;

/// Asserts that a start failed with one line for a person that has these words.
fn assert_says(outcome: &Outcome, code: i32, words: &[&str]) {
    assert_eq!(outcome.code(), code, "{outcome:?}");
    assert!(!outcome.stdout.contains("listening"), "{outcome:?}");
    let sentences: Vec<_> = outcome
        .stderr
        .lines()
        .filter(|line| !line.contains(" INFO ") && !line.is_empty())
        .collect();
    assert_eq!(sentences.len(), 1, "one sentence: {outcome:?}");
    for word in words {
        assert!(outcome.stderr.contains(word), "{word:?} is missing: {outcome:?}");
    }
    assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
}

fn fresh() -> Builder {
    Parlor::builder()
}

#[tokio::test]
async fn second_process_on_one_data_folder_is_refused() {
    let _shared = MACHINE.read().await;
    let server = Parlor::start().await;
    let ada = server.register("ada").await;

    let outcome = server.rebuilder().env("PARLOR_LISTEN", "127.0.0.1:0").run().await;

    let folder = server.data_dir();
    assert_says(&outcome, 75, &[folder.to_str().unwrap()]);
    ada.say("general", "the first goes on").await;
}

#[tokio::test]
async fn port_that_is_taken_is_refused() {
    let _shared = MACHINE.read().await;
    let server = Parlor::start().await;
    let address = server.addr().to_string();

    let outcome = fresh().env("PARLOR_LISTEN", &address).run().await;

    assert_ne!(outcome.code(), 0);
    assert_says(&outcome, outcome.code(), &[&address, "port"]);
    assert!(server.http().healthz().await.is_ok(), "the first goes on");
}

#[tokio::test]
async fn data_folder_that_cannot_be_written_is_refused() {
    let _shared = MACHINE.read().await;
    // Nobody can make a folder there, also not root.
    let folder = "/proc/parlor-data";

    let outcome = fresh().env("PARLOR_DATA_DIR", folder).run().await;

    assert_ne!(outcome.code(), 0);
    assert_says(&outcome, outcome.code(), &[folder]);
}

#[tokio::test]
async fn database_that_is_none_is_refused_and_left_alone() {
    let _shared = MACHINE.read().await;
    let mut server = Parlor::start().await;
    server.register("ada").await;
    server.terminate().await;
    let files = std::fs::read_dir(server.data_dir()).unwrap();
    let database = files
        .map(|file| file.unwrap().path())
        .find(|path| std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"SQLite format 3")))
        .expect("a database");
    let garbage = b"not a database at all, but somebody's notes ".repeat(500);
    std::fs::write(&database, &garbage).unwrap();

    let outcome = server.rebuilder().env("PARLOR_LISTEN", "127.0.0.1:0").run().await;

    assert_ne!(outcome.code(), 0);
    assert_says(&outcome, outcome.code(), &[]);
    assert_eq!(std::fs::read(&database).unwrap(), garbage, "nothing was changed");
}

#[tokio::test]
async fn wrong_setting_is_refused_with_its_name_its_source_and_what_is_allowed() {
    let _shared = MACHINE.read().await;
    for arguments in [["serve"].as_slice(), &["config", "check"]] {
        let wrong = fresh()
            .arguments(arguments)
            .env("PARLOR_LIMITS__FRAME", "banana")
            .env("PARLOR_AUTH__REGISTRATION", "sometimes");

        let outcome = wrong.run().await;

        assert_eq!(outcome.code(), 64, "{arguments:?} {outcome:?}");
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        for word in ["limits.frame", "PARLOR_LIMITS__FRAME", "banana"] {
            assert!(said.contains(word), "{word:?} is missing: {said}");
        }
        for word in ["auth.registration", "PARLOR_AUTH__REGISTRATION", "open", "invite", "closed"] {
            assert!(said.contains(word), "{word:?} is missing: {said}");
        }
    }
}

#[tokio::test]
async fn setting_that_does_not_exist_is_refused() {
    let _shared = MACHINE.read().await;

    let outcome = fresh().env("PARLOR_LIMITS__FRAMES", "64KiB").run().await;

    assert_eq!(outcome.code(), 64, "{outcome:?}");
    assert!(outcome.stderr.contains("PARLOR_LIMITS__FRAMES"), "{outcome:?}");
}

#[tokio::test]
async fn secret_key_that_is_too_short_is_refused_without_showing_it() {
    let _shared = MACHINE.read().await;

    let outcome = fresh().env("SECRET_KEY", "short-and-secret").run().await;

    assert_eq!(outcome.code(), 64, "{outcome:?}");
    assert!(outcome.stderr.contains("32"), "{outcome:?}");
    assert!(!outcome.stderr.contains("short-and-secret"), "{outcome:?}");
}
