//! A room as a file that can be read in again: `docs/EXPORT.md` says what stands in it.
//!
//! The room is read page by page, at the pace of whoever takes the file, and only for as long as
//! they may read it. What is kept besides is who was named already.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parlor_domain::permission::Action;
use parlor_protocol::id::UserId;
use parlor_protocol::message::{Message, MessageStatus};
use parlor_protocol::room_file::{
    Counts, End, FORMAT, FileBotReply, FileMember, FileMessage, FilePin, FileReaction, FileRoom,
    FileVersion, Header, Line, Person, VERSION,
};
use parlor_protocol::user::UserRef;
use parlor_store::record::{ReactionRecord, Window};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::{PAGE, check_login};
use crate::http::view::find_room;
use crate::node::{Caller, Node};
use crate::reads::known::KnownRoom;
use crate::refusal::Refusal;

/// Bytes that are sent at once.
const PIECE: usize = 32 << 10;
/// Reactions that are read at once.
const REACTIONS: u32 = 1_000;

/// Why a file breaks off. It then lacks its last line.
#[derive(Debug, thiserror::Error)]
enum Broken {
    /// The room cannot be read any more.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nobody takes the file any more.
    #[error("nobody takes the file")]
    Gone,
    /// A line cannot be written.
    #[error("a line cannot be written")]
    Line(#[from] serde_json::Error),
}

impl From<parlor_store::StoreError> for Broken {
    fn from(error: parlor_store::StoreError) -> Self {
        Self::Refused(error.into())
    }
}

/// Begins a file and returns its pieces as they come.
pub(super) fn begin(
    node: Arc<Node>,
    caller: Caller,
    room: Arc<KnownRoom>,
) -> mpsc::Receiver<io::Result<Bytes>> {
    let (pieces, taken) = mpsc::channel(2);
    let lifecycle = node.lifecycle.clone();
    let out = Out {
        pieces: pieces.clone(),
        buffer: Vec::with_capacity(2 * PIECE),
        hash: Sha256::new(),
        counts: Counts::default(),
        named: HashSet::new(),
    };
    lifecycle.spawn("export", async move {
        let export = Export { node, caller, room, out };
        if let Err(broken) = export.run().await {
            tracing::debug!(error = &broken as &dyn std::error::Error, "an export broke off");
            // Nobody may take a part for the whole.
            drop(pieces.send(Err(io::Error::other("the export broke off"))).await);
        }
    });
    taken
}

struct Export {
    node: Arc<Node>,
    caller: Caller,
    room: Arc<KnownRoom>,
    out: Out,
}

impl Export {
    async fn run(mut self) -> Result<(), Broken> {
        self.write_header().await?;
        self.write_members().await?;
        self.write_messages().await?;
        self.out.end().await
    }

    /// Stops when the caller may not read the room any more.
    async fn check(&self) -> Result<(), Broken> {
        check_login(&self.node, &self.caller)?;
        find_room(&self.node, &self.caller, &self.room.id.into(), Action::Read).await?;
        Ok(())
    }

    async fn write_header(&mut self) -> Result<(), Broken> {
        let room = &self.room;
        let header = Header {
            format: FORMAT.to_owned(),
            version: VERSION,
            exported_at: self.node.now(),
            room: FileRoom {
                slug: room.slug.clone(),
                name: room.name.clone(),
                kind: room.kind,
                topic: room.topic.clone(),
                archived: room.archived,
                settings: room.settings.into(),
                created_at: room.created_at,
            },
        };
        self.out.line(&header).await
    }

    async fn write_members(&mut self) -> Result<(), Broken> {
        let mut after = None;
        loop {
            self.check().await?;
            // Not by name: that may change between two pages.
            let page = self.node.store.list_members_by_id(self.room.id, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.user.id);
            for member in page {
                self.out.name(&member.user).await?;
                self.out.counts.members += 1;
                let member = FileMember {
                    person: member.user.id,
                    role: member.role,
                    joined_at: member.joined_at,
                    muted_until: member.muted_until,
                    mute_reason: member.mute_reason,
                };
                self.out.line(&Line::Member(member)).await?;
            }
        }
    }

