//! The rules about members, changes and canaries catch their planted faults.

use parlor_protocol::{
    event::{LeaveReason, MemberChange, MessageEdited, MessageRedacted},
    room::Role,
};

use super::{tests::*, *};

fn membership(seq: u64, is_member: bool) -> Event {
    let change = MemberChange {
        user: message(1, 1).sender,
        role: Role::Member,
        reason: (!is_member).then_some(LeaveReason::Kicked),
        muted_until: None,
        reason_text: None,
    };
    let body = if is_member { EventBody::MemberJoined } else { EventBody::MemberLeft };
    event(seq, body(change))
}

fn edited(seq: u64, number: u64, body: &str) -> Event {
    let (message, body) = (id(number), body.to_owned());
    event(
        seq,
        EventBody::MessageEdited(MessageEdited {
            message,
            body,
            edited_at: at(),
            mentions: Vec::new(),
            mentions_room: false,
        }),
    )
}

fn redacted(seq: u64, number: u64) -> Event {
    event(seq, EventBody::MessageRedacted(MessageRedacted { message: id(number) }))
}

fn without_text(mut event: Event) -> Event {
    if let EventBody::MessageCreated(message) = &mut event.body {
        message.body.clear();
    }
    event
}

fn found(mut history: History, log: &[Event]) -> Vec<Violation> {
    for event in log {
        history.stored(event);
    }
    history.finish().err().unwrap_or_default()
}

/// A history in which messages of these numbers were written and acknowledged at their numbers.
fn with_messages(numbers: &[u64]) -> History {
    let mut history = History::new();
    for &number in numbers {
        history.wrote(&format!("c{number}"), &format!("body {number}"), false);
        history.acknowledged_at(&format!("c{number}"), number, id(number));
    }
    history
}

#[test]
fn member_that_is_told_something_after_the_removal_is_found() {
    let log = [membership(1, true), membership(2, false), room_updated(3), membership(4, true)];
    let mut history = History::new();
    let reader = history.member("ada");
    history.subscribed(reader, None, &subscribed(1, false));
    for event in &log[1..3] {
        history.event(reader, event);
    }

    let found = found(history, &log);

    let told = Violation::ToldAfterRemoval { name: "ada".to_owned(), removed: 2, told: 3 };
    assert!(found.contains(&told), "{found:?}");
}

#[test]
fn stranger_that_may_follow_is_found_and_a_returned_member_is_not() {
    let log = [membership(1, true), membership(2, false), room_updated(3), membership(4, true)];
    let follow = |head: u64| {
        let mut history = History::new();
        let reader = history.member("ada");
        history.subscribed(reader, None, &subscribed(1, false));
        history.event(reader, &log[1]);
        history.subscribed(reader, Some(2), &subscribed(head, true));
        for event in &log[2..] {
            history.event(reader, event);
        }
        found(history, &log)
    };

    let stranger = Violation::ToldAfterRemoval { name: "ada".to_owned(), removed: 2, told: 4 };
    assert!(follow(3).contains(&stranger));
    assert_eq!(follow(4), []);
}

#[test]
fn message_of_somebody_who_was_removed_is_found() {
    let log = [membership(1, true), membership(2, false), created(3, 3)];

    let found = found(with_messages(&[3]), &log);

    assert_eq!(found, [Violation::WrittenByStranger { seq: 3, name: "ada".to_owned() }]);
}

#[test]
fn text_that_is_given_after_its_redaction_is_found() {
    let log = [created(1, 1), redacted(2, 1)];
    let mut history = with_messages(&[1]);
    let (early, late) = (history.reader("early"), history.reader("late"));
    history.subscribing(early);
    history.redacts(id(1));
    history.redacted(id(1));
    history.subscribing(late);
    for (reader, first) in [(early, &log[0]), (late, &without_text(log[0].clone()))] {
        history.subscribed(reader, None, &subscribed(0, false));
        history.event(reader, first);
        history.event(reader, &log[1]);
    }
    assert_eq!(found(history, &[without_text(log[0].clone()), log[1].clone()]), []);

    let mut history = with_messages(&[1]);
    let late = history.reader("late");
    history.redacts(id(1));
    history.redacted(id(1));
    history.subscribing(late);
    history.subscribed(late, None, &subscribed(0, false));
    history.event(late, &log[0]);
    history.event(late, &log[1]);

    let found = found(history, &[without_text(log[0].clone()), log[1].clone()]);

    assert_eq!(found, [Violation::RedactedText { message: id(1), seq: 1 }]);
}

