//! How far a measurement is, for the person who waits for it.
//!
//! A bar on standard error, drawn a few times a second and only where that is a terminal, so that
//! neither logs nor the measurement suffer from it. Counting costs one atomic addition.

use std::fmt;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Drawings a second. More would take processor time from the generator.
const DRAWN_PER_SECOND: u8 = 4;
const COUNTED: &str = "{prefix:<9} {bar:32} {human_pos} of {human_len} {msg}";
const TIMED: &str = "{prefix:<9} {bar:32} {pos} of {len} s {msg}";

/// What a measurement is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Accounts and rooms are made.
    Prepare,
    /// Connections are opened, and enter their rooms.
    Connect,
    /// The load runs, and is not counted yet.
    WarmUp,
    /// The load runs and is counted.
    Measure,
    /// Deliveries that are under way are awaited.
    Settle,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prepare => "prepare",
            Self::Connect => "connect",
            Self::WarmUp => "warm up",
            Self::Measure => "measure",
            Self::Settle => "settle",
        })
    }
}

/// A bar that shows one phase after the other. Clones show the same bar; it goes away with the last.
#[derive(Debug, Clone)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Returns a bar on standard error, which shows nothing where that is no terminal.
    pub fn on_stderr() -> Self {
        Self::on(ProgressDrawTarget::stderr_with_hz(DRAWN_PER_SECOND))
    }

    /// Returns a bar that is never shown, for `--quiet` and `--json`.
    pub fn hidden() -> Self {
        Self::on(ProgressDrawTarget::hidden())
    }

    fn on(target: ProgressDrawTarget) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), target);
        Self { bar: bar.with_finish(indicatif::ProgressFinish::AndClear) }
    }

    /// Begins a phase that ends after `total` of what `things` names, such as "connections".
    pub fn count(&self, phase: Phase, total: u64, things: &'static str) {
        self.begin(phase, total, COUNTED, things);
    }

    /// Begins a phase that ends after a time; [`Self::reach`] is told whole seconds.
    pub fn time(&self, phase: Phase, total: Duration) {
        self.begin(phase, total.as_secs(), TIMED, "");
    }

    fn begin(&self, phase: Phase, total: u64, template: &str, words: &'static str) {
        let style = ProgressStyle::with_template(template).expect("the template is well-formed");
        self.bar.set_style(style.progress_chars("=> "));
        self.bar.set_prefix(phase.to_string());
        self.bar.set_message(words);
        self.bar.set_length(total);
        self.bar.set_position(0);
    }

    /// So much more is done.
    pub fn advance(&self, by: u64) {
        self.bar.inc(by);
    }

    /// So much is done in all.
    pub fn reach(&self, count: u64) {
        self.bar.set_position(count);
    }

    /// Shows words beside the bar, such as what was delivered so far.
    pub fn say(&self, words: String) {
        self.bar.set_message(words);
    }

    /// Takes the bar away, so that a report can be written.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use indicatif::TermLike;

    use super::*;

    /// A terminal that remembers what was written.
    #[derive(Debug, Clone, Default)]
    struct Screen(Arc<Mutex<String>>);

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            100
        }
        fn move_cursor_up(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn write_line(&self, line: &str) -> std::io::Result<()> {
            self.write_str(line)
        }
        fn write_str(&self, text: &str) -> std::io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> std::io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn drawn(show: impl Fn(&Progress)) -> String {
        let screen = Screen::default();
        let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
        let progress = Progress::on(target);
        show(&progress);
        progress.bar.force_draw();
        let text = screen.0.lock().unwrap();
        text.clone()
    }

    #[test]
    fn bar_names_the_phase_and_the_counts() {
        let text = drawn(|progress| {
            progress.count(Phase::Connect, 10_000, "connections");
            progress.advance(2_000);
            progress.clone().advance(500);
        });
        assert!(text.contains("connect"), "{text}");
        assert!(text.contains("2,500 of 10,000 connections"), "{text}");
    }

    #[test]
    fn next_phase_begins_at_nothing() {
        let text = drawn(|progress| {
            progress.count(Phase::Connect, 10, "connections");
            progress.reach(10);
            progress.time(Phase::Measure, Duration::from_secs(30));
        });
        assert!(text.trim_end().ends_with(" 0 of 30 s"), "{text}");
    }

    #[test]
    fn hidden_bar_counts_and_draws_nothing() {
        let progress = Progress::hidden();
        progress.count(Phase::Settle, 5, "deliveries");
        progress.advance(5);
        assert!(progress.bar.is_hidden());
        assert_eq!(progress.bar.position(), 5);
        progress.end();
    }
}
