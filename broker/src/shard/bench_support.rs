//! Doors for the benchmarks: they forward to what is private and decide nothing.

use std::io::IoSlice;

use bytes::Bytes;
use parlor_bus::Delivery;
use parlor_domain::log::Head;
use parlor_protocol::command::Command;
use parlor_protocol::frame::{Frame, StreamingReply};

use super::conn::ConnOptions;
use super::outbox::{self, Class};
use super::run::Item;
use super::{room, run, wire};
use crate::ws;

/// How frames are written for one connection.
#[derive(Debug, Clone, Copy)]
pub enum Encoding {
    /// Text messages.
    Json,
    /// Binary messages.
    MessagePack,
}

impl From<Encoding> for wire::Encoding {
    fn from(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Json => Self::Json,
            Encoding::MessagePack => Self::MessagePack,
        }
    }
}

/// Encodes a frame for one connection.
pub fn encode(frame: &Frame, encoding: Encoding) -> Bytes {
    wire::frame(encoding.into(), &wire::json(frame))
}

/// Reads a command from a text frame.
pub fn decode_json(text: &str) -> Option<Command> {
    ws::decode::decode(text).ok()
}

/// Reads a command from a binary frame.
pub fn decode_message_pack(packed: &[u8]) -> Option<Command> {
    decode_json(&wire::to_json(packed).ok()?)
}

/// A room's feed.
#[derive(Debug)]
pub struct Feed(room::Feed);

/// What a feed decided.
#[derive(Debug)]
pub struct Step(#[expect(dead_code, reason = "only made and dropped")] room::Step);

impl Feed {
    /// Opens a feed of a log at `seq`.
    pub fn open(seq: u64, streams: Vec<StreamingReply>) -> Self {
        let mut feed = room::Feed::new(1_024, 1024 * 1024);
        feed.open(Head { epoch: "e".to_owned(), reset_through: 0, seq }, streams);
        Self(feed)
    }

    /// Decides what to do with a delivery.
    pub fn accept(&mut self, delivery: Delivery) -> Step {
        Step(self.0.accept(delivery))
    }
}

/// What a room is to tell its members.
#[derive(Debug, Default)]
pub struct Run(run::Run);

impl Run {
    /// Adds a signal.
    pub fn push(&mut self, json: Bytes) {
        self.0.push(Item::new(Some(parlor_protocol::signal::SignalFamily::App), json));
    }

    /// Makes the bytes for the members and returns how many pieces they are.
    pub fn make_batches(&mut self, encoding: Encoding) -> usize {
        let options = ConnOptions { encoding: encoding.into(), ..ConnOptions::default() };
        self.0.take().batches(options).len()
    }
}

/// Frames of a run, ready for an outbox.
#[derive(Debug, Clone)]
pub struct Batch(outbox::Batch);

impl Batch {
    /// Wraps a frame that must arrive.
    pub fn durable(bytes: Bytes) -> Self {
        Self(outbox::Batch::one(Class::Durable, bytes))
    }

    /// Wraps a frame that may be dropped.
    pub fn signal(bytes: Bytes) -> Self {
        Self(outbox::Batch::one(Class::Signal, bytes))
    }
}

/// What waits for one reader.
#[derive(Debug)]
pub struct Outbox(outbox::Outbox);

impl Outbox {
    /// Creates an empty outbox.
    pub fn new(max_bytes: usize) -> Self {
        Self(outbox::Outbox::new(max_bytes))
    }

    /// Queues frames and returns how many were dropped for them; `None` for a slow consumer.
    pub fn push(&mut self, batch: Batch) -> Option<u64> {
        self.0.push(batch.0).ok().map(|shed| shed.frames)
    }

    /// Fills `slices` with what comes next and returns how many.
    pub fn peek<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.0.peek(slices)
    }

    /// Removes what was written and returns how many frames that completed.
    pub fn advance(&mut self, written: usize) -> u64 {
        self.0.advance(written)
    }
}
