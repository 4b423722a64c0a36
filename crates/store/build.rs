//! Rebuilds the crate when a migration was added, which is embedded by its folder's name only.

fn main() {
    println!("cargo::rerun-if-changed=../../migrations/sqlite");
    println!("cargo::rerun-if-changed=../../migrations/postgres");
}
