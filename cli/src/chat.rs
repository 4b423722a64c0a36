//! `chat`: a talk in one room, line by line, with replies that appear as they are written.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use parlor_client::{ClientError, Feed, Http, MessageQuery, Publish, Update, Updates};
use parlor_protocol::command::{Position, Since};
use parlor_protocol::frame::Accepted;
use parlor_protocol::http::RunCommandRequest;
use parlor_protocol::id::{MessageId, RoomId, RoomRef};
use parlor_protocol::room::{Room, RoomKind};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

use crate::commands;
use crate::context::Context;
use crate::output::Out;
use crate::render::{Style, role_name, status_name};
use crate::rooms;
use input::Input;
use screen::Screen;

mod input;
mod screen;

/// Messages shown at the beginning.
const BACKLOG: u32 = 20;
/// How long the last messages may take when standard input has ended.
const LAST_WORDS: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(crate) struct ChatArgs {
    /// Room, by id or short name
    #[arg(default_value = "general")]
    room: String,
}

pub(crate) async fn run(args: &ChatArgs, context: &Context) -> anyhow::Result<()> {
    let http = context.http()?;
    let room = enter(&http, &args.room, context).await.context("enter the room")?;
    let style = Style { color: context.out.color };
    let (feed, updates) = Feed::start(http.clone());
    let mut chat = Chat {
        http,
        feed: feed.clone(),
        out: context.out,
        screen: Screen::new(style),
        room: room.id,
        sent: HashSet::new(),
        stopped: HashSet::new(),
        leaving: false,
    };
    chat.begin(&room).await?;
    let since = Position { epoch: room.epoch, seq: room.seq };
    feed.subscribe(room.id, Some(Since::Position(since))).await?;
    let outcome = chat.talk(updates).await;
    feed.close().await;
    outcome
}

/// Returns the room, and enters it when everyone may.
async fn enter(http: &Http, name: &str, context: &Context) -> anyhow::Result<Room> {
    let room = http.room(name).await?;
    if room.role.is_some() || room.kind != RoomKind::Public {
        return Ok(room);
    }
    rooms::join(http, name, None).await?;
    context.out.note(&format!("entered {}", room.slug));
    Ok(http.room(name).await?)
}

type Sending<'a> =
    std::pin::Pin<Box<dyn Future<Output = Result<Accepted, ClientError>> + Send + 'a>>;

struct Chat {
    http: Http,
    feed: Feed,
    out: Out,
    screen: Screen,
    room: RoomId,
    /// What was typed here and stands on the screen already.
    sent: HashSet<String>,
    /// Replies that were told to stop.
    stopped: HashSet<MessageId>,
    /// Ctrl-C was pressed once.
    leaving: bool,
}

impl Chat {
    async fn begin(&mut self, room: &Room) -> anyhow::Result<()> {
        let topic = if room.topic.is_empty() { String::new() } else { format!(": {}", room.topic) };
        self.screen.note(&format!("{}{topic}", room.name));
        self.screen.note("/help tells what you can do; Ctrl-C stops a reply");
        self.backlog(BACKLOG, room.seq).await?;
        self.show()
    }

    /// Shows the newest messages up to a position.
    async fn backlog(&mut self, limit: u32, through: u64) -> anyhow::Result<()> {
        let query = MessageQuery {
            before: through.checked_add(1),
            limit: Some(limit),
            ..MessageQuery::default()
        };
        let page = self.http.messages(&self.room.to_string(), &query).await;
        for message in page.context("read the history")?.items {
            self.screen.past(&message);
        }
        Ok(())
    }

    /// Writes what has gathered for the terminal.
    fn show(&mut self) -> anyhow::Result<()> {
        let text = self.screen.take();
        if !text.is_empty() {
            self.out.text(&text)?;
        }
        Ok(())
    }

    async fn talk(&mut self, mut updates: Updates) -> anyhow::Result<()> {
        let mut interrupt = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        let feed = self.feed.clone();
        let mut sending: FuturesUnordered<Sending<'_>> = FuturesUnordered::new();
        loop {
            // Not biased: a busy room must not keep the person from being heard.
            tokio::select! {
                line = lines.next_line() => {
                    let Some(line) = line.context("read what you type")? else { break };
                    if !self.obey(&line, &feed, &sending).await? {
                        break;
                    }
                    if let Some(publish) = self.publish(&line) {
                        sending.push(Box::pin(feed.publish_as(publish)));
                    }
                }
                update = updates.next() => {
                    let Some(update) = update else { return Ok(()) };
                    if let Some(lost) = self.take(update).await? {
                        feed.resubscribe(lost).await?;
                    }
                }
                Some(sent) = sending.next() => self.sent(sent),
                _ = interrupt.recv() => {
                    let stopped = self.stop(&feed, &sending);
                    if self.leaving && !stopped {
                        break;
                    }
                    self.leaving = true;
                    self.screen.note(if stopped {
                        "stopping the reply; Ctrl-C again leaves"
                    } else {
                        "Ctrl-C again leaves"
                    });
                }
            }
            self.show()?;
        }
        self.finish(sending, updates).await
    }

