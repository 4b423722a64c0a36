//! The units of systemd: their commands and settings exist, and systemd takes them where it is.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use parlor_testkit::process::{Parlor, binary};

use crate::files::{deploy, expect_success, read};
use crate::settings;

/// Each file, the name of a unit that it makes, and the verb that it runs.
const UNITS: [(&str, &str, &str); 3] = [
    ("parlor.service", "parlor.service", "serve"),
    ("parlor-broker@.service", "parlor-broker@1.service", "broker"),
    ("parlor-bot-worker@.service", "parlor-bot-worker@1.service", "bot-worker"),
];
/// How exposed a service may be, as `systemd-analyze security` counts; 100 is wide open.
const EXPOSURE_MAX: &str = "20";
const PROGRAM: &str = "/usr/local/bin/parlor";

fn unit(file: &str) -> String {
    read(Path::new("deploy/systemd").join(file))
}

/// Returns the values of a key, in their order.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    let value = |line: &'a str| line.strip_prefix(key)?.strip_prefix('=');
    unit.lines().filter_map(value).collect()
}

/// Returns the variables of the first instance, with secrets where a test has them.
fn variables(unit: &str, secrets: &Path) -> BTreeMap<String, String> {
    let credentials: BTreeMap<&str, &str> = values(unit, "LoadCredential")
        .into_iter()
        .map(|value| value.split_once(':').unwrap())
        .collect();
    let place = |value: &str| match value.strip_prefix("%d/") {
        Some(name) => {
            let file = credentials[name].strip_prefix("/etc/parlor/secrets/").unwrap();
            secrets.join(file).display().to_string()
        }
        None => value.replace("%i", "1"),
    };
    values(unit, "Environment")
        .into_iter()
        .flat_map(str::split_whitespace)
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), place(value)))
        .collect()
}

#[tokio::test]
async fn settings_and_verbs_of_the_units_exist() {
    let folder = tempfile::tempdir().unwrap();
    settings::make_secrets(folder.path());
    let known = settings::known();
    for (file, _, verb) in UNITS {
        let unit = unit(file);
        assert_eq!(values(&unit, "ExecStart"), [format!("{PROGRAM} {verb}")], "{file}");
        let help = Parlor::builder().arguments(&[verb, "--help"]).run().await;
        assert!(help.status.success(), "{file}: {help:?}");
        let variables = variables(&unit, folder.path());
        for variable in variables.keys() {
            assert!(known.contains(variable), "{file}: {variable} is no setting");
        }
        assert_eq!(settings::check(&variables).await, Ok(()), "{file}");
    }
}

#[test]
fn units_are_hardened_and_go_on_trying() {
    let wanted = [
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("PrivateDevices", "yes"),
        ("DynamicUser", "yes"),
        ("CapabilityBoundingSet", ""),
        ("MemoryDenyWriteExecute", "yes"),
        ("Restart", "on-failure"),
        // A setting that is wrong stays wrong.
        ("RestartPreventExitStatus", "64"),
        ("StartLimitIntervalSec", "0"),
    ];
    for (file, ..) in UNITS {
        let unit = unit(file);
        for (key, value) in wanted {
            assert_eq!(values(&unit, key), [value], "{file}: {key}");
        }
    }
}

/// Where systemd is not, the other tests of this file have to do.
#[test]
fn systemd_takes_the_units_where_it_is_installed() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (file, name, _) in UNITS {
        // It looks whether the program is there.
        let text = unit(file).replace(PROGRAM, binary().to_str().unwrap());
        std::fs::write(folder.path().join(file), text).unwrap();
        let unit = folder.path().join(name);
        let verified = Command::new("systemd-analyze").arg("verify").arg(&unit).output().unwrap();
        expect_success(&verified);
        let said = String::from_utf8_lossy(&verified.stderr).into_owned();
        let about_it: Vec<&str> = said.lines().filter(|line| line.contains("parlor")).collect();
        assert!(about_it.is_empty(), "{file}: {about_it:?}");
        let security = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--no-pager", "--threshold", EXPOSURE_MAX])
            .arg(deploy("systemd").join(file))
            .output()
            .unwrap();
        expect_success(&security);
    }
}
