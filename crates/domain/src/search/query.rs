//! What was typed into a search, read once.

use parlor_protocol::time::Timestamp;

use super::words::words;

/// Longest query in characters.
pub const QUERY_MAX: usize = 300;
/// Most things that one query may ask for.
pub const TERMS_MAX: usize = 16;

/// What a search asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// What the text must have, and what it must not have.
    pub terms: Vec<Term>,
    /// Only messages of this user, by name.
    pub from: Option<String>,
    /// Only messages of this room, by id or short name.
    pub room: Option<String>,
    /// Only messages that were written before.
    pub before: Option<Timestamp>,
    /// Only messages that were written at this time or later.
    pub since: Option<Timestamp>,
    /// Only messages with files.
    pub has_attachment: bool,
}

/// One word, or several that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The words, at least one.
    pub words: Vec<String>,
    /// Whether the last word may go on.
    pub prefix: bool,
    /// Whether the text must not have it.
    pub excluded: bool,
}

/// Why a query is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryRefused {
    /// It is too long.
    #[error("may have at most {QUERY_MAX} characters")]
    Length,
    /// It asks for too much.
    #[error("may have at most {TERMS_MAX} words and phrases")]
    Terms,
    /// There is nothing to look for.
    #[error("must have a word to look for, or a filter")]
    Empty,
    /// A filter is given twice with different values.
    #[error("has `{0}:` twice")]
    Twice(&'static str),
    /// What follows a filter looks like a time and is none.
    #[error("`{0}:` must be followed by a date such as 2026-01-31")]
    Time(&'static str),
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

impl Query {
    /// Reads a query: words, `"phrases"`, `prefix*`, `-exclusions` and the filters `from:`, `in:`,
    /// `before:`, `after:` and `has:attachment`. Whatever else is typed is words.
    ///
    /// A query without words and filters is [empty](QueryRefused::Empty) only once
    /// [`Self::check`] is asked: filters may also come from elsewhere.
    pub fn parse(text: &str) -> Result<Self, QueryRefused> {
        if text.chars().count() > QUERY_MAX {
            return Err(QueryRefused::Length);
        }
        let mut query = Self::default();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            rest = query.read_one(rest)?.trim_start();
        }
        Ok(query)
    }

    /// Refuses a query that asks for everything, or for too much.
    pub fn check(&self) -> Result<(), QueryRefused> {
        if self.terms.len() > TERMS_MAX
            || self.terms.iter().map(|term| term.words.len()).sum::<usize>() > 4 * TERMS_MAX
        {
            return Err(QueryRefused::Terms);
        }
        let filters = self.from.is_some()
            || self.room.is_some()
            || self.before.is_some()
            || self.since.is_some()
            || self.has_attachment;
        if filters || self.terms.iter().any(|term| !term.excluded) {
            return Ok(());
        }
        Err(QueryRefused::Empty)
    }

    /// Sets `before`: a day, which is then left out, or a time.
    pub fn set_before(&mut self, text: &str) -> Result<(), QueryRefused> {
        let (start, _) = time(text).ok_or(QueryRefused::Time("before"))?;
        set(&mut self.before, start, "before")
    }

    /// Sets `after`: a day, which is then left out, or a time.
    pub fn set_after(&mut self, text: &str) -> Result<(), QueryRefused> {
        let (_, end) = time(text).ok_or(QueryRefused::Time("after"))?;
        set(&mut self.since, end, "after")
    }

    /// Sets the author's name.
    pub fn set_from(&mut self, name: &str) -> Result<(), QueryRefused> {
        let name = name.strip_prefix('@').unwrap_or(name).to_lowercase();
        set(&mut self.from, name, "from")
    }

    /// Sets the room.
    pub fn set_room(&mut self, room: &str) -> Result<(), QueryRefused> {
        let room = room.strip_prefix('#').unwrap_or(room).to_lowercase();
        set(&mut self.room, room, "in")
    }

    /// Reads what comes first and returns what is left.
    fn read_one<'a>(&mut self, text: &'a str) -> Result<&'a str, QueryRefused> {
        let (excluded, body) = match text.strip_prefix('-') {
            Some(body) => (true, body),
            None => (false, text),
        };
        if let Some(quoted) = body.strip_prefix('"') {
            let (phrase, rest) = quoted.split_once('"').unwrap_or((quoted, ""));
            let (prefix, rest) = match rest.strip_prefix('*') {
                Some(rest) => (true, rest),
                None => (false, rest),
            };
            self.add(phrase, prefix, excluded);
            return Ok(rest);
        }
        let end = body.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(body.len());
        let (word, rest) = body.split_at(end);
        if excluded || !self.read_filter(word)? {
            self.add(word, word.ends_with('*'), excluded);
        }
        Ok(rest)
    }

    /// Reads a filter, if it is one.
    fn read_filter(&mut self, word: &str) -> Result<bool, QueryRefused> {
        let Some((name, value)) = word.split_once(':') else { return Ok(false) };
        if value.is_empty() {
            return Ok(false);
        }
        match name.to_ascii_lowercase().as_str() {
            "from" => self.set_from(value)?,
            "in" => self.set_room(value)?,
            // A word such as `after:party` is one.
            "before" if value.starts_with(|c: char| c.is_ascii_digit()) => {
                self.set_before(value)?;
            }
            "after" if value.starts_with(|c: char| c.is_ascii_digit()) => self.set_after(value)?,
            "has" if matches!(value, "attachment" | "attachments" | "file") => {
                self.has_attachment = true;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn add(&mut self, text: &str, prefix: bool, excluded: bool) {
        let words: Vec<String> = words(text).into_iter().map(|word| word.text).collect();
        let term = Term { words, prefix, excluded };
        if !term.words.is_empty() && !self.terms.contains(&term) {
            self.terms.push(term);
        }
    }
}

/// Reads a day or a time, and returns where it begins and where what is after it begins.
fn time(text: &str) -> Option<(Timestamp, Timestamp)> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some((at, Timestamp::from_millis(at.as_millis() + 1)));
    }
    let day = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let start: Timestamp = day.then(|| format!("{text}T00:00:00Z").parse().ok()).flatten()?;
    Some((start, Timestamp::from_millis(start.as_millis() + DAY_MS)))
}

