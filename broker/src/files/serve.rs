//! The bytes of a file, or a span of them, read while they are sent.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use parlor_files::{Objects, ObjectsError};
use parlor_store::record::PartRecord;

/// Bytes of a file: from the first to before the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// A piece of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    key: String,
    span: Span,
}

/// Opens a span of a file. What cannot be opened is told before the first byte; what fails later
/// breaks the stream off, so that nobody takes a part for the whole.
pub(crate) async fn stream(
    objects: &Objects,
    parts: &[PartRecord],
    span: Span,
) -> Result<BoxStream<'static, io::Result<Bytes>>, ObjectsError> {
    let mut pieces = pieces(parts, span).into_iter();
    let Some(first) = pieces.next() else { return Ok(stream::empty().boxed()) };
    let first = objects.read(&first.key, first.span.from..first.span.to).await?;
    let objects = Arc::new(objects.clone());
    let rest = stream::iter(pieces).then(move |Piece { key, span }| {
        let objects = Arc::clone(&objects);
        async move { objects.read(&key, span.from..span.to).await.map_err(io::Error::other) }
    });
    Ok(first.chain(rest.try_flatten()).boxed())
}

fn pieces(parts: &[PartRecord], span: Span) -> Vec<Piece> {
    let overlap = |part: &PartRecord| {
        let from = span.from.max(part.first);
        let to = span.to.min(part.first + part.bytes);
        let span = Span { from: from.checked_sub(part.first)?, to: to.checked_sub(part.first)? };
        (span.from < span.to).then(|| Piece { key: part.key.clone(), span })
    };
    parts.iter().filter_map(overlap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> Vec<PartRecord> {
        let part = |first, bytes, key: &str| PartRecord { first, bytes, key: key.to_owned() };
        vec![part(0, 3, "a"), part(3, 4, "b"), part(7, 3, "c")]
    }

    fn found(from: u64, to: u64) -> Vec<(String, u64, u64)> {
        let pieces = pieces(&parts(), Span { from, to });
        pieces.into_iter().map(|piece| (piece.key, piece.span.from, piece.span.to)).collect()
    }

    #[test]
    fn span_is_put_together_of_parts() {
        let piece = |key: &str, from, to| (key.to_owned(), from, to);
        assert_eq!(found(0, 10), [piece("a", 0, 3), piece("b", 0, 4), piece("c", 0, 3)]);
        assert_eq!(found(2, 4), [piece("a", 2, 3), piece("b", 0, 1)]);
        assert_eq!(found(4, 6), [piece("b", 1, 3)]);
        assert_eq!(found(7, 8), [piece("c", 0, 1)]);
        assert_eq!(found(10, 12), []);
    }

    #[tokio::test]
    async fn missing_object_is_told_first_and_a_later_one_breaks_off() {
        let objects = Objects::open(parlor_files::Place::Memory).unwrap();
        assert!(stream(&objects, &parts(), Span { from: 0, to: 10 }).await.is_err());
        objects.put("a", Bytes::from_static(b"012")).await.unwrap();
        objects.put("b", Bytes::from_static(b"3456")).await.unwrap();
        let read = stream(&objects, &parts(), Span { from: 1, to: 6 }).await.unwrap();
        let read: Vec<Bytes> = read.try_collect().await.unwrap();
        assert_eq!(read.concat(), b"12345");
        let broken = stream(&objects, &parts(), Span { from: 1, to: 10 }).await.unwrap();
        assert!(broken.try_collect::<Vec<_>>().await.is_err());
    }
}
