//! Cursors of lists: opaque to clients, a name or a number to us, and which list it is a place in. A
//! cursor of another list is refused.

use std::fmt::Display;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parlor_protocol::http::Page;
use parlor_protocol::limits::{PAGE_DEFAULT, PAGE_MAX};

use crate::refusal::{Outcome, Refusal};

/// Longest text in a cursor.
const TEXT_MAX: usize = 384;

/// A list that is read page by page.
#[derive(Debug)]
pub(super) struct List {
    /// What its cursors begin with.
    mark: String,
}

/// Returns the number of items to list, from what the client asked for.
pub(super) fn page_size(limit: Option<u32>) -> Outcome<u32> {
    match limit.unwrap_or(PAGE_DEFAULT) {
        limit @ 1..=PAGE_MAX => Ok(limit),
        _ => Err(Refusal::field("limit", "range", format!("must be from 1 to {PAGE_MAX}"))),
    }
}

/// A cursor that is no place in the list.
pub(super) fn refused() -> Refusal {
    Refusal::field("cursor", "invalid", "must be `next` of the page before, of the same list")
}

impl List {
    /// Names a list of the whole server.
    pub(super) fn new(name: &'static str) -> Self {
        Self { mark: format!("{name} ") }
    }

    /// Names a list of one room, or of another thing.
    pub(super) fn of(name: &'static str, owner: impl Display) -> Self {
        Self { mark: format!("{name} {owner} ") }
    }

    /// Writes a cursor.
    pub(super) fn encode(&self, place: &str) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}{place}", self.mark))
    }

    /// Reads a cursor.
    pub(super) fn decode(&self, cursor: Option<&str>) -> Outcome<Option<String>> {
        let Some(cursor) = cursor else { return Ok(None) };
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| refused())?;
        let text = String::from_utf8(bytes).map_err(|_| refused())?;
        let place = text.strip_prefix(&self.mark).filter(|_| text.len() <= TEXT_MAX);
        place.map(|place| Some(place.to_owned())).ok_or_else(refused)
    }

    /// Makes a page of at most `limit` items out of one more than that, so that the last page knows
    /// that it is the last.
    pub(super) fn page<T, U>(
        &self,
        mut found: Vec<T>,
        limit: u32,
        key: impl Fn(&T) -> String,
        view: impl FnMut(T) -> U,
    ) -> Page<U> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|last| self.encode(&key(last)));
        Page { items: found.into_iter().map(view).collect(), next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_comes_back_as_it_went() {
        let list = List::new("members");
        let cursor = list.encode("ada.lovelace");
        assert_eq!(list.decode(Some(&cursor)).unwrap().as_deref(), Some("ada.lovelace"));
        assert_eq!(list.decode(None).unwrap(), None);
        let long = list.encode(&"a".repeat(TEXT_MAX));
        for forged in ["!", "ada", &long, &URL_SAFE_NO_PAD.encode([0xff])] {
            assert!(list.decode(Some(forged)).is_err(), "{forged}");
        }
    }

    #[test]
    fn cursor_of_another_list_is_none() {
        let lists = || [List::new("rooms"), List::of("bans", 1), List::of("bans", 2)];
        for (nth, list) in lists().into_iter().enumerate() {
            let cursor = list.encode("ada");
            let taken = lists().iter().position(|other| other.decode(Some(&cursor)).is_ok());
            assert_eq!(taken, Some(nth));
        }
        let refused = List::new("rooms").decode(Some(&List::new("bots").encode("ada")));
        assert_eq!(refused.unwrap_err().errors[0].field, "cursor");
    }

    #[test]
    fn last_page_has_no_next() {
        let names = |n| ["a", "b", "c"].into_iter().take(n).map(str::to_owned).collect::<Vec<_>>();
        let list = List::new("names");
        let first = list.page(names(3), 2, Clone::clone, |name| name);
        assert_eq!((first.items.len(), first.next), (2, Some(list.encode("b"))));
        let last = list.page(names(2), 2, Clone::clone, |name| name);
        assert_eq!((last.items.len(), last.next), (2, None));
    }

    #[test]
    fn page_size_is_bounded() {
        assert_eq!(page_size(None).unwrap(), 50);
        assert_eq!(page_size(Some(200)).unwrap(), 200);
        assert!(page_size(Some(0)).is_err() && page_size(Some(201)).is_err());
    }
}
