//! Files that are not in order, each with the line and field that are told.

use parlor_protocol::room_file::LINE_MAX;
use serde_json::{Value, json};

use super::{
    ADA, BOB, GUIDE, TIME, begun, file, header, id, member, message, of, person, reaction, version,
    with,
};

/// What is wrong, where, and the file.
pub(super) type Broken = (&'static str, &'static str, String);

/// Returns all of them.
pub(super) fn broken() -> Vec<Broken> {
    [whole(), people(), messages(), parts(), times()].concat()
}

/// Times that are still to come.
fn times() -> Vec<Broken> {
    const LATER: &str = "2999-01-01T00:00:00.000Z";
    let room = json!({"slug": "den", "name": "Den", "kind": "private", "created_at": LATER});
    let pinned = json!({"pinned": {"by": ADA, "at": LATER}});
    let removed = json!({"body": "", "redacted_at": LATER});
    let edited = with(message(3, ADA, "x"), json!({"edits": 1, "edited_at": TIME}));
    vec![
        (
            "room of the future",
            "line 1: room.created_at",
            replaced(1, with(header(), json!({"room": room}))),
        ),
        (
            "member of the future",
            "line 5: joined_at",
            replaced(5, with(member(BOB, "member"), json!({"joined_at": LATER}))),
        ),
        (
            "message of the future",
            "line 9: created_at",
            third(with(message(3, ADA, "x"), json!({"created_at": LATER}))),
        ),
        (
            "edited in the future",
            "line 9: edited_at",
            third(with(edited.clone(), json!({"edited_at": LATER}))),
        ),
        ("removed in the future", "line 9: redacted_at", third(with(message(3, ADA, ""), removed))),
        ("pinned in the future", "line 9: pinned.at", third(with(message(3, ADA, "x"), pinned))),
        (
            "text of the future",
            "line 10: at",
            of(vec![
                message(1, ADA, "hi"),
                message(2, BOB, "ho"),
                edited,
                with(version(3, "w"), json!({"at": LATER})),
            ]),
        ),
        (
            "reaction of the future",
            "line 9: at",
            third(with(reaction(2, "👍", BOB), json!({"at": LATER}))),
        ),
    ]
}

/// A room without messages with another line in place of one.
fn replaced(line: usize, by: Value) -> String {
    let mut lines = begun();
    lines[line - 1] = by;
    file(&lines)
}

/// A room with two messages and another line after them.
fn third(line: Value) -> String {
    of(vec![message(1, ADA, "hi"), message(2, BOB, "ho"), line])
}

/// The file as a whole.
fn whole() -> Vec<Broken> {
    let mut files: Vec<Broken> = Vec::new();
    let mut add = |what: &'static str, place: &'static str, file: String| {
        files.push((what, place, file));
    };
    let good = of(vec![message(1, ADA, "hi")]);
    let misleading =
        json!({"slug": "den", "name": "de\u{430}n", "kind": "private", "created_at": TIME});
    add("other version", "line 1: version", replaced(1, with(header(), json!({"version": 2}))));
    add("other format", "line 1: format", replaced(1, with(header(), json!({"format": "x"}))));
    add("no format", "line 1: format", replaced(1, json!({"type": "person"})));
    add("name", "line 1: room.name", replaced(1, with(header(), json!({"room": misleading}))));
    add("empty", "line 1: type", String::new());
    add("cut", "line 8: type", good.split_inclusive('\n').take(7).collect());
    let seventh = good.match_indices('\n').nth(5).unwrap().0;
    add("cut in a line", "line 7", good.split_at(seventh + 20).0.to_owned());
    add("deep", "line 7", good.split_at(seventh + 1).0.to_owned() + &"[".repeat(5_000));
    add("changed", "line 8: sha256", good.replacen("\"hi\"", "\"ho\"", 1));
    add("counts", "line 8: messages", good.replacen("\"messages\":1", "\"messages\":2", 1));
    add("more", "line 9", format!("{good}{{}}\n"));
    add("garbage", "line 1", "\u{1}\u{2}garbage".to_owned());
    add("list", "line 1", "[1,2]\n".to_owned());
    files
}

