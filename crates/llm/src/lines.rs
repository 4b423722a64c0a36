//! Splits a byte stream into lines, however the bytes are cut.
//!
//! A line ends with LF, CRLF or CR. Bytes are kept until their line is complete, so a character
//! that is split between two reads stays whole. A line has a bound; memory does not grow with
//! what a provider sends.

use crate::{MAX_LINE_BYTES, ProviderError};

#[derive(Debug, Default)]
pub(crate) struct LineDecoder {
    partial: Vec<u8>,
    /// The last line ended with CR, so an LF that comes first belongs to it.
    after_cr: bool,
}

impl LineDecoder {
    /// Takes the next bytes and passes every line that they complete to `line`, without its end.
    ///
    /// Fails when a line is longer than [`MAX_LINE_BYTES`]; the decoder is then of no use.
    pub(crate) fn push(
        &mut self,
        mut bytes: &[u8],
        mut line: impl FnMut(&[u8]) -> Result<(), ProviderError>,
    ) -> Result<(), ProviderError> {
        loop {
            if self.after_cr && !bytes.is_empty() {
                self.after_cr = false;
                bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            }
            let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                return self.keep(bytes);
            };
            let (head, tail) = bytes.split_at(end);
            if self.partial.is_empty() {
                check_length(head.len())?;
                line(head)?;
            } else {
                self.keep(head)?;
                line(&self.partial)?;
                self.partial.clear();
            }
            self.after_cr = tail.first() == Some(&b'\r');
            bytes = tail.get(1..).unwrap_or_default();
        }
    }

    /// Returns what came after the last end of a line.
    pub(crate) fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.partial)
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), ProviderError> {
        check_length(self.partial.len() + bytes.len())?;
        self.partial.extend_from_slice(bytes);
        Ok(())
    }
}

fn check_length(length: usize) -> Result<(), ProviderError> {
    if length > MAX_LINE_BYTES { Err(ProviderError::Malformed) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> (Vec<String>, String) {
        let mut decoder = LineDecoder::default();
        let mut lines = Vec::new();
        for piece in pieces {
            decoder
                .push(piece, |line| {
                    lines.push(String::from_utf8(line.to_vec()).unwrap());
                    Ok(())
                })
                .unwrap();
        }
        (lines, String::from_utf8(decoder.take_rest()).unwrap())
    }

    #[test]
    fn all_three_line_endings_count_once() {
        let (complete, rest) = lines(&[b"a\nb\r\nc\rd\n\ne"]);

        assert_eq!(complete, ["a", "b", "c", "d", ""]);
        assert_eq!(rest, "e");
    }

    #[test]
    fn crlf_split_between_reads_is_one_ending() {
        let (complete, _) = lines(&[b"a\r", b"", b"\nb\r", b"c\n"]);

        assert_eq!(complete, ["a", "b", "c"]);
    }

    #[test]
    fn a_line_of_the_bound_passes_and_one_byte_more_fails() {
        let mut decoder = LineDecoder::default();
        let mut line = vec![b'a'; MAX_LINE_BYTES];

        line.push(b'\n');
        assert_eq!(decoder.push(&line, |_| Ok(())), Ok(()));
        assert_eq!(decoder.push(&line[..MAX_LINE_BYTES], |_| Ok(())), Ok(()));
        assert_eq!(decoder.push(b"a", |_| Ok(())), Err(ProviderError::Malformed));
    }
}
