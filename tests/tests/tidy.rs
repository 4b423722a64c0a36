//! The project's rules as tests: what depends on what, how files look, and that the documents tell
//! the truth. Each failure says what to do.

#[path = "tidy/decisions.rs"]
mod decisions;
#[path = "tidy/direction.rs"]
mod direction;
#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/limits.rs"]
mod limits;
#[path = "tidy/markdown.rs"]
mod markdown;
#[path = "tidy/migrations.rs"]
mod migrations;
#[path = "tidy/notices.rs"]
mod notices;
#[path = "tidy/planted.rs"]
mod planted;
#[path = "tidy/sources.rs"]
mod sources;
#[path = "tidy/tree.rs"]
mod tree;
