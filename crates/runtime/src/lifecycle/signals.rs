//! Signals of the operating system: the first asks to stop, the second ends at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Lifecycle;

impl Lifecycle {
    /// Obeys SIGTERM and SIGINT from now on: the first begins the shutdown, the second aborts.
    ///
    /// The handlers are in place when this returns, so a signal right after it is not lost.
    #[expect(clippy::disallowed_methods, reason = "not tracked: it must outlive every task")]
    pub fn obey_signals(&self) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let lifecycle = self.clone();
        drop(tokio::spawn(async move {
            let name = next(&mut terminate, &mut interrupt).await;
            tracing::info!(signal = name, "asked to stop");
            lifecycle.begin_shutdown();
            let name = next(&mut terminate, &mut interrupt).await;
            tracing::warn!(signal = name, "asked to stop again; ending at once");
            lifecycle.abort();
        }));
        Ok(())
    }
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        biased;
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
