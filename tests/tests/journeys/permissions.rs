//! Who may do what: every operation of the HTTP API and every command, for everyone.
//!
//! `permissions/calls.txt` and `permissions/commands.txt` are the tables of what is expected. An
//! operation that the server documents and the table does not have fails the test, so whoever adds
//! one says who may call it. Whoever may not know of a room gets the answer that a room gives that
//! does not exist, to the letter.

mod cast;
mod commands;
mod hidden;
mod table;

use reqwest::Method;

use crate::{
    MACHINE,
    rest::Answer,
    stage::{Place, in_both_places},
};

use cast::{Cast, ORDER, Role, Scene};
use table::{Document, Row};

/// The table of the HTTP API.
const CALLS: &str = "calls.txt";

/// Returns the letter that the tables have for an answer.
fn letter(answer: &Answer) -> char {
    if answer.status.is_success() {
        return '+';
    }
    match answer.body["code"].as_str() {
        Some(code) => letter_of(code),
        None => '?',
    }
}

/// Returns the letter that the tables have for a code.
fn letter_of(code: &str) -> char {
    match code {
        "unauthenticated" => 'u',
        "not_found" => 'n',
        "not_a_member" => 'm',
        "forbidden" => 'f',
        "conflict" => 'c',
        "validation_failed" => 'v',
        "bad_request" => 'b',
        "unsupported" => 's',
        _ => '?',
    }
}

async fn everyone_gets_the_expected_answer_to_every_call(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let document = Document::of(stage.addr()).await;
    let rows = table::read(CALLS);
    document.expect_each_in(&rows);
    let mut cast = Cast::assemble(stage.addr()).await;
    let mut scenes = Vec::new();
    let shared = cast.scenes().await;
    for row in &rows {
        let own = if row.fresh { Some(cast.scenes().await) } else { None };
        scenes.push(own);
    }
    cast.deactivate().await;

    let mut wrong = Vec::new();
    for (row, own) in rows.iter().zip(&scenes) {
        let (method, path) = document.operation(&row.operation);
        let pair = own.as_ref().unwrap_or(&shared);
        let one = if path.contains("{room}") { &pair[..] } else { &pair[..1] };
        for (scene, expected) in one.iter().zip([&row.public, &row.private]) {
            // The proxy before a cluster does not let people see the metrics.
            let closed = place == Place::Cluster && row.operation == "get_metrics";
            let expected = if closed { &"?".repeat(ORDER.len()) } else { expected };
            let got = answers(&cast, scene, row, method, path).await;
            if got != *expected {
                wrong.push(format!("{:<20} {:?} {got}, expected {expected}", row.text, scene.kind));
            }
        }
    }
    let order = ORDER.map(|role| format!("{role:?}")).join(", ");
    assert!(wrong.is_empty(), "the letters are for {order}:\n{}", wrong.join("\n"));
}

/// Returns the letters of everyone's answers. Those who may do most come last, because then there
/// may be nothing left.
async fn answers(cast: &Cast, scene: &Scene, row: &Row, method: &Method, path: &str) -> String {
    let mut letters = [' '; ORDER.len()];
    let most_last = [
        Role::Nobody,
        Role::Deactivated,
        Role::Stranger,
        Role::Banned,
        Role::Admin,
        Role::Muted,
        Role::Member,
        Role::Moderator,
        Role::Owner,
    ];
    for role in most_last {
        let caller = cast.caller(role, row.login).await;
        let filled = cast.fill(path, role, scene, row).await;
        let body = row.body.as_deref().map(|body| {
            let body = cast.fill_body(body, role, scene);
            serde_json::from_str(&body).unwrap_or_else(|error| panic!("{}: {error}", row.text))
        });
        let answer = caller.call(method.clone(), &filled, body).await;
        let place = ORDER.iter().position(|one| *one == role).unwrap();
        letters[place] = letter(&answer);
    }
    letters.iter().collect()
}

in_both_places!(
    everyone_gets_the_expected_answer_to_every_call,
    everyone_gets_the_expected_answer_to_every_command,
    hidden_room_answers_as_one_that_does_not_exist,
);

use commands::everyone_gets_the_expected_answer_to_every_command;
use hidden::hidden_room_answers_as_one_that_does_not_exist;
