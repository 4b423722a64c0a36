//! Both network backends against a provider that misbehaves in every way it knows.

#[path = "providers/detection.rs"]
mod detection;
#[path = "providers/failures.rs"]
mod failures;
#[path = "providers/harness.rs"]
mod harness;
#[path = "providers/replies.rs"]
mod replies;
#[path = "providers/retries.rs"]
mod retries;
