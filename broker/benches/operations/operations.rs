//! The operations on the path of a frame that are measured, each as a function to be called once.

mod fixtures;

use std::hint::black_box;
use std::io::IoSlice;

use bytes::Bytes;
use parlor_broker::bench_support::{
    Batch, Encoding, Feed, Outbox, Run, decode_json, decode_message_pack, encode,
};
use parlor_bus::Delivery;
use parlor_protocol::frame::Frame;
use serde_json::Value;

/// Frames of a burst, and of one write to a socket.
const BURST: usize = 64;
/// Length of the frames in outboxes.
const FRAME: usize = 200;

/// What is measured when it is called, once.
pub(crate) type Prepared = Box<dyn FnMut()>;

/// One thing that a node does for each frame or each member.
pub(crate) struct Operation {
    /// Its name: what does it, what it does, and how.
    pub(crate) name: &'static str,
    /// Makes everything that it needs, which is not measured.
    pub(crate) prepare: fn() -> Prepared,
}

/// Returns all operations.
pub(crate) const fn all() -> &'static [Operation] {
    const fn of(name: &'static str, prepare: fn() -> Prepared) -> Operation {
        Operation { name, prepare }
    }
    const {
        &[
            of("encode-event-json", || encoded(event_frame(), Encoding::Json)),
            of("encode-event-msgpack", || encoded(event_frame(), Encoding::MessagePack)),
            of("encode-signal-json", || encoded(signal_frame(), Encoding::Json)),
            of("encode-signal-msgpack", || encoded(signal_frame(), Encoding::MessagePack)),
            of("decode-publish-json", || decoded_json(&fixtures::publish_command())),
            of("decode-publish-msgpack", || decoded_packed(&fixtures::publish_command())),
            of("decode-signal-json", || decoded_json(&fixtures::signal_command())),
            of("decode-signal-msgpack", || decoded_packed(&fixtures::signal_command())),
            of("hub-accept-event", || accepted(fixtures::event_delivery(8))),
            of("hub-accept-signal", || accepted(fixtures::signal_delivery(fixtures::signal()))),
            of("hub-accept-delta", || accepted(fixtures::signal_delivery(fixtures::delta(2)))),
            of("hub-run-1-json", || run(1, Encoding::Json)),
            of("hub-run-1-msgpack", || run(1, Encoding::MessagePack)),
            of("hub-run-64-json", || run(BURST, Encoding::Json)),
            of("hub-run-64-msgpack", || run(BURST, Encoding::MessagePack)),
            of("outbox-push-64", push),
            of("outbox-peek-64", peek),
            of("outbox-advance-64", advance),
            of("outbox-shed-32-of-64", shed),
        ]
    }
}

fn event_frame() -> Frame {
    Frame::Event(Box::new(fixtures::event(8)))
}

fn signal_frame() -> Frame {
    Frame::Signal(Box::new(fixtures::signal()))
}

fn encoded(frame: Frame, encoding: Encoding) -> Prepared {
    Box::new(move || drop(black_box(encode(black_box(&frame), encoding))))
}

fn decoded_json(command: &Value) -> Prepared {
    let text = command.to_string();
    assert!(decode_json(&text).is_some(), "this is a command");
    Box::new(move || drop(black_box(decode_json(black_box(&text)))))
}

fn decoded_packed(command: &Value) -> Prepared {
    let packed = rmp_serde::to_vec(command).expect("JSON can be packed");
    assert!(decode_message_pack(&packed).is_some(), "this is a command");
    Box::new(move || drop(black_box(decode_message_pack(black_box(&packed)))))
}

/// Of a feed that stands at event 7 and has a reply that is being written.
fn accepted(delivery: Delivery) -> Prepared {
    let mut feed = Feed::open(6, vec![fixtures::reply()]);
    drop(feed.accept(fixtures::event_delivery(7)));
    // Other shards have it as well, so that it is not freed here.
    let others = delivery.clone();
    let mut delivery = Some(delivery);
    Box::new(move || {
        black_box(&others);
        drop(black_box(delivery.take().map(|delivery| feed.accept(delivery))));
    })
}

fn run(frames: usize, encoding: Encoding) -> Prepared {
    let mut frames = vec![fixtures::signal_json(&fixtures::signal()); frames].into_iter();
    Box::new(move || {
        let mut run = Run::default();
        for frame in &mut frames {
            run.push(frame);
        }
        assert_eq!(black_box(run.make_batches(encoding)), 1);
    })
}

fn batches(make: fn(Bytes) -> Batch, count: usize) -> Vec<Batch> {
    // One run serves all members, so their outboxes share its bytes.
    vec![make(Bytes::from(vec![b'x'; FRAME])); count]
}

fn filled(batches: Vec<Batch>) -> Outbox {
    let mut outbox = Outbox::new(batches.len() * FRAME);
    for batch in batches {
        assert_eq!(outbox.push(batch), Some(0));
    }
    outbox
}

fn push() -> Prepared {
    let mut outbox = Outbox::new(BURST * FRAME);
    let mut batches = batches(Batch::durable, BURST).into_iter();
    Box::new(move || {
        for batch in &mut batches {
            black_box(outbox.push(batch));
        }
    })
}

fn peek() -> Prepared {
    let outbox = filled(batches(Batch::durable, BURST));
    Box::new(move || {
        let mut slices = [IoSlice::new(&[]); BURST];
        assert_eq!(black_box(outbox.peek(&mut slices)), BURST);
        black_box(slices);
    })
}

/// What a socket took in four pieces, none of which ends with a frame.
fn advance() -> Prepared {
    let mut outbox = filled(batches(Batch::durable, BURST));
    Box::new(move || {
        let total = BURST * FRAME;
        let piece = total / 4 + FRAME / 2;
        let written = [piece, piece, piece, total - 3 * piece];
        let frames: u64 = written.into_iter().map(|written| outbox.advance(written)).sum();
        assert_eq!(black_box(frames), BURST as u64);
    })
}

/// An event as long as half of the signals that fill an outbox.
fn shed() -> Prepared {
    let mut outbox = filled(batches(Batch::signal, BURST));
    let mut event = Some(Batch::durable(Bytes::from(vec![b'x'; BURST / 2 * FRAME])));
    Box::new(move || {
        assert_eq!(black_box(event.take().and_then(|event| outbox.push(event))), Some(32));
    })
}
