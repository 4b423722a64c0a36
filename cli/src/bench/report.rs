//! How a measurement is told, and `bench report`: several of them side by side.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use parlor_bench::Measurement;
use parlor_bench::progress::Progress;
use parlor_bench::report::{Circumstances, Conditions, Report};
use parlor_runtime::{Clock as _, SystemClock};

use crate::context::Context;
use crate::failure::Usage;
use crate::plain;

/// Largest file that is read as a report. One of an hour, second by second, has less than 1 MiB.
const FILE_MAX: u64 = 64 << 20;

/// How the outcome is told.
#[derive(Debug, Clone, Args)]
pub(super) struct ReportArgs {
    /// Form of the report [default: text, or json with --json]
    #[arg(long, global = true, value_enum, value_name = "FORM")]
    report: Option<Form>,
    /// File for the report in place of standard output
    #[arg(long, global = true, value_name = "FILE")]
    out: Option<PathBuf>,
    /// System that ratios refer to [default: the first one]
    #[arg(long, global = true, value_name = "SYSTEM")]
    base: Option<String>,
    /// Do not show how far it is
    #[arg(long, global = true)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Text,
    Json,
    Html,
    Markdown,
}

/// Reports that are to be joined.
#[derive(Debug, Args)]
pub(super) struct JoinArgs {
    /// Reports that were written with --report json
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write a page with plots to this file as well
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl ReportArgs {
    /// Returns the bar that shows how far a measurement is; nobody sees one that is read by a
    /// program.
    pub(super) fn progress(&self, context: &Context) -> Progress {
        if self.quiet || context.out.json { Progress::hidden() } else { Progress::on_stderr() }
    }

    /// Tells what was measured.
    ///
    /// # Errors
    /// Fails when it cannot be written.
    pub(super) fn tell(
        &self,
        conditions: Conditions,
        measurements: Vec<Measurement>,
        context: &Context,
    ) -> anyhow::Result<()> {
        self.write(&Report::new(conditions, measurements), context)
    }

    /// Refuses flags that contradict each other, before anything is measured.
    pub(super) fn check(&self, context: &Context) -> Result<(), Usage> {
        if context.out.json && self.report.is_some_and(|form| form != Form::Json) {
            return Err(Usage("--json and another --report exclude each other".to_owned()));
        }
        Ok(())
    }

    fn write(&self, report: &Report, context: &Context) -> anyhow::Result<()> {
        let base = self.base.as_deref();
        let default = if context.out.json { Form::Json } else { Form::Text };
        let text = match self.report.unwrap_or(default) {
            Form::Text => plain::lines(&report.to_text(base)),
            Form::Json => plain::json(&report.to_json()?),
            Form::Html => report.to_html(base),
            Form::Markdown => plain::lines(&report.to_markdown(base)),
        };
        match &self.out {
            Some(file) => save(file, &text, context),
            None => Ok(context.out.text(&text)?),
        }
    }
}

impl JoinArgs {
    /// Joins reports and tells them as one.
    ///
    /// # Errors
    /// Fails when a file is no report, or there is no system that ratios could refer to.
    pub(super) fn run(&self, how: &ReportArgs, context: &Context) -> anyhow::Result<()> {
        let mut all: Option<Report> = None;
        for file in &self.files {
            let one = read(file).with_context(|| format!("read {}", file.display()))?;
            match &mut all {
                Some(all) => all.join(one),
                None => all = Some(one),
            }
        }
        let report = all.context("there is no report")?;
        if let Some(base) = how.base.as_ref().filter(|base| !report.has_system(base)) {
            return Err(Usage(format!("--base {base}: no report has this system")).into());
        }
        if let Some(file) = &self.html {
            save(file, &report.to_html(how.base.as_deref()), context)?;
        }
        how.write(&report, context)
    }
}

/// Looks at the machine and the command line. To be called before the load begins.
pub(super) fn conditions() -> Conditions {
    Conditions::here(Circumstances {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        profile: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
        arguments: std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect(),
        date: SystemClock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    })
}

fn read(file: &Path) -> anyhow::Result<Report> {
    let mut text = String::new();
    let length = File::open(file)?.take(FILE_MAX + 1).read_to_string(&mut text)?;
    if length as u64 > FILE_MAX {
        return Err(Usage(format!("it has more than {} MiB", FILE_MAX >> 20)).into());
    }
    Ok(Report::read(&text)?)
}

fn save(file: &Path, text: &str, context: &Context) -> anyhow::Result<()> {
    fs::write(file, text).with_context(|| format!("write {}", file.display()))?;
    context.out.note(&format!("wrote {}", file.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_what_is_no_report_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        let report = Report::new(conditions(), vec![Measurement::new("parlor", "idle")]);
        fs::write(&path, report.to_json().unwrap()).unwrap();
        assert_eq!(read(&path).unwrap(), report);

        fs::write(&path, "{}").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("no report of `parlor bench`"));
    }

    #[test]
    fn file_above_the_bound_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        // A hole, so that the disk is not filled; only its zero bytes are read, up to the bound.
        File::create(&path).unwrap().set_len(FILE_MAX + 2).unwrap();
        let refused = read(&path).unwrap_err();
        assert!(refused.downcast_ref::<Usage>().is_some(), "{refused:#}");
    }
}
