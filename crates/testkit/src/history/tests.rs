//! Each rule catches its planted fault, and a history without fault holds.

use std::fmt::Debug;

use parlor_protocol::{
    event::{MessageCompleted, RoomState},
    frame::StreamingReply,
    message::{BotReply, Usage},
    room::{RoomKind, RoomSettings},
    time::Timestamp,
    user::UserRef,
};

use super::*;

pub(super) fn id<T: std::str::FromStr<Err: Debug>>(number: u64) -> T {
    format!("00000000-0000-7000-8000-{number:012}").parse().unwrap()
}

pub(super) fn at() -> Timestamp {
    Timestamp::from_millis(0)
}

/// An event that is about no message.
pub(super) fn room_updated(seq: u64) -> Event {
    let state = RoomState {
        slug: "general".to_owned(),
        name: "General".to_owned(),
        kind: RoomKind::Public,
        topic: String::new(),
        archived: false,
        settings: RoomSettings::default(),
    };
    event(seq, EventBody::RoomUpdated(state))
}

pub(super) fn event(seq: u64, body: EventBody) -> Event {
    Event { room: id(0), seq, at: at(), actor: None, body }
}

pub(super) fn message(seq: u64, number: u64) -> Message {
    Message {
        id: id(number),
        room: id(0),
        seq,
        sender: UserRef {
            id: id(900),
            username: "ada".to_owned(),
            display_name: "Ada".to_owned(),
            kind: UserKind::User,
        },
        client_id: Some(format!("c{number}")),
        body: format!("body {number}"),
        status: MessageStatus::Complete,
        reply_to: None,
        thread: None,
        created_at: at(),
        edited_at: None,
        redacted_at: None,
        reactions: Vec::new(),
        attachments: Vec::new(),
        mentions: Vec::new(),
        mentions_room: false,
        emote: false,
        edits: 0,
        replies: None,
        pinned: None,
        bot: None,
        usage: None,
        error: None,
    }
}

pub(super) fn created(seq: u64, number: u64) -> Event {
    event(seq, EventBody::MessageCreated(Box::new(message(seq, number))))
}

pub(super) fn reply(seq: u64, number: u64, trigger: u64) -> Event {
    let mut reply = message(seq, number);
    reply.sender.kind = UserKind::Bot;
    reply.client_id = None;
    reply.body = String::new();
    reply.status = MessageStatus::Streaming;
    let bot = BotReply { trigger: id(trigger), provider: String::new(), model: String::new() };
    reply.bot = Some(bot);
    event(seq, EventBody::MessageCreated(Box::new(reply)))
}

pub(super) fn completed(seq: u64, number: u64, body: &str) -> Event {
    let completed = MessageCompleted {
        message: id(number),
        body: body.to_owned(),
        status: MessageStatus::Completed,
        usage: Usage::default(),
        error: None,
        mentions: Vec::new(),
    };
    event(seq, EventBody::MessageCompleted(completed))
}

pub(super) fn delta(number: u64, turn: u32, chunk: u32, text: &str) -> MessageDelta {
    MessageDelta { message: id(number), turn, chunk, text: text.to_owned() }
}

pub(super) fn subscribed(seq: u64, resumed: bool) -> Subscribed {
    Subscribed {
        re: None,
        room: id(0),
        slug: "general".to_owned(),
        epoch: "a".to_owned(),
        seq,
        resumed,
        streaming: Vec::new(),
    }
}

/// Two messages, the second of which calls a bot, and its reply; one reader saw it all.
struct Story {
    history: History,
    reader: ReaderId,
}

fn story() -> Story {
    let mut history = History::new();
    let reader = history.reader("r");
    for (number, calls_bot) in [(1, false), (2, true)] {
        history.wrote(&format!("c{number}"), &format!("body {number}"), calls_bot);
        history.acknowledged_at(&format!("c{number}"), number, id(number));
    }
    Story { history, reader }
}

fn events() -> Vec<Event> {
    vec![created(1, 1), created(2, 2), reply(3, 3, 2), completed(4, 3, "one two")]
}

impl Story {
    fn read(mut self, events: &[Event]) -> Self {
        if self.history.position(self.reader).is_none() {
            self.history.subscribed(self.reader, None, &subscribed(0, false));
        }
        for event in events {
            self.history.event(self.reader, event);
        }
        self
    }

    fn stored(mut self, events: &[Event]) -> Self {
        for event in events {
            self.history.stored(event);
        }
        self
    }

    fn violations(self) -> Vec<Violation> {
        self.history.finish().unwrap_err()
    }
}

