//! Cursors of lists: opaque to clients, a name or a number to us.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parlor_protocol::http::Page;
use parlor_protocol::limits::{PAGE_DEFAULT, PAGE_MAX};

use crate::refusal::{Outcome, Refusal};

/// Longest text in a cursor.
const TEXT_MAX: usize = 256;

/// Returns the number of items to list, from what the client asked for.
pub(super) fn page_size(limit: Option<u32>) -> Outcome<u32> {
    match limit.unwrap_or(PAGE_DEFAULT) {
        limit @ 1..=PAGE_MAX => Ok(limit),
        _ => Err(Refusal::field("limit", "range", format!("must be from 1 to {PAGE_MAX}"))),
    }
}

/// Writes a cursor.
pub(super) fn encode(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// Reads a cursor.
pub(super) fn decode(cursor: Option<&str>) -> Outcome<Option<String>> {
    let Some(cursor) = cursor else { return Ok(None) };
    let refused = || Refusal::field("cursor", "invalid", "must be `next` of the page before");
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| refused())?;
    let text = String::from_utf8(bytes).map_err(|_| refused())?;
    if text.len() <= TEXT_MAX { Ok(Some(text)) } else { Err(refused()) }
}

/// Makes a page of at most `limit` items out of one more than that, so that the last page knows
/// that it is the last.
pub(super) fn page<T, U>(
    mut found: Vec<T>,
    limit: u32,
    key: impl Fn(&T) -> String,
    view: impl FnMut(T) -> U,
) -> Page<U> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| encode(&key(last)));
    Page { items: found.into_iter().map(view).collect(), next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_comes_back_as_it_went() {
        let cursor = encode("ada.lovelace");
        assert_eq!(decode(Some(&cursor)).unwrap().as_deref(), Some("ada.lovelace"));
        assert_eq!(decode(None).unwrap(), None);
        for forged in ["!", "ada", &encode(&"a".repeat(257)), &URL_SAFE_NO_PAD.encode([0xff])] {
            assert!(decode(Some(forged)).is_err(), "{forged}");
        }
    }

    #[test]
    fn last_page_has_no_next() {
        let names = |n| ["a", "b", "c"].into_iter().take(n).map(str::to_owned).collect::<Vec<_>>();
        let first = page(names(3), 2, Clone::clone, |name| name);
        assert_eq!((first.items.len(), first.next), (2, Some(encode("b"))));
        let last = page(names(2), 2, Clone::clone, |name| name);
        assert_eq!((last.items.len(), last.next), (2, None));
    }

    #[test]
    fn page_size_is_bounded() {
        assert_eq!(page_size(None).unwrap(), 50);
        assert_eq!(page_size(Some(200)).unwrap(), 200);
        assert!(page_size(Some(0)).is_err() && page_size(Some(201)).is_err());
    }
}
