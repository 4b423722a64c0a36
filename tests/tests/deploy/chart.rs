//! The chart, as far as it can be checked without Helm: values against their schema, what templates
//! name against what there is, and the settings against the program.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::files::{deploy, expect_none, read, yaml};
use crate::settings;

fn values() -> Value {
    yaml(deploy("helm/parlor/values.yaml"))
}

fn schema() -> jsonschema::Validator {
    let schema: Value =
        serde_json::from_str(&read("deploy/helm/parlor/values.schema.json")).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

/// Returns each template by its name.
fn templates() -> BTreeMap<String, String> {
    let folder = deploy("helm/parlor/templates");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let templates: BTreeMap<_, _> = entries
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), read(path)))
        .collect();
    assert!(templates.len() > 10, "{:?}", templates.keys());
    templates
}

/// Returns what stands between the braces of a template.
fn actions(template: &str) -> Vec<&str> {
    let inside =
        |rest| str::split_once(rest, "}}").map(|(inside, _)| inside.trim_matches([' ', '-']));
    template.split("{{").skip(1).filter_map(inside).filter(|it| !it.starts_with("/*")).collect()
}

fn set(values: &mut Value, path: &str, value: Value) {
    let slot = path.split('.').fold(values, |value, key| &mut value[key]);
    *slot = value;
}

#[test]
fn default_values_match_the_schema_and_wrong_ones_do_not() {
    let schema = schema();
    assert!(schema.is_valid(&values()), "{:?}", schema.validate(&values()).err());
    let wrong = [
        ("image.tag", json!("latest")),
        ("existingSecret", json!("")),
        ("broker.replicas", json!(0)),
        ("broker.replicas", json!("three")),
        ("broker.spread", json!("Sometimes")),
        ("broker.resources", json!({"requests": {"cpu": "1", "memory": "1Gi"}})),
        ("botWorker.autoscaling.cpu", json!(200)),
        ("broker.autoscaling.scaleDownPeriod", json!(1)),
        ("lifecycle.drain", json!("30s")),
        ("config.store", json!({"url": "postgres://u:p@h/d"})),
        ("config.auth", json!({"secret_key": "in the open"})),
        ("config.nonsense", json!({"key": "value"})),
        ("service.type", json!("Magic")),
        ("unknown", json!(true)),
    ];
    for (path, value) in wrong {
        let mut values = values();
        set(&mut values, path, value.clone());
        assert!(!schema.is_valid(&values), "{path} = {value} is allowed");
    }
}

#[test]
fn every_value_that_a_template_uses_exists() {
    let values = values();
    let mut problems = Vec::new();
    for (name, text) in templates() {
        for action in actions(&text) {
            for (at, _) in action.match_indices(".Values.") {
                let rest = action.get(at + ".Values.".len()..).unwrap();
                let path: String =
                    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '.').collect();
                let pointer = format!("/{}", path.trim_end_matches('.').replace('.', "/"));
                if values.pointer(&pointer).is_none() {
                    problems.push(format!("{name}: there is no value {path}"));
                }
            }
        }
    }
    expect_none(&problems);
}

#[test]
fn templates_are_closed_and_include_what_is_defined() {
    let templates = templates();
    let all: Vec<&str> = templates.values().flat_map(|text| actions(text)).collect();
    let quoted = |action: &&str, verb: &str| -> Option<String> {
        let (_, rest) = action.split_once(&format!("{verb} \""))?;
        rest.split('"').next().map(str::to_owned)
    };
    let defined: BTreeSet<String> = all.iter().filter_map(|it| quoted(it, "define")).collect();
    let included: BTreeSet<String> = all.iter().filter_map(|it| quoted(it, "include")).collect();
    assert_eq!(defined, included, "defined and not used, or the other way round");
    for (name, text) in &templates {
        assert_eq!(text.matches("{{").count(), text.matches("}}").count(), "{name}");
        let first = |action: &&str| action.split_whitespace().next().unwrap_or_default().to_owned();
        let words: Vec<String> = actions(text).iter().map(first).collect();
        let opens = ["if", "range", "with", "define"];
        let open = words.iter().filter(|word| opens.contains(&word.as_str())).count();
        let ends = words.iter().filter(|word| *word == "end").count();
        assert_eq!(open, ends, "{name} opens {open} blocks and ends {ends}");
    }
}

