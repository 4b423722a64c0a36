//! Whether a text answers a query, how well, and where.

use super::query::{Query, Term};
use super::words::{Word, words};

/// Most characters of a snippet.
pub const SNIPPET_CHARS: usize = 160;
/// Characters of a snippet before the first place.
const LEAD_CHARS: usize = 40;
/// Most places that are told of one text.
const SPANS_MAX: usize = 100;
/// Most places of a word or phrase that are looked at in one text; what is beyond does not count.
const PLACES_MAX: usize = 1_000;
/// The length of a text, in words, at which its length neither helps nor harms.
const USUAL_WORDS: f64 = 30.0;
/// How soon further occurrences of a word count less, and how much the length counts: the usual
/// values of BM25.
const SATURATION: f64 = 1.2;
const LENGTH_WEIGHT: f64 = 0.75;

/// A part of a text, in characters (Unicode scalar values).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first character.
    pub start: u32,
    /// The character after the last one.
    pub end: u32,
}

/// What was found in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// How well it answers; depends on nothing but the text and the query.
    pub score: u32,
    /// Where, in order, without overlaps.
    pub spans: Vec<Span>,
}

/// A part of a text around what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    /// The part, with `…` where something was left out.
    pub text: String,
    /// Where in it.
    pub spans: Vec<Span>,
}

/// A place of a term, in words.
#[derive(Debug, Clone, Copy)]
struct Place {
    first: usize,
    last: usize,
    whole: bool,
}

/// Returns what a query finds in a text, if the text answers it.
///
/// How well follows BM25, but without how rare a word is: that would change the order of older
/// answers with each new message, and a list could not be read page by page.
pub fn find_in(query: &Query, text: &str) -> Option<Found> {
    if query.terms.is_empty() {
        return Some(Found { score: 0, spans: Vec::new() });
    }
    let words = words(text);
    let mut all: Vec<Vec<Place>> = Vec::new();
    for term in &query.terms {
        let places = places(term, &words);
        match (term.excluded, places.is_empty()) {
            (true, false) | (false, true) => return None,
            (true, true) => {}
            (false, false) => all.push(places),
        }
    }
    let score = score(&all, words.len());
    Some(Found { score, spans: spans(text, &words, &all) })
}

fn places(term: &Term, words: &[Word]) -> Vec<Place> {
    let (count, Some((last, head))) = (term.words.len(), term.words.split_last()) else {
        return Vec::new();
    };
    let mut places = Vec::new();
    for (first, window) in words.windows(count).enumerate() {
        let Some((end, start)) = window.split_last() else { continue };
        let whole = end.text == *last;
        let fits = (whole || term.prefix && end.text.starts_with(last.as_str()))
            && start.iter().zip(head).all(|(word, wanted)| word.text == *wanted);
        if fits {
            places.push(Place { first, last: first + count - 1, whole });
            if places.len() == PLACES_MAX || term.excluded {
                break;
            }
        }
    }
    places
}

#[expect(clippy::cast_precision_loss, reason = "counts of words are small")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded above and 0")]
fn score(all: &[Vec<Place>], n_words: usize) -> u32 {
    let length = 1.0 - LENGTH_WEIGHT + LENGTH_WEIGHT * n_words as f64 / USUAL_WORDS;
    let mut score = 0.0;
    for places in all {
        let count: f64 =
            places.iter().map(|place| if place.whole { 1.0 } else { 0.7 }).sum::<f64>();
        let words = places.first().map_or(1, |place| place.last - place.first + 1);
        score += (words as f64).sqrt() * count * (SATURATION + 1.0) / (count + SATURATION * length);
    }
    if all.len() > 1 {
        let near = narrowest(all).max(all.len());
        score += all.len() as f64 / near as f64;
    }
    (score * 1_000.0).min(f64::from(u32::MAX)) as u32
}

