//! One thread of the generator: a loop over the sockets that have something.
//!
//! It reads into one buffer for all of its connections, parses in place and counts; the clock is
//! read once for each read of a socket.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use super::alarm::Alarm;
use super::line::{Ended, Line, Progress};
use super::payload::Stamp;
use super::plan::{Drive, Shared, Stage, Times};
use super::tally::{News, Span, Tally};
use super::window::NO_TICKET;
use crate::dialect::Greeting;
use crate::pace::Pace;
use crate::target::BenchError;

/// Read buffer of a thread, which is also the longest frame.
const BUFFER: usize = 256 * 1024;
/// Connections of a thread that are being made at the same time.
const CONNECTING_MAX: usize = 64;
/// Messages that an open loop which is behind sends before it reads again.
const BURST: usize = 256;
/// How long the loop sleeps at most.
const NAP: Duration = Duration::from_millis(20);
/// A message that has not arrived everywhere after this long does not hold up a closed loop.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a thread looks for such messages.
const LOOK: Duration = Duration::from_millis(500);
/// The token of wake-ups; connections have their place as token.
pub(super) const WAKE: Token = Token(usize::MAX);

/// What a thread tells at the end of each second of a measurement.
#[derive(Debug)]
pub(crate) struct SecondTold {
    /// The number of the measurement, and of the second in it; one more for what came after.
    pub(crate) span: usize,
    pub(crate) second: usize,
    pub(crate) counts: Span,
}

/// One thread's part of the generator.
pub(crate) struct Worker {
    number: usize,
    shared: Arc<Shared>,
    poll: Poll,
    /// The numbers of its connections among all.
    connections: Vec<usize>,
    lines: Vec<Line>,
    connecting: usize,
    tally: Tally,
    buffer: Box<[u8]>,
    /// Connections with something to write.
    dirty: Vec<usize>,
    /// Its senders in the order of their turns, for an open loop.
    senders: Vec<usize>,
    turn: usize,
    pace: Option<Pace>,
    payload: Vec<u8>,
    seconds: SyncSender<SecondTold>,
    clock: SpanClock,
    begun: bool,
    /// Everything that was due is sent.
    is_over: bool,
    looked: Instant,
    stage: Stage,
}

/// Which second of which measurement it is.
#[derive(Debug, Default)]
struct SpanClock {
    span: Option<usize>,
    second: usize,
}

impl Worker {
    /// Creates the part of the thread of this number.
    pub(crate) fn new(
        number: usize,
        shared: Arc<Shared>,
        poll: Poll,
        seconds: SyncSender<SecondTold>,
    ) -> Self {
        let connections: Vec<usize> =
            (number..shared.places.len()).step_by(shared.threads).collect();
        let layout = &shared.layout;
        let mut senders: Vec<usize> = (0..layout.senders.len())
            .filter(|sender| layout.senders[*sender] % shared.threads == number)
            .collect();
        // First each room's first sender, then each room's second.
        senders.sort_by_key(|sender| (sender % layout.senders_per_room, *sender));
        let tally = Tally::new(&shared, &connections);
        let payload = vec![0; shared.payload];
        Self {
            number,
            poll,
            lines: Vec::with_capacity(connections.len()),
            connections,
            connecting: 0,
            tally,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            dirty: Vec::new(),
            senders,
            turn: 0,
            pace: None,
            payload,
            seconds,
            clock: SpanClock::default(),
            begun: false,
            is_over: false,
            looked: shared.base,
            stage: Stage::Run,
            shared,
        }
    }

    /// Runs until the generator ends, and returns what was counted.
    pub(crate) fn run(mut self) -> Tally {
        let mut events = Events::with_capacity(1_024);
        while self.stage < Stage::End && !self.shared.has_failed.load(Ordering::Acquire) {
            if let Err(error) = self.step(&mut events) {
                self.shared.fail(error);
            }
        }
        self.tell_span();
        self.tally
    }

    /// Returns which connections are this thread's.
    pub(crate) fn connections(&self) -> &[usize] {
        &self.connections
    }