    /// Waits until what was typed last has been taken by the server.
    async fn finish(
        &mut self,
        mut sending: FuturesUnordered<Sending<'_>>,
        mut updates: Updates,
    ) -> anyhow::Result<()> {
        let patience = tokio::time::sleep(LAST_WORDS);
        tokio::pin!(patience);
        while !sending.is_empty() {
            tokio::select! {
                biased;
                Some(sent) = sending.next() => self.sent(sent),
                update = updates.next() => match update {
                    Some(update) => drop(self.take(update).await?),
                    None => break,
                },
                () = &mut patience => {
                    self.screen.note("the last messages were not acknowledged");
                    break;
                }
            }
        }
        self.screen.end();
        self.show()
    }

    /// Carries out what was typed, unless it is a message. Returns false at the end.
    async fn obey(
        &mut self,
        line: &str,
        feed: &Feed,
        sending: &FuturesUnordered<Sending<'_>>,
    ) -> anyhow::Result<bool> {
        self.leaving = false;
        match Input::parse(line) {
            Input::Say(_) | Input::Nothing => {}
            Input::Help => self.screen.note(input::HELP),
            Input::Quit => return Ok(false),
            Input::Command(text) => self.command(text).await,
            Input::Stop => {
                if !self.stop(feed, sending) {
                    self.screen.note("no reply is being written");
                }
            }
            Input::Who => self.who().await,
            Input::History(count) => {
                if let Err(error) = self.backlog(count, u64::MAX - 1).await {
                    self.screen.note(&format!("{error:#}"));
                }
            }
        }
        Ok(true)
    }

    /// Stops the replies that are being written and were not stopped before. Returns false when
    /// there is none.
    fn stop(&mut self, feed: &Feed, sending: &FuturesUnordered<Sending<'_>>) -> bool {
        let open: Vec<_> = self.screen.writing().collect();
        self.stopped.retain(|message| open.contains(message));
        let mut any = false;
        for message in open {
            if self.stopped.insert(message) {
                any = true;
                let (feed, room) = (feed.clone(), RoomRef::from(self.room));
                sending.push(Box::pin(async move { feed.cancel(room, message).await }));
            }
        }
        any
    }

    /// Has the server carry out a slash command.
    async fn command(&mut self, text: String) {
        let request = RunCommandRequest { text, client_id: Some(Uuid::new_v4().to_string()) };
        match self.http.run_command(&self.room.to_string(), &request).await {
            Ok(answer) => self.screen.note(&commands::words(&answer)),
            Err(error) => self.screen.note(&error.to_string()),
        }
    }

    /// Returns the message in what was typed, if it is one.
    fn publish(&mut self, line: &str) -> Option<Publish> {
        let Input::Say(body) = Input::parse(line) else { return None };
        let publish = Publish::new(RoomRef::from(self.room), body);
        // What was typed at a terminal stands there already.
        if self.out.can_ask && self.out.terminal {
            self.sent.insert(publish.client_id.clone());
        }
        Some(publish)
    }

    fn sent(&mut self, sent: Result<Accepted, ClientError>) {
        if let Err(error) = sent {
            self.screen.note(&format!("not done: {error}"));
        }
    }

    async fn who(&mut self) {
        match self.http.members(&self.room.to_string(), None).await {
            Ok(page) => {
                for member in page.items {
                    let (role, status) = (role_name(member.role), status_name(member.status));
                    self.screen.note(&format!("{} ({role}, {status})", member.user.username));
                }
            }
            Err(error) => self.screen.note(&format!("members cannot be listed: {error}")),
        }
    }

    /// Takes an update. Returns the room when a piece of a reply is missing.
    async fn take(&mut self, update: Update) -> anyhow::Result<Option<RoomId>> {
        let mut lost = false;
        match update {
            Update::Event(event) => {
                let own = match &event.body {
                    parlor_protocol::event::EventBody::MessageCreated(message) => {
                        message.client_id.as_ref().is_some_and(|id| self.sent.remove(id))
                    }
                    _ => false,
                };
                if !own {
                    self.screen.event(&event);
                }
            }
            Update::Signal(signal) => lost = self.screen.signal(&signal),
            Update::Subscribed { streaming, .. } => {
                let unknown = self.screen.subscribed(&streaming);
                self.introduce(unknown).await;
            }
            Update::Resynced { from, .. } => {
                self.screen.clear();
                self.screen.note("some of the talk was missed; these are the newest messages");
                self.backlog(BACKLOG, from).await?;
            }
            Update::Connected(_) => self.screen.connected(),
            Update::Disconnected { error, retry_in } => self.screen.disconnected(&error, retry_in),
            Update::Refused { code, detail, .. } => {
                let problem = parlor_protocol::code::Problem::new(code, detail);
                return Err(ClientError::from(problem)).context("follow the room");
            }
            Update::Ended(error) => return Err(error).context("stay in the room"),
        }
        Ok(lost.then_some(self.room))
    }

    /// Finds out who writes the replies that had begun before we came.
    async fn introduce(&mut self, unknown: Vec<MessageId>) {
        if unknown.is_empty() {
            return;
        }
        let query = MessageQuery { limit: Some(BACKLOG), ..MessageQuery::default() };
        // Without an answer the reply is shown under the name "bot".
        if let Ok(page) = self.http.messages(&self.room.to_string(), &query).await {
            for message in page.items.iter().filter(|message| unknown.contains(&message.id)) {
                self.screen.introduce(message);
            }
        }
        self.screen.show_late(&unknown);
    }
}
