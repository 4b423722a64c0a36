//! What a search asks, and what of a message answers it.
//!
//! A text is a row of words ([`words`]): letters and digits without case and accents, cut at
//! everything else. Both databases keep the words of each message in an index, by the same rule, and
//! find with it messages that may answer. Whether one does, how well, and where its words stand is
//! decided here, on the text as it is now, so the answer is the same in every database.

mod matching;
mod query;
mod words;

pub use matching::{Found, SNIPPET_CHARS, Snippet, Span, find_in, snippet};
pub use query::{QUERY_MAX, Query, QueryRefused, TERMS_MAX, Term};
pub use words::{INDEXED_MAX, WORD_MAX, Word, index_words, is_mark, is_separator, is_sign, words};
