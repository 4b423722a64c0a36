//! Licenses: ours, and those of what is put into the binary as files.

use serde_json::Value;

use crate::tree::{expect_none, read};

/// Development dependencies of the page whose code ends up in the binary all the same.
const BUNDLED_TOO: [&str; 3] = ["redoc", "svelte", "swagger-ui-dist"];

#[test]
fn project_carries_both_of_its_licenses() {
    assert!(read("LICENSE-APACHE").contains("Apache License"), "put the Apache License there");
    assert!(read("LICENSE-MIT").contains("Permission is hereby granted"), "put the MIT one there");
    let manifest = read("Cargo.toml");
    assert!(manifest.contains(r#"license = "Apache-2.0 OR MIT""#), "Cargo.toml names both");
}

#[test]
fn every_library_in_the_page_is_credited() {
    let parse = |path: &str| -> Value { serde_json::from_str(&read(path)).expect("npm wrote it") };
    let package = parse("web/package.json");
    let lock = parse("web/package-lock.json");
    let credits = read("docs/THIRD-PARTY.md");
    let bundled = package["dependencies"].as_object().into_iter().flatten();
    let bundled = bundled.map(|(name, _)| name.as_str()).chain(BUNDLED_TOO);
    let mut problems = Vec::new();
    for name in bundled {
        let license = lock["packages"][format!("node_modules/{name}")]["license"].as_str();
        let row = format!("| {name} | {} |", license.unwrap_or("unknown"));
        if !credits.contains(&row) {
            problems.push(row);
        }
    }
    expect_none(&problems, "what the page is made of is named in docs/THIRD-PARTY.md; add a row");
}
