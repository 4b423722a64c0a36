//! What comes from NATS.
//!
//! One task takes it, controls first, then answers and questions, then events, then signals. So a
//! flood of signals delays nothing, and a signal is never delivered before an event that was sent
//! before it: the driver puts both in their places in the order in which they came, and with a signal
//! in hand the events are looked at once more.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use async_nats::{Message, StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::stream::{BoxStream, SelectAll};
use futures_util::{Stream, StreamExt as _};
use parlor_protocol::id::RoomId;
use parlor_protocol::signal::SignalBody;
use tokio::sync::mpsc;
use tokio::task::unconstrained;

use super::metrics::{Bad, Kind};
use super::outgoing::Item;
use super::questions::Heard;
use super::shared::Shared;
use super::wire::{self, Answer};
use crate::contract::{Bus as _, Control, Delivery};
use crate::encode::{self, Unreadable};
use crate::memory::Origin;

/// Events that are delivered before a signal without a break for others. More wait only after a
/// stall, when a signal is of no use.
const EVENTS_AT_ONCE: usize = 4_096;

/// Looks at the events that pretended to have nothing, before they are believed.
const LOOKS: usize = 64;

/// The messages of one subject of one room. It ends when it is given up.
pub(super) type Feed = BoxStream<'static, (RoomId, Message)>;

/// A subject that is subscribed to since now.
pub(super) enum Added {
    Events(Feed),
    Signals(Feed),
    Questions(Feed),
}

/// Takes what comes on one connection.
pub(super) struct Incoming {
    shared: Arc<Shared>,
    controls: Subscriber,
    answers: Subscriber,
    added: mpsc::Receiver<Added>,
    events: SelectAll<Feed>,
    signals: SelectAll<Feed>,
    questions: SelectAll<Feed>,
}

impl Incoming {
    pub(super) fn new(
        shared: Arc<Shared>,
        controls: Subscriber,
        answers: Subscriber,
        added: mpsc::Receiver<Added>,
    ) -> Self {
        Self {
            shared,
            controls,
            answers,
            added,
            events: SelectAll::new(),
            signals: SelectAll::new(),
            questions: SelectAll::new(),
        }
    }

    /// Runs until the connection has ended.
    pub(super) async fn run(mut self) {
        loop {
            tokio::select! {
                biased;
                Some(added) = self.added.recv() => match added {
                    Added::Events(feed) => self.events.push(feed),
                    Added::Signals(feed) => self.signals.push(feed),
                    Added::Questions(feed) => self.questions.push(feed),
                },
                message = self.controls.next() => match message {
                    Some(message) => self.control(&message.payload),
                    None => return,
                },
                message = self.answers.next() => match message {
                    Some(message) => self.answer(&message),
                    None => return,
                },
                Some((room, message)) = self.questions.next(), if !self.questions.is_empty() => {
                    self.question(room, message);
                }
                Some((room, message)) = self.events.next(), if !self.events.is_empty() => {
                    self.event(room, &message.payload);
                }
                Some((room, message)) = self.signals.next(), if !self.signals.is_empty() => {
                    self.take_events();
                    self.signal(room, &message.payload);
                }
            }
        }
    }

    /// Delivers the events that are there. Those that came between a look at the events and one at
    /// the signals would come after a signal otherwise.
    fn take_events(&mut self) {
        for _ in 0..EVENTS_AT_ONCE {
            match next_now(&mut self.events) {
                Some((room, message)) => self.event(room, &message.payload),
                None => return,
            }
        }
    }

    fn event(&self, room: RoomId, wire: &[u8]) {
        self.shared.metrics.count_received(Kind::Event);
        let (event, json) = match encode::read_event(wire) {
            Ok(read) => read,
            Err(unreadable) => return self.bad(Bad::Unreadable(unreadable)),
        };
        if event.room != room {
            return self.bad(Bad::Room);
        }
        if self.shared.local.memory.apply_event(&event, Origin::Elsewhere) {
            self.shared.refresh(room);
        }
        self.shared.local.fan_out(room, &Delivery::Event { event, json });
    }

    fn signal(&self, room: RoomId, wire: &Bytes) {
        self.shared.metrics.count_received(Kind::Signal);
        let (signal, json) = match encode::read_signal(wire) {
            Ok(read) => read,
            Err(unreadable) => return self.bad(Bad::Unreadable(unreadable)),
        };
        if signal.room != room {
            return self.bad(Bad::Room);
        }
        if let SignalBody::MessageDelta(delta) = &signal.body
            && self.shared.local.memory.apply_delta(room, delta, Origin::Elsewhere)
        {
            self.shared.refresh(room);
        }
        self.shared.local.fan_out(room, &Delivery::Signal { signal, json });
    }

