//! Variables that the files in `deploy/` set, compared with the settings that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use parlor_testkit::process::Parlor;

use crate::files::{deploy, expect_success, read};

/// Variables of the command line's own.
const OTHERS: &[&str] = &["PARLOR_SERVER", "PARLOR_PASSWORD", "PARLOR_TOKEN"];

/// Returns every variable that sets something, with those that name a file with a secret.
pub(crate) fn known() -> BTreeSet<String> {
    let page = read("docs/CONFIGURATION.md");
    let mut known: BTreeSet<String> = OTHERS.iter().map(|&name| name.to_owned()).collect();
    for section in page.split("\n## [").skip(1) {
        let (section, body) = section.split_once(']').unwrap();
        for row in body.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> =
                row.split(" | ").map(|cell| cell.trim_matches([' ', '|'])).collect();
            let key = cells[0].trim_matches('`');
            let mut names = vec![format!("PARLOR_{section}__{key}").to_uppercase()];
            names.extend(cells[3].split('`').skip(1).step_by(2).map(str::to_owned));
            for name in names {
                if cells[1] == "secret" {
                    known.insert(format!("{name}_FILE"));
                }
                known.insert(name);
            }
        }
    }
    assert!(known.len() > 100, "docs/CONFIGURATION.md was not understood");
    known
}

/// Has the program check settings; returns what it says is wrong. It checks for every role at once,
/// so a worker's settings get the key that only a broker needs.
pub(crate) async fn check(variables: &BTreeMap<String, String>) -> Result<(), String> {
    let mut variables = variables.clone();
    if variables.contains_key("DATABASE_URL_FILE") {
        let key = "a key of a broker that signs logins, long enough";
        if !variables.contains_key("SECRET_KEY_FILE") {
            variables.insert("SECRET_KEY".to_owned(), key.to_owned());
        }
    }
    // Nothing of the harness's own.
    let bare = ["PARLOR_LISTEN", "PARLOR_LIMITS__ENABLED", "PARLOR_LLM__PROVIDER"];
    let admin = ["PARLOR_ADMIN_USERNAME", "PARLOR_ADMIN_PASSWORD"];
    let builder = bare.iter().chain(&admin).fold(Parlor::builder(), |it, name| it.without(name));
    let builder = variables.iter().fold(builder, |it, (name, value)| it.env(name, value));
    let outcome = builder.arguments(&["config", "check"]).run().await;
    if outcome.status.success() { Ok(()) } else { Err(outcome.stderr) }
}

/// Makes the secrets of a cluster in a folder.
pub(crate) fn make_secrets(folder: &Path) {
    let made = std::process::Command::new(deploy("secrets.sh")).arg(folder).output().unwrap();
    expect_success(&made);
}

#[test]
fn secrets_are_random_closed_to_others_and_made_once() {
    use std::os::unix::fs::PermissionsExt as _;

    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folders = [first.path().join("secrets"), second.path().join("secrets")];
    for folder in &folders {
        make_secrets(folder);
    }
    let read = |folder: &Path, name: &str| std::fs::read_to_string(folder.join(name)).unwrap();

    let names: Vec<String> = std::fs::read_dir(&folders[0])
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.len() >= 10, "{names:?}");
    for name in &names {
        let one = read(&folders[0], name);
        assert!(one.len() >= 32, "{name} is short: {one}");
        assert_ne!(one, read(&folders[1], name), "{name} is always the same");
    }
    let mode = std::fs::metadata(&folders[0]).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "others can read the folder: {mode:o}");
    let key = read(&folders[0], "secret_key");
    make_secrets(&folders[0]);
    assert_eq!(read(&folders[0], "secret_key"), key, "a second run has replaced it");
}
