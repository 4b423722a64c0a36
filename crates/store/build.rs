//! Rebuilds the crate when a migration was added, which is embedded by its folder's name only.

#![expect(clippy::print_stdout, reason = "how cargo is told")]

fn main() {
    println!("cargo::rerun-if-changed=../../migrations/sqlite");
}
