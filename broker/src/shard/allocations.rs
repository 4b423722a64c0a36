//! How often the path of a frame asks for memory. The counts are of the test's own thread, so they
//! are the same in every run; growing in place counts like asking anew.

use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use parlor_bus::Delivery;
use parlor_domain::log::Head;
use parlor_protocol::frame::Frame;
use parlor_protocol::signal::Signal;
use serde_json::json;
use uuid::Uuid;

use super::conn::{Conn, ConnOptions, MemberId};
use super::outbox::{Batch, Class};
use super::room::{Feed, Step};
use super::run::{Item, Run};
use super::wire::{self, Encoding};
use crate::ws::decode::decode;

/// Longer than every frame here.
const FRAME_MAX: usize = 1024;

fn allocations(run: impl FnOnce()) -> u64 {
    allocation_counter::measure(run).count_total
}

fn delivery() -> Delivery {
    let signal: Signal = serde_json::from_value(json!({
        "room": Uuid::from_u128(1), "type": "app", "data": {
            "user": {
                "id": Uuid::from_u128(5), "username": "ada", "display_name": "Ada", "kind": "user",
            },
            "data": {"kind": "cursor", "x": 120, "y": 48},
        },
    }))
    .unwrap();
    let json = wire::json(&Frame::Signal(Box::new(signal.clone())));
    Delivery::Signal { signal: Arc::new(signal), json }
}

/// A connection whose socket takes what is written, and its other end.
async fn connected() -> (Conn, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let reader = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (socket, _) = listener.accept().unwrap();
    socket.set_nonblocking(true).unwrap();
    let socket = tokio::net::TcpStream::from_std(socket).unwrap();
    socket.writable().await.unwrap();
    let options = ConnOptions::default();
    let conn = Conn::new(MemberId(1), socket.into(), options, 64 * 1024, Rc::default());
    (conn, reader)
}

/// Takes a signal from the bus, makes it into bytes, and hands them to so many members.
fn tell(delivery: Delivery, options: ConnOptions, members: usize, deliver: impl Fn(&Batch)) -> u64 {
    let mut feed = Feed::new(8, FRAME_MAX);
    feed.open(Head { epoch: "e".to_owned(), reset_through: 0, seq: 0 }, Vec::new());
    allocations(|| {
        let Step::Signal(family, json) = feed.accept(delivery) else { panic!("a signal is told") };
        let mut run = Run::default();
        run.push(Item::new(Some(family), json));
        let frozen = run.take();
        for _ in 0..members {
            for batch in frozen.batches(options).iter() {
                deliver(batch);
            }
        }
    })
}

#[tokio::test]
async fn signal_asks_for_as_much_memory_for_a_thousand_members_as_for_one() {
    let (conn, reader) = connected().await;
    let deliver = |batch: &Batch| {
        conn.write(batch);
        // A full socket would make the rest wait in the outbox, which asks for memory.
        let mut read = [0; FRAME_MAX];
        let read = &mut read[..batch.bytes.len()];
        (&reader).read_exact(read).unwrap();
        assert_eq!(read, &batch.bytes[..]);
    };
    // Exact: the list of frames, the list of pieces, and the one piece, which is asked for with its
    // header and grows once.
    let json = ConnOptions::default();
    assert_eq!(tell(delivery(), json, 1, deliver), 4);
    assert_eq!(tell(delivery(), json, 1_000, deliver), 4);
    // A bound: the other encoding reads the JSON, and how often that asks is up to its library.
    let packed = ConnOptions { encoding: Encoding::MessagePack, ..json };
    let for_one = tell(delivery(), packed, 1, deliver);
    assert!(for_one <= 10, "{for_one}");
    assert_eq!(tell(delivery(), packed, 1_000, deliver), for_one);
}

#[tokio::test]
async fn delivery_to_a_member_without_anything_waiting_asks_for_no_memory() {
    let (conn, mut reader) = connected().await;
    let batch = Batch::one(Class::Durable, Bytes::from_static(b"a frame"));
    assert_eq!(allocations(|| conn.write(&batch)), 0);
    let mut read = [0; 7];
    reader.read_exact(&mut read).unwrap();
    assert_eq!(&read, b"a frame");
    assert_eq!(conn.queued_bytes(), 0);
}

#[tokio::test]
async fn frame_that_waits_is_not_copied() {
    let (conn, _reader) = connected().await;
    let batch = Batch::one(Class::Durable, Bytes::from(vec![b'x'; 30 * 1024]));
    // The first of the other members, for whom the count of owners is made.
    let others = batch.clone();
    // Exact: the queue, which is there only while something waits.
    assert_eq!(allocations(|| conn.push(batch.clone())), 1);
    assert_eq!(allocations(|| conn.push(batch.clone())), 0);
    assert_eq!((conn.queued_bytes(), others.bytes.len()), (60 * 1024, 30 * 1024));
}

#[test]
fn command_is_read_with_few_requests_for_memory() {
    let command = json!({
        "op": "signal", "room": Uuid::from_u128(1), "data": {"kind": "cursor", "x": 120, "y": 48},
    });
    let text = command.to_string();
    let packed = rmp_serde::to_vec(&command).unwrap();
    // Bounds, because the libraries may do with less. The fields are gathered first, for `op` may
    // come last; then the data is made of them.
    let from_text = allocations(|| drop(decode(&text).unwrap()));
    assert!(from_text <= 8, "{from_text}");
    let from_packed = allocations(|| drop(decode(&wire::to_json(&packed).unwrap()).unwrap()));

    assert!(from_packed <= from_text + 2, "{from_packed}");
}
