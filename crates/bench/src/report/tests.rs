use std::collections::BTreeMap;

use super::*;
use crate::cpu::CpuSeconds;
use crate::measurement::{DeliveryCheck, MemoryUse, Second};
use crate::summary::Summary;

fn conditions() -> Conditions {
    Conditions {
        version: "1.2.3".to_owned(),
        profile: "release".to_owned(),
        command: "parlor bench fan-out --members 1000".to_owned(),
        date: "2026-01-01T12:00:00Z".to_owned(),
        os: Some("Example Linux 12".to_owned()),
        kernel: Some("6.1.0".to_owned()),
        architecture: "x86_64".to_owned(),
        cpu: Some("Example CPU @ 3 GHz".to_owned()),
        cores: Some(2),
        cores_allowed: Some(1),
        memory: Some(8 << 30),
        load_average: Some([0.5, 0.75, 1.25]),
    }
}

/// A measurement in which everything is known; `scale` makes systems and runs differ.
fn measured(system: &str, scale: f64) -> Measurement {
    let mut it = Measurement::new(system, "fan-out");
    it.plan = BTreeMap::from(
        [("members", "1000"), ("rate", "50/s"), ("rooms", "1")]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    it.duration_s = 30.0;
    it.connections = Some(1_000);
    it.connects_per_s = Some(12_000.0 / scale);
    it.published = Some(1_500);
    it.server_cpu = Some(CpuSeconds { user: 0.4 * scale, system: 8.0 * scale });
    it.generator_cpu = Some(CpuSeconds { user: 2.0, system: 4.0 });
    it.deliveries(1_500_000);
    it.latency = Some(Summary {
        count: 1_500_000,
        p50_ms: 4.6 * scale,
        p90_ms: 9.25 * scale,
        p99_ms: 13.8 * scale,
        p999_ms: 20.125 * scale,
        max_ms: 31.5 * scale,
    });
    it.memory = Some(MemoryUse {
        rss_before: Some(20 << 20),
        rss_connected: Some(26 << 20),
        rss_after: Some(27 << 20),
        rss_after_burst: None,
        rss_peak: Some(28 << 20),
        rss_per_connection: Some(6_144.0 * scale),
        pss_per_connection: Some(6_000.0 * scale),
    });
    it.delivery = Some(DeliveryCheck {
        published: 1_600,
        expected: 1_600_000,
        arrived: 1_600_000,
        ..DeliveryCheck::default()
    });
    it.figure("writes per delivery", 1.0, "");
    it.figure("largest batch", 4_096.0, "bytes");
    it.timeline = (1..=30_u32)
        .map(|second| Second {
            at_s: f64::from(second),
            deliveries: 50_000 - u64::from(second % 3) * 400,
            p50_ms: Some(4.6 * scale),
            p99_ms: Some((13.0 + f64::from(second % 5)) * scale),
            server_rss: Some((26 << 20) + (u64::from(second) << 14)),
            server_cpu_s: Some(0.29),
        })
        .collect();
    it
}

fn single() -> Report {
    Report::new(conditions(), vec![measured("parlor", 1.0)])
}

/// Two systems, three runs each, as an interleaved comparison makes them.
fn several() -> Report {
    let all =
        [1.0, 1.25, 0.95].map(|scale| [measured("parlor", scale), measured("other", scale * 2.5)]);
    let mut all: Vec<Measurement> = all.into_iter().flatten().collect();
    all[3].delivery = Some(DeliveryCheck {
        expected: 1_600_000,
        arrived: 1_598_800,
        lost: 1_200,
        ..DeliveryCheck::default()
    });
    Report::new(conditions(), all)
}

#[test]
fn one_measurement_is_one_screen() {
    let text = single().to_text(None);
    assert!(text.lines().count() <= 28, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    insta::assert_snapshot!("screen", text);
}

#[test]
fn systems_stand_side_by_side() {
    insta::assert_snapshot!("table", several().to_text(Some("other")));
}

#[test]
fn tables_are_markdown() {
    insta::assert_snapshot!("markdown", several().to_markdown(None));
}

#[test]
fn json_is_the_stable_schema_and_is_read_again() {
    let report = single();
    let json = report.to_json().unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let timeline = value["runs"][0]["measurements"][0]["timeline"].as_array_mut().unwrap();
    assert_eq!(timeline.len(), 30);
    timeline.truncate(1);
    insta::assert_snapshot!("json", serde_json::to_string_pretty(&value).unwrap());
    assert_eq!(Report::read(&json).unwrap(), report);
}

#[test]
fn reports_are_joined() {
    let mut all = single();
    let other = Report::new(conditions(), vec![measured("other", 2.0)]);
    all.join(Report::read(&other.to_json().unwrap()).unwrap());
    assert!(all.has_system("other") && !all.has_system("nobody"));
    let text = all.to_text(None);
    assert!(text.contains("Ratios are to parlor."), "{text}");
    assert_eq!(text.matches("conditions").count(), 1, "the same conditions are told once");
}

#[test]
fn other_machines_are_told_apart() {
    let mut all = single();
    let elsewhere = Conditions { cpu: Some("Another CPU".to_owned()), ..conditions() };
    all.join(Report::new(elsewhere, vec![measured("other", 2.0)]));
    assert!(all.to_text(None).contains(NOT_COMPARABLE));
    assert!(all.to_html(None).contains(NOT_COMPARABLE));
}

#[test]
fn what_is_no_report_is_refused() {
    for broken in ["", "{}", "[]", r#"{"schema":1}"#, r#"{"schema":1,"runs":[{}]}"#] {
        assert!(matches!(Report::read(broken), Err(ReportError::Malformed(_))), "{broken}");
    }
    let newer = format!(r#"{{"schema":{},"runs":"otherwise"}}"#, SCHEMA + 1);
    assert!(
        matches!(Report::read(&newer), Err(ReportError::Newer { found }) if found == SCHEMA + 1)
    );
}

#[test]
fn fields_of_newer_programs_are_passed_over() {
    let mut value: serde_json::Value = serde_json::from_str(&single().to_json().unwrap()).unwrap();
    value["runs"][0]["conditions"]["phase_of_the_moon"] = 7.into();
    value["runs"][0]["measurements"][0]["later"] = true.into();
    assert_eq!(Report::read(&value.to_string()).unwrap(), single());
}

#[test]
fn empty_and_bare_reports_are_readable() {
    for report in [
        Report::new(Conditions::default(), Vec::new()),
        Report::new(Conditions::default(), vec![Measurement::new("parlor", "idle")]),
        Report::new(Conditions::default(), vec![Measurement::default(), Measurement::default()]),
    ] {
        assert!(report.to_text(None).contains("conditions"));
        assert!(report.to_markdown(None).contains("Conditions"));
        assert!(report.to_html(None).ends_with("</html>"));
        assert_eq!(Report::read(&report.to_json().unwrap()).unwrap(), report);
    }
}

#[test]
fn figures_that_are_no_numbers_are_left_out() {
    let mut it = measured("parlor", 1.0);
    it.figure("broken", f64::NAN, "ms");
    it.figure("endless", f64::INFINITY, "ms");
    it.duration_s = 0.0;
    it.timeline[3].at_s = it.timeline[2].at_s;
    let report = Report::new(conditions(), vec![it]);
    assert_eq!(Report::read(&report.to_json().unwrap()).unwrap(), report);
    for text in [report.to_text(None), report.to_html(None), report.to_markdown(None)] {
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }
}

/// Names come from files that somebody else may have written.
const HOSTILE: &str = "</svg></style><script>alert('1')</script>\"|x\u{1b}[2J\n";

fn hostile() -> Report {
    let mut conditions = conditions();
    conditions.command = HOSTILE.to_owned();
    conditions.version = HOSTILE.to_owned();
    let all = [HOSTILE, "other"].map(|system| {
        let mut it = measured(system, 1.0);
        it.scenario = HOSTILE.to_owned();
        it.plan(HOSTILE, HOSTILE);
        it.figure(HOSTILE, 1.0, HOSTILE);
        it
    });
    Report::new(conditions, all.to_vec())
}

#[test]
fn names_cannot_leave_their_place_in_the_page() {
    let html = hostile().to_html(Some(HOSTILE));
    assert!(!html.contains("<script"), "{html}");
    assert_eq!(html.matches("</style>").count(), 1);
    assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
    assert!(html.contains("&lt;script&gt;"));
}

#[test]
fn names_cannot_steer_a_terminal_or_break_a_table() {
    let report = hostile();
    assert!(!report.to_text(None).contains('\u{1b}'));
    let markdown = report.to_markdown(None);
    assert!(!markdown.contains("<script"), "{markdown}");
    let columns = |line: &str| line.replace(r"\|", "").matches('|').count();
    let tables = markdown.split("\n\n").filter(|part| part.starts_with("| system"));
    let tables: Vec<&str> = tables.collect();
    assert_eq!(tables.len(), 3, "{markdown}");
    for table in tables {
        let counts: Vec<usize> = table.trim_end().lines().map(columns).collect();
        assert_eq!(counts, [counts[0]; 4], "{table}");
    }
}

#[test]
fn page_needs_nothing_but_itself() {
    let html = several().to_html(None);
    assert!(html.contains("default-src 'none'"));
    let without_namespace = html.replace("http://www.w3.org/2000/svg", "");
    for elsewhere in
        ["http:", "https:", "//", "<script", "<link", "url(", "@import", " src=", " href="]
    {
        assert!(!without_namespace.contains(elsewhere), "{elsewhere}");
    }
    // Bars of deliveries, processor time and memory, latency, three timelines.
    assert_eq!(html.matches("<svg").count(), 7);
    // One bar alone says nothing.
    assert_eq!(single().to_html(None).matches("<svg").count(), 4);
}

#[test]
fn every_color_of_a_plot_is_known_to_the_style_sheet() {
    let style = include_str!("style.css");
    for color in plot::colors() {
        assert!(style.contains(&format!("[fill=\"{color}\"]")), "{color}");
        assert!(style.contains(&format!("[stroke=\"{color}\"]")), "{color}");
    }
    let html = several().to_html(None);
    let colors = html.split(['"', '\'']).filter(|word| word.starts_with('#') && word.len() == 7);
    for color in colors {
        assert!(plot::colors().contains(&color.to_owned()), "{color} has no dark twin");
    }
}

/// Collects the names of all fields; those of a plan are names that a scenario chose.
fn fields(value: &serde_json::Value, names: &mut std::collections::BTreeSet<String>) {
    match value {
        serde_json::Value::Object(object) => {
            for (name, value) in object {
                names.insert(name.clone());
                if name != "plan" {
                    fields(value, names);
                }
            }
        }
        serde_json::Value::Array(all) => all.iter().for_each(|value| fields(value, names)),
        _ => {}
    }
}

#[test]
fn every_field_of_the_schema_is_documented() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/performance.md");
    let page = std::fs::read_to_string(path).unwrap();
    assert!(page.contains(&format!("`schema` is {SCHEMA}.")));
    let mut names = std::collections::BTreeSet::new();
    fields(&serde_json::to_value(single()).unwrap(), &mut names);
    let known =
        |name: &str| page.contains(&format!("`{name}`")) || page.contains(&format!("{name}[]"));
    let missing: Vec<&String> =
        names.iter().filter(|name| !known(name) && !page.contains(&format!(".{name}`"))).collect();
    assert!(names.len() > 50 && missing.is_empty(), "not in docs/performance.md: {missing:?}");
}