#[test]
fn history_without_fault_holds() {
    let mut story = story().read(&events()[..3]);
    for (chunk, text) in [(1, "one"), (2, " two")] {
        story.history.delta(story.reader, &delta(3, 1, chunk, text));
    }
    let story = story.read(&events()[3..]).stored(&events());
    let summary = story.history.finish().unwrap();
    assert_eq!(summary, Summary { acknowledged: 2, events: 4, replies: 1 });
}

#[test]
fn acknowledged_message_that_is_not_stored_is_lost() {
    let mut story = story();
    story.history.wrote("c9", "body 9", false);
    story.history.acknowledged_at("c9", 5, id(9));
    let found = story.stored(&events()).violations();
    assert_eq!(found, [Violation::Lost { client_id: "c9".to_owned(), seq: 5, found: None }]);
}

#[test]
fn acknowledged_message_that_is_stored_elsewhere_is_lost() {
    let swapped = [created(1, 2), created(2, 1), reply(3, 3, 2), completed(4, 3, "")];
    let found = story().stored(&swapped).violations();
    assert!(found.iter().any(|violation| matches!(violation, Violation::Lost { .. })), "{found:?}");
}

#[test]
fn message_that_is_stored_twice_is_found() {
    let mut events = events();
    let mut twice = message(5, 1);
    twice.id = id(8);
    events.push(event(5, EventBody::MessageCreated(Box::new(twice))));
    let found = story().stored(&events).violations();
    assert!(found.contains(&Violation::StoredTwice { seq: 5, name: "c1".to_owned() }), "{found:?}");
}

#[test]
fn attempts_with_different_answers_are_found() {
    let mut story = story();
    story.history.acknowledged_at("c1", 7, id(7));
    let found = story.stored(&events()).violations();
    assert!(found.contains(&Violation::AnswersDiffer("c1".to_owned())), "{found:?}");
}

#[test]
fn message_that_nobody_wrote_is_a_phantom() {
    let mut events = events();
    events.push(created(5, 5));
    let found = story().stored(&events).violations();
    assert!(found.contains(&Violation::Phantom { seq: 5, client_id: "c5".to_owned() }));
    let mut story = story();
    let mut changed = message(1, 1);
    changed.body = "other".to_owned();
    story.history.stored(&event(1, EventBody::MessageCreated(Box::new(changed))));
    assert!(
        story.violations().contains(&Violation::Phantom { seq: 1, client_id: "c1".to_owned() })
    );
}

#[test]
fn hole_in_the_store_is_found() {
    let mut holed = events();
    holed.remove(0);
    let found = story().stored(&holed).violations();
    assert!(found.contains(&Violation::StoreHole { after: 0, seq: 2 }), "{found:?}");
}

#[test]
fn reader_that_misses_or_sees_twice_is_found() {
    let all = events();
    let next = |after, seq| Violation::NotNext { reader: "r".to_owned(), after, seq };
    let missed = story().read(&[all[0].clone(), all[2].clone(), all[3].clone()]).stored(&all);
    assert_eq!(missed.violations(), [next(1, 3)]);
    let mut twice = all.clone();
    twice.insert(1, all[0].clone());
    assert_eq!(story().read(&twice).stored(&all).violations(), [next(1, 1)]);
}

#[test]
fn readers_that_disagree_are_found() {
    let mut other = events();
    other[3] = completed(4, 3, "another end");
    let found = story().read(&events()).stored(&other).violations();
    assert_eq!(found, [Violation::Disagree { seq: 4 }]);
}

#[test]
fn event_that_was_delivered_but_not_stored_is_found() {
    let mut more = events();
    more.push(completed(5, 3, ""));
    let found = story().read(&more).stored(&events()).violations();
    assert_eq!(found, [Violation::DeliveredButNotStored { seq: 5 }]);
}

#[test]
fn message_that_overtakes_an_acknowledged_one_is_found() {
    let mut story = story();
    story.history.wrote("c3", "body 3", false);
    story.history.acknowledged_at("c3", 1, id(3));
    let found = story.stored(&events()).violations();
    assert!(found.contains(&Violation::OutOfRealTime { seq: 1, after: 2 }), "{found:?}");
}

#[test]
fn resume_that_skips_is_found() {
    let all = events();
    let not_resumed = Violation::NotResumed { reader: "r".to_owned(), position: 2 };
    for (since, resumed) in [(Some(2), false), (None, false), (Some(1), true)] {
        let mut story = story().read(&all[..2]);
        story.history.subscribed(story.reader, since, &subscribed(4, resumed));
        let found = story.stored(&all).violations();
        assert!(found.contains(&not_resumed), "{since:?} {resumed} {found:?}");
    }
    let mut story = story().read(&all[..2]);
    story.history.subscribed(story.reader, Some(2), &subscribed(4, true));
    assert!(story.read(&all[2..]).stored(&all).history.finish().is_ok());
}

