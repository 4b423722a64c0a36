//! The rooms that a feed follows, and where it is in each. State only, no I/O.

use parlor_protocol::command::{Command, Since};
use parlor_protocol::event::Event;
use parlor_protocol::frame::{Refused, Resync, Subscribed};
use parlor_protocol::id::{RoomId, RoomRef};

use super::Update;
use crate::cursor::{Arrival, Cursor};

/// Subscriptions of one room in a row that brought nothing, before the connection is given up.
const FRUITLESS_MAX: u32 = 5;

/// What follows from a frame.
#[derive(Debug)]
pub(super) enum Step {
    /// Nothing.
    Nothing,
    /// Tell the program.
    Tell(Vec<Update>),
    /// Tell the program, and send this.
    Send(Vec<Update>, Command),
    /// The server keeps leaving holes: connect again after a pause.
    GiveUp,
}

#[derive(Debug)]
struct Room {
    asked: RoomRef,
    id: Option<RoomId>,
    /// Where the program wants to start, until there is a cursor.
    since: Option<Since>,
    cursor: Option<Cursor>,
    /// The id of the subscription that is under way.
    asking: Option<String>,
    /// A `subscribed` that does not continue, told together with the `resync` that says why.
    held: Option<Update>,
    fruitless: u32,
}

/// The rooms of one feed.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    rooms: Vec<Room>,
    last_id: u64,
}

impl Rooms {
    /// Adds a room, or moves it to `since`. Returns the command that asks for it.
    pub(super) fn follow(&mut self, asked: RoomRef, since: Option<Since>) -> Command {
        let index = self.find_asked(&asked).unwrap_or_else(|| {
            self.rooms.push(Room {
                id: asked.id(),
                asked,
                since: None,
                cursor: None,
                asking: None,
                held: None,
                fruitless: 0,
            });
            self.rooms.len() - 1
        });
        let room = &mut self.rooms[index];
        room.cursor = None;
        room.since = since;
        self.subscribe(index)
    }

    /// Removes a room. Returns the command that ends its subscription.
    pub(super) fn leave(&mut self, asked: &RoomRef) -> Option<Command> {
        let room = self.rooms.remove(self.find_asked(asked)?);
        Some(Command::Unsubscribe { id: None, room: room.asked })
    }

    /// Returns the command that asks for a room again from its cursor.
    pub(super) fn again(&mut self, id: RoomId) -> Option<Command> {
        let index = self.find(id)?;
        self.rooms[index].asking.is_none().then(|| self.subscribe(index))
    }

    /// Returns the commands that ask for every room, on a new connection.
    pub(super) fn connected(&mut self) -> Vec<Command> {
        for room in &mut self.rooms {
            room.fruitless = 0;
        }
        (0..self.rooms.len()).map(|index| self.subscribe(index)).collect()
    }

    /// Takes `subscribed`.
    pub(super) fn subscribed(&mut self, subscribed: Subscribed) -> Step {
        let Some(index) = self.find_asking(subscribed.re.as_deref()) else { return Step::Nothing };
        let twin = self.find(subscribed.room).filter(|twin| *twin != index);
        if let Some(twin) = twin {
            // The same room under two names is one subscription; the newer wish holds.
            self.rooms.remove(twin);
        }
        let Some(index) = self.find_asking(subscribed.re.as_deref()) else { return Step::Nothing };
        let room = &mut self.rooms[index];
        room.asking = None;
        room.id = Some(subscribed.room);
        let wanted = match (&room.cursor, &room.since) {
            (Some(cursor), _) => Some(cursor.seq()),
            (None, Some(Since::Position(position))) => Some(position.seq),
            (None, Some(Since::Seq(seq))) => Some(*seq),
            (None, None) => None,
        };
        let continues = wanted.filter(|_| subscribed.resumed);
        let cursor = Cursor::new(subscribed.epoch, continues.unwrap_or(subscribed.seq));
        let update = Update::Subscribed {
            room: subscribed.room,
            slug: subscribed.slug,
            position: cursor.position(),
            head: subscribed.seq,
            streaming: subscribed.streaming,
        };
        room.cursor = Some(cursor);
        room.since = None;
        if wanted.is_some() && continues.is_none() {
            room.held = Some(update);
            return Step::Nothing;
        }
        Step::Tell(vec![update])
    }

