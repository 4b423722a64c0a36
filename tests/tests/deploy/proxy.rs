//! The proxy's configuration: HAProxy takes it in every form, and refuses what it should.

use std::path::Path;
use std::process::{Command, Output};

use crate::files::{deploy, expect_success, tool};

const ALWAYS: [(&str, &str); 5] = [
    ("PARLOR_BIND", "127.0.0.1:8080"),
    ("PARLOR_STATS_BIND", "127.0.0.1:8404"),
    ("PARLOR_BROKER_1", "127.0.0.1:7771"),
    ("PARLOR_BROKER_2", "127.0.0.1:7772"),
    ("PARLOR_BROKER_3", "127.0.0.1:7773"),
];

fn check(more: &[(&str, &Path)]) -> Output {
    Command::new(tool("haproxy"))
        .args(["-c", "-f"])
        .arg(deploy("haproxy/haproxy.cfg"))
        .env_clear()
        .envs(ALWAYS)
        .envs(more.iter().copied())
        .output()
        .unwrap()
}

#[test]
fn haproxy_takes_the_configuration_without_a_warning() {
    let checked = check(&[]);
    expect_success(&checked);
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(!said.contains("WARNING"), "{said}");
}

#[test]
fn broker_whose_name_is_not_known_yet_is_no_reason_not_to_start() {
    expect_success(&check(&[("PARLOR_BROKER_3", Path::new("broker-3.invalid:7773"))]));
}

#[test]
fn haproxy_takes_the_configuration_with_tls_and_a_redirect() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["chat.example.org".to_owned()]).unwrap();
    let pem = folder.path().join("tls.pem");
    let both = format!("{}{}", made.cert.pem(), made.signing_key.serialize_pem());
    std::fs::write(&pem, both).unwrap();
    let redirect = Path::new("127.0.0.1:8081");

    expect_success(&check(&[("PARLOR_TLS_CERT", &pem), ("PARLOR_REDIRECT_BIND", redirect)]));

    let missing = folder.path().join("none.pem");
    let refused = check(&[("PARLOR_TLS_CERT", &missing)]);
    assert!(!refused.status.success(), "a certificate that is not there is not left out");
}
