//! A report as one page that needs nothing but itself.
//!
//! It has no scripts, and its content security policy forbids them and everything that would come
//! from elsewhere. Text is escaped where it is put in, by the templates and by the plots.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::compare::{self, Column, Comparison, Spread, System, comparisons, faults_in_words};
use super::plot::{self, Bar, Line, Percentiles};
use super::{NOT_COMPARABLE, Report, number};
use crate::measurement::{Measurement, Second, as_float};
use crate::summary::Summary;

const STYLE: &str = include_str!("style.css");
/// A plot of more systems is as high as two timelines.
const TALL_FROM: usize = 4;
const MIB: f64 = 1_048_576.0;
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

pub(super) fn render(report: &Report, base: Option<&str>) -> String {
    let sections = comparisons(report.measurements(), base);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { "Parlor benchmark report" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "Benchmark report" }
                    @if let Some(run) = report.runs().first() {
                        p.sub { "parlor bench, " (run.conditions.version) ", " (run.conditions.date) }
                    }
                }
                main {
                    @for section in &sections { (comparison(section)) }
                    (conditions(report))
                    (words())
                }
            }
        }
    };
    page.into_string()
}

fn comparison(it: &Comparison<'_>) -> Markup {
    html! {
        section {
            h2 { (it.scenario) }
            p.sub { (it.plan_line()) }
            (table(it))
            @if it.systems.len() > 1 { (legend(it)) }
            div.plots {
                (bars(it, "Deliveries a second", "More is better.", &compare::deliveries()))
                (bars(
                    it,
                    "Processor time of the server",
                    "Seconds for a million deliveries. Less is better.",
                    &compare::server_cpu(),
                ))
                (bars(it, "Memory of a connection", "KiB. Less is better.", &compare::memory()))
                (percentiles(it))
                (timelines(it))
            }
        }
    }
}

fn table(it: &Comparison<'_>) -> Markup {
    let columns = it.columns();
    html! {
        div.scroll tabindex="0" role="region" aria-label=(format!("Figures of {}", it.scenario)) {
            table {
                thead { tr {
                    th scope="col" { "system" }
                    th.number scope="col" { "runs" }
                    th scope="col" { "faults" }
                    @for column in &columns { th.number scope="col" { (column.name) } }
                } }
                tbody {
                    @for system in &it.systems { tr {
                        th scope="row" { (system.name) }
                        td.number { (system.runs.len()) }
                        td { (faults(system)) }
                        @for column in &columns { td.number { (cell(it, column, system)) } }
                    } }
                }
            }
        }
        p.note { (it.explanation()) }
    }
}

fn cell(it: &Comparison<'_>, column: &Column, system: &System<'_>) -> Markup {
    let Some(spread) = column.of(system) else { return html! { "" } };
    html! {
        ((column.show)(spread.median))
        @if let Some(ratio) = it.ratio(column, system) { span.ratio { (number::ratio(ratio)) } }
        @if let Some(range) = spread.range(column.show) { span.range { (range) } }
    }
}

fn faults(system: &System<'_>) -> Markup {
    let faults = system.faults();
    let clean = faults.is_some_and(|check| check.is_clean() && check.refused == 0);
    let words = faults.map(|check| faults_in_words(&check)).unwrap_or_default();
    html! { span.bad[!clean] { (words) } }
}

fn legend(it: &Comparison<'_>) -> Markup {
    html! {
        ul.legend {
            @for (place, system) in it.systems.iter().enumerate() {
                li class=(format!("series-{}", plot::series(place))) { (system.name) }
            }
        }
    }
}

/// Puts a plot into the page. Screen readers are sent to the table, which has the same figures.
fn figure(title: &str, words: &str, is_tall: bool, svg: Option<String>) -> Markup {
    html! {
        @if let Some(svg) = svg {
            figure.tall[is_tall] {
                figcaption { b { (title) } " " (words) }
                div role="img" aria-label=(format!("{title}; the table has the figures")) {
                    (PreEscaped(svg))
                }
            }
        }
    }
}

