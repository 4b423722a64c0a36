//! `tail`: follows a room through lost connections, one line for each event or message.

use anyhow::Context as _;
use clap::Args;
use parlor_client::{ClientError, Feed, Http, MessageQuery, Update};
use parlor_protocol::code::Problem;
use parlor_protocol::command::Since;
use parlor_protocol::event::{Event, EventBody};
use parlor_protocol::limits::PAGE_MAX;
use parlor_protocol::message::{Message, MessageStatus};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::context::Context;
use crate::output::Out;
use crate::render::Style;

/// Replies whose beginning is remembered until they end.
const OPEN_MAX: usize = 256;

#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// Room, by id or short name
    room: String,
    /// Begin after this position [default: now]
    #[arg(long, value_name = "SEQ")]
    since: Option<u64>,
    /// End after so many lines
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

pub(crate) async fn run(args: &TailArgs, context: &Context) -> anyhow::Result<()> {
    let http = context.http()?;
    // Before anything else, so that a missing login is told at once.
    http.access_token().await.context("follow the room")?;
    let (feed, mut updates) = Feed::start(http.clone());
    feed.subscribe(args.room.as_str(), args.since.map(Since::Seq)).await?;
    let mut tail = Tail {
        http,
        context,
        style: Style { color: context.out.color },
        open: Vec::new(),
        last: args.since.unwrap_or(0),
        left: args.count,
    };
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
    while tail.left != Some(0) {
        let update = tokio::select! {
            biased;
            _ = interrupt.recv() => break,
            update = updates.next() => update,
        };
        match update {
            Some(update) => tail.take(update, &args.room).await?,
            None => break,
        }
    }
    feed.close().await;
    Ok(())
}

struct Tail<'a> {
    http: Http,
    context: &'a Context,
    style: Style,
    /// Replies that are being written.
    open: Vec<Message>,
    /// The last position that was seen.
    last: u64,
    /// Lines until the end.
    left: Option<u64>,
}

impl Tail<'_> {
    async fn take(&mut self, update: Update, room: &str) -> anyhow::Result<()> {
        let out = self.context.out;
        match update {
            Update::Event(event) => {
                self.last = event.seq;
                self.event(*event)?;
            }
            Update::Subscribed { position, .. } => self.last = self.last.max(position.seq),
            Update::Resynced { room: id, from, reason } => {
                if out.json {
                    let gap = json!({"op": "resync", "room": id, "from": from, "reason": reason});
                    self.line(|out| out.json(&gap))?;
                } else {
                    self.read_history(room, from).await?;
                }
                self.last = from;
            }
            Update::Disconnected { error, retry_in } => {
                let pause = retry_in.as_secs_f32();
                out.note(&format!("{error}; trying again in {pause:.1} s"));
            }
            Update::Refused { code, detail, .. } => {
                let refused = ClientError::from(Problem::new(code, detail));
                return Err(refused).context("follow the room");
            }
            Update::Ended(error) => return Err(error).context("follow the room"),
            Update::Connected(_) | Update::Signal(_) => {}
        }
        Ok(())
    }

    fn event(&mut self, event: Event) -> anyhow::Result<()> {
        if self.context.out.json {
            return self.line(|out| out.json(&event));
        }
        match event.body {
            EventBody::MessageCreated(message) if message.status == MessageStatus::Streaming => {
                if self.open.len() == OPEN_MAX {
                    self.open.remove(0);
                }
                self.open.push(*message);
                Ok(())
            }
            EventBody::MessageCreated(message) => self.message(&message),
            EventBody::MessageCompleted(end) => {
                // A reply that began before us is known by its end only.
                let place = self.open.iter().position(|message| message.id == end.message);
                let Some(mut message) = place.map(|place| self.open.remove(place)) else {
                    return Ok(());
                };
                message.body = end.body;
                message.status = end.status;
                message.error = end.error;
                self.message(&message)
            }
            _ => Ok(()),
        }
    }

    fn message(&mut self, message: &Message) -> anyhow::Result<()> {
        let text = self.style.message(message);
        self.line(|out| out.text(&text))
    }

    /// Writes the messages that came in a time that events cannot bring back.
    async fn read_history(&mut self, room: &str, through: u64) -> anyhow::Result<()> {
        while self.last < through && self.left != Some(0) {
            let query = MessageQuery {
                after: Some(self.last),
                limit: Some(PAGE_MAX),
                ..MessageQuery::default()
            };
            let page = self.http.messages(room, &query).await.context("read the history")?;
            let Some(newest) = page.items.last().map(|message| message.seq) else { break };
            for message in page.items.iter().filter(|message| message.seq <= through) {
                self.message(message)?;
            }
            self.last = newest;
        }
        Ok(())
    }

    fn line(&mut self, write: impl FnOnce(Out) -> std::io::Result<()>) -> anyhow::Result<()> {
        if self.left == Some(0) {
            return Ok(());
        }
        write(self.context.out)?;
        self.left = self.left.map(|left| left - 1);
        Ok(())
    }
}
