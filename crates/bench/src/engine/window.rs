//! Messages in flight in a closed loop: each has a ticket, which is free again when the message has
//! reached its last reader.
//!
//! Shared by the threads of a generator. A ticket whose message does not arrive in time is retired
//! for good, so that a late delivery cannot be taken for one of the message after it; another takes
//! its place as long as there are any.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Tickets for what is lost.
const SPARE: usize = 65_536;
/// Larger than what any room has left: the ticket is retired.
const RETIRED: u32 = u32::MAX / 2;
/// The ticket of messages that are not counted, as in an open loop.
pub(crate) const NO_TICKET: u32 = u32::MAX;

#[derive(Debug)]
struct Ticket {
    /// Deliveries until it is free.
    left: AtomicU32,
    /// When its message was sent, in microseconds; 0 when it is free.
    sent: AtomicU64,
}

/// The tickets of a run.
#[derive(Debug)]
pub(crate) struct Window {
    tickets: Vec<Ticket>,
    size: usize,
    /// Tickets that were handed out so far.
    used: AtomicU32,
    retired: AtomicU64,
}

impl Window {
    /// Creates a window for so many messages.
    pub(crate) fn new(size: usize) -> Self {
        let spare = if size == 0 { 0 } else { SPARE };
        let ticket = || Ticket { left: AtomicU32::new(0), sent: AtomicU64::new(0) };
        let tickets = (0..size + spare).map(|_| ticket()).collect();
        let used = AtomicU32::new(u32::try_from(size).unwrap_or(RETIRED));
        Self { tickets, size, used, retired: AtomicU64::new(0) }
    }

    /// Returns how many messages may be in flight.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// A message goes out to so many readers.
    pub(crate) fn send(&self, ticket: u32, readers: u32, now: u64) {
        if let Some(ticket) = self.tickets.get(ticket as usize) {
            ticket.left.store(readers, Ordering::Relaxed);
            ticket.sent.store(now.max(1), Ordering::Release);
        }
    }

    /// One reader has it. Returns whether that was the last one.
    #[inline]
    pub(crate) fn arrive(&self, ticket: u32) -> bool {
        let Some(ticket) = self.tickets.get(ticket as usize) else { return false };
        let last = ticket.left.fetch_sub(1, Ordering::AcqRel) == 1;
        if last {
            ticket.sent.store(0, Ordering::Release);
        }
        last
    }

    /// Retires what was sent before `limit` and has not arrived everywhere. Returns the
    /// tickets that take their place.
    pub(crate) fn retire(&self, limit: u64) -> Vec<u32> {
        let mut fresh = Vec::new();
        let used = self.used.load(Ordering::Acquire);
        for ticket in self.tickets.iter().take(used as usize) {
            let sent = ticket.sent.load(Ordering::Acquire);
            if sent == 0 || sent >= limit {
                continue;
            }
            let left = ticket.left.swap(RETIRED, Ordering::AcqRel);
            ticket.sent.store(0, Ordering::Release);
            // Else its last delivery came this very moment.
            if left == 0 {
                continue;
            }
            self.retired.fetch_add(1, Ordering::Relaxed);
            let next = self.used.fetch_add(1, Ordering::AcqRel);
            if (next as usize) < self.tickets.len() {
                fresh.push(next);
            }
        }
        fresh
    }

    /// Returns how many messages did not arrive in time.
    pub(crate) fn retired(&self) -> u64 {
        self.retired.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticket_is_free_after_the_last_delivery() {
        let window = Window::new(2);
        window.send(1, 3, 10);
        assert_eq!([(); 4].map(|()| window.arrive(1)), [false, false, true, false]);
        assert!(!window.arrive(NO_TICKET));
    }

    #[test]
    fn late_delivery_does_not_count_for_the_message_after_it() {
        let window = Window::new(1);
        window.send(0, 1, 10);
        assert!(window.retire(10).is_empty());
        assert_eq!(window.retire(11), [1]);
        assert!(!window.arrive(0), "it is retired");
        assert!(window.retire(100).is_empty());
        window.send(1, 1, 20);
        assert!(window.arrive(1));
        assert_eq!(window.retired(), 1);
    }
}