fn bars(it: &Comparison<'_>, title: &str, words: &str, column: &Column) -> Markup {
    let bars: Vec<Bar<'_>> = it
        .systems
        .iter()
        .enumerate()
        .filter_map(|(place, system)| {
            let spread = column.of(system)?;
            Some(Bar { name: &system.name, place, spread, value: (column.show)(spread.median) })
        })
        .collect();
    // One bar alone says nothing.
    let says_something = bars.len() > 1 || bars.iter().any(|bar| bar.spread.runs > 1);
    figure(title, words, false, plot::bars(&bars).filter(|_| says_something))
}

fn percentiles(it: &Comparison<'_>) -> Markup {
    let systems: Vec<(&str, usize, Percentiles)> = it
        .systems
        .iter()
        .enumerate()
        .filter_map(|(place, system)| Some((system.name.as_str(), place, medians(system)?)))
        .collect();
    let words = "p50, p99 and p99.9 in milliseconds. Less is better.";
    figure("Latency", words, systems.len() > TALL_FROM, plot::percentiles(&systems))
}

/// Returns the median of each percentile over the runs.
fn medians(system: &System<'_>) -> Option<Percentiles> {
    let median = |of: fn(&Summary) -> f64| {
        let values = system.runs.iter().filter_map(|run| Some(of(&run.latency?)));
        Spread::of(values).map(|spread| spread.median)
    };
    Some(Percentiles {
        p50: median(|it| it.p50_ms)?,
        p99: median(|it| it.p99_ms)?,
        p999: median(|it| it.p999_ms)?,
    })
}

fn timelines(it: &Comparison<'_>) -> Markup {
    let lines = |of: fn(&Measurement) -> Vec<(f64, f64)>| -> Vec<Line> {
        let systems = it.systems.iter().enumerate();
        systems.map(|(place, system)| Line { place, points: of(system.typical()) }).collect()
    };
    let repeated = it.systems.iter().any(|system| system.runs.len() > 1);
    let words =
        if repeated { "over time, in the run nearest to the median." } else { "over time." };
    html! {
        (figure("Deliveries a second", words, false, plot::timeline(&lines(rates), number::count)))
        (figure("p99 in milliseconds", words, false, plot::timeline(&lines(slowest), number::plain)))
        (figure("MiB of the server", words, false, plot::timeline(&lines(memory), number::plain)))
    }
}

/// Returns the deliveries of each second; the last one may have been shorter.
fn rates(it: &Measurement) -> Vec<(f64, f64)> {
    let before = std::iter::once(0.0).chain(it.timeline.iter().map(|second| second.at_s));
    let rate = |(from, second): (f64, &Second)| {
        (second.at_s, as_float(second.deliveries) / (second.at_s - from))
    };
    before.zip(&it.timeline).map(rate).collect()
}

fn slowest(it: &Measurement) -> Vec<(f64, f64)> {
    it.timeline.iter().filter_map(|second| Some((second.at_s, second.p99_ms?))).collect()
}

/// Returns the memory in MiB, of which an axis has round numbers.
fn memory(it: &Measurement) -> Vec<(f64, f64)> {
    let rss = |second: &Second| Some((second.at_s, as_float(second.server_rss?) / MIB));
    it.timeline.iter().filter_map(rss).collect()
}

fn conditions(report: &Report) -> Markup {
    html! {
        section {
            h2 { "Conditions" }
            @if !report.is_comparable() { p.bad { (NOT_COMPARABLE) } }
            @for rows in report.conditions() {
                dl { @for (name, value) in rows { dt { (name) } dd { (value) } } }
            }
        }
    }
}

fn words() -> Markup {
    html! {
        section {
            h2 { "What the figures mean" }
            dl {
                dt { "delivery" }
                dd { "One message that arrived at one reader. A message in a room of 1,000 makes 1,000." }
                dt { "latency" }
                dd {
                    "From when a message was due to be sent, not from when it could be, until it \
                     arrived or was answered. A server that stalls does not hide it."
                }
                dt { "CPU s/M" }
                dd { "Seconds of processor time, in the program and in the kernel, for a million deliveries." }
                dt { "faults" }
                dd { "Deliveries lost, doubled or out of order, and messages refused, in all runs together." }
            }
        }
    }
}
