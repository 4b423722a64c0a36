//! How source files look.

use crate::tree::{File, expect_none, files, files_with, root};

/// Lines of a source file.
const LINES_MAX: usize = 600;
/// How a source file begins that a tool writes, and that a person reads for single names.
const GENERATED: &str = "// Generated ";
/// Files that a person writes and whose words are not documentation.
const CODE: &[&str] =
    &["rs", "ts", "mjs", "svelte", "css", "html", "sh", "sql", "toml", "yaml", "yml"];

// Put together so that this file does not break its own rules.
const UNFINISHED: &[&str] = &[
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("#[ig", "nore"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
];
const LATER: &str = concat!("TO", "DO");

fn lines_with<'a>(file: &'a File, wanted: &'a str) -> impl Iterator<Item = String> + 'a {
    let with = move |(_, line): &(usize, &str)| line.contains(wanted);
    let place =
        |(number, line): (usize, &str)| format!("{}:{}: {}", file.path, number + 1, line.trim());
    file.text.lines().enumerate().filter(with).map(place)
}

#[test]
fn no_source_file_is_too_long() {
    let mut problems = Vec::new();
    for file in files_with(&["rs", "ts", "mjs", "svelte"]) {
        let lines = file.text.lines().count();
        if lines > LINES_MAX && !file.text.starts_with(GENERATED) {
            problems.push(format!("{} has {lines} lines", file.path));
        }
    }
    expect_none(
        &problems,
        &format!("a file has one purpose and at most {LINES_MAX} lines, better 300; split"),
    );
}

#[test]
fn nothing_is_left_unfinished() {
    let mut problems = Vec::new();
    for file in files_with(CODE) {
        for marker in UNFINISHED {
            problems.extend(lines_with(&file, marker));
        }
        problems.extend(lines_with(&file, LATER).filter(|line| !names_an_issue(line)));
    }
    expect_none(
        &problems,
        "finish it, or write TO\u{44}O(#issue) with the number of an issue; tests are fixed, not skipped",
    );
}

fn names_an_issue(line: &str) -> bool {
    let number = line.split_once(&format!("{LATER}(#")).map(|(_, rest)| rest);
    number.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

#[test]
fn modules_are_files_beside_their_folder() {
    let problems: Vec<String> = files_with(&["rs"])
        .into_iter()
        .filter(|file| file.path.ends_with("/mod.rs"))
        .map(|file| file.path)
        .collect();
    expect_none(&problems, "rename `foo/mod.rs` to `foo.rs`");
}

#[test]
fn every_rust_file_says_what_it_is_for() {
    let problems: Vec<String> = files_with(&["rs"])
        .into_iter()
        .filter(|file| !file.text.starts_with("//! ") && !file.path.ends_with("/tests.rs"))
        .map(|file| file.path)
        .collect();
    expect_none(&problems, "begin the file with `//!` and what it is for and guarantees");
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    let root = root();
    let root = root.to_str().expect("the path is UTF-8").trim_start_matches('/');
    // A clone at the top of the file system has a name that is an ordinary word.
    let root = Some(root).filter(|root| root.contains('/'));
    let mut problems = Vec::new();
    for file in files() {
        let homes = ["/home/", "/Users/", "/root/", "C:\\Users\\"];
        for home in homes {
            // A name in an example is nobody's.
            let example = format!("{home}ada");
            problems.extend(lines_with(&file, home).filter(|line| !line.contains(&example)));
        }
        if let Some(root) = root {
            problems.extend(lines_with(&file, root));
        }
    }
    problems.retain(|line| !line.starts_with("tests/tests/tidy/"));
    expect_none(&problems, "use a path from the root of the project, or an example's");
}

#[test]
fn shell_scripts_can_be_run() {
    use std::os::unix::fs::PermissionsExt as _;

    let mut problems = Vec::new();
    for file in files().into_iter().filter(|file| file.text.starts_with("#!")) {
        let mode = std::fs::metadata(root().join(&file.path)).expect("it was read").permissions();
        if mode.mode() & 0o111 == 0 {
            problems.push(file.path);
        }
    }
    expect_none(&problems, "make it executable: chmod +x");
}
