//! `[log]`.

use tracing_subscriber::EnvFilter;

use super::section::section;
use super::setting::words;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

words! { LogFormat { "text" => Text, "json" => Json } }

section! {
    /// What is logged, on standard error.
    log: LogConfig {
        /// How log lines look.
        format: LogFormat = LogFormat::Text;
        /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, also for one part, such as `info,parlor_broker=debug`.
        filter: String = "info".to_owned(), where |filter| EnvFilter::builder().parse(filter).is_ok() => "must be a level such as info, or levels for parts such as info,parlor_broker=debug";
    }
}