/// People and members.
fn people() -> Vec<Broken> {
    let mut files: Vec<Broken> = Vec::new();
    let mut add = |what: &'static str, place: &'static str, file: String| {
        files.push((what, place, file));
    };
    add("kind of line", "line 7: type", of(vec![json!({"type": "poem"})]));
    add("same person", "line 7: id", of(vec![person(ADA, "ada3", "user")]));
    add(
        "same name",
        "line 7: username",
        of(vec![person("00000000-0000-4000-8000-00000000000d", "ADA", "user")]),
    );
    add(
        "look-alike",
        "line 7: display_name",
        of(vec![with(
            person("00000000-0000-4000-8000-00000000000d", "zoe", "user"),
            json!({"display_name": "z\u{43e}e"}),
        )]),
    );
    add(
        "name of a path",
        "line 7: username",
        of(vec![person("00000000-0000-4000-8000-00000000000d", "../x", "user")]),
    );
    add("unknown role", "line 7: role", of(vec![member(GUIDE, "emperor")]));
    add("bot as owner", "line 7: role", of(vec![member(GUIDE, "owner")]));
    add("member twice", "line 7: person", of(vec![member(BOB, "member")]));
    add("member late", "line 8: type", of(vec![message(1, ADA, "hi"), member(GUIDE, "member")]));
    add("stranger", "line 7: author", of(vec![message(1, &id(9), "hi")]));
    add("no owner", "line 7: members", replaced(3, member(ADA, "moderator")));
    files
}

/// Messages.
fn messages() -> Vec<Broken> {
    let mut files: Vec<Broken> = Vec::new();
    let mut add = |what: &'static str, place: &'static str, file: String| {
        files.push((what, place, file));
    };
    add("same message", "line 9: id", third(message(1, ADA, "hi")));
    add("order", "line 9: seq", third(with(message(3, ADA, "hi"), json!({"seq": 2}))));
    add("blank", "line 9: body", third(message(3, ADA, "  ")));
    add("control", "line 9: body", third(message(3, ADA, "a\u{0}b")));
    add(
        "reply to later",
        "line 9: reply_to",
        third(with(message(3, ADA, "x"), json!({"reply_to": id(4)}))),
    );
    add(
        "reply to itself",
        "line 9: reply_to",
        third(with(message(3, ADA, "x"), json!({"reply_to": id(3)}))),
    );
    add(
        "thread of none",
        "line 9: thread",
        third(with(message(3, ADA, "x"), json!({"thread": id(3)}))),
    );
    add(
        "nested thread",
        "line 9: thread",
        of(vec![
            message(1, ADA, "hi"),
            with(message(2, ADA, "x"), json!({"thread": id(1)})),
            with(message(3, ADA, "x"), json!({"thread": id(2)})),
        ]),
    );
    add(
        "mention twice",
        "line 9: mentions[1]",
        third(with(message(3, ADA, "x"), json!({"mentions": [BOB, BOB]}))),
    );
    add(
        "removed text",
        "line 9: body",
        third(with(message(3, ADA, "secret"), json!({"redacted_at": TIME}))),
    );
    files
}

/// States of messages, and what belongs to them.
fn parts() -> Vec<Broken> {
    let mut files: Vec<Broken> = Vec::new();
    let mut add = |what: &'static str, place: &'static str, file: String| {
        files.push((what, place, file));
    };
    add(
        "still streaming",
        "line 9: status",
        third(with(message(3, ADA, "x"), json!({"status": "streaming"}))),
    );
    add(
        "reply of a person",
        "line 9: status",
        third(with(message(3, ADA, "x"), json!({"status": "completed"}))),
    );
    add(
        "time",
        "line 9: created_at",
        third(with(message(3, ADA, "x"), json!({"created_at": "noon"}))),
    );
    add("version of an unchanged one", "line 9: message", third(version(2, "old")));
    add("version of another", "line 9: message", third(version(1, "old")));
    add(
        "reaction twice",
        "line 10: by",
        of(vec![
            message(1, ADA, "hi"),
            message(2, BOB, "ho"),
            reaction(2, "👍", BOB),
            reaction(2, "👍", BOB),
        ]),
    );
    add("reaction of spaces", "line 9: emoji", third(reaction(2, "a b", BOB)));
    add("long line", "line 7", of(vec![message(1, ADA, &"x".repeat(LINE_MAX))]));
    files
}