fn set<T: PartialEq>(
    place: &mut Option<T>,
    value: T,
    name: &'static str,
) -> Result<(), QueryRefused> {
    match place {
        Some(there) if *there != value => Err(QueryRefused::Twice(name)),
        _ => {
            *place = Some(value);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn term(words: &[&str], prefix: bool, excluded: bool) -> Term {
        Term { words: words.iter().map(|&word| word.to_owned()).collect(), prefix, excluded }
    }

    #[test]
    fn words_phrases_prefixes_and_exclusions_are_read() {
        let query = Query::parse(r#"Tea "green  LEAVES" cak* -milk -"two sugars" don't"#).unwrap();
        assert_eq!(
            query.terms,
            [
                term(&["tea"], false, false),
                term(&["green", "leaves"], false, false),
                term(&["cak"], true, false),
                term(&["milk"], false, true),
                term(&["two", "sugars"], false, true),
                term(&["don", "t"], false, false),
            ]
        );
    }

    #[test]
    fn filters_are_read() {
        let text = "from:@Ada in:#general before:2026-01-31 after:2026-01-01 has:attachment tea";
        let query = Query::parse(text).unwrap();
        assert_eq!(query.from.as_deref(), Some("ada"));
        assert_eq!(query.room.as_deref(), Some("general"));
        assert_eq!(query.before.unwrap().to_string(), "2026-01-31T00:00:00.000Z");
        assert_eq!(query.since.unwrap().to_string(), "2026-01-02T00:00:00.000Z");
        assert!(query.has_attachment);
        assert_eq!(query.terms, [term(&["tea"], false, false)]);
    }

    #[test]
    fn what_is_no_filter_is_words() {
        let query = Query::parse("after:party c++: \"open").unwrap();
        let words = [term(&["after", "party"], false, false), term(&["c"], false, false)];
        assert_eq!(query.terms.as_slice().get(..2).unwrap(), words);
        assert_eq!(query.terms.last(), Some(&term(&["open"], false, false)));
    }

    #[test]
    fn query_that_cannot_be_meant_is_refused() {
        let refused = |text: &str| Query::parse(text).and_then(|query| query.check()).unwrap_err();
        assert_eq!(refused("before:2026-13-45"), QueryRefused::Time("before"));
        assert_eq!(refused("from:ada from:bob"), QueryRefused::Twice("from"));
        assert_eq!(refused("-milk 🎉"), QueryRefused::Empty);
        assert_eq!(refused(&"a ".repeat(QUERY_MAX)), QueryRefused::Length);
        let many: Vec<String> = (0..=TERMS_MAX).map(|n| format!("w{n}")).collect();
        assert_eq!(refused(&many.join(" ")), QueryRefused::Terms);
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in any::<String>()) {
            if let Ok(query) = Query::parse(&text) {
                for term in &query.terms {
                    prop_assert!(!term.words.is_empty());
                    for word in &term.words {
                        // What backends are handed cannot be mistaken for anything but a word.
                        prop_assert!(!word.contains(['"', '\'', '*', '\\', ':', ' ', '(', '&', '|']));
                    }
                }
            }
        }
    }
}
