//! Logs to standard error, as text for people or as JSON for machines.
//!
//! A line that cannot be written, because the disk is full or whoever read it has ended, is lost;
//! the program goes on.

use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tracing::Dispatch;
use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{LogConfig, LogFormat};

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not understood.
    #[error("read the log filter")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// This process logs already.
    #[error("set up logging twice")]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// Sends the logs of the whole process to standard error.
///
/// Colors are used for text on a terminal only, and not when `NO_COLOR` is set.
pub fn init(config: &LogConfig) -> Result<(), TelemetryError> {
    let filter = EnvFilter::builder().parse(&config.filter)?;
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        // It would tell of a failed write on standard error, by a macro that panics when it fails.
        .log_internal_errors(false);
    match config.format {
        LogFormat::Text => {
            let ansi = !plain && io::stderr().is_terminal();
            tracing::subscriber::set_global_default(builder.with_ansi(ansi).finish())?;
        }
        LogFormat::Json => {
            let json = builder.json().flatten_event(true).with_current_span(true);
            tracing::subscriber::set_global_default(json.finish())?;
        }
    }
    Ok(())
}

/// The log lines of one thread, for tests.
#[derive(Debug, Clone, Default)]
pub struct CapturedLogs(Arc<Mutex<Vec<u8>>>);

impl CapturedLogs {
    /// Captures what this thread logs, at every level, until the guard is dropped.
    pub fn start() -> (Self, DefaultGuard) {
        // While there is only one subscriber, tracing asks the thread that first reaches a line
        // whether anybody wants it, and remembers the answer for all threads. So there are two.
        static SECOND: OnceLock<Dispatch> = OnceLock::new();
        SECOND.get_or_init(|| Dispatch::new(NoSubscriber::default()));
        let logs = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .without_time()
            .with_writer(logs.clone())
            .finish();
        (logs, tracing::subscriber::set_default(subscriber))
    }

    /// Returns the lines so far.
    pub fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
    }

    /// Returns whether any line holds `text`.
    pub fn contains(&self, text: &str) -> bool {
        self.lines().iter().any(|line| line.contains(text))
    }
}

impl Write for CapturedLogs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for CapturedLogs {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captured_logs_hold_fields_and_end_with_the_guard() {
        let (logs, guard) = CapturedLogs::start();
        tracing::debug!(room.id = 7, "fan out");
        drop(guard);
        tracing::warn!("after the end");

        assert_eq!(logs.lines().len(), 1);
        assert!(logs.contains("room.id=7"));
    }
}
