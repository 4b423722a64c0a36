//! Making a room of a file.
//!
//! The file is read line by line and written in parts, into a room that nobody sees. The room
//! becomes visible when the last line has proved that the file is whole; else all of it is taken
//! back, by this process or, if that has died, by whoever finds the import idle.

mod lines;
mod message;
mod people;
mod reader;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, BodyDataStream};
use axum::extract::State;
use http::StatusCode;
use parlor_domain::naming::check_slug;
use parlor_protocol::code::{Code, FieldError};
use parlor_protocol::http::{ImportReport, Scope};
use parlor_protocol::id::RoomId;
use parlor_store::record::{ImportEnd, ImportRefused, NewImport, RoomRecord};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};

use self::lines::Lines;
use self::people::People;
use self::reader::Reader;
use super::endpoint::{Access, Endpoint};
use super::extract::InQuery;
use super::view::show_room;
use crate::node::{Caller, Node};
use crate::refusal::{Outcome, Refusal};

/// Short names that are tried when the one of the file is taken.
const SLUGS: u32 = 100;
/// Lines after which others get their turn.
const LINES: u64 = 32;
/// How often imports that have died are looked for, at least and at most.
const SWEEP: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/v1/rooms/import", "import_room", import_room)
            .scope(Scope::Admin)
            .about("Rooms", "Make a room of a file")
            .details(
                "The file is what `GET /v1/rooms/{room}/export` gives. People of the file become \
                 accounts that cannot log in, unless `map` says who they are here. All of the file \
                 is taken in, or nothing; a refusal names the line and the field.",
            )
            .access(Access::Admin)
            .query::<ImportQuery>()
            .streams::<String>("application/jsonl")
            .answers::<ImportReport>(201, "The room was made.")
            .answers::<ImportReport>(200, "The file is in order; nothing was made of it.")
            .refuses(&[Code::Conflict])
            .own_time_limit(),
    ]
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct ImportQuery {
    /// Who people of the file are here: `old=new,old=new`, by their user names.
    map: String,
    /// Only checks the file.
    dry_run: bool,
}

/// Refuses a line of a file.
fn refuse(line: u64, field: &str, code: &str, detail: &str) -> Refusal {
    let place =
        if field.is_empty() { format!("line {line}") } else { format!("line {line}: {field}") };
    let said = if field.is_empty() {
        format!("Line {line} {detail}.")
    } else {
        format!("Line {line}: `{field}` {detail}.")
    };
    let error = FieldError { field: place, code: code.to_owned(), detail: detail.to_owned() };
    Refusal { errors: vec![error], ..Refusal::new(Code::ValidationFailed, said) }
}

async fn import_room(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InQuery(query): InQuery<ImportQuery>,
    body: Body,
) -> Outcome<(StatusCode, Json<ImportReport>)> {
    // One at a time: what is remembered of a file is bounded for each.
    let Ok(place) = Arc::clone(&node.importing).try_acquire_owned() else {
        return Err(Refusal::unavailable("Another file is being imported; try again later."));
    };
    let status = if query.dry_run { StatusCode::OK } else { StatusCode::CREATED };
    let (answer, answered) = oneshot::channel();
    let lifecycle = node.lifecycle.clone();
    let chunks = body.into_data_stream();
    // Whoever goes away in the middle must not keep it from being taken back.
    lifecycle.spawn("import", async move {
        let imports = node.metrics.http.imports.clone();
        let outcome = run(node, caller, query, chunks).await;
        let counted = match &outcome {
            Ok(report) if report.dry_run => "checked",
            Ok(_) => "done",
            Err(refusal) if refusal.code.status() < 500 => "refused",
            Err(_) => "failed",
        };
        imports.with_label_values(&[counted]).inc();
        // Whoever has the answer may come with the next file.
        drop(place);
        drop(answer.send(outcome));
    });
    let report = answered.await.map_err(|_| stopped())??;
    Ok((status, Json(report)))
}

fn stopped() -> Refusal {
    Refusal::unavailable("The server stops; nothing was imported.")
}

async fn run(
    node: Arc<Node>,
    caller: Caller,
    query: ImportQuery,
    chunks: BodyDataStream,
) -> Outcome<ImportReport> {
    let limits = &node.config.limits;
    let mut lines = Lines::new(chunks, limits.import.get(), limits.request_timeout);
    let room = RoomId(node.clock.new_id());
    let draining = node.lifecycle.draining();
    let outcome = tokio::select! {
        biased;
        outcome = import(&node, &caller, &query, room, &mut lines) => outcome,
        () = draining.cancelled() => Err(stopped()),
    };
    if outcome.is_err() {
        lines.discard().await;
        if !query.dry_run {
            take_back(&node, room).await;
        }
    }
    outcome
}

