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
use parlor_store::StoreError;
use parlor_store::record::{ImportEnd, ImportRefused, NewImport};
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
    let read = tokio::select! {
        biased;
        read = read(&node, &caller, &query, room, &mut lines) => read,
        () = draining.cancelled() => Err(stopped()),
    };
    let outcome = match read {
        // Also while the node stops: whoever has sent all of it is told what became of it.
        Ok((reader, end)) => conclude(&node, &caller, &query, reader, end).await,
        Err(refusal) => {
            lines.discard().await;
            Err(refusal)
        }
    };
    if outcome.is_err() && !query.dry_run {
        take_back(&node, room).await;
    }
    outcome
}

/// Reads a file to its end, and writes all but the end of it.
async fn read(
    node: &Arc<Node>,
    caller: &Caller,
    query: &ImportQuery,
    room: RoomId,
    lines: &mut Lines,
) -> Outcome<(Reader, ImportEnd)> {
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
    Ok((reader, end))
}

async fn conclude(
    node: &Node,
    caller: &Caller,
    query: &ImportQuery,
    reader: Reader,
    end: ImportEnd,
) -> Outcome<ImportReport> {
    let room = if query.dry_run {
        None
    } else {
        finish(node, end).await?;
        // What is only needed for taking it back.
        clear(node, reader.room).await;
        let shown = show_room(node, reader.room, caller.user.id).await;
        let unseen = |_| Refusal::unavailable("The room was made, but cannot be shown now.");
        Some(shown.map_err(unseen)?)
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
async fn finish(node: &Node, end: ImportEnd) -> Outcome<()> {
    let slug = end.slug.clone();
    for number in 1..=SLUGS {
        let end = ImportEnd { slug: numbered(&slug, number), ..end.clone() };
        let room = end.room;
        match node.store.finish_import(end).await {
            Ok(Err(ImportRefused::Slug)) => {}
            Ok(finished) => return finished.map(drop).map_err(refused),
            // It may be finished for all that. If not, it never is.
            Err(error) => {
                let given_up = node.store.give_up_import(room).await;
                return if given_up.is_ok_and(|given_up| !given_up) {
                    Ok(())
                } else {
                    Err(error.into())
                };
            }
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
        ImportRefused::Gone => Refusal::unavailable(
            "Nothing came of the file for too long, so it was given up; import it again.",
        ),
        ImportRefused::Person => Refusal::new(
            Code::Conflict,
            "Somebody whom the map or the file names was erased in the meantime, or is not here for \
             good; import the file again without them.",
        ),
        ImportRefused::Username | ImportRefused::Slug => Refusal::new(
            Code::Conflict,
            "A name was taken by someone else in the meantime; import the file again.",
        ),
        ImportRefused::TooManyMembers => {
            Refusal::new(Code::Conflict, "The room has more members than a room may have.")
        }
    }
}

/// Gives an import up and takes back what it brought.
async fn take_back(node: &Node, room: RoomId) {
    match node.store.give_up_import(room).await {
        Ok(_) => clear(node, room).await,
        Err(error) => tell_of_rest(&error),
    }
}

/// Clears what is left of an import, step by step. A node that stops leaves the rest to the next one.
async fn clear(node: &Node, room: RoomId) {
    let draining = node.lifecycle.draining();
    loop {
        match node.store.clear_import(room).await {
            Ok(true) if !draining.is_cancelled() => {}
            Ok(_) => return,
            Err(error) => return tell_of_rest(&error),
        }
    }
}

fn tell_of_rest(error: &StoreError) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "what is left of an import is cleared later"
    );
}

/// Takes back imports whose processes have died, and clears what is left of others. At the start of a
/// process that is alone all of them were given up.
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
                    tracing::info!(%room, "an import that has ended is cleared");
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
