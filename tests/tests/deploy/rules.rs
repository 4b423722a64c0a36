//! Scrape configuration, alerts and dashboard: the tools that read them take them, each alert fires
//! in a test of its own, and each runbook is there.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::files::{deploy, expect_none, expect_success, read, tool, yaml};

fn promtool(arguments: &[&str]) -> String {
    let mut command = Command::new(tool("promtool"));
    expect_success(&command.args(arguments).current_dir(deploy("prometheus")).output().unwrap())
}

fn alerts() -> Vec<Value> {
    let file = yaml(deploy("prometheus/rules.yml"));
    let groups = file["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).cloned().collect()
}

#[test]
fn prometheus_takes_its_configuration() {
    promtool(&["check", "config", "prometheus.yml"]);
}

#[test]
fn alerts_fire_when_they_should_and_only_then() {
    promtool(&["test", "rules", "rules_test.yml"]);
    // One that no test names would pass whatever it says.
    let tests = read("deploy/prometheus/rules_test.yml");
    let fires = |name: &str| {
        let mut cases = tests.split("- alertname: ").skip(1);
        cases.any(|case| case.lines().next() == Some(name) && case.contains("exp_labels"))
    };
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        assert!(fires(name), "no test has {name} fire");
    }
}

#[test]
fn whoever_is_woken_up_is_told_what_to_do() {
    let page = read("docs/OPERATIONS.md");
    let anchors: BTreeSet<String> = page
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_matches(['#', ' ']).to_lowercase())
        .collect();
    let mut problems = Vec::new();
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        let annotations = &alert["annotations"];
        if annotations["summary"].as_str().is_none_or(str::is_empty) {
            problems.push(format!("{name} has no summary"));
        }
        let severity = alert["labels"]["severity"].as_str().unwrap_or_default();
        if !["page", "ticket"].contains(&severity) {
            problems.push(format!("{name} has the severity {severity:?}"));
        }
        let runbook = annotations["runbook"].as_str().unwrap_or_default();
        match runbook.strip_prefix("docs/OPERATIONS.md#") {
            Some(anchor) if anchors.contains(anchor) => {}
            _ => problems.push(format!("{name}: {runbook:?} is not in docs/OPERATIONS.md")),
        }
    }
    expect_none(&problems);
}

#[test]
fn dashboard_is_provisioned_with_the_data_source_it_asks() {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/parlor.json")).unwrap();
    let sources = yaml(deploy("grafana/provisioning/datasources/prometheus.yml"));
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let source = variables.iter().find(|variable| variable["type"] == "datasource").unwrap();
    assert_eq!(source["current"]["value"], sources["datasources"][0]["uid"]);
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels have one id");
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
            assert!(!panel["targets"].as_array().unwrap().is_empty(), "{}", panel["title"]);
        }
    }
    // Where compose puts the dashboard is where Grafana looks.
    let folder = yaml(deploy("grafana/provisioning/dashboards/parlor.yml"));
    let folder = folder["providers"][0]["options"]["path"].as_str().unwrap().to_owned();
    assert!(read("deploy/compose.yaml").contains(&format!("./grafana/parlor.json:{folder}/")));
}
