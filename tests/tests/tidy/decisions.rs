//! Decision records: complete, numbered, and listed.

use crate::tree::{File, expect_none, files_with};

const FOLDER: &str = "docs/adr/";
const INDEX: &str = "docs/adr/README.md";
const SECTIONS: [&str; 5] =
    ["## Context", "## Decision", "## Limits", "## Consequences", "## Alternatives"];

fn records() -> Vec<File> {
    let mut records = files_with(&["md"]);
    records.retain(|file| file.path.starts_with(FOLDER) && file.path != INDEX);
    assert!(!records.is_empty(), "there are no records in {FOLDER}");
    records
}

#[test]
fn records_are_numbered_without_a_hole() {
    let mut problems = Vec::new();
    for (expected, record) in (1..).zip(records()) {
        let start = format!("{FOLDER}{expected:04}-");
        if !record.path.starts_with(&start) {
            problems.push(format!("{} should begin with {start}", record.path));
        }
    }
    expect_none(&problems, "give a new record the next number");
}

#[test]
fn every_record_has_the_same_parts() {
    let mut problems = Vec::new();
    for record in records() {
        for row in ["| Date |", "| Status |", "| Tags |"] {
            if !record.text.contains(row) {
                problems.push(format!("{}: no row `{row}` in the table at its head", record.path));
            }
        }
        let mut rest = record.text.as_str();
        for section in SECTIONS {
            match rest.split_once(&format!("\n{section}\n")) {
                Some((_, after)) => rest = after,
                None => problems.push(format!("{}: no section `{section}`", record.path)),
            }
        }
    }
    expect_none(
        &problems,
        "a record has a table and five sections, in order; see docs/adr/README.md",
    );
}

#[test]
fn index_lists_every_record_with_its_title() {
    let index = crate::tree::read(INDEX);
    let mut problems = Vec::new();
    for record in records() {
        let title = record.text.lines().next().unwrap_or_default().trim_start_matches("# ");
        let file = record.path.trim_start_matches(FOLDER);
        let link = format!("[{title}]({file})");
        if !index.contains(&link) {
            problems.push(link);
        }
    }
    expect_none(&problems, "add to docs/adr/README.md");
}
