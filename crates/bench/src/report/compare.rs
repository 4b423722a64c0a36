//! Measurements side by side: what can be compared, medians of repetitions, ratios.

use std::collections::BTreeSet;

use super::number;
use crate::measurement::{DeliveryCheck, Measurement, as_float};

mod column;

pub(super) use column::{Column, Spread, deliveries, memory, server_cpu};

use column::fixed_columns;

/// Figures beside each other in a table.
const TABLE_WIDTH: usize = 6;
const NO_FAULTS: &str = "none";
/// Where a plan says what is promised for each message.
const PROMISE: &str = "messages";
const DURABLE: &str = "durable";
/// Words of a plan that tell how the server came to be, not which load it had.
const OF_THE_SYSTEM: [&str; 2] = ["server", PROMISE];
/// Words of a plan that only systems with users have.
const OF_USERS: [&str; 2] = ["accounts", "users"];

/// All measurements of one scenario with one plan.
#[derive(Debug)]
pub(super) struct Comparison<'a> {
    pub(super) scenario: &'a str,
    pub(super) systems: Vec<System<'a>>,
    /// What ratios refer to, as a place in `systems`.
    base: usize,
}

/// The repetitions of one system.
#[derive(Debug)]
pub(super) struct System<'a> {
    pub(super) name: String,
    pub(super) runs: Vec<&'a Measurement>,
}

/// Sorts measurements into what can be compared, in the order in which they were made. Ratios refer
/// to the system `base` where it was measured, else to the first one.
pub(super) fn comparisons<'a>(
    measurements: impl Iterator<Item = &'a Measurement>,
    base: Option<&str>,
) -> Vec<Comparison<'a>> {
    let mut all: Vec<Comparison<'a>> = Vec::new();
    for measurement in measurements {
        match all.iter_mut().find(|it| it.takes(measurement)) {
            Some(comparison) => comparison.add(measurement),
            None => all.push(Comparison::of(measurement)),
        }
    }
    for comparison in &mut all {
        let place = comparison.systems.iter().position(|system| Some(system.name.as_str()) == base);
        comparison.base = place.unwrap_or(0);
    }
    all
}

/// Returns whether two plans are the same load. What one of them has no word for, such as accounts
/// where there are no users, does not tell them apart.
fn is_same_load(one: &Measurement, other: &Measurement) -> bool {
    let names: BTreeSet<&String> = one.plan.keys().chain(other.plan.keys()).collect();
    names.into_iter().all(|name| match (one.plan.get(name), other.plan.get(name)) {
        (Some(one), Some(other)) => one == other || OF_THE_SYSTEM.contains(&name.as_str()),
        _ => OF_THE_SYSTEM.contains(&name.as_str()) || OF_USERS.contains(&name.as_str()),
    })
}

/// Returns the name of a system among others. The same system with a stronger promise is another.
fn label(measurement: &Measurement) -> String {
    match measurement.plan.get(PROMISE).map(String::as_str) {
        Some(DURABLE) => format!("{}, {DURABLE}", measurement.system),
        _ => measurement.system.clone(),
    }
}

impl<'a> Comparison<'a> {
    fn of(first: &'a Measurement) -> Self {
        let systems = vec![System { name: label(first), runs: vec![first] }];
        Self { scenario: &first.scenario, systems, base: 0 }
    }

    /// Returns whether this was the same load.
    fn takes(&self, other: &Measurement) -> bool {
        self.scenario == other.scenario && self.measurements().all(|it| is_same_load(it, other))
    }

    fn add(&mut self, measurement: &'a Measurement) {
        let name = label(measurement);
        if let Some(system) = self.systems.iter_mut().find(|system| system.name == name) {
            system.runs.push(measurement);
        } else {
            self.systems.push(System { name, runs: vec![measurement] });
        }
    }

