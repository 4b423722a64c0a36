//! Decodes server-sent events as the WHATWG describes them, with two allowances: an event at the
//! very end counts without its empty line, and a bounded event size.
//!
//! Field `event` and `data` matter here; `id`, `retry` and comments are skipped.

use std::collections::VecDeque;

use crate::{MAX_LINE_BYTES, ProviderError, lines::LineDecoder};

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SseEvent {
    /// The event's type; empty for the default one.
    pub(crate) name: String,
    /// The data lines, joined with LF.
    pub(crate) data: String,
}

#[derive(Debug, Default)]
pub(crate) struct SseDecoder {
    lines: LineDecoder,
    events: EventBuilder,
}

impl SseDecoder {
    /// Takes the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), ProviderError> {
        let Self { lines, events } = self;
        lines.push(bytes, |line| events.line(line))
    }

    /// Tells that no bytes follow, which completes an event without its empty line.
    pub(crate) fn finish(&mut self) -> Result<(), ProviderError> {
        let rest = self.lines.take_rest();
        if !rest.is_empty() {
            self.events.line(&rest)?;
        }
        self.events.dispatch();
        Ok(())
    }

    /// Returns the next complete event.
    pub(crate) fn next_event(&mut self) -> Option<SseEvent> {
        self.events.ready.pop_front()
    }
}

#[derive(Debug, Default)]
struct EventBuilder {
    name: String,
    data: Option<String>,
    past_first_line: bool,
    /// Bounded by the bytes of one read, because the caller drains it before the next.
    ready: VecDeque<SseEvent>,
}

impl EventBuilder {
    fn line(&mut self, mut line: &[u8]) -> Result<(), ProviderError> {
        if !self.past_first_line {
            self.past_first_line = true;
            line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        }
        if line.is_empty() {
            self.dispatch();
            return Ok(());
        }
        let line = String::from_utf8_lossy(line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                let data = match &mut self.data {
                    Some(data) => {
                        data.push('\n');
                        data
                    }
                    none => none.insert(String::new()),
                };
                if data.len() + value.len() > MAX_LINE_BYTES {
                    return Err(ProviderError::Malformed);
                }
                data.push_str(value);
            }
            "event" => value.clone_into(&mut self.name),
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self) {
        let name = std::mem::take(&mut self.name);
        if let Some(data) = self.data.take() {
            self.ready.push_back(SseEvent { name, data });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(pieces: &[&[u8]]) -> Vec<SseEvent> {
        let mut decoder = SseDecoder::default();
        let mut events = Vec::new();
        for piece in pieces {
            decoder.push(piece).unwrap();
            events.extend(std::iter::from_fn(|| decoder.next_event()));
        }
        decoder.finish().unwrap();
        events.extend(std::iter::from_fn(|| decoder.next_event()));
        events
    }

    fn data(pieces: &[&[u8]]) -> Vec<String> {
        decode(pieces).into_iter().map(|event| event.data).collect()
    }

    #[test]
    fn the_space_after_the_colon_is_optional_and_only_one_is_dropped() {
        assert_eq!(data(&[b"data:a\n\ndata: b\n\ndata:  c\n\n"]), ["a", "b", " c"]);
    }

    #[test]
    fn comments_and_unknown_fields_are_skipped() {
        assert_eq!(data(&[b": keep-alive\n\n:\nid: 7\nretry: 10\ndata: a\nodd\n\n"]), ["a"]);
    }

    #[test]
    fn crlf_ends_lines_and_events() {
        assert_eq!(data(&[b"data: a\r\n\r\ndata: b\r\n\r\n"]), ["a", "b"]);
    }

    #[test]
    fn data_lines_of_one_event_are_joined() {
        assert_eq!(data(&[b"data: a\ndata\ndata: b\n\n"]), ["a\n\nb"]);
    }

    #[test]
    fn the_event_name_belongs_to_its_event_only() {
        let events = decode(&[b"event: error\ndata: a\n\ndata: b\n\n"]);

        assert_eq!(events[0], SseEvent { name: "error".to_owned(), data: "a".to_owned() });
        assert_eq!(events[1].name, "");
    }

    #[test]
    fn the_last_event_needs_neither_empty_line_nor_line_end() {
        assert_eq!(data(&[b"data: a\n\ndata: [DONE]"]), ["a", "[DONE]"]);
        assert_eq!(data(&[b"data: a\n"]), ["a"]);
    }

    #[test]
    fn a_byte_order_mark_at_the_start_is_skipped() {
        assert_eq!(data(&["\u{feff}data: a\n\n".as_bytes()]), ["a"]);
    }

    #[test]
    fn invalid_utf8_is_replaced_and_the_rest_survives() {
        assert_eq!(data(&[b"data: a\xffb\n\ndata: c\n\n"]), ["a\u{fffd}b", "c"]);
    }

    #[test]
    fn an_event_that_only_grows_is_refused() {
        let mut decoder = SseDecoder::default();
        let line = format!("data: {}\n", "a".repeat(1000));

        let outcome = (0..2000).try_for_each(|_| decoder.push(line.as_bytes()));

        assert_eq!(outcome, Err(ProviderError::Malformed));
    }

    proptest! {
        #[test]
        fn the_cuts_between_reads_do_not_matter(
            texts in prop::collection::vec("[^\r\n]{0,20}", 1..8),
            ending in prop::sample::select(vec!["\n", "\r\n", "\r"]),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let blocks: Vec<_> =
                texts.iter().map(|text| format!("data: {text}{ending}{ending}")).collect();
            let stream = blocks.concat();
            let bytes = stream.as_bytes();
            let mut ends: Vec<usize> =
                cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            ends.push(bytes.len());
            ends.sort_unstable();
            let mut start = 0;
            let pieces: Vec<&[u8]> = ends
                .into_iter()
                .map(|end| {
                    let piece = &bytes[start..end];
                    start = end;
                    piece
                })
                .collect();

            prop_assert_eq!(data(&pieces), texts);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = SseDecoder::default();
            prop_assert!(decoder.push(&bytes).is_ok());
            prop_assert!(decoder.finish().is_ok());
        }
    }
}
