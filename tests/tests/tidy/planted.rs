//! Planted bugs are in no build that is not made for them.

use crate::tree::{expect_none, files, files_with};

const FEATURE: &str = "planted-bugs";
const GATE: &str = "#[cfg(feature = \"planted-bugs\")]";

#[test]
fn no_default_feature_plants_bugs() {
    let problems: Vec<String> = files_with(&["toml"])
        .into_iter()
        .flat_map(|file| {
            let lines = file.text.lines().filter(|line| line.contains(FEATURE));
            let own = |line: &&str| line.starts_with("planted-bugs = [") || line.starts_with('#');
            let others = lines.filter(|line| !own(line)).map(str::to_owned);
            others.map(|line| format!("{}: {line}", file.path)).collect::<Vec<_>>()
        })
        .collect();
    expect_none(&problems, "only the feature itself may turn the feature on");
}

#[test]
fn every_planted_bug_stands_behind_its_feature() {
    let mut problems = Vec::new();
    for file in files_with(&["rs"]) {
        if file.path.starts_with("tests/") {
            continue;
        }
        let lines: Vec<&str> = file.text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let is_gated =
                || lines[number.saturating_sub(12)..number].iter().any(|l| l.contains(GATE));
            if line.contains("planted::") && !is_gated() {
                problems.push(format!("{}:{}: {}", file.path, number + 1, line.trim()));
            }
        }
    }
    expect_none(&problems, &format!("put {GATE} before it"));
}

#[test]
fn nothing_but_the_soak_builds_with_planted_bugs() {
    let problems: Vec<String> = files()
        .into_iter()
        .filter(|file| !is_source(&file.path))
        .flat_map(|file| {
            let lines = file.text.lines().filter(|line| line.contains("--features"));
            let planted = lines.filter(|line| line.contains(FEATURE)).map(str::trim);
            let allowed = |line: &&str| file.path == "Makefile" && line.contains("target/planted");
            let others = planted.filter(|line| !allowed(line));
            others.map(|line| format!("{}: {line}", file.path)).collect::<Vec<_>>()
        })
        .collect();
    expect_none(&problems, "planted bugs are built into target/planted by `make soak`");
}

/// Tells whether cargo reads a file: these may name the feature.
fn is_source(path: &str) -> bool {
    let extension = std::path::Path::new(path).extension();
    extension.is_some_and(|extension| extension == "rs" || extension == "toml")
}
