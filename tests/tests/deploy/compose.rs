//! The compose files: every service is bounded, watched, unprivileged and without a default
//! password, and the settings in them are accepted by the program.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::files::{deploy, expect_none, yaml};
use crate::settings;

const FILES: [&str; 2] = ["compose.yaml", "compose.prod.yaml"];
/// What an operator brings along.
const BROUGHT: &[&str] = &["secrets/tls.pem"];

type Services = Map<String, Value>;

fn services(file: &Value) -> &Services {
    file["services"].as_object().unwrap()
}

fn strings(value: &Value) -> Vec<String> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// Returns the variables of a service with `${NAME:-default}` and `${NAME:?why}` filled in.
fn variables(service: &Value) -> BTreeMap<String, String> {
    let given = service["environment"].as_object().cloned().unwrap_or_default();
    let fill = |text: &str| -> String {
        let Some(inner) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) else {
            return text.to_owned();
        };
        match inner.split_once(":-") {
            Some((_, default)) => default.to_owned(),
            None => "https://chat.example.org".to_owned(),
        }
    };
    given.iter().map(|(name, value)| (name.clone(), fill(value.as_str().unwrap()))).collect()
}

/// Returns what is wrong with how one service is run.
fn service_problems(name: &str, service: &Value, all: &Services) -> Vec<String> {
    let mut problems = Vec::new();
    let mut check = |holds: bool, what: &str| {
        if !holds {
            problems.push(format!("{name}: {what}"));
        }
    };
    let image = service["image"].as_str().unwrap_or_default();
    let (_, tag) = image.rsplit_once(':').unwrap_or((image, ""));
    check(!tag.is_empty() && tag != "latest", "the image has no version");
    check(!strings(&service["healthcheck"]["test"]).is_empty(), "no health check");
    let limits = &service["deploy"]["resources"]["limits"];
    check(limits["memory"].is_string() && limits["cpus"].is_string(), "no limits");
    check(service["read_only"] == true, "not read-only");
    check(service["restart"].is_string(), "no restart policy");
    check(strings(&service["cap_drop"]) == ["ALL"], "keeps capabilities");
    check(
        strings(&service["security_opt"]).contains(&"no-new-privileges:true".to_owned()),
        "can gain privileges",
    );
    check(service["privileged"].is_null(), "privileged");
    for (variable, value) in variables(service) {
        let secret = ["PASSWORD", "SECRET", "TOKEN", "DATABASE_URL", "NATS_URL", "REDIS_URL"];
        let names_file = variable.ends_with("_FILE") && value.starts_with("/run/secrets/");
        let is_secret = secret.iter().any(|word| variable.contains(word));
        check(!is_secret || names_file, &format!("{variable} is not a file with a secret"));
    }
    for (other, how) in service["depends_on"].as_object().into_iter().flatten() {
        check(how["condition"] == "service_healthy", &format!("does not wait for {other}"));
        check(all.contains_key(other), &format!("depends on {other}, which is not there"));
    }
    problems
}

/// Returns what is named and not there.
fn reference_problems(name: &str, service: &Value, file: &Value, made: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    for network in strings(&service["networks"]) {
        if file["networks"].get(&network).is_none() {
            problems.push(format!("{name}: there is no network {network}"));
        }
    }
    for secret in secret_names(service) {
        let Some(source) = file["secrets"][&secret]["file"].as_str() else {
            problems.push(format!("{name}: there is no secret {secret}"));
            continue;
        };
        let is_made = source.strip_prefix("secrets/").is_some_and(|file| made.join(file).is_file());
        if !is_made && !BROUGHT.contains(&source) {
            problems.push(format!("{name}: secrets.sh does not make {source}"));
        }
    }
    for volume in strings(&service["volumes"]) {
        let source = volume.split(':').next().unwrap();
        let exists = match source.strip_prefix("./") {
            Some(path) => deploy(path).exists(),
            None => file["volumes"].get(source).is_some(),
        };
        if !exists {
            problems.push(format!("{name}: {source} is not there"));
        }
    }
    problems
}

fn secret_names(service: &Value) -> BTreeSet<String> {
    let listed = service["secrets"].as_array().cloned().unwrap_or_default();
    let name = |secret: &Value| match secret {
        Value::String(name) => name.clone(),
        long => long["source"].as_str().unwrap().to_owned(),
    };
    listed.iter().map(name).collect()
}

