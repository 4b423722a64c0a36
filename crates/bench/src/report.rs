//! Measurements as people and programs read them: text, JSON, Markdown and HTML.
//!
//! A report holds the conditions of each run beside what it found, because a figure without them
//! says nothing. Reports can be joined, so that systems that were measured one after the other
//! stand side by side. Runs of the same system and the same plan are repetitions: what is shown
//! then is their median, with the least and the most of them.

use serde::{Deserialize, Serialize};

use crate::measurement::Measurement;

mod command;
mod compare;
mod conditions;
mod html;
mod markdown;
mod number;
mod plot;
mod text;

pub use conditions::{Circumstances, Conditions};

/// The schema of the JSON that is written here. A reader refuses what is newer; fields that are
/// added later do not change the number.
pub const SCHEMA: u32 = 1;

const NOT_COMPARABLE: &str =
    "Not all of this was measured on the same machine and with the same build.";

/// What was measured, and under which conditions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    schema: u32,
    runs: Vec<Run>,
}

/// The measurements of one call of the generator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Where and how it ran.
    pub conditions: Conditions,
    /// What it found, in the order of time.
    pub measurements: Vec<Measurement>,
}

/// Why a file is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// It is something else, or broken.
    #[error("this is no report of `parlor bench`")]
    Malformed(#[source] serde_json::Error),
    /// A newer program wrote it.
    #[error("the report has schema {found}, and this program reads {SCHEMA} and older ones")]
    Newer {
        /// What the file says.
        found: u32,
    },
}

impl Report {
    /// Creates the report of one run. Figures that are no numbers are left out.
    pub fn new(conditions: Conditions, mut measurements: Vec<Measurement>) -> Self {
        for measurement in &mut measurements {
            measurement.figures.retain(|figure| figure.value.is_finite());
        }
        Self { schema: SCHEMA, runs: vec![Run { conditions, measurements }] }
    }

    /// Reads what [`Self::to_json`] wrote.
    ///
    /// # Errors
    ///
    /// Fails for what is no report, and for one that a newer program wrote.
    pub fn read(json: &str) -> Result<Self, ReportError> {
        #[derive(Deserialize)]
        struct Head {
            schema: u32,
        }
        let head: Head = serde_json::from_str(json).map_err(ReportError::Malformed)?;
        if head.schema > SCHEMA {
            return Err(ReportError::Newer { found: head.schema });
        }
        serde_json::from_str(json).map_err(ReportError::Malformed)
    }

    /// Adds the runs of another report.
    pub fn join(&mut self, other: Self) {
        self.runs.extend(other.runs);
    }

    /// Returns the runs in the order in which they were joined.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Returns all measurements of all runs.
    pub fn measurements(&self) -> impl Iterator<Item = &Measurement> {
        self.runs.iter().flat_map(|run| &run.measurements)
    }

    /// Returns what to tell of the conditions: those of the machine once for all runs in a row that
    /// share them, then those of each run that differ.
    fn conditions(&self) -> Vec<Vec<(&'static str, String)>> {
        let mut parts = Vec::new();
        let (mut machine, mut told) = (Vec::new(), Vec::new());
        for run in &self.runs {
            let (of_machine, of_run) = (run.conditions.of_machine(), run.conditions.of_run());
            if machine != of_machine {
                parts.push(of_machine.clone());
                (machine, told) = (of_machine, Vec::new());
            }
            if !told.contains(&of_run) {
                parts.push(of_run.clone());
                told.push(of_run);
            }
        }
        parts
    }

    /// Tells whether all was measured on one machine with one build.
    fn is_comparable(&self) -> bool {
        self.runs.iter().all(|run| run.conditions.is_comparable(&self.runs[0].conditions))
    }

    /// Tells whether a system was measured.
    pub fn has_system(&self, system: &str) -> bool {
        self.measurements().any(|measurement| measurement.system == system)
    }

    /// Returns text for a terminal: a screen for one measurement, and a table of medians where
    /// several can be compared. `base` is the system that ratios refer to, or the first one.
    pub fn to_text(&self, base: Option<&str>) -> String {
        text::render(self, base)
    }

    /// Returns JSON with everything in it, of the schema that `docs/performance.md` describes.
    ///
    /// # Errors
    ///
    /// Fails when a number is none, which [`Self::new`] prevents for figures.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }

    /// Returns the tables as Markdown.
    pub fn to_markdown(&self, base: Option<&str>) -> String {
        markdown::render(self, base)
    }

    /// Returns one HTML page with tables and plots, which needs nothing but itself.
    pub fn to_html(&self, base: Option<&str>) -> String {
        html::render(self, base)
    }
}

#[cfg(test)]
mod tests;
