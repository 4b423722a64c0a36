//! Migrations: numbered without holes, and the same in both databases.

use crate::tree::{expect_none, paths};

/// Number and name of the steps of one database, in order.
fn steps(database: &str) -> Vec<(u32, String)> {
    let folder = format!("migrations/{database}/");
    let mut steps: Vec<(u32, String)> = paths()
        .iter()
        .filter_map(|path| path.strip_prefix(&folder))
        .filter(|file| *file != "README.md")
        .map(|file| {
            let step = file.strip_prefix('V').and_then(|rest| rest.strip_suffix(".sql"));
            let step = step.and_then(|step| step.split_once("__"));
            let (number, name) = step.unwrap_or_else(|| {
                panic!("{folder}{file}: name it V<number>__<what>.sql, such as V2__pins.sql")
            });
            (number.parse().expect("a number follows the V"), name.to_owned())
        })
        .collect();
    steps.sort();
    steps
}

#[test]
fn steps_are_numbered_from_one_without_a_hole() {
    let mut problems = Vec::new();
    for database in ["sqlite", "postgres"] {
        for (expected, (number, name)) in (1..).zip(steps(database)) {
            if number != expected {
                problems.push(format!("{database}: V{number}__{name} should be V{expected}"));
            }
        }
    }
    expect_none(&problems, "a new migration takes the next number; a released one keeps its own");
    assert!(!steps("sqlite").is_empty(), "there is a first step");
}

#[test]
fn both_databases_have_the_same_steps() {
    let (sqlite, postgres) = (steps("sqlite"), steps("postgres"));
    // There is nothing to pair before the second database is there.
    if postgres.is_empty() {
        return;
    }
    let missing = |from: &[(u32, String)], of: &[(u32, String)], name: &str| -> Vec<String> {
        let missing = of.iter().filter(|step| !from.contains(step));
        missing.map(|(number, what)| format!("{name}: V{number}__{what}.sql")).collect()
    };
    let mut problems = missing(&sqlite, &postgres, "sqlite");
    problems.extend(missing(&postgres, &sqlite, "postgres"));
    expect_none(&problems, "migrations go in pairs; add the step that is missing in the other one");
}
