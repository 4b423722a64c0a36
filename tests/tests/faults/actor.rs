//! A client that lives through faults: it writes, reads, hops between nodes, and notes everything.

use std::{
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use parlor_protocol::{
    command::{Command, Position, Since},
    event::EventBody,
    frame::Frame,
    id::MessageId,
    message::MessageStatus,
    signal::SignalBody,
};
use parlor_testkit::{
    history::ReaderId,
    process::User,
    socket::{Ended, Failure, Incoming, Socket},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::{
    sync::watch,
    time::{Instant, error::Elapsed, sleep, timeout},
};

mod habits;
mod operations;

pub(crate) use habits::{Habits, Operation};

use crate::{report::count, room::Room};

/// How long an answer may take before the client looks for another node. Longer than a node tries to
/// find out whether a message was stored.
const PATIENCE: Duration = Duration::from_secs(7);
/// A connection that is silent for so long is asked for a sign of life.
const SILENCE: Duration = Duration::from_secs(3);

/// What all actors are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Operations as they like.
    Act,
    /// Nothing new; finish and read.
    Rest,
    /// Leave.
    End,
}

/// What others see of an actor.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) room: Arc<Room>,
    pub(crate) reader: ReaderId,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct State {
    /// Since when the room is followed on the present connection.
    pub(crate) following_since: Option<Instant>,
    /// Nothing is under way.
    pub(crate) is_resting: bool,
}

impl Place {
    pub(crate) fn state(&self) -> State {
        *self.state.lock().unwrap()
    }

    pub(crate) fn position(&self) -> u64 {
        self.room.history().position(self.reader).unwrap_or(0)
    }
}

/// A message of an actor's own.
#[derive(Debug)]
struct Own {
    client_id: String,
    id: MessageId,
    seq: u64,
    calls_bot: bool,
}

#[derive(Debug)]
pub(crate) struct Actor {
    user: User,
    place: Place,
    nodes: Vec<SocketAddr>,
    at: usize,
    habits: Habits,
    random: StdRng,
    orders: watch::Receiver<Order>,
    socket: Option<Socket>,
    epoch: Option<String>,
    last_frame: Instant,
    own: Vec<Own>,
    streaming: Vec<MessageId>,
    others: Vec<String>,
    is_member: bool,
    written: usize,
}

impl Actor {
    pub(crate) fn new(
        user: &User,
        room: &Arc<Room>,
        nodes: &[SocketAddr],
        habits: Habits,
        seed: u64,
        orders: &watch::Receiver<Order>,
    ) -> Self {
        let reader = room.history().member(&user.name);
        let place = Place {
            name: user.name.clone(),
            room: Arc::clone(room),
            reader,
            state: Arc::default(),
        };
        let mut random = StdRng::seed_from_u64(seed);
        Self {
            user: user.clone(),
            place,
            nodes: nodes.to_vec(),
            at: random.random_range(0..nodes.len()),
            habits,
            random,
            orders: orders.clone(),
            socket: None,
            epoch: None,
            last_frame: Instant::now(),
            own: Vec::new(),
            streaming: Vec::new(),
            others: Vec::new(),
            is_member: true,
            written: 0,
        }
    }

    /// Lets it remove these members now and then.
    #[must_use]
    pub(crate) fn may_kick(mut self, others: &[String]) -> Self {
        self.others = others.to_vec();
        self
    }

    /// Begins at this node.
    #[must_use]
    pub(crate) fn at(mut self, node: usize) -> Self {
        self.at = node;
        self
    }

    pub(crate) fn place(&self) -> Place {
        self.place.clone()
    }

    fn room(&self) -> &Arc<Room> {
        &self.place.room
    }

    fn note(&self, what: &str) {
        self.place.room.journal.note(&self.place.name, what);
    }

    fn order(&self) -> Order {
        *self.orders.borrow()
    }

    /// Lives until the order to end.
    pub(crate) async fn live(mut self) {
        while self.order() != Order::End {
            if self.socket.is_none() && !self.connect().await {
                let pause = self.random.random_range(50..250);
                sleep(Duration::from_millis(pause)).await;
                continue;
            }
            if self.order() == Order::Act {
                let pause = self.random.random_range(self.habits.pause_ms.clone());
                self.read_for(Duration::from_millis(pause)).await;
                if self.socket.is_some() && self.order() == Order::Act {
                    self.set_resting(false);
                    self.act().await;
                    self.set_resting(true);
                }
            } else {
                self.read_for(Duration::from_millis(50)).await;
            }
        }
        if let Some(socket) = self.socket.take() {
            socket.close().await;
        }
        self.lost();
    }

    fn set_resting(&self, is_resting: bool) {
        self.place.state.lock().unwrap().is_resting = is_resting;
    }

    fn lost(&mut self) {
        self.socket = None;
        self.place.state.lock().unwrap().following_since = None;
    }

    /// Goes to another node without a word.
    fn hop(&mut self) {
        self.lost();
        self.at = self.random.random_range(0..self.nodes.len());
    }

    /// Tries once to connect and to continue where it was. Tells whether that worked.
    async fn connect(&mut self) -> bool {
        if !self.is_member && !self.join().await {
            self.hop();
            return false;
        }
        let node = self.nodes[self.at];
        let token = self.user.through(node).token().await;
        let opened = Socket::open_within(node, &token, PATIENCE).await;
        let mut socket = match opened {
            Ok(socket) => socket,
            Err(ended) => {
                self.note(&format!("no connection to node {}: {ended:?}", self.at));
                self.renew_if_refused(&token, &ended).await;
                self.hop();
                return false;
            }
        };
        let room = Arc::clone(self.room());
        let position = room.history().position(self.place.reader);
        let since = self.epoch.clone().zip(position);
        let since = since.map(|(epoch, seq)| Since::Position(Position { epoch, seq }));
        room.history().subscribing(self.place.reader);
        let command = Command::Subscribe { id: None, room: room.slug.as_str().into(), since };
        match socket.request_within(command, PATIENCE).await {
            Ok(Frame::Subscribed(subscribed)) => {
                let what = format!(
                    "follows at node {} from {position:?}, head {}, resumed {}",
                    self.at, subscribed.seq, subscribed.resumed
                );
                self.note(&what);
                if self.habits.expects_resync && !subscribed.resumed && position.is_some() {
                    count(&room.counts.resyncs);
                    room.history().resync(self.place.reader);
                }
                room.history().subscribed(self.place.reader, position, &subscribed);
                self.epoch = Some(subscribed.epoch);
                if position.is_some() {
                    count(&room.counts.resumed);
                }
            }
            Ok(other) => panic!("{other:?} in answer to subscribe"),
            Err(failure) => {
                self.note(&format!("not followed at node {}: {failure:?}", self.at));
                if let Failure::Refused(refused) = &failure
                    && !refused.code.is_retryable()
                {
                    self.is_member = false;
                }
                self.hop();
                return false;
            }
        }
        self.socket = Some(socket);
        self.last_frame = Instant::now();
        let mut state = self.place.state.lock().unwrap();
        state.following_since = Some(Instant::now());
        state.is_resting = true;
        true
    }

    /// A node whose clock is ahead may find a token too old.
    async fn renew_if_refused(&mut self, token: &str, ended: &Ended) {
        if matches!(ended, Ended::Lost(reason) if reason.contains("401")) {
            let http = self.user.through(self.nodes[self.at]).http;
            let renewed = timeout(PATIENCE, http.renew(token)).await;
            self.note(&format!("renewed: {}", matches!(renewed, Ok(Ok(_)))));
        }
    }

    /// Reads what comes in a time.
    async fn read_for(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while let Some(socket) = &mut self.socket {
            match socket.next_before(deadline).await {
                None => break,
                Some(Incoming::Frame(frame)) => self.take(*frame),
                Some(Incoming::Ended(ended)) => {
                    self.note(&format!("the connection ended: {ended:?}"));
                    self.hop();
                }
            }
        }
        self.ask_for_a_sign().await;
    }

    /// Does something and reads what comes in the meantime. Gives up after a time.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Elapsed> {
        let mut work = pin!(timeout(PATIENCE, work));
        loop {
            let Some(socket) = &mut self.socket else { return work.await };
            let deadline = Instant::now() + PATIENCE;
            tokio::select! {
                biased;
                done = &mut work => return done,
                Some(incoming) = socket.next_before(deadline) => match incoming {
                    Incoming::Frame(frame) => self.take(*frame),
                    Incoming::Ended(ended) => {
                        self.note(&format!("the connection ended: {ended:?}"));
                        self.hop();
                    }
                },
            }
        }
    }

    /// Notices a connection that only seems to be there.
    async fn ask_for_a_sign(&mut self) {
        let silent = self.last_frame.elapsed();
        let Some(socket) = &mut self.socket else { return };
        if silent > SILENCE * 2 {
            self.note("gives up a silent connection");
            self.hop();
        } else if silent > SILENCE {
            let asked = socket.send(&Command::Ping {});
            timeout(PATIENCE, asked).await.ok();
        }
    }

    fn take(&mut self, frame: Frame) {
        self.last_frame = Instant::now();
        let room = Arc::clone(self.room());
        match frame {
            Frame::Event(event) => {
                self.note(&format!("event {} {}", event.seq, kind(&event.body)));
                room.history().event(self.place.reader, &event);
                count(&room.counts.deliveries);
                match &event.body {
                    EventBody::MessageCreated(message) => {
                        if let Some(client_id) = &message.client_id {
                            room.delivered(client_id);
                        }
                        if message.status == MessageStatus::Streaming {
                            self.streaming.push(message.id);
                        }
                    }
                    EventBody::MessageCompleted(ended) => {
                        self.streaming.retain(|id| *id != ended.message);
                    }
                    EventBody::MemberLeft(change) if change.user.username == self.user.name => {
                        self.is_member = false;
                    }
                    EventBody::MemberJoined(change) if change.user.username == self.user.name => {
                        self.is_member = true;
                    }
                    _ => {}
                }
            }
            Frame::Signal(signal) => {
                if let SignalBody::MessageDelta(delta) = signal.body {
                    room.history().delta(self.place.reader, &delta);
                }
            }
            // A reader that had much to catch up with is then told the texts so far.
            Frame::Subscribed(subscribed) => {
                if self.habits.expects_resync && !subscribed.resumed {
                    room.history().resync(self.place.reader);
                }
                let position = room.history().position(self.place.reader);
                room.history().subscribed(self.place.reader, position, &subscribed);
            }
            Frame::Resync(resync) => {
                self.note(&format!("resync: {}", resync.reason));
                if self.habits.expects_resync {
                    count(&room.counts.resyncs);
                    room.history().resync(self.place.reader);
                    self.epoch = None;
                }
                self.lost();
            }
            Frame::Error(refused) => self.note(&format!("error: {refused:?}")),
            _ => {}
        }
    }
}

fn kind(body: &EventBody) -> String {
    match body {
        EventBody::MessageCreated(message) => format!("created {} {}", message.id, message.body),
        EventBody::MessageEdited(edited) => format!("edited {} {}", edited.message, edited.body),
        EventBody::MessageRedacted(redacted) => format!("redacted {}", redacted.message),
        EventBody::MessageCompleted(ended) => format!("ended {} {:?}", ended.message, ended.status),
        EventBody::MemberJoined(change) => format!("joined {}", change.user.username),
        EventBody::MemberLeft(change) => format!("left {}", change.user.username),
        other => format!("{other:?}").chars().take(40).collect(),
    }
}
