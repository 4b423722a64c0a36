//! A report for a terminal.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use super::compare::{Column, Comparison, comparisons, faults_in_words};
use super::{NOT_COMPARABLE, Report, number};
use crate::cpu::CpuSeconds;
use crate::measurement::{Measurement, MemoryUse, as_float};

/// Width of the names in front of values.
const NAMES_LEAST: usize = 14;
const NAMES_MOST: usize = 48;
/// Width of what was asked for.
const PLAN: usize = 96;

pub(super) fn render(report: &Report, base: Option<&str>) -> String {
    let mut parts: Vec<String> = comparisons(report.measurements(), base)
        .iter()
        .map(|comparison| match comparison.single() {
            Some(measurement) => screen(comparison, measurement),
            None => tables(comparison),
        })
        .collect();
    parts.push(conditions(report));
    safe(&parts.join("\n"))
}

/// Replaces what could steer a terminal; names come from files that others may have written.
fn safe(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{FFFD}' } else { c }).collect()
}

fn head(comparison: &Comparison<'_>) -> String {
    let plan = comparison.plan_line();
    let mut lines = vec![comparison.scenario.to_owned(), "  ".to_owned()];
    for entry in plan.split_inclusive(", ") {
        let line = lines.last_mut().expect("there are two");
        if line.chars().count() + entry.chars().count() <= PLAN {
            line.push_str(entry);
        } else {
            lines.push(format!("  {entry}"));
        }
    }
    let lines = lines.iter().map(|line| format!("{}\n", line.trim_end()));
    lines.collect::<Vec<_>>().concat() + "\n"
}

/// One measurement in full.
fn screen(comparison: &Comparison<'_>, it: &Measurement) -> String {
    let mut lines = Lines::default();
    lines.add("system", Some(it.system.clone()));
    lines.add("time", (it.duration_s > 0.0).then(|| format!("{} s", number::plain(it.duration_s))));
    lines.add(
        "connections",
        it.connections.map(|count| {
            let rate = it.connects_per_s.map(|rate| format!(", made at {}/s", number::count(rate)));
            format!("{}{}", number::count(as_float(count)), rate.unwrap_or_default())
        }),
    );
    let rate = |count: u64| {
        let rate = as_float(count) / it.duration_s;
        let rate = rate.is_finite().then(|| format!(" ({}/s)", number::count(rate)));
        format!("{}{}", number::count(as_float(count)), rate.unwrap_or_default())
    };
    lines.add("messages", it.published.map(rate));
    lines.add("deliveries", it.deliveries.map(rate));
    lines.add(
        "latency",
        it.latency.map(|latency| {
            let of = [
                ("p50", latency.p50_ms),
                ("p99", latency.p99_ms),
                ("p99.9", latency.p999_ms),
                ("max", latency.max_ms),
            ];
            of.map(|(name, ms)| format!("{name} {} ms", number::figure(ms))).join("   ")
        }),
    );
    lines.add("server CPU", cpu(it.server_cpu, it.server_cpu_s_per_million));
    lines.add("generator CPU", cpu(it.generator_cpu, it.generator_cpu_s_per_million));
    lines.add("memory", it.memory.as_ref().and_then(memory));
    lines.add("per connection", it.memory.as_ref().and_then(per_connection));
    lines.add(
        "delivery",
        it.delivery.map(|check| {
            let arrived = number::count(as_float(check.arrived));
            let expected = number::count(as_float(check.expected));
            let whole = check.is_clean() && check.arrived == check.expected;
            let sent = if whole {
                format!("all {arrived} arrived once and in order")
            } else {
                format!("{arrived} of {expected} arrived")
            };
            match faults_in_words(&check).as_str() {
                "none" => sent,
                faults => format!("{sent}: {faults}"),
            }
        }),
    );
    for figure in &it.figures {
        let value = match figure.unit.as_str() {
            "bytes" => number::bytes(figure.value),
            "" => number::plain(figure.value),
            unit => format!("{} {unit}", number::plain(figure.value)),
        };
        lines.add(&figure.name, Some(value));
    }
    head(comparison) + &lines.aligned()
}

