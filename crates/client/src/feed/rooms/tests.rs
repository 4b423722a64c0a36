use std::collections::VecDeque;

use parlor_protocol::command::Position;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::fake::{ROOM, event, subscribed};

/// What happens next in a room and on the way from it.
#[derive(Debug, Clone, Copy)]
enum Chance {
    /// Something is written, and told.
    Told,
    /// Something is written, and the frame is lost.
    Lost,
    /// An old event is told again.
    Repeated,
    /// The server answers the oldest subscription.
    Answered,
    /// The connection is lost and opened again.
    Reconnected,
}

fn chance() -> impl Strategy<Value = Chance> {
    prop_oneof![
        6 => Just(Chance::Told),
        2 => Just(Chance::Lost),
        1 => Just(Chance::Repeated),
        4 => Just(Chance::Answered),
        1 => Just(Chance::Reconnected),
    ]
}

struct World {
    rooms: Rooms,
    head: u64,
    /// Subscriptions that the server has not answered.
    asked: VecDeque<(String, u64)>,
    delivered: Vec<u64>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            rooms: Rooms::default(),
            head: 0,
            asked: VecDeque::new(),
            delivered: Vec::new(),
        };
        let command = world.rooms.follow("general".into(), Some(Since::Seq(0)));
        world.ask(command);
        world
    }

    fn ask(&mut self, command: Command) {
        let Command::Subscribe { id: Some(id), since: Some(since), .. } = command else {
            panic!("{command:?}")
        };
        let (Since::Seq(seq) | Since::Position(Position { seq, .. })) = since;
        self.asked.push_back((id, seq));
    }

    fn tell(&mut self, seq: u64) {
        let event = serde_json::from_value(event(seq)).unwrap();
        let step = self.rooms.event(Box::new(event));
        self.take(step);
    }

    fn take(&mut self, step: Step) {
        let updates = match step {
            Step::Nothing => return,
            Step::Tell(updates) => updates,
            Step::Send(updates, command) => {
                self.ask(command);
                updates
            }
            Step::GiveUp => return self.reconnect(),
        };
        for update in updates {
            match update {
                Update::Event(event) => self.delivered.push(event.seq),
                Update::Subscribed { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn answer(&mut self) {
        let Some((id, since)) = self.asked.pop_front() else { return };
        let frame = serde_json::from_value(subscribed(&id, self.head, true)).unwrap();
        let step = self.rooms.subscribed(frame);
        self.take(step);
        for seq in since + 1..=self.head {
            self.tell(seq);
        }
    }

    fn reconnect(&mut self) {
        self.asked.clear();
        for command in self.rooms.connected() {
            self.ask(command);
        }
    }
}

proptest! {
    /// Whatever is lost, doubled or cut, every event is delivered once and in order, and after a
    /// quiet moment nothing is missing.
    #[test]
    fn every_event_is_delivered_once_and_in_order(
        chances in prop::collection::vec((chance(), any::<prop::sample::Index>()), 0..200),
    ) {
        let mut world = World::new();
        for (chance, pick) in chances {
            match chance {
                Chance::Told => {
                    world.head += 1;
                    world.tell(world.head);
                }
                Chance::Lost => world.head += 1,
                Chance::Repeated if world.head > 0 => {
                    let seq = 1 + pick.index(usize::try_from(world.head).unwrap()) as u64;
                    world.tell(seq);
                }
                Chance::Repeated => {}
                Chance::Answered => world.answer(),
                Chance::Reconnected => world.reconnect(),
            }
            let expected: Vec<_> = (1..=world.delivered.len() as u64).collect();
            prop_assert_eq!(&world.delivered, &expected);
        }
        world.reconnect();
        while !world.asked.is_empty() {
            world.answer();
        }
        prop_assert_eq!(world.delivered.len() as u64, world.head);
    }
}

fn follow(rooms: &mut Rooms, asked: &str) -> String {
    rooms.follow(asked.into(), None).id().unwrap().to_owned()
}

#[test]
fn room_under_two_names_is_one_subscription() {
    let mut rooms = Rooms::default();
    for asked in ["general", ROOM] {
        let id = follow(&mut rooms, asked);
        rooms.subscribed(serde_json::from_value(subscribed(&id, 5, false)).unwrap());
    }
    assert_eq!(rooms.connected().len(), 1);
    let left = rooms.leave(&ROOM.into());
    assert!(matches!(left, Some(Command::Unsubscribe { .. })));
    assert!(rooms.connected().is_empty());
}

#[test]
fn answer_to_an_older_question_is_not_taken_for_the_present_one() {
    let mut rooms = Rooms::default();
    let old = follow(&mut rooms, "general");
    rooms.connected();
    let frame = serde_json::from_value(subscribed(&old, 5, false)).unwrap();
    assert!(matches!(rooms.subscribed(frame), Step::Nothing));
}

#[test]
fn room_that_was_left_says_nothing_more() {
    let mut rooms = Rooms::default();
    let id = follow(&mut rooms, "general");
    rooms.subscribed(serde_json::from_value(subscribed(&id, 5, false)).unwrap());
    rooms.leave(&"general".into());
    let event = serde_json::from_value(json!(event(6))).unwrap();
    assert!(matches!(rooms.event(Box::new(event)), Step::Nothing));
}