    /// Takes a refused subscription; returns it when it is not one.
    pub(super) fn refused(&mut self, refused: Refused) -> Result<Update, Refused> {
        let Some(index) = self.find_asking(refused.re.as_deref()) else { return Err(refused) };
        let room = self.rooms.remove(index);
        Ok(Update::Refused { room: room.asked, code: refused.code, detail: refused.detail })
    }

    /// Tells whether the id is that of a subscription under way.
    pub(super) fn is_asking(&self, id: Option<&str>) -> bool {
        self.find_asking(id).is_some()
    }

    /// Asks again for a room whose subscription was refused for the moment.
    pub(super) fn retry(&mut self, id: &str) -> Option<Command> {
        let index = self.find_asking(Some(id))?;
        Some(self.subscribe(index))
    }

    /// Takes `resync`: the history up to `from` is read elsewhere, events after it from here.
    pub(super) fn resync(&mut self, resync: Resync) -> Step {
        // It names the room by id, which is not known before the first `subscribed`; the server
        // answers in the order of the questions.
        let unnamed = |room: &Room| room.id.is_none() && room.asking.is_some();
        let index = self.find(resync.room).or_else(|| self.rooms.iter().position(unnamed));
        let Some(index) = index else { return Step::Nothing };
        let room = &mut self.rooms[index];
        room.id = Some(resync.room);
        if let Some(subscribed) = room.held.take() {
            let Resync { room, from, reason } = resync;
            return Step::Tell(vec![Update::Resynced { room, from, reason }, subscribed]);
        }
        room.cursor = None;
        room.since = Some(Since::Seq(resync.from));
        if self.is_fruitless(index) {
            return Step::GiveUp;
        }
        let Resync { room, from, reason } = resync;
        Step::Send(vec![Update::Resynced { room, from, reason }], self.subscribe(index))
    }

    /// Takes an event.
    pub(super) fn event(&mut self, event: Box<Event>) -> Step {
        let Some(index) = self.find(event.room) else { return Step::Nothing };
        let room = &mut self.rooms[index];
        let Some(cursor) = &mut room.cursor else { return Step::Nothing };
        match cursor.offer(event.seq) {
            Arrival::Seen => Step::Nothing,
            Arrival::Next => {
                room.fruitless = 0;
                let from = event.seq - 1;
                let reason = "not_resumed".to_owned();
                let held = room.held.take().map(|subscribed| {
                    [Update::Resynced { room: event.room, from, reason }, subscribed]
                });
                let updates = held.into_iter().flatten();
                Step::Tell(updates.chain([Update::Event(event)]).collect())
            }
            Arrival::Hole if room.asking.is_some() => Step::Nothing,
            Arrival::Hole if self.is_fruitless(index) => Step::GiveUp,
            Arrival::Hole => Step::Send(Vec::new(), self.subscribe(index)),
        }
    }

    /// Tells whether the room is followed.
    pub(super) fn follows(&self, id: RoomId) -> bool {
        self.find(id).is_some()
    }

    fn subscribe(&mut self, index: usize) -> Command {
        self.last_id += 1;
        let id = format!("s{}", self.last_id);
        let room = &mut self.rooms[index];
        room.asking = Some(id.clone());
        room.held = None;
        let at = room.cursor.as_ref().map(|cursor| Since::Position(cursor.position()));
        Command::Subscribe {
            id: Some(id),
            room: room.id.map_or_else(|| room.asked.clone(), RoomRef::from),
            since: at.or_else(|| room.since.clone()),
        }
    }

    fn is_fruitless(&mut self, index: usize) -> bool {
        let room = &mut self.rooms[index];
        room.fruitless += 1;
        room.fruitless > FRUITLESS_MAX
    }

    fn find(&self, id: RoomId) -> Option<usize> {
        self.rooms.iter().position(|room| room.id == Some(id))
    }

    fn find_asked(&self, asked: &RoomRef) -> Option<usize> {
        let same =
            |room: &Room| room.asked == *asked || asked.id().is_some_and(|id| room.id == Some(id));
        self.rooms.iter().position(same)
    }

    fn find_asking(&self, id: Option<&str>) -> Option<usize> {
        let id = id?;
        self.rooms.iter().position(|room| room.asking.as_deref() == Some(id))
    }
}

#[cfg(test)]
mod tests;
