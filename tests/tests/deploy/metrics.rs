//! Names of metrics in alerts and on the dashboard are names of metrics that exist, so that no panel
//! stays empty and no alert stays silent for a name.

use std::collections::{BTreeMap, BTreeSet};

use parlor_testkit::process::Parlor;
use serde_json::Value;

use crate::files::{deploy, expect_none, read, yaml};

/// What Prometheus adds to the name of a histogram.
const SERIES: [&str; 3] = ["_bucket", "_count", "_sum"];
/// Labels that Prometheus adds, and those of a histogram.
const ADDED: [&str; 3] = ["instance", "job", "le"];

/// A metric of Parlor in a query, and the labels that the query asks for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    name: String,
    labels: Vec<String>,
}

/// Returns every query of the alerts and the dashboard, with where it stands.
fn queries() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for group in yaml(deploy("prometheus/rules.yml"))["groups"].as_array().unwrap() {
        for rule in group["rules"].as_array().unwrap() {
            let place = rule["alert"].as_str().unwrap().to_owned();
            queries.push((place, rule["expr"].as_str().unwrap().to_owned()));
        }
    }
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/parlor.json")).unwrap();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().into_iter().flatten() {
            queries.push((title.to_owned(), target["expr"].as_str().unwrap().to_owned()));
        }
    }
    assert!(queries.len() > 60, "only {} queries were found", queries.len());
    queries
}

/// Returns the metrics that start with `parlor_` in a query.
fn asked(query: &str) -> Vec<Asked> {
    let mut found = Vec::new();
    for (start, _) in query.match_indices("parlor_") {
        let rest = &query.as_bytes()[start..];
        let length = rest.iter().take_while(|c| c.is_ascii_lowercase() || **c == b'_').count();
        let name = query.get(start..start + length).unwrap();
        let after = query.get(start + length..).unwrap();
        let inside = after.strip_prefix('{').and_then(|rest| rest.split('}').next());
        let labels = inside.unwrap_or_default().split(',').filter_map(|matcher| {
            let label = matcher.trim().split(['=', '!']).next()?;
            (!label.is_empty()).then(|| label.to_owned())
        });
        found.push(Asked { name: base_name(name), labels: labels.collect() });
    }
    found
}

fn base_name(series: &str) -> String {
    let base = SERIES.iter().find_map(|suffix| series.strip_suffix(suffix));
    base.unwrap_or(series).to_owned()
}

/// Returns the metrics of the operations page with their labels. Another test compares that page
/// with the code.
fn documented() -> BTreeMap<String, Vec<String>> {
    let page = read("docs/OPERATIONS.md");
    let rows = page.lines().filter(|line| line.starts_with("| `parlor_"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let labels = cells[1].split(',').map(|label| label.trim().trim_matches('`').to_owned());
        let labels = labels.filter(|label| !label.is_empty()).collect();
        (cells[0].trim_matches('`').to_owned(), labels)
    };
    rows.map(row).collect()
}

/// Returns the names of all metrics in what a process tells Prometheus.
pub(crate) fn exported(text: &str) -> BTreeSet<String> {
    let name = |line: &str| line.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned);
    text.lines().filter_map(name).collect()
}

/// Returns the metrics that are asked for and must be exported by a cluster that has just started:
/// those without labels, because a metric with labels is there from its first use on.
pub(crate) fn asked_of_every_cluster() -> BTreeSet<String> {
    let documented = documented();
    let all = queries().into_iter().flat_map(|(_, query)| asked(&query));
    let names = all.map(|asked| asked.name);
    names.filter(|name| documented.get(name).is_some_and(Vec::is_empty)).collect()
}

#[test]
fn every_metric_that_is_asked_for_exists_with_its_labels() {
    let documented = documented();
    let mut problems = Vec::new();
    for (place, query) in queries() {
        for asked in asked(&query) {
            let Some(labels) = documented.get(&asked.name) else {
                problems.push(format!("{place}: there is no metric {}", asked.name));
                continue;
            };
            for label in &asked.labels {
                if !labels.contains(label) && !ADDED.contains(&label.as_str()) {
                    problems.push(format!("{place}: {} has no label {label}", asked.name));
                }
            }
        }
    }
    expect_none(&problems);
}

#[test]
fn every_metric_is_on_the_dashboard() {
    let dashboard = read("deploy/grafana/parlor.json");
    let missing: Vec<String> = documented()
        .into_keys()
        .filter(|name| !dashboard.contains(name.as_str()))
        .map(|name| format!("no panel shows {name}"))
        .collect();
    expect_none(&missing);
}

#[tokio::test]
async fn one_server_exports_what_is_asked_of_it() {
    let server = Parlor::start().await;
    let exported = exported(&server.get_text("/metrics").await);

    // What only a cluster has: NATS, Redis.
    let of_a_cluster = |name: &str| {
        exported.contains(name)
            || ["parlor_bus_", "parlor_cluster_"].iter().any(|area| name.starts_with(area))
    };
    let missing: Vec<String> =
        asked_of_every_cluster().into_iter().filter(|name| !of_a_cluster(name)).collect();
    expect_none(&missing);
}

#[test]
fn queries_are_taken_apart() {
    let query =
        r#"sum(rate(parlor_a_seconds_bucket{reason!="x", le="1"}[5m])) / parlor_b_total > 1"#;
    let labels = |of: &[&str]| of.iter().map(|&label| label.to_owned()).collect::<Vec<_>>();
    assert_eq!(
        asked(query),
        [
            Asked { name: "parlor_a_seconds".to_owned(), labels: labels(&["reason", "le"]) },
            Asked { name: "parlor_b_total".to_owned(), labels: Vec::new() },
        ]
    );
}
