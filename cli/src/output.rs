//! Data on standard output, words on standard error.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::args::When;
use crate::plain;

/// How this process may write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Out {
    /// Data is written as JSON.
    pub(crate) json: bool,
    /// Colors on standard output.
    pub(crate) color: bool,
    /// Colors on standard error.
    color_err: bool,
    /// Standard output is a terminal.
    pub(crate) terminal: bool,
    /// Standard input and standard error are a terminal, so a person can be asked.
    pub(crate) can_ask: bool,
}

impl Out {
    pub(crate) fn of_process(json: bool, color: When, no_color: bool) -> Self {
        let stdout = io::stdout().is_terminal();
        let stderr = io::stderr().is_terminal();
        Self {
            json,
            color: colored(color, stdout, no_color) && !json,
            color_err: colored(color, stderr, no_color),
            terminal: stdout,
            can_ask: stderr && io::stdin().is_terminal(),
        }
    }

    /// Writes one line of JSON.
    pub(crate) fn json(self, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string(value)?;
        self.text(&(plain::json(&text) + "\n"))
    }

    /// Writes text that is safe already.
    #[expect(clippy::unused_self, reason = "all output goes through the value that says how")]
    pub(crate) fn text(self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }

    /// Writes bytes of a download as they are.
    #[expect(clippy::unused_self, reason = "all output goes through the value that says how")]
    pub(crate) fn bytes(self, bytes: &[u8]) -> io::Result<()> {
        io::stdout().lock().write_all(bytes)
    }

    /// Writes a table; every cell is made safe.
    pub(crate) fn table(self, head: &[&str], rows: Vec<Vec<String>>) -> io::Result<()> {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        if !head.is_empty() {
            table.set_header(head.iter().copied());
        }
        // Scripts that cut columns must not meet wrapped cells.
        table.set_content_arrangement(if self.terminal {
            ContentArrangement::Dynamic
        } else {
            ContentArrangement::Disabled
        });
        for row in rows {
            table.add_row(row.iter().map(|cell| plain::line(cell)));
        }
        let text: String = table.lines().map(|line| line.trim().to_owned() + "\n").collect();
        self.text(&text)
    }

    /// Says something to the person.
    #[expect(clippy::unused_self, reason = "all output goes through the value that says how")]
    pub(crate) fn note(self, words: &str) {
        // Without standard error there is nobody to tell.
        drop(writeln!(io::stderr().lock(), "{}", plain::lines(words)));
    }

    /// Says why the command failed, and what helps.
    pub(crate) fn fail(self, words: &str, hint: Option<&str>) {
        let (red, dim, off) =
            if self.color_err { ("\x1b[31m", "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
        let mut stderr = io::stderr().lock();
        // Without standard error there is nobody to tell.
        drop(writeln!(stderr, "{red}error:{off} {}", plain::lines(words)));
        if let Some(hint) = hint {
            drop(writeln!(stderr, "{dim}hint:{off} {hint}"));
        }
    }
}

fn colored(color: When, terminal: bool, no_color: bool) -> bool {
    match color {
        When::Auto => terminal && !no_color,
        When::Always => true,
        When::Never => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_are_for_terminals_whose_person_wants_them() {
        assert!(colored(When::Auto, true, false));
        assert!(!colored(When::Auto, true, true), "NO_COLOR");
        assert!(!colored(When::Auto, false, false), "a pipe");
        assert!(colored(When::Always, false, true));
        assert!(!colored(When::Never, true, false));
    }
}
