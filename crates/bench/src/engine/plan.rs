//! What is asked of the generator, and what its threads share.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::layout::{Layout, Place};
use super::window::Window;
use crate::dialect::Dialect;
use crate::target::BenchError;

/// How messages are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Drive {
    /// So many messages a second in all, however the server does.
    Open {
        /// Messages a second.
        rate: f64,
    },
    /// The next one when another has reached its last reader.
    Closed {
        /// Messages in flight in all.
        in_flight: usize,
    },
}

/// Everything that the generator needs.
#[derive(Debug)]
pub(crate) struct Load {
    /// How the clients speak.
    pub(crate) dialect: Arc<dyn Dialect>,
    /// Where they connect.
    pub(crate) address: SocketAddr,
    /// Host and port as a client names them.
    pub(crate) authority: String,
    /// The path of the address.
    pub(crate) path: String,
    /// The rooms by their names on the wire.
    pub(crate) rooms: Vec<String>,
    /// The connections.
    pub(crate) places: Vec<Place>,
    /// Connections of each room that send, in turn.
    pub(crate) senders: usize,
    /// Length of a payload in bytes.
    pub(crate) payload: usize,
    /// How messages are sent.
    pub(crate) drive: Drive,
    /// Time before the measurement.
    pub(crate) warm_up: Duration,
    /// Time of the measurement.
    pub(crate) duration: Duration,
    /// After so long without a delivery at the end, nothing more will come.
    pub(crate) quiet: Duration,
    /// Of a hundred readers, those that stop reading after the measurement, for another one.
    pub(crate) stalled_percent: Option<f64>,
    /// Threads of the generator.
    pub(crate) threads: usize,
    /// Processes of the server, whose processor time and memory is told.
    pub(crate) server_pids: Vec<u32>,
}

/// When things happen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// The first message is due.
    pub(crate) start: Instant,
    /// The measurements: one, or one before and one after readers stall.
    pub(crate) spans: [Option<(Instant, Instant)>; 2],
    /// Some readers stop reading.
    pub(crate) stall: Option<Instant>,
    /// Nothing is due any more.
    pub(crate) end: Instant,
}

/// What the threads are doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Stage {
    /// Connections are made, messages go out when it is time, and all that arrives is counted.
    Run,
    /// Those that had stalled read what there is.
    Revive,
    /// Nothing more.
    End,
}

impl From<u8> for Stage {
    fn from(stage: u8) -> Self {
        match stage {
            0 => Self::Run,
            1 => Self::Revive,
            _ => Self::End,
        }
    }
}

/// What the threads of a generator share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) dialect: Arc<dyn Dialect>,
    pub(crate) address: SocketAddr,
    pub(crate) authority: String,
    pub(crate) path: String,
    pub(crate) rooms: Vec<String>,
    pub(crate) places: Vec<Place>,
    pub(crate) layout: Layout,
    pub(crate) payload: usize,
    pub(crate) drive: Drive,
    pub(crate) threads: usize,
    pub(crate) window: Window,
    /// Where microseconds count from.
    pub(crate) base: Instant,
    /// Known when everyone is connected.
    pub(crate) times: OnceLock<Times>,
    pub(crate) stage: AtomicU8,
    /// For each room: readers that count and are still connected.
    pub(crate) live: Vec<AtomicU32>,
    /// For each sender: messages that it has sent.
    pub(crate) sent: Vec<AtomicU32>,
    /// How often each ticket was used, so that senders take turns.
    pub(crate) turns: Vec<AtomicU32>,
    /// Connections that read.
    pub(crate) ready: AtomicUsize,
    /// Deliveries that every message so far should make.
    pub(crate) expected: AtomicU64,
    pub(crate) arrived: AtomicU64,
    pub(crate) refused_deliveries: AtomicU64,
    /// Messages that could not even be queued.
    pub(crate) unsent: AtomicU64,
    /// Threads that have sent everything that was due.
    pub(crate) over: AtomicUsize,
    pub(crate) inboxes: Vec<Inbox>,
    pub(crate) failure: Mutex<Option<BenchError>>,
    pub(crate) has_failed: AtomicBool,
}

/// Tickets that another thread has freed, for a sender of this one.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// Sender and ticket.
    pub(crate) tickets: Mutex<Vec<(usize, u32)>>,
    pub(crate) waker: mio::Waker,
}

impl Shared {
    /// Returns a time in microseconds since the generator began.
    pub(crate) fn micros(&self, time: Instant) -> u64 {
        let since = time.saturating_duration_since(self.base);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    /// Returns how many deliveries a message to this room makes.
    pub(crate) fn readers_of(&self, room: usize) -> u64 {
        u64::from(self.layout.readers[room]) - u64::from(!self.dialect.echoes())
    }

    /// Ends the run with an error; the first one stands.
    pub(crate) fn fail(&self, error: BenchError) {
        let mut failure = self.failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        failure.get_or_insert(error);
        self.has_failed.store(true, std::sync::atomic::Ordering::Release);
    }
}