#[test]
fn log_that_became_another_is_found() {
    let mut story = story().read(&[]);
    let mut other = subscribed(0, true);
    other.epoch = "b".to_owned();
    story.history.subscribed(story.reader, Some(0), &other);
    let found = story.read(&events()).stored(&events()).violations();
    assert_eq!(found, [Violation::EpochChanged { reader: "r".to_owned() }]);
}

#[test]
fn reader_that_never_gets_the_last_event_is_found() {
    let found = story().read(&events()[..3]).stored(&events()).violations();
    assert_eq!(found, [Violation::Behind { reader: "r".to_owned(), position: 3, head: 4 }]);
}

#[test]
fn call_without_reply_or_with_two_is_found() {
    let replies = |count| Violation::Replies { trigger: id(2), count };
    let none = [created(1, 1), created(2, 2)];
    assert_eq!(story().stored(&none).violations(), [replies(0)]);
    let mut two = events();
    two.extend([reply(5, 6, 2), completed(6, 6, "")]);
    assert_eq!(story().stored(&two).violations(), [replies(2)]);
}

#[test]
fn reply_without_ending_or_with_two_is_found() {
    let endings = |count| Violation::Endings { reply: id(3), count };
    assert_eq!(story().stored(&events()[..3]).violations(), [endings(0)]);
    let mut two = events();
    two.push(completed(5, 3, "one two"));
    assert_eq!(story().stored(&two).violations(), [endings(2)]);
    let mut stray = events();
    stray.push(completed(5, 7, ""));
    assert_eq!(story().stored(&stray).violations(), [Violation::EndingWithoutReply(id(7))]);
}

#[test]
fn piece_that_is_missing_doubled_or_stale_is_found() {
    for (after, came) in [((1, 1), (1, 3)), ((1, 1), (1, 1)), ((2, 1), (1, 2)), ((1, 1), (2, 2))] {
        let mut story = story().read(&events()[..3]);
        for (turn, chunk) in [after, came] {
            story.history.delta(story.reader, &delta(3, turn, chunk, ""));
        }
        let found = story.history.violations;
        assert_eq!(found, [Violation::PieceNotNext { reader: "r".to_owned(), came, after }]);
    }
}

#[test]
fn piece_after_the_ending_is_found() {
    let mut story = story().read(&events());
    story.history.delta(story.reader, &delta(3, 1, 1, ""));
    let nothing = Violation::PieceOfNothing { reader: "r".to_owned(), reply: id(3) };
    assert_eq!(story.stored(&events()).violations(), [nothing]);
}

#[test]
fn text_that_differs_from_its_pieces_is_found() {
    let differs = Violation::TextDiffers { reader: "r".to_owned(), reply: id(3) };
    let mut wrong = story().read(&events()[..3]);
    wrong.history.delta(wrong.reader, &delta(3, 1, 1, "one"));
    assert_eq!(wrong.read(&events()[3..]).stored(&events()).violations(), [differs]);
}

#[test]
fn new_turn_and_text_so_far_replace_what_was_there() {
    let mut story = story().read(&events()[..3]);
    story.history.delta(story.reader, &delta(3, 1, 1, "a false start"));
    story.history.delta(story.reader, &delta(3, 2, 1, "one"));
    let mut again = subscribed(3, true);
    let (message, text) = (id(3), "one tw".to_owned());
    again.streaming.push(StreamingReply { message, turn: 2, chunk: 4, text });
    story.history.subscribed(story.reader, Some(3), &again);
    story.history.delta(story.reader, &delta(3, 2, 5, "o"));
    assert!(story.read(&events()[3..]).stored(&events()).history.finish().is_ok());
}

#[test]
fn list_over_http_is_compared_with_the_log() {
    let listed = |message: Message| {
        let mut story = story().stored(&events());
        story.history.listed(&message);
        story.violations()
    };
    assert_eq!(listed(message(2, 1)), [Violation::ListedElsewhere { seq: 2 }]);
    let EventBody::MessageCreated(reply) = reply(3, 3, 2).body else { unreachable!() };
    assert_eq!(listed((*reply).clone()), [Violation::ListedDifferently(id(3))]);
    let mut done = (*reply).clone();
    done.status = MessageStatus::Completed;
    done.body = "one two".to_owned();
    let mut story = story().stored(&events());
    story.history.listed(&done);
    assert!(story.history.finish().is_ok());
}

#[test]
fn text_that_was_lost_with_the_server_may_be_missing_at_the_end() {
    let mut story = story().read(&events()[..3]);
    story.history.delta(story.reader, &delta(3, 1, 1, "one two three"));
    story.history.subscribed(story.reader, Some(3), &subscribed(3, true));
    assert!(story.read(&events()[3..]).stored(&events()).history.finish().is_ok());
}
