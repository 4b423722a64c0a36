//! `doctor`: looks at everything that has to work, and says what helps where it does not.

use anyhow::Context as _;
use clap::Args;
use parlor_runtime::exit;
use serde::Serialize;

use crate::args::SettingsArgs;
use crate::context::Context;
use crate::failure::Said;
use crate::plain;

mod remote;
mod setup;

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
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
}

impl Finding {
    fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, state: State::Ok, detail: detail.into(), hint: None }
    }

    fn warn(check: &'static str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { check, state: State::Warn, detail: detail.into(), hint: Some(hint.into()) }
    }

    fn fail(check: &'static str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { check, state: State::Fail, detail: detail.into(), hint: Some(hint.into()) }
    }
}

pub(crate) async fn run(args: &DoctorArgs, context: &Context) -> anyhow::Result<()> {
    let mut findings = vec![Finding::ok("version", concat!("parlor ", env!("CARGO_PKG_VERSION")))];
    findings.extend(setup::examine(args, context).await);
    findings.extend(remote::examine(context).await);
    if context.out.json {
        context.out.json(&findings)?;
    } else {
        let text: String =
            findings.iter().map(|finding| line(finding, context.out.color)).collect();
        context.out.text(&text).context("write the findings")?;
    }
    if findings.iter().any(|finding| finding.state == State::Fail) {
        return Err(Said(exit::FAILURE).into());
    }
    Ok(())
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
    fn finding_is_one_line_and_what_helps() {
        let finding = Finding::warn("server", "away\u{1b}[2J", "start it");
        assert_eq!(
            line(&finding, false),
            "warn  server    away\u{fffd}[2J\n                -> start it\n"
        );
    }
}
