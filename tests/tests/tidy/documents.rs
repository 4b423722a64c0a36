//! What the documents name is there.

use std::collections::BTreeSet;

use crate::limits::settings;
use crate::markdown::{anchors, code_spans, links};
use crate::tree::{File, expect_none, files_with, paths, read, root};

/// What a build leaves behind and documents may name.
const BUILT: [&str; 4] = ["target/", "web/dist", "web/node_modules", "dist/"];

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Resolves a path that is written in `from`; `None` when it leaves the project.
fn resolve(from: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder_of(from).split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut problems = Vec::new();
    for file in files_with(&["md"]) {
        for (line, link) in links(&file.text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if path.is_empty() { Some(file.path.clone()) } else { resolve(&file.path, path) };
            let target = target.filter(|target| root().join(target).exists());
            let found = target.is_some_and(|target| {
                anchor.is_empty() || anchors(&read(&target)).iter().any(|found| found == anchor)
            });
            if !found {
                problems.push(format!("{}:{line}: {link}", file.path));
            }
        }
    }
    expect_none(&problems, "correct the link, or bring back what it led to");
}

#[test]
fn every_path_that_a_document_names_exists() {
    let tops: BTreeSet<String> = paths()
        .iter()
        .filter_map(|path| path.split_once('/'))
        .map(|(top, _)| format!("{top}/"))
        .collect();
    let mut problems = Vec::new();
    for file in files_with(&["md"]) {
        for (line, span) in code_spans(&file.text) {
            let is_path = tops.iter().any(|top| span.starts_with(top.as_str()));
            let is_plain = span.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            if !is_path || !is_plain || BUILT.iter().any(|built| span.starts_with(built)) {
                continue;
            }
            let beside = root().join(folder_of(&file.path)).join(span);
            if !root().join(span).exists() && !beside.exists() {
                problems.push(format!("{}:{line}: {span}", file.path));
            }
        }
    }
    expect_none(&problems, "correct the path, or bring back what was there");
}

#[test]
fn every_make_target_that_a_document_names_exists() {
    let makefile = read("Makefile");
    let mut problems = Vec::new();
    for file in files_with(&["md"]) {
        for (line, span) in code_spans(&file.text) {
            let Some(target) = span.strip_prefix("make ") else { continue };
            let target = target.split(' ').next().unwrap_or_default();
            if !makefile.lines().any(|line| line.starts_with(&format!("{target}:"))) {
                problems.push(format!("{}:{line}: {span}", file.path));
            }
        }
    }
    expect_none(&problems, "correct the target, or add it to the Makefile");
}

#[test]
fn every_setting_that_a_document_names_exists() {
    let settings = settings();
    let mut problems = Vec::new();
    for file in files_with(&["md"]) {
        let words = file.text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        for word in words.filter(|word| word.starts_with("PARLOR_")) {
            let Some((section, key)) = word.trim_start_matches("PARLOR_").split_once("__") else {
                continue;
            };
            if section == "SECTION" {
                continue;
            }
            let key = key.strip_suffix("_FILE").unwrap_or(key);
            let name = format!("{section}.{key}").to_lowercase();
            if !settings.contains_key(&name) {
                problems.push(format!("{}: {word}", file.path));
            }
        }
    }
    expect_none(&problems, "correct the name; all settings are in docs/CONFIGURATION.md");
}

/// Areas that names of metrics begin with.
const AREAS: [&str; 12] = [
    "http", "ws", "room", "bus", "store", "relay", "cluster", "auth", "bot", "llm", "runtime",
    "build",
];

fn is_metric(word: &str) -> bool {
    let area = word.strip_prefix("parlor_").and_then(|rest| rest.split_once('_'));
    area.is_some_and(|(area, rest)| AREAS.contains(&area) && !rest.is_empty())
        && word.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

/// Metrics that the code registers: string literals with such a name, outside tests.
fn metrics(files: &[File]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in files {
        let is_test = file.path.contains("/tests/") || file.path.ends_with("/tests.rs");
        let code = file.text.split("#[cfg(test)]").next().unwrap_or_default();
        for literal in code.split('"').skip(1).step_by(2).filter(|_| !is_test) {
            if is_metric(literal) {
                names.insert(literal.to_owned());
            }
        }
    }
    names
}

#[test]
fn operations_page_lists_every_metric_and_no_other() {
    let page = read("docs/OPERATIONS.md");
    let in_code = metrics(&files_with(&["rs"]));
    assert!(!in_code.is_empty(), "no metric was found, so this test looks in the wrong place");
    let in_page: BTreeSet<String> = code_spans(&page)
        .into_iter()
        .filter_map(|(_, span)| span.split('{').next())
        .filter(|span| is_metric(span))
        .map(str::to_owned)
        .collect();
    let missing = in_code.difference(&in_page).map(|name| format!("missing: {name}"));
    let unknown = in_page.difference(&in_code).map(|name| format!("unknown: {name}"));
    let problems: Vec<String> = missing.chain(unknown).collect();
    expect_none(&problems, "bring the table of metrics in docs/OPERATIONS.md up to date");
}

#[test]
fn architecture_stays_readable() {
    let lines = read("docs/ARCHITECTURE.md").lines().count();
    assert!(lines <= 250, "docs/ARCHITECTURE.md has {lines} lines; it is a map, not the country");
}