/// Returns how many words the narrowest part of the text has that holds all terms.
fn narrowest(all: &[Vec<Place>]) -> usize {
    let mut next = vec![0_usize; all.len()];
    let mut best = usize::MAX;
    loop {
        let (mut first, mut behind, mut last) = (usize::MAX, None, 0);
        for (places, at) in all.iter().zip(&mut next) {
            let Some(place) = places.get(*at) else { return best };
            last = last.max(place.last);
            if place.first < first {
                first = place.first;
                behind = Some(at);
            }
        }
        let Some(behind) = behind else { return best };
        best = best.min(last - first + 1);
        *behind += 1;
    }
}

/// Returns the places in characters, joined where they overlap.
fn spans(text: &str, words: &[Word], all: &[Vec<Place>]) -> Vec<Span> {
    let mut bytes: Vec<(usize, usize)> = all
        .iter()
        .flatten()
        .filter_map(|place| Some((words.get(place.first)?.start, words.get(place.last)?.end)))
        .collect();
    bytes.sort_unstable();
    let mut joined: Vec<(usize, usize)> = Vec::new();
    for (start, end) in bytes {
        match joined.last_mut() {
            Some((_, until)) if start < *until => *until = (*until).max(end),
            _ => joined.push((start, end)),
        }
    }
    joined.truncate(SPANS_MAX);
    let mut counted = (0, 0);
    let mut count = |to: usize| {
        let (at, n) = counted;
        let more = text.get(at..to).map_or(0, |part| part.chars().count());
        counted = (to, n + more);
        u32::try_from(n + more).unwrap_or(u32::MAX)
    };
    joined.into_iter().map(|(start, end)| Span { start: count(start), end: count(end) }).collect()
}

