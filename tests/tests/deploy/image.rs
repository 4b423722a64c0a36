//! The image: what it is built from exists and is not kept out, and it runs without rights.

use parlor_testkit::process::Parlor;

use crate::files::{read, root};

/// Returns the words of each instruction of this name, lines joined.
fn instructions(name: &str) -> Vec<Vec<String>> {
    let text = read("deploy/Dockerfile").replace("\\\n", " ");
    let is_named = |line: &&str| line.split_whitespace().next() == Some(name);
    let words = |line: &str| line.split_whitespace().skip(1).map(str::to_owned).collect();
    text.lines().filter(is_named).map(words).collect()
}

/// Tells whether a path reaches the builder: `.dockerignore` keeps out all but what it names.
fn reaches_the_builder(path: &str) -> bool {
    let ignored = read(".dockerignore");
    let lines: Vec<&str> = ignored.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.first(), Some(&"*"), "everything is kept out at first");
    let within = |name: &str| path == name || path.starts_with(&format!("{name}/"));
    lines.iter().filter_map(|line| line.strip_prefix('!')).any(within)
        && !lines.iter().filter(|line| !line.starts_with('!')).any(|line| within(line))
}

#[test]
fn everything_that_is_copied_exists_and_reaches_the_builder() {
    let mut copied = Vec::new();
    for words in instructions("COPY") {
        if words.iter().any(|word| word.starts_with("--from=")) {
            continue;
        }
        let paths: Vec<_> = words.into_iter().filter(|word| !word.starts_with("--")).collect();
        let (_, sources) = paths.split_last().unwrap();
        copied.extend(sources.iter().cloned());
    }
    assert!(copied.len() > 8, "{copied:?}");
    for path in &copied {
        assert!(root().join(path).exists(), "{path} is not there");
        assert!(reaches_the_builder(path), "{path} is kept out by .dockerignore");
    }
    // Without one of its members the workspace cannot be read.
    for line in read("Cargo.toml").lines().filter(|line| line.starts_with("members = [")) {
        for member in line.split('"').skip(1).step_by(2) {
            let folder = member.trim_end_matches("/*");
            let found = copied.iter().any(|path| path == folder || path.starts_with(folder));
            assert!(found, "the member {member} is not copied");
        }
    }
}

#[test]
fn secrets_and_what_was_built_here_stay_out() {
    for path in ["deploy/secrets/secret_key", ".git/config", "target/debug/parlor", "web/dist"] {
        assert!(!reaches_the_builder(path), "{path} is sent to the builder");
    }
}

#[test]
fn image_is_pinned_small_and_without_rights() {
    for words in instructions("FROM") {
        let tag = words[0].rsplit_once(':').map(|(_, tag)| tag);
        assert!(tag.is_some_and(|tag| tag != "latest"), "{} has no version", words[0]);
    }
    let user = instructions("USER").pop().unwrap();
    assert!(user[0].split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "{user:?}");
    let stages = instructions("FROM");
    assert!(stages.len() > 1, "what builds is not what runs");
    let build = read("deploy/Dockerfile");
    let profile = build.split("--profile ").nth(1).unwrap().split_whitespace().next().unwrap();
    assert!(read("Cargo.toml").contains(&format!("[profile.{profile}]")), "no profile {profile}");
}

#[tokio::test]
async fn health_check_of_the_image_tells_a_ready_server_from_none() {
    let check = instructions("HEALTHCHECK").pop().unwrap().join(" ");
    assert!(check.ends_with(r#"CMD ["/usr/local/bin/parlor", "health"]"#), "{check}");
    let server = Parlor::start().await;
    let ask = async |url: &str| {
        let asked = Parlor::builder().env("PARLOR_SERVER", url).arguments(&["health"]).run();
        asked.await.code()
    };
    assert_eq!(ask(&server.url()).await, 0);
    let url = server.url();
    drop(server);
    assert_eq!(ask(&url).await, 69);
}
