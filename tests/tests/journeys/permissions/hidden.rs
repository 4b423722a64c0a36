//! Rooms that someone may not know of.

use reqwest::Method;
use serde_json::Value;

use super::{
    cast::{Cast, Kind, Role, Scene},
    table::{self, Document, Row},
};
use crate::{
    MACHINE,
    rest::{Answer, Caller},
    stage::Place,
};

/// Names that no room has.
const NO_SLUG: &str = "there-is-no-such-room";
const NO_ID: &str = "0190a8c0-0000-7000-8000-000000000000";

/// Whoever may not know of a room gets the same answer as for one that is not there: from every
/// operation, by its name and by its id. So nobody finds out which rooms there are.
pub(super) async fn hidden_room_answers_as_one_that_does_not_exist(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let document = Document::of(stage.addr()).await;
    let rows = table::read(super::CALLS);
    let mut cast = Cast::assemble(stage.addr()).await;
    let scenes = cast.scenes().await;
    cast.deactivate().await;
    let [_, hidden] = &scenes;
    assert_eq!(hidden.kind, Kind::Private);

    let mut wrong = Vec::new();
    for (operation, method, path) in document.in_rooms() {
        for row in rows.iter().filter(|row| row.operation == operation) {
            for role in [Role::Stranger, Role::Banned, Role::Admin] {
                let caller = cast.caller(role, false).await;
                let ask = Ask { cast: &cast, caller, role, hidden, row, method, path };
                for (there, not_there) in [(&hidden.slug, NO_SLUG), (&hidden.id, NO_ID)] {
                    let (one, other) = (ask.at(there).await, ask.at(not_there).await);
                    if one != other || one["code"] != "not_found" {
                        wrong.push(format!("{} as {role:?}: {one} and {other}", row.text));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    messages_of_hidden_rooms_are_not_found_by_way_of_other_rooms(&cast, &scenes, &document, &rows)
        .await;
}

/// One who is in a room does not reach through it for what is in another.
async fn messages_of_hidden_rooms_are_not_found_by_way_of_other_rooms(
    cast: &Cast,
    [open, hidden]: &[Scene; 2],
    document: &Document,
    rows: &[Row],
) {
    let stranger = cast.caller(Role::Stranger, false).await;
    let join = format!("/v1/rooms/{}/members/me", open.slug);
    stranger.put(&join, serde_json::json!({})).await.ok();
    let mut wrong = Vec::new();
    for (operation, method, path) in document.in_rooms().filter(|row| row.2.contains("{message}")) {
        for row in rows.iter().filter(|row| row.operation == operation) {
            let ask = Ask {
                cast,
                caller: stranger.clone(),
                role: Role::Stranger,
                hidden,
                row,
                method,
                path: &path.replace("{message}", "{own}"),
            };
            let (one, other) = (ask.at(&open.slug).await, ask.nothing_at(&open.slug).await);
            if one != other || one["code"] == Value::Null {
                wrong.push(format!("{}: {one} and {other}", row.text));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// One call of one who may not know of a room.
struct Ask<'a> {
    cast: &'a Cast,
    caller: Caller,
    role: Role,
    hidden: &'a Scene,
    row: &'a Row,
    method: &'a Method,
    path: &'a str,
}

impl Ask<'_> {
    /// Asks about a room, with everything else as it is in the hidden one.
    async fn at(&self, room: &str) -> Value {
        self.call(self.path.replace("{room}", room)).await
    }

    /// Asks about a message that is nowhere.
    async fn nothing_at(&self, room: &str) -> Value {
        self.call(self.path.replace("{room}", room).replace("{own}", NO_ID)).await
    }

    async fn call(&self, path: String) -> Value {
        let filled = self.cast.fill(&path, self.role, self.hidden, self.row).await;
        let body = self.row.body.as_deref().map(|body| {
            serde_json::from_str(&self.cast.fill_body(body, self.role, self.hidden)).unwrap()
        });
        let Answer { status, mut body } =
            self.caller.call(self.method.clone(), &filled, body).await;
        // Each answer has an id of its own.
        body["request_id"] = status.as_u16().into();
        body
    }
}
