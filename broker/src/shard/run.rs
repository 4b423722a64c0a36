//! What a room has for its members and has not told them yet.
//!
//! Everything of a tick goes to a member as one piece of bytes, which is made once for all members
//! that want it in the same way. Pure: [`super::fan_out`] hands it out.

use std::borrow::Cow;
use std::cell::OnceCell;

use bytes::{Bytes, BytesMut};
use parlor_protocol::signal::SignalFamily;

use super::conn::ConnOptions;
use super::intents::Intents;
use super::outbox::{Batch, Class};
use super::wire::{self, Encoding};

/// Longest piece of bytes, unless one frame is longer: what a slow reader loses at once.
pub(super) const BATCH_MAX: usize = 64 * 1024;

/// A frame for all members.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// The family of a signal; nothing for an event.
    pub(super) family: Option<SignalFamily>,
    pub(super) json: Bytes,
    /// Those who want pieces of replies at once have it already.
    pub(super) told_live: bool,
}

impl Item {
    /// Wraps a frame.
    pub(super) fn new(family: Option<SignalFamily>, json: Bytes) -> Self {
        Self { family, json, told_live: false }
    }

    /// Returns how it may be treated when its reader falls behind.
    pub(super) fn class(&self) -> Class {
        match self.family {
            None => Class::Durable,
            Some(SignalFamily::Deltas) => Class::Delta,
            Some(_) => Class::Signal,
        }
    }

    /// Tells whether a reader who wants these families is to get it.
    pub(super) fn is_for(&self, wanted: Intents) -> bool {
        self.family.is_none_or(|family| wanted.has(family))
    }
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
        let items = std::mem::take(&mut self.items);
        let families = items.iter().filter_map(|item| item.family);
        Frozen {
            present: families.fold(Intents::NONE, Intents::with),
            some_told_live: items.iter().any(|item| item.told_live),
            items,
            ways: Default::default(),
            single: Default::default(),
        }
    }
}

/// Frames that are being handed out; nothing is added any more.
#[derive(Debug)]
pub(super) struct Frozen {
    items: Vec<Item>,
    /// The families among them.
    present: Intents,
    some_told_live: bool,
    /// The bytes for each way in which members want them, made when the first one needs them.
    ways: [OnceCell<(Way, Vec<Batch>)>; WAYS_MAX],
    /// Frame by frame, for those who want them in yet another way.
    single: [OnceCell<Vec<Batch>>; 2],
}

/// Ways in which frames that are told together are made into one piece. There are many choices of
/// families, so those beyond it get the frames one by one, which are shared as well.
const WAYS_MAX: usize = 8;

/// What makes a difference to the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Way {
    encoding: Encoding,
    /// Has what was told at once.
    live: bool,
    /// Of the families that are there.
    wanted: Intents,
}

impl Frozen {
    /// Returns the frames one by one.
    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }

    /// Returns the bytes for members with these options.
    pub(super) fn batches(&self, options: ConnOptions) -> Cow<'_, [Batch]> {
        let way = Way {
            encoding: options.encoding,
            live: self.some_told_live && options.wants_live(),
            wanted: options.wanted().and(self.present),
        };
        for made in &self.ways {
            let (of, batches) = made.get_or_init(|| (way, encode(&self.items, way)));
            if *of == way {
                return Cow::Borrowed(batches);
            }
        }
        let [json, packed] = &self.single;
        let single = match way.encoding {
            Encoding::Json => json,
            Encoding::MessagePack => packed,
        };
        let single = single.get_or_init(|| encode_single(&self.items, way.encoding));
        let wanted = self.items.iter().zip(single).filter(|(item, _)| way.wants(item));
        Cow::Owned(wanted.map(|(_, batch)| batch.clone()).collect())
    }
}

impl Way {
    fn wants(self, item: &Item) -> bool {
        item.is_for(self.wanted) && !(self.live && item.told_live)
    }
}

fn encode(items: &[Item], way: Way) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    let mut wanted = items.iter().filter(|item| way.wants(item)).peekable();
    while let Some(first) = wanted.next() {
        let class = first.class();
        let mut out = BytesMut::with_capacity(first.json.len() + wire::HEADER_MAX);
        wire::put_frame(&mut out, way.encoding, &first.json);
        let mut frames = 1;
        while let Some(next) =
            wanted.next_if(|next| next.class() == class && out.len() + next.json.len() < BATCH_MAX)
        {
            wire::put_frame(&mut out, way.encoding, &next.json);
            frames += 1;
        }
        batches.push(Batch { class, frames, bytes: out.freeze() });
    }
    batches
}

fn encode_single(items: &[Item], encoding: Encoding) -> Vec<Batch> {
    let single = |item: &Item| Batch::one(item.class(), wire::frame(encoding, &item.json));
    items.iter().map(single).collect()
}

