//! Which package may use which, and which of them may name a driver.

use std::process::Command;

use serde_json::Value;

use crate::tree::{expect_none, root};

/// Every package and those of ours that it may use.
const ALLOWED: &[(&str, &[&str])] = &[
    ("parlor-protocol", &[]),
    ("parlor-runtime", &[]),
    ("parlor-domain", &["parlor-protocol"]),
    ("parlor-store", &["parlor-domain", "parlor-protocol"]),
    ("parlor-bus", &["parlor-domain", "parlor-protocol"]),
    ("parlor-cluster", &["parlor-domain", "parlor-protocol"]),
    ("parlor-auth", &["parlor-domain", "parlor-protocol"]),
    ("parlor-llm", &["parlor-domain", "parlor-protocol"]),
    ("parlor-files", &[]),
    ("parlor-client", &["parlor-protocol"]),
    // It writes the users of a measurement into a store of its own.
    (
        "parlor-bench",
        &["parlor-auth", "parlor-client", "parlor-protocol", "parlor-runtime", "parlor-store"],
    ),
    (
        "parlor-bot-worker",
        &[
            "parlor-bus",
            "parlor-cluster",
            "parlor-domain",
            "parlor-llm",
            "parlor-protocol",
            "parlor-runtime",
            "parlor-store",
        ],
    ),
    (
        "parlor-broker",
        &[
            "parlor-auth",
            "parlor-bus",
            "parlor-cluster",
            "parlor-domain",
            "parlor-files",
            "parlor-llm",
            "parlor-protocol",
            "parlor-runtime",
            "parlor-store",
        ],
    ),
    (
        "parlor",
        &[
            "parlor-auth",
            "parlor-bench",
            "parlor-bot-worker",
            "parlor-broker",
            "parlor-bus",
            "parlor-client",
            "parlor-cluster",
            "parlor-domain",
            "parlor-files",
            "parlor-llm",
            "parlor-protocol",
            "parlor-runtime",
            "parlor-store",
        ],
    ),
    // What the machine allows, to measure beside: none of the product is in it.
    ("parlor-floor", &[]),
    // For tests only, so it may see what they see.
    ("parlor-testkit", &["parlor-client", "parlor-protocol"]),
    ("parlor-tests", &["parlor-client", "parlor-protocol", "parlor-testkit"]),
];

/// Drivers, and the packages that may name them.
const DRIVERS: &[(&str, &[&str])] = &[
    ("rusqlite", &["parlor-store"]),
    ("refinery", &["parlor-store"]),
    ("tokio-postgres", &["parlor-store"]),
    ("deadpool-postgres", &["parlor-store"]),
    ("async-nats", &["parlor-bus"]),
    ("redis", &["parlor-cluster"]),
    ("axum", &["parlor-broker"]),
    ("tower-http", &["parlor-broker"]),
    // The kit of the tests serves doubles of model providers with it.
    // A worker tells its health with it.
    ("hyper", &["parlor-bot-worker", "parlor-broker", "parlor-testkit"]),
    ("hyper-util", &["parlor-bot-worker", "parlor-broker", "parlor-testkit"]),
    ("object_store", &["parlor-files"]),
    // The broker's tests make and look at images with it.
    ("image", &["parlor-broker", "parlor-files"]),
    ("argon2", &["parlor-auth"]),
    ("jsonwebtoken", &["parlor-auth"]),
    ("clap", &["parlor"]),
];

struct Package {
    name: String,
    manifest: String,
    uses: Vec<Use>,
}

struct Use {
    name: String,
    for_tests: bool,
}

/// Asks cargo, so that renames, targets and optional dependencies are seen as they are.
fn packages() -> Vec<Package> {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo can be started");
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("cargo writes JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let to_use = |dependency: &Value| Use {
        name: text(&dependency["name"]),
        for_tests: dependency["kind"] == "dev",
    };
    let to_package = |package: &Value| Package {
        name: text(&package["name"]),
        manifest: text(&package["manifest_path"]),
        uses: package["dependencies"].as_array().into_iter().flatten().map(to_use).collect(),
    };
    metadata["packages"].as_array().into_iter().flatten().map(to_package).collect()
}

#[test]
fn packages_use_only_what_lies_below_them() {
    let mut problems = Vec::new();
    for package in packages() {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == package.name) else {
            problems.push(format!("{} has no line in ALLOWED", package.name));
            continue;
        };
        for used in package.uses.iter().filter(|used| !used.for_tests) {
            let is_ours = ALLOWED.iter().any(|(name, _)| *name == used.name);
            if is_ours && !allowed.contains(&used.name.as_str()) {
                problems.push(format!("{} uses {}", package.name, used.name));
            }
        }
    }
    expect_none(
        &problems,
        "protocol <- domain <- {store, bus, cluster, auth, llm} <- {broker, bot-worker} <- cli is the \
         direction of dependencies; move the code to where it may be used, or change the table in \
         tests/tests/tidy/direction.rs together with docs/ARCHITECTURE.md",
    );
}

#[test]
fn each_driver_is_named_by_one_package() {
    let mut problems = Vec::new();
    for package in packages() {
        for used in &package.uses {
            let Some((driver, owners)) = DRIVERS.iter().find(|(name, _)| *name == used.name) else {
                continue;
            };
            if !owners.contains(&package.name.as_str()) {
                problems.push(format!("{} names {driver}", package.name));
            }
        }
    }
    expect_none(
        &problems,
        "a driver is an affair of the package that owns it (see DRIVERS in \
         tests/tests/tidy/direction.rs); use that package's contract",
    );
}

#[test]
fn every_package_keeps_the_lints_of_the_workspace() {
    let mut problems = Vec::new();
    for package in packages() {
        let manifest = std::fs::read_to_string(&package.manifest).expect("cargo has read it");
        if !manifest.contains("[lints]\nworkspace = true") {
            problems.push(package.name);
        }
    }
    expect_none(&problems, "add `[lints]` with `workspace = true` to the Cargo.toml of");
}
