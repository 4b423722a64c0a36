//! The lines of a body, as they arrive, and the hash of those that were read.

use std::time::Duration;

use axum::body::BodyDataStream;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use parlor_protocol::code::Code;
use parlor_protocol::room_file::LINE_MAX;
use sha2::{Digest as _, Sha256};

use super::refuse;
use crate::http::extract::discard;
use crate::refusal::{Outcome, Refusal};

/// Reads a body line by line and keeps no more than one line of it.
pub(super) struct Lines {
    chunks: BodyDataStream,
    buffer: BytesMut,
    /// Bytes of the buffer that are known to hold no line break.
    scanned: usize,
    /// Bytes that may still come.
    left: usize,
    limit: usize,
    /// How long the next bytes are waited for.
    patience: Duration,
    number: u64,
    hash: Sha256,
    /// The line that was returned last: it is hashed once another one is asked for.
    last: Bytes,
}

impl Lines {
    pub(super) fn new(chunks: BodyDataStream, limit: usize, patience: Duration) -> Self {
        Self {
            chunks,
            buffer: BytesMut::new(),
            scanned: 0,
            left: limit,
            limit,
            patience,
            number: 0,
            hash: Sha256::new(),
            last: Bytes::new(),
        }
    }

    /// Returns the number of the line that was returned last; the first is 1.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Returns the hash of everything before the line that was returned last.
    pub(super) const fn hash_before(&self) -> &Sha256 {
        &self.hash
    }

    /// Returns the next line with its break, which the last one may lack.
    pub(super) async fn next(&mut self) -> Outcome<Option<Bytes>> {
        self.hash.update(&self.last);
        self.last = Bytes::new();
        loop {
            let unseen = self.buffer.get(self.scanned..).unwrap_or_default();
            let found = unseen.iter().position(|byte| *byte == b'\n');
            let length = found.map_or(self.buffer.len(), |place| self.scanned + place + 1);
            if length > LINE_MAX {
                let detail = format!("is longer than {LINE_MAX} bytes");
                return Err(refuse(self.number + 1, "", "length", &detail));
            }
            if found.is_some() {
                return Ok(Some(self.take(length)));
            }
            self.scanned = length;
            match self.more().await? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Ok(Some(self.take(length))),
            }
        }
    }

    fn take(&mut self, length: usize) -> Bytes {
        self.number += 1;
        self.scanned = 0;
        self.last = self.buffer.split_to(length).freeze();
        self.last.clone()
    }

    async fn more(&mut self) -> Outcome<Option<Bytes>> {
        let incomplete = || Refusal::new(Code::BadRequest, "The file did not arrive.");
        let chunk = tokio::time::timeout(self.patience, self.chunks.next());
        let Some(chunk) = chunk.await.map_err(|_| incomplete())? else { return Ok(None) };
        let chunk = chunk.map_err(|_| incomplete())?;
        let Some(left) = self.left.checked_sub(chunk.len()) else {
            let detail = format!("A file may have at most {} bytes (limits.import).", self.limit);
            return Err(Refusal::new(Code::PayloadTooLarge, detail));
        };
        self.left = left;
        Ok(Some(chunk))
    }

    /// Lets whoever still sends finish, within reason, so that they see the answer.
    pub(super) async fn discard(self) {
        discard(self.chunks).await;
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn lines(chunks: Vec<&'static str>, limit: usize) -> Lines {
        let chunks = chunks.into_iter().map(Ok::<_, std::io::Error>);
        let body = Body::from_stream(futures_util::stream::iter(chunks));
        Lines::new(body.into_data_stream(), limit, Duration::from_secs(10))
    }

    #[tokio::test]
    async fn lines_are_cut_wherever_chunks_end() {
        let mut lines = lines(vec!["a", "b\nc", "\n", "\nd"], 100);
        let mut read = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            read.push(line);
        }
        assert_eq!(read, ["ab\n", "c\n", "\n", "d"]);
        assert_eq!(lines.number(), 4);
    }

    #[tokio::test]
    async fn hash_is_of_what_stands_before_the_line() {
        let mut lines = lines(vec!["one\ntwo\n", "end"], 100);
        while lines.next().await.unwrap().is_some_and(|line| line != "end") {}
        assert_eq!(lines.hash_before().clone().finalize(), Sha256::digest(b"one\ntwo\n"));
    }

    #[tokio::test]
    async fn file_and_line_are_bounded() {
        let mut long = lines(vec!["0123456789"; 11], 100);
        assert_eq!(long.next().await.unwrap_err().code, Code::PayloadTooLarge);
        let line: &str = Box::leak("x".repeat(LINE_MAX + 1).into_boxed_str());
        let mut wide = lines(vec!["\n", line], 2 * LINE_MAX);
        wide.next().await.unwrap();
        let refusal = wide.next().await.unwrap_err();
        assert_eq!(refusal.errors[0].field, "line 2");
    }
}