/// Returns the part of a text with the most places in it, or its beginning.
pub fn snippet(text: &str, spans: &[Span]) -> Snippet {
    let chars: Vec<char> = text.chars().collect();
    let at = |n: u32| (n as usize).min(chars.len());
    let within = |start: usize| {
        let room = start + SNIPPET_CHARS - LEAD_CHARS;
        spans.iter().filter(move |span| at(span.start) >= start && at(span.end) <= room).count()
    };
    // The first of those with the most.
    let best = spans.iter().map(|span| at(span.start)).rev().max_by_key(|start| within(*start));
    let mut start = best.unwrap_or(0).saturating_sub(LEAD_CHARS);
    if chars.len() <= SNIPPET_CHARS {
        start = 0;
    } else if start > 0 {
        // Begins with a whole word where one begins soon.
        let lead = chars.iter().skip(start).take(LEAD_CHARS / 2);
        start += lead.clone().position(|c| c.is_whitespace()).map_or(0, |space| space + 1);
    }
    let end = (start + SNIPPET_CHARS).min(chars.len());
    let mut out = String::new();
    if start > 0 {
        out.push('…');
    }
    let shift = out.chars().count();
    out.extend(chars.iter().skip(start).take(end - start));
    if end < chars.len() {
        out.push('…');
    }
    let moved = |n: u32| u32::try_from((at(n)).clamp(start, end) - start + shift).unwrap_or(0);
    let spans = spans
        .iter()
        .map(|span| Span { start: moved(span.start), end: moved(span.end) })
        .filter(|span| span.start < span.end)
        .collect();
    Snippet { text: out, spans }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(query: &str, text: &str) -> Option<Found> {
        find_in(&Query::parse(query).unwrap(), text)
    }

    fn marked(query: &str, text: &str) -> Vec<String> {
        let chars: Vec<char> = text.chars().collect();
        let found = found(query, text).unwrap();
        let part = |span: &Span| chars[span.start as usize..span.end as usize].iter().collect();
        found.spans.iter().map(part).collect()
    }

    #[test]
    fn places_are_counted_in_characters() {
        assert_eq!(marked("creme", "🎉 a Crème, creme!"), ["Crème", "creme"]);
        assert_eq!(found("creme", "🎉 Crème").unwrap().spans, [Span { start: 2, end: 7 }]);
        assert_eq!(marked("天気", "今日は天気がいい"), ["天気"]);
    }

    #[test]
    fn all_words_are_needed_and_excluded_ones_must_not_be_there() {
        assert!(found("green tea", "tea that is green").is_some());
        assert!(found("green tea", "black tea").is_none());
        assert!(found("tea -milk", "tea with milk").is_none());
        assert!(found("tea -milk", "tea with lemon").is_some());
    }

    #[test]
    fn phrase_is_in_order_and_without_gaps() {
        assert_eq!(marked("\"green tea\"", "Green, tea! tea green"), ["Green, tea"]);
        assert!(found("\"green tea\"", "tea green").is_none());
        assert!(found("foo.bar", "foo-bar").is_some() && found("foo.bar", "bar foo").is_none());
    }

    #[test]
    fn prefix_finds_words_that_go_on() {
        assert_eq!(marked("cak*", "cake and Cakes, pancake"), ["cake", "Cakes"]);
        assert!(found("cak", "cake").is_none());
    }

    #[test]
    fn better_answers_have_a_higher_score() {
        let score = |query: &str, text: &str| found(query, text).unwrap().score;
        let filler = "word ".repeat(50);
        assert!(score("tea", "tea") > score("tea", &format!("tea {filler}")));
        assert!(score("tea", "tea tea cake cake") > score("tea", "tea milk cake cake"));
        let (near, far) = (format!("green tea {filler}"), format!("green {filler} tea"));
        assert!(score("green tea", &near) > score("green tea", &far));
        assert!(score("tea*", "tea time now") > score("tea*", "teas time now"));
    }

    #[test]
    fn places_of_a_term_are_bounded() {
        let text = "ab ".repeat(PLACES_MAX * 3);
        let cut = words(&text);
        for query in ["ab", "a*", "\"ab ab\""] {
            let query = Query::parse(query).unwrap();
            assert_eq!(places(&query.terms[0], &cut).len(), PLACES_MAX);
        }
        let longer = format!("{text} cd");
        let score = |text: &str| found("ab", text).unwrap().score;
        assert!(score(&text) > score(&text.repeat(2)), "only its length counts then");
        assert!(found("ab cd", &longer).is_some(), "a word behind them is found");
        assert!(found("ab -cd", &longer).is_none());
    }

    #[test]
    fn narrowest_part_holds_all_terms() {
        let near = |query: &str, text: &str| {
            let (query, words) = (Query::parse(query).unwrap(), words(text));
            let all: Vec<_> = query.terms.iter().map(|term| places(term, &words)).collect();
            narrowest(&all)
        };
        assert_eq!(near("a b", "a x x b x a b"), 2);
        assert_eq!(near("a b c", "a x b x c x x a c b"), 3);
        assert_eq!(near("a \"b c\"", "b c x x a x b c"), 4);
        assert_eq!(near("a a*", "x a x"), 1);
    }

    #[test]
    fn snippet_shows_what_was_found() {
        let text = format!("{} needle, and {}", "hay ".repeat(200), "straw ".repeat(200));
        let snippet = snippet(&text, &found("needle", &text).unwrap().spans);
        assert!(snippet.text.starts_with('…') && snippet.text.ends_with('…'));
        let chars: Vec<char> = snippet.text.chars().collect();
        let span = snippet.spans[0];
        let part: String = chars[span.start as usize..span.end as usize].iter().collect();
        assert_eq!(part, "needle");
        assert!(chars.len() <= SNIPPET_CHARS + 2);
        assert_eq!(super::snippet("short", &[]).text, "short");
    }

    proptest! {
        #[test]
        fn spans_are_in_the_text(query in any::<String>(), text in any::<String>()) {
            let Ok(query) = Query::parse(&query) else { return Ok(()) };
            if let Some(found) = find_in(&query, &text) {
                let length = u32::try_from(text.chars().count()).unwrap();
                let mut before = 0;
                for span in &found.spans {
                    prop_assert!(before <= span.start && span.start < span.end);
                    prop_assert!(span.end <= length);
                    before = span.end;
                }
                let snippet = snippet(&text, &found.spans);
                let length = u32::try_from(snippet.text.chars().count()).unwrap();
                prop_assert!(snippet.spans.iter().all(|span| span.end <= length));
            }
        }

        #[test]
        fn text_answers_its_own_words(words in prop::collection::vec("[a-zé]{1,8}", 1..6)) {
            let text = words.join(" ");
            let quoted = format!("\"{text}\"");
            prop_assert!(found(&quoted, &text).is_some());
        }
    }
}