    fn control(&self, wire: &[u8]) {
        self.shared.metrics.count_received(Kind::Control);
        match wire::read_control(wire) {
            // Many may say it at once; once is enough.
            Ok(Control::StoreMayBeAhead) => self.shared.missed.notify_one(),
            Ok(control) => {
                self.shared.local.deliver_control(control);
                if let Control::RoomDeleted(room) = control {
                    self.shared.refresh(room);
                }
            }
            Err(unreadable) => self.bad(Bad::Unreadable(unreadable)),
        }
    }

    fn answer(&self, message: &Message) {
        let Some(token) = wire::token(&message.subject) else { return self.bad(Bad::Subject) };
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return self.shared.questions.hear(token, Heard::Nobody);
        }
        self.shared.metrics.count_received(Kind::Answer);
        match encode::read::<Answer>(&message.payload) {
            Ok(answer) => self.shared.questions.hear(token, Heard::Part(answer)),
            Err(unreadable) => self.bad(Bad::Unreadable(unreadable)),
        }
    }

    /// Tells what this process is writing in the room.
    fn question(&self, room: RoomId, message: Message) {
        let Some(to) = message.reply.filter(|to| self.shared.subjects.is_answer(to)) else {
            return self.bad(Bad::Subject);
        };
        let replies = self.shared.local.memory.list_own(room);
        let count = replies.len();
        let parts = replies
            .into_iter()
            .enumerate()
            .map(|(index, reply)| Answer { left: count - index - 1, reply: Some(reply) });
        let nothing = (count == 0).then_some(Answer { left: 0, reply: None });
        for part in parts.chain(nothing) {
            if let Some(wire) = encode::to_bytes(&part) {
                self.shared.send(Item::Answer { to: to.clone(), wire });
            }
        }
    }

    fn bad(&self, reason: Bad) {
        self.shared.metrics.count_bad(reason);
        if !matches!(reason, Bad::Unreadable(Unreadable::Version)) {
            tracing::debug!(?reason, "message from NATS is not used");
        }
    }
}

/// Returns the next item of many streams if one is there now.
///
/// That a stream is pending does not say so: the runtime pretends that nothing is there, and
/// [`SelectAll`] stops before it has looked at all of its streams, so that others get their turn.
/// `SelectAll` wakes its task then, which tells the two apart.
fn next_now<S: Stream + Unpin>(streams: &mut S) -> Option<S::Item> {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut cx = Context::from_waker(&waker);
    for _ in 0..LOOKS {
        match pin!(unconstrained(streams.next())).poll(&mut cx) {
            Poll::Ready(item) => return item,
            Poll::Pending if woken.0.swap(false, Ordering::AcqRel) => {}
            Poll::Pending => return None,
        }
    }
    None
}

/// Remembers that somebody was woken.
#[derive(Debug, Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream::{self, SelectAll};
    use futures_util::{FutureExt as _, StreamExt as _};

    use super::next_now;

    /// Streams of which the first ones wake themselves as they are looked at, as they do when
    /// something comes for them in that moment; only the last one has an item.
    fn busy(streams: usize) -> SelectAll<stream::BoxStream<'static, usize>> {
        let mut all = SelectAll::new();
        for n in 0..streams {
            let mut looks = 0;
            all.push(
                stream::poll_fn(move |cx| {
                    looks += 1;
                    if n + 1 == streams {
                        return std::task::Poll::Ready((looks == 1).then_some(n));
                    }
                    if looks == 1 {
                        cx.waker().wake_by_ref();
                    }
                    std::task::Poll::Pending
                })
                .boxed(),
            );
        }
        all
    }

    #[test]
    fn item_is_found_behind_streams_that_are_busy() {
        let all = &mut busy(10);

        assert_eq!(all.next().now_or_never(), None, "one look does not find it");
        assert_eq!(next_now(&mut busy(10)), Some(9));
    }

    #[test]
    fn nothing_is_found_where_nothing_is() {
        let mut idle = busy(10);

        assert_eq!(next_now(&mut idle), Some(9));
        assert_eq!(next_now(&mut idle), None);
        assert_eq!(next_now(&mut SelectAll::<stream::Empty<usize>>::new()), None);
    }
}
