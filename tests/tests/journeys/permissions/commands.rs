//! The commands of the WebSocket, for everyone who can connect.

use std::collections::BTreeSet;

use parlor_testkit::socket::{Options, Socket};
use serde_json::Value;

use super::{
    cast::{Cast, ORDER, Role, Scene},
    letter_of,
    table::{self, Row},
};
use crate::{MACHINE, rest::Caller, stage::Place};

/// The table of the commands.
const COMMANDS: &str = "commands.txt";

pub(super) async fn everyone_gets_the_expected_answer_to_every_command(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let addr = stage.addr();
    let rows = table::read(COMMANDS);
    let asyncapi = Caller::anonymous(addr).get("/asyncapi.json").await.ok();
    let expected: BTreeSet<String> = rows.iter().map(|row| row.operation.clone()).collect();
    assert_eq!(
        table::commands(&asyncapi),
        expected,
        "say in tests/tests/journeys/permissions/commands.txt who may send each command"
    );
    let mut cast = Cast::assemble(addr).await;
    let scenes = cast.scenes().await;
    cast.deactivate().await;

    let mut wrong = Vec::new();
    for row in &rows {
        for (scene, letters) in scenes.iter().zip([&row.public, &row.private]) {
            let mut got = String::new();
            for role in ORDER {
                let token = match role {
                    Role::Nobody => "nobody".to_owned(),
                    _ => cast.caller(role, false).await.token().to_owned(),
                };
                got.push(match Socket::try_open(addr, &token, &Options::default()).await {
                    Ok(socket) => answer(socket, &cast, role, scene, row, &token).await,
                    Err(_) => 'u',
                });
            }
            if got != *letters {
                wrong.push(format!("{} {:?}: {got}, expected {letters}", row.text, scene.kind));
            }
        }
    }
    let order = ORDER.map(|role| format!("{role:?}")).join(", ");
    assert!(wrong.is_empty(), "the letters are for {order}:\n{}", wrong.join("\n"));
}

/// Sends a command and returns the letter of its answer. Commands that are answered only when they
/// are refused were carried out when the `pong` to a later `ping` comes first.
async fn answer(
    mut socket: Socket,
    cast: &Cast,
    role: Role,
    scene: &Scene,
    row: &Row,
    token: &str,
) -> char {
    let body = cast.fill_body(row.body.as_deref().unwrap_or("{}"), role, scene);
    let mut frame: Value = serde_json::from_str(&body.replace("$token", token)).unwrap();
    frame["op"] = row.operation.clone().into();
    if !["ping", "hello"].contains(&row.operation.as_str()) {
        frame["id"] = "asked".into();
    }
    // A second connection would see who is connected; one at a time is enough here.
    socket.send_text(&frame.to_string()).await.unwrap();
    socket.send_text(r#"{"op":"ping"}"#).await.unwrap();
    let letter = loop {
        let frame = serde_json::to_value(socket.next_frame().await).unwrap();
        let is_answer = frame["re"] == "asked";
        match frame["op"].as_str() {
            Some("error") if is_answer || frame["re"].is_null() => {
                break letter_of(frame["code"].as_str().unwrap_or_default());
            }
            Some("ok" | "subscribed") if is_answer => break '+',
            // It may be answered later than the `ping` when it is carried out elsewhere.
            Some("pong") if !answered(&row.operation) => break '+',
            _ => {}
        }
    };
    socket.close().await;
    letter
}

/// Tells whether a command is answered in any case.
fn answered(command: &str) -> bool {
    matches!(
        command,
        "subscribe" | "unsubscribe" | "publish" | "read" | "cancel" | "refresh" | "command"
    )
}
