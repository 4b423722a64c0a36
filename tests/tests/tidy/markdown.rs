//! As much of Markdown as the rules need: links, code, headings, tables.

/// What was found, with the number of its line.
pub(crate) type Found<T> = (usize, T);

/// Returns the lines outside fenced blocks, with their numbers.
pub(crate) fn prose(text: &str) -> Vec<Found<&str>> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push((number, line));
        }
    }
    lines
}

/// Returns the targets of links.
pub(crate) fn links(text: &str) -> Vec<Found<&str>> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        for (start, _) in line.match_indices("](") {
            let target = line.get(start + 2..).and_then(|rest| rest.split(')').next());
            found.extend(target.map(|target| (number, target)));
        }
    }
    found
}

/// Returns what stands between backticks in prose.
pub(crate) fn code_spans(text: &str) -> Vec<Found<&str>> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        let parts = line.split('`').enumerate();
        found.extend(parts.filter(|(at, _)| at % 2 == 1).map(|(_, span)| (number, span)));
    }
    found
}

/// Returns the names by which headings can be linked to.
pub(crate) fn anchors(text: &str) -> Vec<String> {
    let headings = prose(text).into_iter().filter(|(_, line)| line.starts_with('#'));
    headings.map(|(_, line)| anchor(line.trim_start_matches('#'))).collect()
}

fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter_map(|letter| match letter {
        ' ' | '-' => Some('-'),
        '_' => Some('_'),
        letter if letter.is_alphanumeric() => Some(letter.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}

/// Returns the cells of the rows of all tables, without their heads.
pub(crate) fn rows(text: &str) -> Vec<Found<Vec<String>>> {
    let mut rows = Vec::new();
    let mut in_body = false;
    for (number, line) in prose(text) {
        let line = line.trim();
        if !line.starts_with('|') {
            in_body = false;
        } else if line.chars().all(|letter| "|-: ".contains(letter)) {
            in_body = true;
        } else if in_body {
            // An escaped bar is part of its cell.
            let line = line.trim_matches('|').replace("\\|", "\u{0}");
            let cells = line.split('|').map(|cell| cell.trim().replace('\u{0}', "|"));
            rows.push((number, cells.collect()));
        }
    }
    rows
}

/// Returns the text between the first pair of backticks.
pub(crate) fn code(cell: &str) -> Option<&str> {
    cell.split('`').nth(1)
}

#[test]
fn parts_of_a_page_are_found() {
    let page = "# One & two\n[a](b.md#c) and `x/y`\n```sh\n[no](no)\n```\n\n| A | B |\n|---|---|\n\
                | `k` | v \\| w |\n";
    assert_eq!(anchors(page), ["one--two"]);
    assert_eq!(links(page), [(2, "b.md#c")]);
    assert_eq!(code_spans(page), [(2, "x/y"), (9, "k")]);
    assert_eq!(rows(page), [(9, vec!["`k`".to_owned(), "v | w".to_owned()])]);
    assert_eq!(code("`k` or `l`"), Some("k"));
}
