//! `doctor`: looks at everything that has to work, and says what helps where it does not. It changes
//! nothing.
//!
//! Ends with 64 when a setting is wrong, with 69 when something is not there, with 1 for everything
//! else that does not work.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use parlor_runtime::exit;
use serde::Serialize;

use crate::args::{ForArgs, SettingsArgs};
use crate::context::Context;
use crate::failure::Said;
use crate::plain;
use crate::program::backends::fault::ServiceFault;

mod nats;
mod postgres;
mod redis;
mod remote;
mod setup;
mod upgrade;

/// A service that needs longer for a short answer is slow. It is not down: it answers.
const SLOW: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    program: ForArgs,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// How one thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    Warn,
    Fail,
}

/// What was found about one thing.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    state: State,
    detail: String,
    /// What helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// What it means for whoever starts the program.
    #[serde(skip)]
    code: u8,
}

impl Finding {
    fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { check, state: State::Ok, detail, hint: None, code: exit::SUCCESS }
    }

    fn warn(check: &'static str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        let state = State::Warn;
        Self { state, hint: Some(hint.into()), ..Self::ok(check, detail) }
    }

    fn fail(check: &'static str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { state: State::Fail, code: exit::FAILURE, ..Self::warn(check, detail, hint) }
    }

    /// A service that cannot be used.
    fn fault(fault: &ServiceFault, hint: &str) -> Self {
        let code = fault.exit_code();
        Self { code, ..Self::fail(fault.service.word(), fault.to_string(), hint) }
    }

    fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }
}

/// Returns the exit code of them all: what a person has to put right first.
fn exit_code(findings: &[Finding]) -> u8 {
    let has = |code| findings.iter().any(|finding| finding.code == code);
    let order = [exit::USAGE, exit::UNAVAILABLE, exit::FAILURE];
    order.into_iter().find(|code| has(*code)).unwrap_or(exit::SUCCESS)
}

/// Judges how long a service takes.
fn judge_speed(check: &'static str, what: &str, took: Duration) -> Finding {
    let detail = format!("{what} in {} ms", took.as_millis());
    if took < SLOW {
        return Finding::ok(check, detail);
    }
    let hint =
        "it works, but everything waits for it: look at its load, its disk and the way to it";
    Finding::warn(check, format!("slow: {detail}"), hint)
}

pub(crate) async fn run(args: &DoctorArgs, context: &Context) -> anyhow::Result<()> {
    let mut findings = vec![Finding::ok("version", concat!("parlor ", env!("CARGO_PKG_VERSION")))];
    findings.extend(Box::pin(setup::examine(args, context)).await);
    findings.extend(remote::examine(context).await);
    if context.out.json {
        context.out.json(&findings)?;
    } else {
        let text: String =
            findings.iter().map(|finding| line(finding, context.out.color)).collect();
        context.out.text(&text).context("write the findings")?;
    }
    match exit_code(&findings) {
        exit::SUCCESS => Ok(()),
        code => Err(Said(code).into()),
    }
}

/// Tells whether an address leads to this machine.
fn is_local(place: &str) -> bool {
    let host = place.split_once("://").map_or(place, |(_, rest)| rest);
    ["localhost", "127.", "[::1]", "%2F"].iter().any(|local| host.starts_with(local))
}

fn line(finding: &Finding, color: bool) -> String {
    let (word, code) = match finding.state {
        State::Ok => ("ok  ", "32"),
        State::Warn => ("warn", "33"),
        State::Fail => ("fail", "31"),
    };
    let word = if color { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_owned() };
    let detail = plain::lines(&finding.detail).replace('\n', "\n                ");
    let hint =
        finding.hint.as_deref().map(|hint| format!("\n                -> {}", plain::line(hint)));
    format!("{word}  {:<8}  {detail}{}\n", finding.check, hint.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_code_is_that_of_what_comes_first() {
        let setting = || Finding::fail("settings", "", "").with_code(exit::USAGE);
        let away = || Finding::fail("nats", "", "").with_code(exit::UNAVAILABLE);
        let other = || Finding::fail("port", "", "");
        let slow = || judge_speed("postgres", "answers", SLOW);
        assert_eq!(exit_code(&[slow()]), exit::SUCCESS, "slow is not down");
        assert_eq!(exit_code(&[slow(), other()]), exit::FAILURE);
        assert_eq!(exit_code(&[other(), away()]), exit::UNAVAILABLE);
        assert_eq!(exit_code(&[other(), away(), setting()]), exit::USAGE);
    }

    #[test]
    fn service_that_takes_long_is_slow_and_not_down() {
        assert_eq!(judge_speed("redis", "answers", Duration::from_millis(20)).state, State::Ok);
        let slow = judge_speed("redis", "answers", Duration::from_secs(1));
        assert_eq!(slow.state, State::Warn);
        assert!(slow.detail.contains("slow") && slow.detail.contains("1000 ms"));
    }

    #[test]
    fn finding_is_one_line_and_what_helps() {
        let finding = Finding::warn("server", "away\u{1b}[2J", "start it");
        assert_eq!(
            line(&finding, false),
            "warn  server    away\u{fffd}[2J\n                -> start it\n"
        );
    }
}