#[test]
fn every_service_is_watched_bounded_and_unprivileged() {
    let folder = tempfile::tempdir().unwrap();
    settings::make_secrets(folder.path());
    let mut problems = Vec::new();
    for path in FILES {
        let file = yaml(deploy(path));
        for (name, service) in services(&file) {
            let found = service_problems(name, service, services(&file))
                .into_iter()
                .chain(reference_problems(name, service, &file, folder.path()));
            problems.extend(found.map(|problem| format!("{path}: {problem}")));
        }
    }
    expect_none(&problems);
}

#[test]
fn production_publishes_only_the_proxy_and_keeps_its_logs_small() {
    let file = yaml(deploy("compose.prod.yaml"));
    for (name, service) in services(&file) {
        assert_eq!(service["ports"].is_array(), name == "haproxy", "ports of {name}");
        assert!(service["logging"]["options"]["max-size"].is_string(), "logs of {name}");
        assert_eq!(service["restart"], "always", "{name}");
    }
    assert!(services(&file).get("postgres").is_none(), "the database is somebody else's");
}

#[test]
fn trial_publishes_nothing_to_other_machines() {
    let file = yaml(deploy("compose.yaml"));
    for (name, service) in services(&file) {
        for port in strings(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name} publishes {port}");
        }
    }
}

#[test]
fn parts_of_a_cluster_are_all_there() {
    for path in FILES {
        let file = yaml(deploy(path));
        let count = |verb: &str| {
            let runs = |service: &&Value| strings(&service["command"]) == [verb];
            services(&file).values().filter(runs).count()
        };
        assert_eq!((count("broker"), count("bot-worker")), (3, 2), "{path}");
    }
}

/// Secrets are mounted in containers; a check finds them in a folder.
fn with_secrets_in(variables: &mut BTreeMap<String, String>, folder: &Path) {
    for value in variables.values_mut() {
        if let Some(name) = value.strip_prefix("/run/secrets/") {
            *value = folder.join(name).display().to_string();
        }
    }
}

fn seconds(text: &str) -> u64 {
    let number: u64 = text.trim_end_matches(|c: char| c.is_alphabetic()).parse().unwrap();
    if text.ends_with('m') { number * 60 } else { number }
}

#[tokio::test]
async fn settings_of_brokers_and_workers_are_accepted() {
    let folder = tempfile::tempdir().unwrap();
    settings::make_secrets(folder.path());
    let known = settings::known();
    for path in FILES {
        let file = yaml(deploy(path));
        for (name, service) in services(&file) {
            if !name.starts_with("bro") && !name.starts_with("bot") {
                continue;
            }
            let mut variables = variables(service);
            for variable in variables.keys() {
                assert!(known.contains(variable), "{path}: {name}: {variable} is no setting");
            }
            with_secrets_in(&mut variables, folder.path());
            let checked = settings::check(&variables).await;
            assert_eq!(checked, Ok(()), "{path}: {name}");
        }
    }
}

#[test]
fn containers_are_given_the_time_that_a_stop_takes() {
    for path in FILES {
        let file = yaml(deploy(path));
        for (name, service) in services(&file) {
            let variables = variables(service);
            let stop = ["PARLOR_LIFECYCLE__ABORT_AFTER", "PARLOR_BOTS__DRAIN"];
            for taken in stop.iter().filter_map(|&variable| variables.get(variable)) {
                let grace = seconds(service["stop_grace_period"].as_str().unwrap());
                let needed = seconds(taken) + 10;
                assert!(grace >= needed, "{path}: {name} is killed after {grace} s of {needed} s");
            }
        }
    }
}

#[test]
fn targets_of_prometheus_are_services() {
    let file = yaml(deploy("compose.yaml"));
    for targets in ["brokers", "bot-workers", "proxies"] {
        let path = PathBuf::from(format!("prometheus/targets/{targets}-compose.yml"));
        for target in strings(&yaml(deploy(path.to_str().unwrap()))[0]["targets"]) {
            let (name, port) = target.rsplit_once(':').unwrap();
            let service = services(&file).get(name).unwrap_or_else(|| panic!("no {name}"));
            let listens =
                variables(service).values().any(|value| value.ends_with(&format!(":{port}")));
            assert!(listens, "{name} does not listen on {port}");
        }
    }
}