    async fn write_messages(&mut self) -> Result<(), Broken> {
        let mut after = 0;
        loop {
            self.check().await?;
            let window = Window::After(after);
            let page = self.node.store.list_messages(self.room.id, window, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.seq;
            let mut reactions = Reactions::of(&page);
            for message in page {
                self.write_message(message, &mut reactions).await?;
            }
        }
    }

    async fn write_message(
        &mut self,
        message: Message,
        reactions: &mut Reactions,
    ) -> Result<(), Broken> {
        let (id, seq, edits) = (message.id, message.seq, message.edits);
        let (edited, reacted) =
            (edits > 0 && message.redacted_at.is_none(), !message.reactions.is_empty());
        self.out.name(&message.sender).await?;
        for user in &message.mentions {
            self.out.name(user).await?;
        }
        if let Some(pin) = &message.pinned {
            self.out.name(&pin.by).await?;
        }
        self.out.counts.messages += 1;
        self.out.line(&Line::Message(Box::new(to_line(message)))).await?;
        if edited {
            let versions = self.node.store.list_versions(self.room.id, id).await?;
            // Those before the text above, also when there is a newer one by now.
            let older = versions.unwrap_or_default().into_iter();
            for version in older.filter(|version| version.version <= edits) {
                self.out.counts.versions += 1;
                let version = FileVersion { message: id, body: version.body, at: version.at };
                self.out.line(&Line::Version(version)).await?;
            }
        }
        while reacted && let Some(made) = reactions.next(&self.node, self.room.id, seq).await? {
            self.out.name(&made.user).await?;
            self.out.counts.reactions += 1;
            let (emoji, by, at) = (made.emoji, made.user.id, made.at);
            let reaction = FileReaction { message: id, emoji, by, at };
            self.out.line(&Line::Reaction(reaction)).await?;
        }
        Ok(())
    }
}

/// The reactions to the messages of a page, some at a time.
struct Reactions {
    read: VecDeque<ReactionRecord>,
    /// After which one to read on; `None` when there are no more.
    after: Option<(u64, u64)>,
    through: u64,
}

impl Reactions {
    fn of(page: &[Message]) -> Self {
        let mut reacted = page.iter().filter(|message| !message.reactions.is_empty());
        let first = reacted.next().map(|message| message.seq);
        let last = reacted.next_back().map(|message| message.seq).or(first);
        Self {
            read: VecDeque::new(),
            after: first.map(|seq| (seq, 0)),
            through: last.unwrap_or_default(),
        }
    }

    /// Returns the next one to a message. Messages are asked for in their order.
    async fn next(
        &mut self,
        node: &Node,
        room: parlor_protocol::id::RoomId,
        message: u64,
    ) -> Result<Option<ReactionRecord>, Broken> {
        loop {
            // Those to messages that had none when their page was read.
            while self.read.front().is_some_and(|made| made.message_seq < message) {
                self.read.pop_front();
            }
            if let Some(made) = self.read.pop_front_if(|made| made.message_seq == message) {
                return Ok(Some(made));
            }
            let (true, Some(after)) = (self.read.is_empty(), self.after) else { return Ok(None) };
            let page = node.store.list_reactions(room, after, self.through, REACTIONS).await?;
            self.after = page.last().map(|made| (made.message_seq, made.seq));
            self.read = page.into();
        }
    }
}

fn to_line(message: Message) -> FileMessage {
    FileMessage {
        id: message.id,
        seq: message.seq,
        author: message.sender.id,
        body: message.body,
        // What is still being written ends here, as far as the file is concerned.
        status: match message.status {
            MessageStatus::Streaming => MessageStatus::Interrupted,
            status => status,
        },
        created_at: message.created_at,
        edited_at: message.edited_at,
        redacted_at: message.redacted_at,
        edits: message.edits,
        reply_to: message.reply_to,
        thread: message.thread,
        mentions: message.mentions.into_iter().map(|user| user.id).collect(),
        mentions_room: message.mentions_room,
        emote: message.emote,
        pinned: message.pinned.map(|pin| FilePin { by: pin.by.id, at: pin.at }),
        bot: message.bot.map(|bot| FileBotReply {
            trigger: bot.trigger,
            provider: bot.provider,
            model: bot.model,
        }),
        usage: message.usage,
        error: message.error,
        attachments: message.attachments,
    }
}

/// The file as it is written.
struct Out {
    pieces: mpsc::Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
    hash: Sha256,
    counts: Counts,
    named: HashSet<UserId>,
}

impl Out {
    /// Writes a line, and sends what has gathered when it is enough.
    async fn line(&mut self, line: &impl Serialize) -> Result<(), Broken> {
        let begin = self.buffer.len();
        serde_json::to_writer(&mut self.buffer, line)?;
        self.buffer.push(b'\n');
        self.hash.update(self.buffer.get(begin..).unwrap_or_default());
        if self.buffer.len() >= PIECE { self.send().await } else { Ok(()) }
    }

    /// Says who someone is, before the first line that names them.
    async fn name(&mut self, user: &UserRef) -> Result<(), Broken> {
        if !self.named.insert(user.id) {
            return Ok(());
        }
        self.counts.people += 1;
        let UserRef { id, username, display_name, kind } = user.clone();
        self.line(&Line::Person(Person { id, username, display_name, kind })).await
    }

    async fn end(mut self) -> Result<(), Broken> {
        let sha256 = hex(&self.hash.clone().finalize());
        self.line(&Line::End(End { counts: self.counts, sha256 })).await?;
        self.send().await
    }

    async fn send(&mut self) -> Result<(), Broken> {
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(2 * PIECE));
        self.pieces.send(Ok(piece.into())).await.map_err(|_| Broken::Gone)
    }
}

/// Returns bytes in hexadecimal.
pub(in crate::http) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}