#[test]
fn text_that_is_still_stored_after_its_redaction_is_found() {
    let mut history = with_messages(&[1]);
    history.redacts(id(1));
    history.redacted(id(1));

    let found = found(history, &[created(1, 1), redacted(2, 1)]);

    assert_eq!(found, [Violation::RedactedText { message: id(1), seq: 1 }]);
}

#[test]
fn text_that_goes_away_without_a_redaction_is_found() {
    let found = found(with_messages(&[1]), &[without_text(created(1, 1))]);

    assert_eq!(found, [Violation::Disagree { seq: 1 }]);
}

#[test]
fn changes_that_are_lost_or_that_nobody_asked_for_are_found() {
    let mut history = with_messages(&[1, 2]);
    history.edits(id(1), "new");
    history.edited(id(1), "new");
    history.redacts(id(2));
    history.redacted(id(2));
    let found = found(history, &[created(1, 1), without_text(created(2, 2))]);
    assert!(found.contains(&Violation::EditLost(id(1))), "{found:?}");
    assert!(found.contains(&Violation::RedactionLost(id(2))), "{found:?}");

    let log = [without_text(created(1, 1)), redacted(2, 1), edited(3, 1, "whose")];
    let found = self::found(with_messages(&[1]), &log);
    assert!(found.contains(&Violation::RedactionUnasked(id(1))), "{found:?}");
    assert!(found.contains(&Violation::EditUnasked(id(1))), "{found:?}");
}

#[test]
fn refused_message_that_is_stored_is_found() {
    let mut history = History::new();
    history.wrote("c1", "body 1", false);
    history.refused("c1");

    let found = found(history, &[created(1, 1)]);

    assert_eq!(found, [Violation::RefusedButStored { client_id: "c1".to_owned(), seq: 1 }]);
}

#[test]
fn acknowledged_message_that_a_node_does_not_have_is_found() {
    let mut history = with_messages(&[1]);
    history.read_back("c1", Some(&message(1, 1)));
    history.read_back("c1", None);

    let found = found(history, &[created(1, 1)]);

    assert_eq!(found, [Violation::NotReadable { client_id: "c1".to_owned(), seq: 1 }]);
}

#[test]
fn text_of_another_room_is_found() {
    let mut history = History::new().with_canary(&canary("ours"));
    let body = format!("hello {}", canary("theirs"));
    history.wrote("c1", &body, false);
    let mut foreign = message(1, 1);
    foreign.body = body;

    let found = found(history, &[event(1, EventBody::MessageCreated(Box::new(foreign)))]);

    assert_eq!(found, [Violation::FromAnotherRoom { seq: 1, canary: canary("theirs") }]);
}

#[test]
fn reader_that_has_left_may_be_behind() {
    let follow = |leaves: bool| {
        let mut history = with_messages(&[1, 2]);
        let reader = history.reader("r");
        history.subscribed(reader, None, &subscribed(0, false));
        history.event(reader, &created(1, 1));
        if leaves {
            history.left(reader);
        }
        found(history, &[created(1, 1), created(2, 2)])
    };

    assert_eq!(follow(true), []);
    let behind = Violation::Behind { reader: "r".to_owned(), position: 1, head: 2 };
    assert_eq!(follow(false), [behind]);
}

#[test]
fn lost_pieces_are_forgiven_where_they_may_be_lost_but_stale_ones_are_not() {
    let mut history = with_messages(&[1]).with_lost_signals();
    history.wrote("c2", "body 2", true);
    history.acknowledged_at("c2", 2, id(2));
    let reader = history.reader("r");
    history.subscribed(reader, None, &subscribed(0, false));
    let log = [created(1, 1), created(2, 2), reply(3, 3, 2), completed(4, 3, "one two three")];
    for event in &log[..3] {
        history.event(reader, event);
    }
    history.delta(reader, &delta(3, 2, 1, "one"));
    history.delta(reader, &delta(3, 2, 3, " three"));
    history.delta(reader, &delta(3, 1, 4, " of an older turn"));
    history.event(reader, &log[3]);

    let found = found(history, &log);

    let stale = Violation::PieceNotNext { reader: "r".to_owned(), came: (1, 4), after: (2, 3) };
    assert_eq!(found, [stale]);
}