fn cpu(time: Option<CpuSeconds>, per_million: Option<f64>) -> Option<String> {
    let time = time?;
    let parts =
        format!("{} s user, {} s system", number::figure(time.user), number::figure(time.system));
    Some(match per_million {
        Some(each) => format!("{} s for a million deliveries ({parts})", number::figure(each)),
        None => parts,
    })
}

fn memory(use_: &MemoryUse) -> Option<String> {
    let moments = [
        ("before", use_.rss_before),
        ("connected", use_.rss_connected),
        ("after", use_.rss_after),
        ("after the burst", use_.rss_after_burst),
        ("peak", use_.rss_peak),
    ];
    let known = moments
        .iter()
        .filter_map(|(name, bytes)| Some(format!("{name} {}", number::bytes(as_float((*bytes)?)))));
    let known: Vec<String> = known.collect();
    (!known.is_empty()).then(|| known.join(", "))
}

fn per_connection(use_: &MemoryUse) -> Option<String> {
    let kinds = [("resident", use_.rss_per_connection), ("proportional", use_.pss_per_connection)];
    let known = kinds
        .iter()
        .filter_map(|(name, bytes)| Some(format!("{} {name}", number::bytes((*bytes)?))));
    let known: Vec<String> = known.collect();
    (!known.is_empty()).then(|| known.join(", "))
}

/// Systems side by side: medians, and below each the least and the most of its runs.
fn tables(comparison: &Comparison<'_>) -> String {
    let tables: Vec<String> =
        comparison.tables().iter().map(|columns| table(comparison, columns)).collect();
    let words = comparison.explanation();
    let words = if words.is_empty() { words } else { format!("\n{words}\n") };
    head(comparison) + &tables.join("\n") + &words
}

fn table(comparison: &Comparison<'_>, columns: &[Column]) -> String {
    let has_ratio = |column: &Column| comparison.base().is_some() && column.has_ratio;
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    let mut names = vec![Cell::new("system")];
    for column in columns {
        names.push(right(&column.name));
        names.extend(has_ratio(column).then(|| right("ratio")));
    }
    table.set_header(names);
    for system in &comparison.systems {
        let mut row = vec![Cell::new(&system.name)];
        let mut below = vec![Cell::new("")];
        let mut varies = false;
        for column in columns {
            let spread = column.of(system);
            row.push(right(&spread.map_or_else(|| "-".to_owned(), |it| (column.show)(it.median))));
            let range = spread.and_then(|spread| spread.range(column.show));
            varies |= range.is_some();
            below.push(right(&range.unwrap_or_default()));
            if has_ratio(column) {
                let ratio = comparison.ratio(column, system).map(number::ratio);
                row.push(right(&ratio.unwrap_or_else(|| "-".to_owned())));
                below.push(Cell::new(""));
            }
        }
        table.add_row(row);
        if varies {
            table.add_row(below);
        }
    }
    let lines = table.lines().map(|line| format!(" {}\n", line.trim_end()));
    lines.collect::<Vec<_>>().concat()
}

fn right(text: &str) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

fn conditions(report: &Report) -> String {
    let mut parts = vec!["conditions\n".to_owned()];
    if !report.is_comparable() {
        parts.push(format!("{NOT_COMPARABLE}\n"));
    }
    for rows in report.conditions() {
        let lines = Lines(rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
        parts.push(lines.aligned());
    }
    parts.join("\n")
}

/// Lines of a name and a value.
#[derive(Debug, Default)]
struct Lines(Vec<(String, String)>);

impl Lines {
    fn add(&mut self, name: &str, value: Option<String>) {
        self.0.extend(value.map(|value| (name.to_owned(), value)));
    }

    /// Returns the lines with their values below each other.
    fn aligned(&self) -> String {
        let width = self.0.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let width = width.clamp(NAMES_LEAST, NAMES_MOST);
        let lines = self.0.iter().map(|(name, value)| format!("  {name:<width$}  {value}\n"));
        lines.collect::<Vec<_>>().concat()
    }
}