#[cfg(test)]
mod tests {
    use parlor_protocol::command::Deltas;

    use super::*;

    const EVENT: Option<SignalFamily> = None;
    const TYPING: Option<SignalFamily> = Some(SignalFamily::Typing);
    const DELTA: Option<SignalFamily> = Some(SignalFamily::Deltas);

    fn run(items: &[(Option<SignalFamily>, &'static str, bool)]) -> Frozen {
        let mut run = Run::default();
        for (family, json, told_live) in items {
            let json = Bytes::from_static(json.as_bytes());
            run.push(Item { told_live: *told_live, ..Item::new(*family, json) });
        }
        run.take()
    }

    fn told(frozen: &Frozen, deltas: Deltas) -> Vec<(Class, u32)> {
        let options = ConnOptions { deltas, ..ConnOptions::default() };
        frozen.batches(options).iter().map(|batch| (batch.class, batch.frames)).collect()
    }

    #[test]
    fn frames_of_a_class_in_a_row_are_one_piece() {
        let frozen = run(&[
            (EVENT, "1", false),
            (EVENT, "2", false),
            (TYPING, "3", false),
            (EVENT, "4", false),
        ]);
        let batches = frozen.batches(ConnOptions::default());
        let bytes: Vec<&[u8]> = batches.iter().map(|batch| &batch.bytes[..]).collect();
        assert_eq!(bytes, [&b"\x81\x011\x81\x012"[..], b"\x81\x013", b"\x81\x014"]);
        assert_eq!(told(&frozen, Deltas::None).len(), 3);
    }

    #[test]
    fn each_member_gets_the_deltas_that_it_wants_and_has_not() {
        let frozen = run(&[(DELTA, "1", true), (DELTA, "2", false), (EVENT, "3", false)]);
        assert_eq!(told(&frozen, Deltas::Gathered), [(Class::Delta, 2), (Class::Durable, 1)]);
        assert_eq!(told(&frozen, Deltas::Live), [(Class::Delta, 1), (Class::Durable, 1)]);
        assert_eq!(told(&frozen, Deltas::None), [(Class::Durable, 1)]);
    }

    #[test]
    fn each_choice_of_families_gets_its_own_and_all_others_share() {
        let families = SignalFamily::ALL.map(|family| (Some(family), family.as_str(), false));
        let frozen = run(&[&[(EVENT, "event", false)][..], &families].concat());
        for choice in 0..64_u8 {
            let wanted: Vec<SignalFamily> = SignalFamily::ALL
                .into_iter()
                .enumerate()
                .filter(|(bit, _)| choice & (1 << bit) != 0)
                .map(|(_, family)| family)
                .collect();
            let intents = Intents::new(&wanted).unwrap();
            for encoding in [Encoding::Json, Encoding::MessagePack] {
                let options = ConnOptions { encoding, intents, ..ConnOptions::default() };
                let frames: u32 = frozen.batches(options).iter().map(|batch| batch.frames).sum();
                assert_eq!(frames as usize, 1 + wanted.len(), "{wanted:?}");
            }
        }
        // The first ways are made once each; those beyond are clones of the same single frames.
        let options = |wanted: &[SignalFamily]| ConnOptions {
            intents: Intents::new(wanted).unwrap(),
            ..ConnOptions::default()
        };
        let late = |wanted: &[SignalFamily]| frozen.batches(options(wanted)).into_owned();
        let (one, other) = (late(&SignalFamily::ALL), late(&SignalFamily::ALL[1..]));
        assert_eq!(one[0].bytes.as_ptr(), other[0].bytes.as_ptr());
    }

    #[test]
    fn choice_that_makes_no_difference_makes_no_other_bytes() {
        let frozen = run(&[(EVENT, "1", false), (TYPING, "2", false)]);
        let typing = Intents::parse("typing").unwrap();
        let all = frozen.batches(ConnOptions::default());
        for deltas in [Deltas::Gathered, Deltas::Live, Deltas::None] {
            let options = ConnOptions { deltas, intents: typing, ..ConnOptions::default() };
            assert_eq!(frozen.batches(options).as_ptr(), all.as_ptr());
        }
    }

    #[test]
    fn piece_has_a_bound() {
        let long: &'static str = Box::leak("x".repeat(BATCH_MAX / 2).into_boxed_str());
        let frozen = run(&[(TYPING, long, false); 5]);
        assert_eq!(told(&frozen, Deltas::Gathered), [(Class::Signal, 1); 5]);
        let short = run(&[(TYPING, "1", false); 5]);
        assert_eq!(told(&short, Deltas::Gathered), [(Class::Signal, 5)]);
    }
}