    fn step(&mut self, events: &mut Events) -> Result<(), BenchError> {
        self.connect_more()?;
        match self.poll.poll(events, Some(self.nap())) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                return Err(BenchError::Connection(error.to_string()));
            }
            _ => {}
        }
        for event in &*events {
            if event.token() != WAKE {
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    self.read(event.token().0)?;
                }
                if event.is_writable() {
                    self.flush(event.token().0)?;
                }
            }
        }
        let times = self.shared.times.get().copied();
        if let Some(times) = times {
            let now = Instant::now();
            self.keep_time(times, now)?;
            self.publish(times, now);
        }
        let mut dirty = std::mem::take(&mut self.dirty);
        for line in dirty.drain(..) {
            self.flush(line)?;
        }
        self.dirty = dirty;
        self.shared.arrived.fetch_add(std::mem::take(&mut self.tally.arrived), Ordering::AcqRel);
        self.turn_to_stage()
    }

    /// Returns how long the loop may sleep if nothing arrives.
    fn nap(&self) -> Duration {
        let now = Instant::now();
        if !self.tally.done.is_empty() {
            return Duration::ZERO;
        }
        let next = match &self.pace {
            // An alarm tells when it is time; what is late is not waited for.
            Some(pace) => return if pace.next_due() <= now.into() { Duration::ZERO } else { NAP },
            None => self.shared.times.get().filter(|_| !self.begun).map(|times| times.start),
        };
        next.map_or(NAP, |next| next.saturating_duration_since(now).min(NAP))
    }

    fn connect_more(&mut self) -> Result<(), BenchError> {
        while self.lines.len() < self.connections.len() && self.connecting < CONNECTING_MAX {
            let line = self.lines.len();
            let number = self.connections[line];
            let shared = &self.shared;
            let failed = |error: io::Error| BenchError::Connection(error.to_string());
            let reader = shared.dialect.reader();
            let mut new = Line::connect(shared.address, reader, shared.layout.stalls[number])
                .map_err(failed)?;
            let greeting = Greeting {
                authority: &shared.authority,
                path: &shared.path,
                token: &shared.places[number].token,
                number,
            };
            shared.dialect.open(&greeting, &mut new.out);
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(new.stream(), Token(line), interest).map_err(failed)?;
            self.lines.push(new);
            self.connecting += 1;
        }
        Ok(())
    }

    /// Reads all that a socket has.
    fn read(&mut self, line: usize) -> Result<(), BenchError> {
        loop {
            let this = &mut self.lines[line];
            if matches!(this.progress, Progress::Stalled | Progress::Closed) {
                return Ok(());
            }
            let received = match this.receive(&mut self.buffer) {
                Ok(Some(received)) => received,
                Ok(None) => return Ok(()),
                Err(ended) => return self.end(line, &ended, None),
            };
            let now = self.shared.micros(Instant::now());
            let mut news = News::default();
            let tally = &mut self.tally;
            let taken = this.take(&self.buffer, received, &mut |incoming| {
                tally.take(line, incoming, now, &mut news);
            });
            if !this.out.is_empty() {
                self.dirty.push(line);
            }
            if let Err(ended) = taken {
                return self.end(line, &ended, None);
            }
            self.heed(line, news)?;
            if !received.has_more {
                return Ok(());
            }
        }
    }

    /// Acts on what arrived beside deliveries.
    #[inline]
    fn heed(&mut self, line: usize, news: News) -> Result<(), BenchError> {
        if news.opened {
            let this = &mut self.lines[line];
            this.progress = Progress::Joining;
            let room = self.shared.places[self.connections[line]].room;
            self.shared.dialect.join(&self.shared.rooms[room], &mut this.out);
            self.dirty.push(line);
        }
        let this = &mut self.lines[line];
        if news.joined && this.progress == Progress::Joining {
            this.progress = Progress::Ready;
            self.connecting -= 1;
            self.shared.ready.fetch_add(1, Ordering::AcqRel);
        }
        if let Some(code) = news.refused
            && this.progress != Progress::Ready
        {
            return Err(BenchError::Command(code));
        }
        match news.closed {
            Some(code) => self.end(line, &Ended::Eof, Some(code)),
            None => Ok(()),
        }
    }

    /// A connection is gone: an error before it was ready, a count after that.
    fn end(&mut self, line: usize, ended: &Ended, code: Option<u16>) -> Result<(), BenchError> {
        /// What RFC 6455 calls an end without a close frame.
        const ABNORMAL: u16 = 1006;
        let this = &mut self.lines[line];
        if matches!(this.progress, Progress::Opening | Progress::Joining) {
            let code = code.map(|code| format!(" with {code}")).unwrap_or_default();
            return Err(BenchError::Connection(format!("{ended}{code}")));
        }
        if this.progress != Progress::Closed {
            this.progress = Progress::Closed;
            // What fails here was gone already.
            drop(self.poll.registry().deregister(this.stream()));
            drop(this.stream().shutdown(std::net::Shutdown::Both));
            if let Some(room) = self.tally.room_of(line) {
                self.shared.live[room].fetch_sub(1, Ordering::Relaxed);
            }
            *self.tally.closed.entry(code.unwrap_or(ABNORMAL)).or_default() += 1;
        }
        Ok(())
    }

    fn flush(&mut self, line: usize) -> Result<(), BenchError> {
        let this = &mut self.lines[line];
        if this.out.is_empty() || this.progress == Progress::Closed {
            return Ok(());
        }
        match this.flush() {
            Ok(()) => Ok(()),
            Err(ended) => self.end(line, &ended, None),
        }
    }

    /// Begins and ends seconds and measurements, and stalls readers, when it is time.
    fn keep_time(&mut self, times: Times, now: Instant) -> Result<(), BenchError> {
        if !self.begun && now >= times.start {
            self.begin(times)?;
        }
        let next = self.clock.span.map_or(0, |span| span + 1);
        if let Some(Some((from, until))) = times.spans.get(next)
            && now >= *from
        {
            self.tell_span();
            self.clock = SpanClock { span: Some(next), second: 0 };
            (self.tally.due_from, self.tally.due_until) =
                (self.shared.micros(*from), self.shared.micros(*until));
            self.tally.is_open = true;
        }
        let current = self.clock.span.and_then(|span| times.spans[span]);
        if let Some((from, until)) = current
            && self.tally.is_open
        {
            let second = Duration::from_secs(self.clock.second as u64 + 1);
            if now >= until || now >= from + second {
                self.tell_span();
                self.clock.second += 1;
                self.tally.is_open = now < until;
            }
        }
        if times.stall.is_some_and(|stall| now >= stall) && self.stage == Stage::Run {
            for (line, number) in self.lines.iter_mut().zip(&self.connections) {
                if self.shared.layout.stalls[*number] && line.progress == Progress::Ready {
                    line.progress = Progress::Stalled;
                }
            }
        }
        if self.number == 0 && now >= self.looked + LOOK {
            self.looked = now;
            let limit = self.shared.micros(now.checked_sub(PATIENCE).unwrap_or(self.shared.base));
            self.tally.done.extend(self.shared.window.retire(limit));
        }
        Ok(())
    }

    /// The first messages.
    fn begin(&mut self, times: Times) -> Result<(), BenchError> {
        self.begun = true;
        let shared = &self.shared;
        match shared.drive {
            Drive::Open { rate } => {
                let all = shared.layout.senders.len() as u64;
                let own = self.senders.len() as u64;
                let share = crate::measurement::as_float(own) / crate::measurement::as_float(all);
                if own > 0 {
                    let pace = Pace::new(times.start.into(), rate * share);
                    let alarm = Alarm { shared: Arc::clone(shared), thread: self.number };
                    alarm.start(pace, times.end).map_err(BenchError::Thread)?;
                    self.pace = Some(pace);
                }
            }
            Drive::Closed { .. } => {
                let size = u32::try_from(shared.window.size()).unwrap_or(u32::MAX);
                self.tally.done.extend(
                    (0..size).filter(|ticket| *ticket as usize % shared.threads == self.number),
                );
            }
        }
        Ok(())
    }

    /// Sends what is due, or what there is room for.
    fn publish(&mut self, times: Times, now: Instant) {
        let last = times.end.checked_sub(Duration::from_nanos(1)).unwrap_or(times.end);
        let mut sent = 0;
        while sent < BURST
            && let Some(due) = self.pace.as_mut().and_then(|pace| pace.take(now.min(last).into()))
        {
            let sender = self.senders[self.turn % self.senders.len()];
            self.turn += 1;
            sent += 1;
            self.send(sender, NO_TICKET, self.shared.micros(due.into_std()));
        }
        if now >= times.end {
            self.tally.done.clear();
            if sent < BURST && !self.is_over {
                self.is_over = true;
                self.shared.over.fetch_add(1, Ordering::AcqRel);
            }
            return;
        }
        let shared = Arc::clone(&self.shared);
        if let Ok(mut inbox) = shared.inboxes[self.number].tickets.lock()
            && !inbox.is_empty()
        {
            for (sender, ticket) in inbox.drain(..) {
                self.send(sender, ticket, shared.micros(now));
            }
        }
        let mut done = std::mem::take(&mut self.tally.done);
        for ticket in done.drain(..) {
            self.give(ticket, now);
        }
        self.tally.done = done;
    }

    /// Hands a free ticket to the next sender of its room.
    fn give(&mut self, ticket: u32, now: Instant) {
        let shared = Arc::clone(&self.shared);
        let layout = &shared.layout;
        let ticket_number = ticket as usize;
        let rooms = shared.rooms.len();
        // Tickets of one room begin with different senders.
        let turn = shared.turns[ticket_number % shared.turns.len()].fetch_add(1, Ordering::Relaxed);
        let place = (ticket_number / rooms + turn as usize) % layout.senders_per_room;
        let sender = (ticket_number % rooms) * layout.senders_per_room + place;
        let thread = layout.senders[sender] % shared.threads;
        if thread == self.number {
            return self.send(sender, ticket, shared.micros(now));
        }
        let inbox = &shared.inboxes[thread];
        if let Ok(mut tickets) = inbox.tickets.lock() {
            tickets.push((sender, ticket));
            if tickets.len() == 1 {
                // It also wakes up by itself soon.
                drop(inbox.waker.wake());
            }
        }
    }

    fn send(&mut self, sender: usize, ticket: u32, due: u64) {
        let shared = &self.shared;
        let line = shared.layout.senders[sender] / shared.threads;
        let this = &mut self.lines[line];
        if (self.tally.due_from..self.tally.due_until).contains(&due) {
            self.tally.span.published += 1;
        }
        if this.progress != Progress::Ready || !this.has_space() {
            shared.unsent.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let room = shared.layout.room_of(sender);
        let readers = shared.readers_of(room);
        let own = u32::from(!shared.dialect.echoes());
        let live = shared.live[room].load(Ordering::Relaxed).saturating_sub(own);
        shared.window.send(ticket, live, due);
        let number = shared.sent[sender].fetch_add(1, Ordering::AcqRel);
        shared.expected.fetch_add(readers, Ordering::AcqRel);
        let sender = u32::try_from(sender).unwrap_or(u32::MAX);
        Stamp { sender, number, ticket, due }.write(&mut self.payload);
        let whole = u64::from(sender) << 32 | u64::from(number);
        if this.out.is_empty() {
            self.dirty.push(line);
        }
        shared.dialect.publish(&shared.rooms[room], whole, &self.payload, &mut this.out);
    }

    /// Hands over what was counted since the last time.
    fn tell_span(&mut self) {
        let Some(span) = self.clock.span else { return };
        let counts = std::mem::take(&mut self.tally.span);
        // Whoever would read it has failed, and says so.
        drop(self.seconds.send(SecondTold { span, second: self.clock.second, counts }));
    }

    fn turn_to_stage(&mut self) -> Result<(), BenchError> {
        let stage = Stage::from(self.shared.stage.load(Ordering::Acquire));
        if stage == self.stage {
            return Ok(());
        }
        self.stage = stage;
        if stage == Stage::Revive {
            for line in 0..self.lines.len() {
                if self.lines[line].progress == Progress::Stalled {
                    // Without the larger buffer it only takes longer.
                    drop(self.lines[line].revive());
                    self.read(line)?;
                }
            }
        }
        Ok(())
    }
}