    /// Returns the only measurement, if there is one.
    pub(super) fn single(&self) -> Option<&'a Measurement> {
        match self.systems.as_slice() {
            [System { runs, .. }] if runs.len() == 1 => runs.first().copied(),
            _ => None,
        }
    }

    /// Returns the system that ratios refer to, when there is another one.
    pub(super) fn base(&self) -> Option<&System<'a>> {
        self.systems.get(self.base).filter(|_| self.systems.len() > 1)
    }

    /// Returns what all were asked for, in one line.
    pub(super) fn plan_line(&self) -> String {
        let Some(first) = self.measurements().next() else { return String::new() };
        let is_shared = |name: &str, value: &str| {
            self.measurements().all(|it| it.plan.get(name).is_some_and(|other| other == value))
        };
        let shared = first.plan.iter().filter(|(name, value)| is_shared(name, value));
        let entries: Vec<String> =
            shared.map(|(name, value)| format!("{} {value}", name.replace('_', " "))).collect();
        entries.join(", ")
    }

    /// Returns the figures that at least one system has.
    pub(super) fn columns(&self) -> Vec<Column> {
        let mut columns = fixed_columns();
        for figure in self.measurements().flat_map(|measurement| &measurement.figures) {
            if !columns.iter().any(|column| column.is_named(&figure.name)) {
                columns.push(Column::named(&figure.name, &figure.unit));
            }
        }
        columns.retain(|column| self.systems.iter().any(|system| column.of(system).is_some()));
        columns
    }

    /// Returns the same figures in tables of a width that can be read.
    pub(super) fn tables(&self) -> Vec<Vec<Column>> {
        let mut tables: Vec<Vec<Column>> = Vec::new();
        let mut width = 0;
        for column in self.columns() {
            // A ratio takes a place of its own.
            let own = if column.has_ratio { 2 } else { 1 };
            if width + own > TABLE_WIDTH || tables.is_empty() {
                tables.push(Vec::new());
                width = 0;
            }
            tables.last_mut().expect("one was just begun").push(column);
            width += own;
        }
        tables
    }

    /// Returns what a reader of the tables has to know.
    pub(super) fn explanation(&self) -> String {
        let mut words = Vec::new();
        let faults: Vec<String> = self
            .systems
            .iter()
            .filter_map(|system| Some((&system.name, faults_in_words(&system.faults()?))))
            .filter(|(_, faults)| faults != NO_FAULTS)
            .map(|(name, faults)| format!("{name} {faults}"))
            .collect();
        if !faults.is_empty() {
            words.push(format!("Faults in all runs: {}.", faults.join("; ")));
        } else if self.systems.iter().all(|system| system.faults().is_some()) {
            words.push("Nothing was lost, doubled, out of order or refused.".to_owned());
        }
        let runs: Vec<usize> = self.systems.iter().map(|system| system.runs.len()).collect();
        let (fewest, most) = (runs.iter().min().copied(), runs.iter().max().copied());
        if let Some((fewest, most)) = fewest.zip(most).filter(|(_, most)| *most > 1) {
            let count =
                if fewest == most { most.to_string() } else { format!("{fewest} to {most}") };
            words.push(format!("Medians of {count} runs, with the least and the most of them."));
        }
        if let Some(base) = self.base() {
            words.push(format!("Ratios are to {}.", base.name));
        }
        words.join(" ")
    }

    /// Returns how many times a figure is that of the base.
    pub(super) fn ratio(&self, column: &Column, system: &System<'_>) -> Option<f64> {
        if !column.has_ratio {
            return None;
        }
        let base = column.of(self.base()?)?.median;
        let ratio = column.of(system)?.median / base;
        ratio.is_finite().then_some(ratio)
    }

    fn measurements(&self) -> impl Iterator<Item = &'a Measurement> {
        self.systems.iter().flat_map(|system| system.runs.iter().copied())
    }
}

impl<'a> System<'a> {
    /// Returns what went wrong in all runs together; `None` where it was not counted.
    pub(super) fn faults(&self) -> Option<DeliveryCheck> {
        let mut checks = self.runs.iter().filter_map(|run| run.delivery).peekable();
        checks.peek()?;
        Some(checks.fold(DeliveryCheck::default(), |sum, check| DeliveryCheck {
            published: sum.published + check.published,
            expected: sum.expected + check.expected,
            arrived: sum.arrived + check.arrived,
            lost: sum.lost + check.lost,
            doubled: sum.doubled + check.doubled,
            out_of_order: sum.out_of_order + check.out_of_order,
            refused: sum.refused + check.refused,
        }))
    }

    /// Returns the run whose deliveries are nearest to their median.
    pub(super) fn typical(&self) -> &'a Measurement {
        let rate = |run: &Measurement| run.deliveries_per_s.unwrap_or_default();
        let median = Spread::of(self.runs.iter().map(|run| rate(run))).map_or(0.0, |it| it.median);
        let distance = |run: &Measurement| (rate(run) - median).abs();
        let nearest = self.runs.iter().copied().min_by(|a, b| distance(a).total_cmp(&distance(b)));
        nearest.expect("a system was measured at least once")
    }
}

/// Returns what went wrong with deliveries, in words.
pub(super) fn faults_in_words(check: &DeliveryCheck) -> String {
    let counts = [
        (check.lost, "lost"),
        (check.doubled, "doubled"),
        (check.out_of_order, "out of order"),
        (check.refused, "refused"),
    ];
    let faults: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", number::count(as_float(*count))))
        .collect();
    if faults.is_empty() { NO_FAULTS.to_owned() } else { faults.join(", ") }
}

#[cfg(test)]
mod tests;
