//! `docs/LIMITS.md` and the settings agree, and every bound has a test.

use std::collections::{BTreeMap, BTreeSet};

use crate::markdown::{code, code_spans, rows};
use crate::tree::{expect_none, files_with, read, root};

const PAGE: &str = "docs/LIMITS.md";
/// Settings of these sections that are limits. All of `[limits]` are.
const SECTION: &str = "limits.";

/// Columns of the tables in the page.
struct Limit {
    line: usize,
    /// What sets it: a setting, or a constant and its file.
    set_by: String,
    default: String,
    tests: Vec<String>,
}

fn limits() -> Vec<Limit> {
    let spans = |cell: &String| -> Vec<String> {
        code_spans(cell).into_iter().map(|(_, span)| span.to_owned()).collect()
    };
    rows(&read(PAGE))
        .into_iter()
        .map(|(line, cells)| {
            let [set_by, default, _what, _metric, tests] = cells.as_slice() else {
                panic!(
                    "{PAGE}:{line}: a limit has five cells: set by, default, at it, metric, test"
                )
            };
            Limit { line, set_by: set_by.clone(), default: default.clone(), tests: spans(tests) }
        })
        .collect()
}

/// Every setting, by `section.key`, with its default as the page shows it.
pub(crate) fn settings() -> BTreeMap<String, String> {
    let page = read("docs/CONFIGURATION.md");
    let mut settings = BTreeMap::new();
    for section in page.split("\n## [").skip(1) {
        let (name, body) = section.split_once(']').expect("a section's name ends with a bracket");
        for (_, cells) in rows(body) {
            let [key, _type, default, ..] = cells.as_slice() else {
                panic!("docs/CONFIGURATION.md has a table of another shape: {cells:?}")
            };
            if let Some(key) = code(key) {
                settings.insert(format!("{name}.{key}"), default.clone());
            }
        }
    }
    assert!(settings.len() > 50, "docs/CONFIGURATION.md was not understood");
    settings
}

/// Returns the setting of a limit; constants have none.
fn setting(limit: &Limit) -> Option<&str> {
    code(&limit.set_by).filter(|name| name.contains('.'))
}

#[test]
fn every_limit_is_a_setting_with_that_default_or_a_constant() {
    let settings = settings();
    let mut problems = Vec::new();
    for limit in limits() {
        let place = format!("{PAGE}:{}: {}", limit.line, limit.set_by);
        match setting(&limit) {
            Some(name) => match settings.get(name) {
                None => problems.push(format!("{place} is no setting")),
                Some(default) if *default != limit.default => {
                    problems.push(format!("{place} is {default}, not {}", limit.default));
                }
                Some(_) => {}
            },
            None => problems.extend(constant_problem(&limit.set_by).map(|why| place + ": " + &why)),
        }
    }
    expect_none(&problems, "correct docs/LIMITS.md; defaults are in docs/CONFIGURATION.md");
}

/// A constant is written as its name and its file: `NAME` in `path`.
fn constant_problem(set_by: &str) -> Option<String> {
    let spans: Vec<&str> = code_spans(set_by).into_iter().map(|(_, span)| span).collect();
    let [name, path] = spans.as_slice() else {
        return Some("write it as `section.key`, or as `CONSTANT` in `path`".to_owned());
    };
    let Ok(text) = std::fs::read_to_string(root().join(path)) else {
        return Some(format!("there is no file {path}"));
    };
    let is_there = text.contains(&format!("const {name}:"));
    (!is_there).then(|| format!("{path} has no constant {name}"))
}

#[test]
fn every_setting_of_the_limits_is_on_the_page() {
    let limits = limits();
    let listed: BTreeSet<&str> = limits.iter().filter_map(setting).collect();
    let problems: Vec<String> = settings()
        .into_keys()
        .filter(|name| name.starts_with(SECTION) && name != "limits.enabled")
        .filter(|name| !listed.contains(name.as_str()))
        .collect();
    expect_none(&problems, "add to docs/LIMITS.md, with what happens at the limit and a test");
}

#[test]
fn every_limit_has_a_test_that_reaches_it() {
    let tests = test_names();
    let mut problems = Vec::new();
    for limit in limits() {
        let place = format!("{PAGE}:{}: {}", limit.line, limit.set_by);
        if limit.tests.is_empty() {
            problems.push(format!("{place} names no test"));
        }
        for test in limit.tests.iter().filter(|test| !tests.contains(*test)) {
            problems.push(format!("{place}: there is no test `{test}`"));
        }
    }
    expect_none(
        &problems,
        "name the function of a test that reaches the limit; write one if need be",
    );
}

/// Macros that make tests of the functions that they list.
const LISTS: [&str; 2] = ["over_each_store!", "in_both_places!"];

/// The names of all test functions: those that follow an attribute with `test` in it, those that a
/// macro runs in several places, and those of the suite that every store runs.
fn test_names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in files_with(&["rs"]) {
        let mut in_list = false;
        for line in file.text.lines() {
            match line.strip_prefix("    ").and_then(|name| name.strip_suffix(',')) {
                Some(name) if in_list => drop(names.insert(name.to_owned())),
                _ => in_list = LISTS.iter().any(|list| line.starts_with(list)),
            }
        }
        let mut is_test = file.path.starts_with("crates/store/src/conformance/");
        for line in file.text.lines().map(str::trim) {
            if line.starts_with("#[test") || line.starts_with("#[tokio::test") {
                is_test = true;
            }
            let signature = line.strip_prefix("pub ").unwrap_or(line);
            let signature = signature.strip_prefix("pub(super) ").unwrap_or(signature);
            let signature = signature.strip_prefix("async ").unwrap_or(signature);
            if let Some(rest) = signature.strip_prefix("fn ").filter(|_| is_test) {
                names.extend(rest.split('(').next().map(str::to_owned));
                is_test = file.path.starts_with("crates/store/src/conformance/");
            }
        }
    }
    names
}
