//! What a room has for its members and has not told them yet.
//!
//! Everything of a tick goes to a member as one piece of bytes, which is made once for all members
//! that want it in the same way. Pure: [`super::fan_out`] hands it out.

use std::cell::OnceCell;

use bytes::{Bytes, BytesMut};
use parlor_protocol::command::Deltas;

use super::conn::ConnOptions;
use super::outbox::{Batch, Class};
use super::wire::{self, Encoding};

/// Longest piece of bytes, unless one frame is longer: what a slow reader loses at once.
pub(super) const BATCH_MAX: usize = 64 * 1024;

/// A frame for all members.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) class: Class,
    pub(super) json: Bytes,
    /// Those who want pieces of replies at once have it already.
    pub(super) told_live: bool,
}

/// Frames in the order in which they are to be told.
#[derive(Debug, Default)]
pub(super) struct Run {
    items: Vec<Item>,
    bytes: usize,
}

impl Run {
    /// Adds a frame.
    pub(super) fn push(&mut self, item: Item) {
        self.bytes += item.json.len();
        self.items.push(item);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Returns the length of what waits.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes everything, to hand it out.
    pub(super) fn take(&mut self) -> Frozen {
        self.bytes = 0;
        Frozen { items: std::mem::take(&mut self.items), ways: Default::default() }
    }
}

/// Frames that are being handed out; nothing is added any more.
#[derive(Debug)]
pub(super) struct Frozen {
    items: Vec<Item>,
    /// The bytes for each way in which members want them, made when the first one needs them.
    ways: [OnceCell<Vec<Batch>>; WAYS],
}

const WAYS: usize = 6;

impl Frozen {
    /// Returns the frames one by one.
    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }

    /// Returns the bytes for members with these options.
    pub(super) fn batches(&self, options: ConnOptions) -> &[Batch] {
        let way = match (options.encoding, options.deltas) {
            (Encoding::Json, Deltas::Gathered) => 0,
            (Encoding::Json, Deltas::Live) => 1,
            (Encoding::Json, Deltas::None) => 2,
            (Encoding::MessagePack, Deltas::Gathered) => 3,
            (Encoding::MessagePack, Deltas::Live) => 4,
            (Encoding::MessagePack, Deltas::None) => 5,
        };
        match self.ways.get(way) {
            Some(batches) => batches.get_or_init(|| encode(&self.items, options)),
            None => &[],
        }
    }
}

/// Tells whether a member with these options is to get a frame.
fn wants(deltas: Deltas, item: &Item) -> bool {
    match deltas {
        Deltas::Gathered => true,
        Deltas::Live => !item.told_live,
        Deltas::None => item.class != Class::Delta,
    }
}

fn encode(items: &[Item], options: ConnOptions) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    let mut wanted = items.iter().filter(|item| wants(options.deltas, item)).peekable();
    while let Some(first) = wanted.next() {
        let mut out = BytesMut::with_capacity(first.json.len() + wire::HEADER_MAX);
        wire::put_frame(&mut out, options.encoding, &first.json);
        let mut frames = 1;
        while let Some(next) = wanted
            .next_if(|next| next.class == first.class && out.len() + next.json.len() < BATCH_MAX)
        {
            wire::put_frame(&mut out, options.encoding, &next.json);
            frames += 1;
        }
        batches.push(Batch { class: first.class, frames, bytes: out.freeze() });
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(items: &[(Class, &'static str, bool)]) -> Frozen {
        let mut run = Run::default();
        for (class, json, told_live) in items {
            let json = Bytes::from_static(json.as_bytes());
            run.push(Item { class: *class, json, told_live: *told_live });
        }
        run.take()
    }

    fn told(frozen: &Frozen, deltas: Deltas) -> Vec<(Class, u32)> {
        let options = ConnOptions { encoding: Encoding::Json, deltas };
        frozen.batches(options).iter().map(|batch| (batch.class, batch.frames)).collect()
    }

    #[test]
    fn frames_of_a_class_in_a_row_are_one_piece() {
        let frozen = run(&[
            (Class::Durable, "1", false),
            (Class::Durable, "2", false),
            (Class::Signal, "3", false),
            (Class::Durable, "4", false),
        ]);
        let batches = frozen.batches(ConnOptions::default());
        let bytes: Vec<&[u8]> = batches.iter().map(|batch| &batch.bytes[..]).collect();
        assert_eq!(bytes, [&b"\x81\x011\x81\x012"[..], b"\x81\x013", b"\x81\x014"]);
        assert_eq!(told(&frozen, Deltas::None).len(), 3);
    }

    #[test]
    fn each_member_gets_the_deltas_that_it_wants_and_has_not() {
        let frozen = run(&[
            (Class::Delta, "1", true),
            (Class::Delta, "2", false),
            (Class::Durable, "3", false),
        ]);
        assert_eq!(told(&frozen, Deltas::Gathered), [(Class::Delta, 2), (Class::Durable, 1)]);
        assert_eq!(told(&frozen, Deltas::Live), [(Class::Delta, 1), (Class::Durable, 1)]);
        assert_eq!(told(&frozen, Deltas::None), [(Class::Durable, 1)]);
    }

    #[test]
    fn piece_has_a_bound() {
        let long: &'static str = Box::leak("x".repeat(BATCH_MAX / 2).into_boxed_str());
        let frozen = run(&[(Class::Signal, long, false); 5]);
        assert_eq!(told(&frozen, Deltas::Gathered), [(Class::Signal, 1); 5]);
        let short = run(&[(Class::Signal, "1", false); 5]);
        assert_eq!(told(&short, Deltas::Gathered), [(Class::Signal, 5)]);
    }
}
