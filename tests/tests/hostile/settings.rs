//! Settings that cannot be: a sentence that names the key, where it was set and what is allowed,
//! exit code 64, and nothing begun.

use std::sync::Arc;

use parlor_testkit::process::{Builder, Outcome, Parlor};
use tempfile::TempDir;

/// The exit code for what only a person can put right.
const USAGE: i32 = 64;

fn home() -> Arc<TempDir> {
    Arc::new(tempfile::tempdir().unwrap())
}

/// Runs `config check` and `serve`, which must refuse alike; what they wrote.
async fn refused(builder: Builder, arguments: &[&str]) -> String {
    let home = home();
    let builder = builder.in_home(&home);
    let with = |first: &[&'static str]| {
        let all: Vec<&str> = first.iter().chain(arguments).copied().collect();
        builder.clone().arguments(&all)
    };
    let check = with(&["config", "check"]).run().await;
    let serve = with(&["serve"]).run().await;
    for Outcome { status, stdout, stderr } in [&check, &serve] {
        assert_eq!(status.code(), Some(USAGE), "{stderr}");
        assert!(stdout.is_empty(), "{stdout}");
        assert!(stderr.starts_with("error: "), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
    assert_eq!(check.stderr, serve.stderr);
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().collect();
    assert!(left.is_empty(), "a refused start left {left:?}");
    serve.stderr
}

#[tokio::test]
async fn bad_value_is_named_with_its_key_its_source_and_what_is_allowed() {
    let cases = [
        ("PARLOR_LISTEN", "nonsense", "server.listen", "an address and a port"),
        ("PARLOR_LISTEN", "127.0.0.1:99999", "server.listen", "an address and a port"),
        ("PARLOR_LIMITS__FRAME", "12", "limits.frame", "a size with its unit"),
        ("PARLOR_LIMITS__FRAME", "1B", "limits.frame", "from 1KiB to 16MiB"),
        ("PARLOR_LIMITS__FRAME", "-1KiB", "limits.frame", "a size with its unit"),
        ("PARLOR_LIMITS__BODY", "99999999999999999999KiB", "limits.body", "a size"),
        ("PARLOR_LIMITS__HEARTBEAT", "25", "limits.heartbeat", "a duration with its unit"),
        ("PARLOR_LIMITS__HANDSHAKE_TIMEOUT", "0s", "limits.handshake_timeout", "more than 0"),
        ("PARLOR_LIMITS__ENABLED", "perhaps", "limits.enabled", "true or false"),
        ("PARLOR_LIMITS__SUBSCRIPTIONS", "1e3", "limits.subscriptions", "a whole number"),
        ("PARLOR_LIMITS__CONNECTIONS", "0", "limits.connections", "at least 1"),
        ("PARLOR_AUTH__REGISTRATION", "maybe", "auth.registration", "open, invite, closed"),
        ("PARLOR_SERVER__ALLOWED_ORIGINS", "evil", "server.allowed_origins", "origins"),
        ("PARLOR_SERVER__TRUSTED_PROXIES", "10.0.0.0/99", "server.trusted_proxies", "10.0.0.0/8"),
        ("PARLOR_SERVER__PUBLIC_URL", "no url", "server.public_url", "URL"),
        ("PARLOR_LLM__PROVIDER", "oracle", "llm.provider", "demo, ollama, groq, openai"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "0", "auth.access_token_expire", "from 10s to 7d"),
        ("TEMPERATURE", "9", "llm.temperature", "from 0 to 2"),
        ("MAX_TOKENS", "-5", "llm.max_tokens", "a whole number"),
        ("SECRET_KEY_FILE", "/nonexistent", "auth.secret_key", "a file that exists"),
        ("PARLOR_LIMITS__FRAMES", "1KiB", "PARLOR_LIMITS__FRAMES", "is not known; [limits] has"),
        ("PARLOR_LIMIT__FRAME", "1KiB", "PARLOR_LIMIT__FRAME", "is not known; sections are"),
    ];
    let mut wrong = Vec::new();
    for (variable, value, key, allowed) in cases {
        let said = refused(Parlor::builder().env(variable, value), &[]).await;
        if ![variable, key, allowed].iter().all(|part| said.contains(part)) {
            wrong.push(format!("{variable}={value}: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn everything_wrong_is_told_at_once_and_no_secret_with_it() {
    let secret = "too-short-to-keep";
    let builder = Parlor::builder()
        .env("SECRET_KEY", secret)
        .env("PARLOR_LIMITS__FRAME", "12")
        .env("PARLOR_LISTEN", "nowhere");
    let said = refused(builder, &[]).await;
    for key in
        ["auth.secret_key", "SECRET_KEY", "at least 32 bytes", "limits.frame", "server.listen"]
    {
        assert!(said.contains(key), "{key}: {said}");
    }
    assert!(!said.contains(secret), "{said}");
    let folder = home();
    let file = folder.path().join("key");
    std::fs::write(&file, secret).unwrap();
    let path = file.to_str().unwrap();
    let said = refused(Parlor::builder().env("SECRET_KEY_FILE", path), &[]).await;
    assert!(said.contains("at least 32 bytes") && !said.contains(secret), "{said}");
    let both = Parlor::builder().env("SECRET_KEY", &secret.repeat(3)).env("SECRET_KEY_FILE", path);
    let said = refused(both, &[]).await;
    assert!(said.contains("not by both") && !said.contains(secret), "{said}");
}

#[tokio::test]
async fn settings_file_that_cannot_be_read_is_named() {
    let folder = home();
    let cases: [(&str, &[u8], &str); 7] = [
        ("broken.toml", b"x = [", "line 1"),
        ("unknown.toml", b"[servers]\nlisten = 1\n", "servers"),
        ("kind.toml", b"[limits]\nframe = true\n", "limits.frame"),
        ("range.toml", b"[limits]\nframe = \"1B\"\n", "from 1KiB to 16MiB"),
        ("twice.toml", b"[limits]\nframe = \"1KiB\"\nframe = \"2KiB\"\n", "line 3"),
        ("binary.toml", b"\xff\xfe\x00\x01", "UTF-8"),
        ("nul.toml", b"\0\0\0\0", "TOML"),
    ];
    for (name, content, expected) in cases {
        let file = folder.path().join(name);
        std::fs::write(&file, content).unwrap();
        let path = file.to_str().unwrap();
        let said = refused(Parlor::builder(), &["--config", path]).await;
        assert!(said.contains(path) && said.contains(expected), "{name}: {said}");
    }
    for path in [folder.path().to_str().unwrap(), "/nonexistent/parlor.toml"] {
        let said = refused(Parlor::builder(), &["--config", path]).await;
        assert!(said.contains(path), "{path}: {said}");
    }
}

#[tokio::test]
async fn command_line_that_is_wrong_is_refused() {
    for arguments in [
        &["serve", "--nonsense"][..],
        &["serve", "extra"],
        &["serve", "--listen"],
        &["nonsense"],
        &["config", "nonsense"],
        &[],
    ] {
        let outcome = Parlor::builder().arguments(arguments).run().await;
        assert_eq!(outcome.code(), USAGE, "{arguments:?}: {}", outcome.stderr);
        assert!(!outcome.stderr.is_empty(), "{arguments:?}");
    }
    let flag = Parlor::builder().without("PARLOR_LISTEN").arguments(&["serve", "--listen", "x"]);
    let outcome = flag.run().await;
    assert_eq!(outcome.code(), USAGE);
    assert!(outcome.stderr.contains("server.listen (from --listen)"), "{}", outcome.stderr);
}