/// Returns the settings that the chart's values stand for, as the template writes them.
fn variables() -> BTreeMap<String, String> {
    let values = values();
    let mut variables = BTreeMap::new();
    for (section, keys) in values["config"].as_object().unwrap() {
        for (key, value) in keys.as_object().unwrap() {
            let name = format!("PARLOR_{section}__{key}").to_uppercase();
            variables.insert(name, value.as_str().unwrap().to_owned());
        }
    }
    let life = &values["lifecycle"];
    for (variable, key) in [
        ("PARLOR_LIFECYCLE__PRE_STOP", "preStop"),
        ("PARLOR_LIFECYCLE__DRAIN", "drain"),
        ("PARLOR_LIFECYCLE__ABORT_AFTER", "abortAfter"),
        ("PARLOR_BOTS__DRAIN", "botWorkerDrain"),
    ] {
        variables.insert(variable.to_owned(), format!("{}s", life[key]));
    }
    variables
}

#[tokio::test]
async fn settings_of_the_chart_are_accepted() {
    let known = settings::known();
    // Variables that stand in the templates themselves.
    for (name, text) in templates() {
        let quoted = text.split('"').skip(1).step_by(2).map(str::to_owned);
        let named = text.lines().filter_map(|line| line.trim().strip_prefix("- name: "));
        let keys = text.lines().filter_map(|line| line.trim().split_once(": "));
        let words =
            quoted.chain(named.map(str::to_owned)).chain(keys.map(|(key, _)| key.to_owned()));
        for word in words.filter(|word| is_variable(word)) {
            assert!(known.contains(&word), "{name}: {word} is no setting");
        }
    }
    let checked = settings::check(&variables()).await;
    assert_eq!(checked, Ok(()));
}

fn is_variable(word: &str) -> bool {
    let endings = ["_URL", "_KEY"];
    word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        && (word.starts_with("PARLOR_") || endings.iter().any(|ending| word.ends_with(ending)))
}

#[test]
fn pods_are_given_the_time_that_a_stop_takes_and_run_without_rights() {
    let templates = templates();
    let broker = &templates["broker-deployment.yaml"];
    let worker = &templates["bot-worker-deployment.yaml"];
    // More than the program needs: lifecycle.abort_after, or its drain, and the last writes.
    assert!(
        broker.contains("terminationGracePeriodSeconds: {{ add .Values.lifecycle.abortAfter 15 }}")
    );
    let of_worker = "add .Values.lifecycle.preStop .Values.lifecycle.botWorkerDrain 20";
    assert!(worker.contains(of_worker));
    for text in [broker, worker] {
        for wanted in ["parlor.podSecurity", "parlor.containerSecurity", "/readyz", "/healthz"] {
            assert!(text.contains(wanted), "{wanted}");
        }
        assert!(text.contains("automountServiceAccountToken: false"));
        // A Service named parlor would set PARLOR_PORT and the like.
        assert!(text.contains("enableServiceLinks: false"));
    }
    for wanted in ["runAsNonRoot: true", "readOnlyRootFilesystem: true", "drop: [ALL]"] {
        assert!(templates["_helpers.tpl"].contains(wanted), "{wanted}");
    }
}

#[test]
fn chart_and_program_have_one_version() {
    let chart = yaml(deploy("helm/parlor/Chart.yaml"));
    let manifest = read("Cargo.toml");
    let version = chart["appVersion"].as_str().unwrap();
    assert!(manifest.contains(&format!("version = \"{version}\"")), "{version}");
}
