//! A report as tables for a document.

use super::compare::{Column, Comparison, System, comparisons};
use super::{NOT_COMPARABLE, Report, number};

pub(super) fn render(report: &Report, base: Option<&str>) -> String {
    let tables = comparisons(report.measurements(), base);
    let mut parts: Vec<String> = tables.iter().map(section).collect();
    parts.push(conditions(report));
    parts.join("\n")
}

fn section(comparison: &Comparison<'_>) -> String {
    let mut parts = vec![format!("### {}\n", escaped(comparison.scenario))];
    let plan = comparison.plan_line();
    if !plan.is_empty() {
        parts.push(format!("{}\n", escaped(&plan)));
    }
    parts.extend(comparison.tables().iter().map(|columns| table(comparison, columns)));
    let words = comparison.explanation();
    if !words.is_empty() {
        parts.push(format!("{}\n", escaped(&words)));
    }
    parts.join("\n")
}

fn table(comparison: &Comparison<'_>, columns: &[Column]) -> String {
    let mut names = vec!["system".to_owned()];
    names.extend(columns.iter().map(|column| escaped(&column.name)));
    let mut rule = vec!["---".to_owned()];
    rule.extend(std::iter::repeat_n("---:".to_owned(), columns.len()));
    let mut text = row(&names) + &row(&rule);
    for system in &comparison.systems {
        let mut cells = vec![escaped(&system.name)];
        cells.extend(columns.iter().map(|column| cell(comparison, column, system)));
        text += &row(&cells);
    }
    text
}

fn cell(comparison: &Comparison<'_>, column: &Column, system: &System<'_>) -> String {
    let Some(spread) = column.of(system) else { return String::new() };
    let median = (column.show)(spread.median);
    let range = spread.range(column.show).map(|range| format!(" ({range})"));
    let ratio = comparison.ratio(column, system).map(|ratio| format!(", {}", number::ratio(ratio)));
    median + &range.unwrap_or_default() + &ratio.unwrap_or_default()
}

fn row(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

fn conditions(report: &Report) -> String {
    let mut parts = vec!["### Conditions\n".to_owned()];
    if !report.is_comparable() {
        parts.push(format!("{NOT_COMPARABLE}\n"));
    }
    let rows = report.conditions().concat();
    let lines = rows.iter().map(|(name, value)| format!("- {name}: {}\n", escaped(value)));
    parts.push(lines.collect::<Vec<_>>().concat());
    parts.join("\n")
}

/// Returns text that stands for itself in a cell of a table.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '~' | '#' => {
                safe.push('\\');
                safe.push(c);
            }
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}