async fn import(
    node: &Arc<Node>,
    caller: &Caller,
    query: &ImportQuery,
    room: RoomId,
    lines: &mut Lines,
) -> Outcome<ImportReport> {
    let people = People::mapped(node, &query.map).await?;
    let mut reader = Reader::new(Arc::clone(node), room, caller.user.clone(), people);
    if !query.dry_run {
        let import = NewImport { room, importer: caller.user.id, at: node.now() };
        node.store.begin_import(import).await?;
    }
    while let Some(line) = lines.next().await? {
        let number = lines.number();
        reader.read(number, &line, lines.hash_before()).await?;
        write(&mut reader, query.dry_run, false).await?;
        if number.is_multiple_of(LINES) {
            tokio::task::yield_now().await;
        }
    }
    write(&mut reader, query.dry_run, true).await?;
    let Some(end) = reader.finish() else {
        let detail = "is missing: the file was cut, its last line must be of the type `end`";
        return Err(refuse(lines.number() + 1, "type", "cut", detail));
    };
    let room = if query.dry_run {
        None
    } else {
        let room = finish(node, end).await?;
        Some(show_room(node, room.id, caller.user.id).await?)
    };
    Ok(ImportReport {
        dry_run: query.dry_run,
        room,
        counts: reader.counts,
        attachments_left_out: reader.attachments,
        people: reader.people.report,
    })
}

async fn write(reader: &mut Reader, dry_run: bool, due: bool) -> Outcome<()> {
    if let Some(part) = reader.take_part(due)
        && !dry_run
    {
        reader.node.store.write_import(reader.room, part).await?.map_err(refused)?;
    }
    Ok(())
}

/// Makes the room visible. A short name that is taken gets a number.
async fn finish(node: &Node, end: ImportEnd) -> Outcome<RoomRecord> {
    let slug = end.slug.clone();
    for number in 1..=SLUGS {
        let end = ImportEnd { slug: numbered(&slug, number), ..end.clone() };
        match node.store.finish_import(end).await? {
            Err(ImportRefused::Slug) => {}
            finished => return finished.map_err(refused),
        }
    }
    Err(refused(ImportRefused::Slug))
}

fn numbered(slug: &str, number: u32) -> String {
    if number == 1 {
        return slug.to_owned();
    }
    let tail = format!("-{number}");
    let head: String = slug.chars().take(64 - tail.len()).collect();
    let slug = format!("{}{tail}", head.trim_end_matches('-'));
    // A name of hexadecimal digits would look like an id.
    if check_slug(&slug).is_ok() { slug } else { format!("room{tail}") }
}

fn refused(refused: ImportRefused) -> Refusal {
    match refused {
        ImportRefused::Gone => Refusal::unavailable("The import took too long and was taken back."),
        ImportRefused::Username | ImportRefused::Slug => Refusal::new(
            Code::Conflict,
            "A name was taken by someone else in the meantime; import the file again.",
        ),
        ImportRefused::TooManyMembers => {
            Refusal::new(Code::Conflict, "The room has more members than a room may have.")
        }
    }
}

async fn take_back(node: &Node, room: RoomId) {
    if let Err(error) = node.store.abandon_import(room).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "an import that was not finished is taken back later"
        );
    }
}

/// Takes back imports whose processes have died.
pub(crate) async fn sweep(node: Arc<Node>) {
    let idle = node.config.limits.import_idle;
    let draining = node.lifecycle.draining();
    let mut tick = interval((idle / 2).clamp(SWEEP.0, SWEEP.1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = draining.cancelled() => return,
            _ = tick.tick() => {}
        }
        match node.store.list_idle_imports(idle).await {
            Ok(imports) => {
                for room in imports {
                    tracing::info!(%room, "an import that was not finished is taken back");
                    take_back(&node, room).await;
                }
            }
            Err(error) => tracing::debug!(%error, "imports could not be listed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_short_name_gets_a_number() {
        assert_eq!(numbered("den", 1), "den");
        assert_eq!(numbered("den", 2), "den-2");
        let long = numbered(&"a".repeat(64), 12);
        assert!(long.len() <= 64 && long.ends_with("-12"), "{long}");
        assert!(check_slug(&long).is_ok());
    }
}
