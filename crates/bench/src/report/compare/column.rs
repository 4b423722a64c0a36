//! What systems are compared by, over their repetitions.

use super::super::number;
use super::System;
use crate::measurement::{Measurement, as_float};

const KIB: f64 = 1_024.0;

/// A figure that systems are compared by.
#[derive(Debug, Clone)]
pub(in super::super) struct Column {
    pub(in super::super) name: String,
    pub(in super::super) show: fn(f64) -> String,
    /// Whether a ratio of it says something.
    pub(in super::super) has_ratio: bool,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Every(fn(&Measurement) -> Option<f64>),
    /// A figure of one scenario, by its name.
    Named(String),
}

/// One figure over the repetitions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) struct Spread {
    pub(in super::super) median: f64,
    pub(in super::super) least: f64,
    pub(in super::super) most: f64,
    pub(in super::super) runs: usize,
}

impl Column {
    fn every(name: &str, show: fn(f64) -> String, of: fn(&Measurement) -> Option<f64>) -> Self {
        Self { name: name.to_owned(), show, has_ratio: false, source: Source::Every(of) }
    }

    fn with_ratio(self) -> Self {
        Self { has_ratio: true, ..self }
    }

    pub(super) fn named(name: &str, unit: &str) -> Self {
        let heading = match unit {
            "" | "bytes" => name.to_owned(),
            unit => format!("{name} {unit}"),
        };
        let show = if unit == "bytes" { number::bytes } else { number::plain };
        let source = Source::Named(name.to_owned());
        Self { name: heading, show, has_ratio: false, source }
    }

    pub(super) fn is_named(&self, figure: &str) -> bool {
        matches!(&self.source, Source::Named(name) if name == figure)
    }

    /// Returns the figure of a system, if it was measured.
    pub(in super::super) fn of(&self, system: &System<'_>) -> Option<Spread> {
        Spread::of(system.runs.iter().filter_map(|run| self.value(run)))
    }

    fn value(&self, run: &Measurement) -> Option<f64> {
        match &self.source {
            Source::Every(of) => of(run),
            Source::Named(name) => {
                run.figures.iter().find(|figure| figure.name == *name).map(|figure| figure.value)
            }
        }
    }
}

impl Spread {
    /// Returns the median of what is a number; with an even count the mean of the two in the middle.
    pub(in super::super) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let runs = values.len();
        let median = f64::midpoint(values[(runs - 1) / 2], values[runs / 2]);
        Some(Self { median, least, most, runs })
    }

    /// Returns the least and the most as they are shown, when they differ.
    pub(in super::super) fn range(&self, show: fn(f64) -> String) -> Option<String> {
        let (least, most) = (show(self.least), show(self.most));
        (least != most).then(|| format!("{least}\u{2013}{most}"))
    }
}

/// The deliveries for each second, a column that is also a plot.
pub(in super::super) fn deliveries() -> Column {
    Column::every("deliveries/s", number::count, |run| run.deliveries_per_s).with_ratio()
}

/// The processor time for deliveries, a column that is also a plot.
pub(in super::super) fn server_cpu() -> Column {
    let of = |run: &Measurement| run.server_cpu_s_per_million;
    Column::every("server CPU s/M", number::figure, of).with_ratio()
}

/// The memory of a connection, a column that is also a plot.
pub(in super::super) fn memory() -> Column {
    let of = |run: &Measurement| run.memory?.rss_per_connection.map(|bytes| bytes / KIB);
    Column::every("KiB/connection", number::figure, of).with_ratio()
}

pub(super) fn fixed_columns() -> Vec<Column> {
    let generator = |run: &Measurement| run.generator_cpu_s_per_million;
    vec![
        deliveries(),
        server_cpu(),
        memory(),
        Column::every("p50 ms", number::figure, |run| Some(run.latency?.p50_ms)),
        Column::every("p99 ms", number::figure, |run| Some(run.latency?.p99_ms)),
        Column::every("p99.9 ms", number::figure, |run| Some(run.latency?.p999_ms)),
        Column::every("messages/s", number::count, |run| {
            (run.duration_s > 0.0).then_some(as_float(run.published?) / run.duration_s)
        }),
        Column::every("connects/s", number::count, |run| run.connects_per_s),
        Column::every("peak memory", number::bytes, |run| run.memory?.rss_peak.map(as_float)),
        Column::every("generator CPU s/M", number::figure, generator),
    ]
}
