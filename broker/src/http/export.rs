//! A room's whole history as a download, read page by page while it is sent.

pub(in crate::http) mod room_file;

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::HeaderValue;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use parlor_domain::permission::Action;
use parlor_protocol::code::Code;
use parlor_protocol::http::Scope;
use parlor_protocol::id::RoomRef;
use parlor_protocol::message::Message;
use parlor_store::record::Window;
use schemars::JsonSchema;
use serde::Deserialize;

use super::endpoint::{Endpoint, JSON};
use super::extract::{InPath, InQuery};
use super::view::find_room;
use crate::node::{Caller, Node};
use crate::reads::known::KnownRoom;
use crate::refusal::{Outcome, Refusal};

const JSONL: &str = "application/jsonl";
const MARKDOWN: &str = "text/markdown";
/// Messages that are read and sent at once.
const PAGE: u32 = 200;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/rooms/{room}/export", "export_room", export_room)
            .scope(Scope::Read)
            .about("Messages", "Download a room's history")
            .query::<ExportQuery>()
            .details(
                "JSON Lines are a file of the whole room, which can be imported. A download that \
                 breaks off is not complete: such a file lacks its last line.",
            )
            .answers_text(200, JSONL, "All messages, oldest first.")
            .also_as(JSON)
            .also_as(MARKDOWN)
            .refuses(&[Code::NotFound, Code::NotAMember])
            .own_time_limit(),
    ]
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct ExportQuery {
    /// How it is written; `jsonl` when absent.
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Format {
    /// The room as a file that can be imported.
    #[default]
    Jsonl,
    /// One array of messages.
    Json,
    /// Text for people.
    Markdown,
}

impl Format {
    const fn media_type(self) -> &'static str {
        match self {
            Self::Jsonl => JSONL,
            Self::Json => JSON,
            Self::Markdown => "text/markdown; charset=utf-8",
        }
    }

    const fn extension(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Json => "json",
            Self::Markdown => "md",
        }
    }
}

async fn export_room(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(room): InPath<RoomRef>,
    InQuery(query): InQuery<ExportQuery>,
) -> Outcome<Response> {
    let (room, _) = find_room(&node, &caller, &room, Action::Read).await?;
    node.rate.history.check(&caller.user.id)?;
    let format = query.format;
    let name = format!("attachment; filename=\"{}.{}\"", room.slug, format.extension());
    let body = match Readable::of(format) {
        None => {
            let mut pieces = room_file::begin(node, caller, room);
            // Who compresses it asks once more after the end.
            Body::from_stream(stream::poll_fn(move |context| pieces.poll_recv(context)))
        }
        Some(form) => {
            let export = Export { node, caller, room, form, after: 0, stage: Stage::Head };
            Body::from_stream(stream::try_unfold(export, Export::next))
        }
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    if let Ok(name) = HeaderValue::try_from(name) {
        headers.insert(CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// Forms that are for reading only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Readable {
    Json,
    Markdown,
}

impl Readable {
    const fn of(format: Format) -> Option<Self> {
        match format {
            Format::Jsonl => None,
            Format::Json => Some(Self::Json),
            Format::Markdown => Some(Self::Markdown),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Head,
    Pages { begun: bool },
    Done,
}

#[derive(Debug)]
struct Export {
    node: Arc<Node>,
    caller: Caller,
    room: Arc<KnownRoom>,
    form: Readable,
    after: u64,
    stage: Stage,
}

impl Export {
    /// Returns the next part. A failure in the middle breaks the download off, so that nobody takes
    /// a part for the whole.
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        let part = match self.stage {
            Stage::Done => return Ok(None),
            Stage::Head => {
                self.stage = Stage::Pages { begun: false };
                head(self.form, &self.room.name)
            }
            Stage::Pages { begun } => {
                let messages = self.read().await.map_err(io::Error::other)?;
                let Some(last) = messages.last() else {
                    self.stage = Stage::Done;
                    return Ok(Some((tail(self.form).into(), self)));
                };
                self.after = last.seq;
                self.stage = Stage::Pages { begun: true };
                let mut part = String::new();
                for (index, message) in messages.iter().enumerate() {
                    write(&mut part, self.form, message, begun || index > 0);
                }
                part
            }
        };
        Ok(Some((part.into(), self)))
    }

    /// Reads a page, if the caller is still a member.
    async fn read(&self) -> Result<Vec<Message>, Refusal> {
        check_login(&self.node, &self.caller)?;
        find_room(&self.node, &self.caller, &self.room.id.into(), Action::Read).await?;
        let window = Window::After(self.after);
        Ok(self.node.store.list_messages(self.room.id, window, PAGE).await?)
    }
}

/// Refuses to go on for a login that has ended in the meantime.
fn check_login(node: &Node, caller: &Caller) -> Outcome<()> {
    if node.revocations.is_revoked(caller.session) {
        return Err(Refusal::new(Code::Unauthenticated, "The login has ended; log in again."));
    }
    Ok(())
}

fn head(form: Readable, name: &str) -> String {
    match form {
        Readable::Json => "[".to_owned(),
        Readable::Markdown => format!("# {}\n", escape(name)),
    }
}

const fn tail(form: Readable) -> &'static str {
    match form {
        Readable::Markdown => "",
        Readable::Json => "\n]\n",
    }
}

fn write(part: &mut String, form: Readable, message: &Message, follows: bool) {
    match form {
        Readable::Json => {
            let json = serde_json::to_string(message).unwrap_or_default();
            part.extend([if follows { ",\n" } else { "\n" }, &*json]);
        }
        Readable::Markdown => {
            let name = escape(&message.sender.display_name);
            let body =
                if message.redacted_at.is_some() { "*(removed)*" } else { message.body.as_str() };
            let written = writeln!(
                part,
                "\n**{name}** (@{}), {}\n\n{body}",
                message.sender.username, message.created_at
            );
            written.expect("writing to a string cannot fail");
        }
    }
}

/// Names are text, not markup. Bodies are Markdown by their authors' wish.
fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii_punctuation() {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_not_markup() {
        assert_eq!(escape("Ada *the* [x](y)"), "Ada \\*the\\* \\[x\\]\\(y\\)");
    }

    #[test]
    fn empty_json_export_is_an_empty_array() {
        let text = format!("{}{}", head(Readable::Json, "x"), tail(Readable::Json));
        assert_eq!(serde_json::from_str::<Vec<u8>>(&text).unwrap(), Vec::<u8>::new());
    }
}
