//! What the lines of a file mean, and whether they may.
//!
//! Lines become events, numbered from 1, and the messages as they are now: what the log of a room
//! would hold in which the same had happened. Ids are new; those of the file are only remembered to
//! find what a later line names.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parlor_domain::naming::{check_reason, check_room_name, check_slug, check_topic};
use parlor_domain::permission::SLOW_MODE_MAX;
use parlor_protocol::code::Code;
use parlor_protocol::event::{Event, EventBody, MemberChange, RoomState};
use parlor_protocol::id::{MessageId, RoomId, UserId};
use parlor_protocol::room::{Role, RoomKind, RoomSettings};
use parlor_protocol::room_file::{
    Counts, End, FORMAT, FileMember, FileRoom, Header, LineKind, Person, VERSION,
};
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::{UserKind, UserRef};
use parlor_store::record::{ImportEnd, ImportPart, ImportedMember};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::message::Current;
use super::people::{Known, People};
use super::refuse;
use crate::http::export::room_file::hex;
use crate::http::extract::explain;
use crate::node::Node;
use crate::refusal::{Outcome, Refusal};

/// Events that are written at once.
const PART_EVENTS: usize = 500;
/// Bytes of lines that are written at once.
const PART_BYTES: usize = 1 << 20;

/// How far the clock of another server may be ahead: an hour.
const AHEAD_MS: i64 = 3_600_000;

/// What an earlier message may be named for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Earlier {
    /// Whether it is in a thread itself.
    pub(super) threaded: bool,
}

/// Reads the lines of a file.
pub(super) struct Reader {
    pub(super) node: Arc<Node>,
    pub(super) room: RoomId,
    /// Who brings the file.
    importer: UserRef,
    header: Option<FileRoom>,
    pub(super) people: People,
    members: Vec<ImportedMember>,
    /// Who is a member already.
    joined: HashSet<UserId>,
    has_owner: bool,
    pub(super) messages: HashMap<MessageId, Earlier>,
    /// The position in the file of the last message.
    pub(super) last_file_seq: u64,
    pub(super) current: Option<Current>,
    pub(super) pins: u32,
    pub(super) counts: Counts,
    pub(super) attachments: u64,
    /// The last event.
    seq: u64,
    pub(super) part: ImportPart,
    part_bytes: usize,
    is_whole: bool,
}

impl Reader {
    pub(super) fn new(node: Arc<Node>, room: RoomId, importer: UserRef, people: People) -> Self {
        Self {
            node,
            room,
            importer,
            header: None,
            people,
            members: Vec::new(),
            joined: HashSet::new(),
            has_owner: false,
            messages: HashMap::new(),
            last_file_seq: 0,
            current: None,
            pins: 0,
            counts: Counts::default(),
            attachments: 0,
            seq: 0,
            part: ImportPart { number: 1, ..ImportPart::default() },
            part_bytes: 0,
            is_whole: false,
        }
    }

    /// Returns what is to be written, when it is enough or when it is `due`.
    pub(super) fn take_part(&mut self, due: bool) -> Option<ImportPart> {
        let part = &self.part;
        let is_full = part.events.len() + part.people.len() + part.reactions.len() >= PART_EVENTS
            || self.part_bytes >= PART_BYTES;
        if !is_full && !due {
            return None;
        }
        self.part_bytes = 0;
        let next = ImportPart { number: self.part.number + 1, ..ImportPart::default() };
        Some(std::mem::replace(&mut self.part, next))
    }

    /// Takes a line in. `hash` is that of all lines before it.
    pub(super) async fn read(&mut self, number: u64, line: &[u8], hash: &Sha256) -> Outcome<()> {
        if self.is_whole {
            return Err(refuse(number, "", "after_end", "stands after the end of the file"));
        }
        let Ok(text) = std::str::from_utf8(line) else {
            return Err(refuse(number, "", "utf8", "is not UTF-8"));
        };
        self.part_bytes += text.len();
        if self.header.is_none() {
            return self.read_header(number, text);
        }
        let Type { name } = parse(number, text)?;
        let Some(kind) = LineKind::from_name(&name) else {
            let detail = "is none of person, member, message, version, reaction and end";
            return Err(refuse(number, "type", "unknown", detail));
        };
        match kind {
            LineKind::Person => self.read_person(number, parse(number, text)?).await,
            LineKind::Member => self.read_member(number, &parse(number, text)?),
            LineKind::Message => self.read_message(number, parse(number, text)?),
            LineKind::Version => self.read_version(number, parse(number, text)?),
            LineKind::Reaction => self.read_reaction(number, parse(number, text)?),
            LineKind::End => self.read_end(number, &parse(number, text)?, hash),
        }
    }

    fn read_header(&mut self, number: u64, text: &str) -> Outcome<()> {
        let Claim { format, version } = parse(number, text)?;
        if format != FORMAT {
            let detail = format!("is not \"{FORMAT}\": this is no file of a room");
            return Err(refuse(number, "format", "unknown", &detail));
        }
        if version != VERSION {
            let detail = format!("is {version}; this server reads version {VERSION}");
            return Err(refuse(number, "version", "unsupported", &detail));
        }
        let Header { room, .. } = parse(number, text)?;
        let name = |field: &str, refused: parlor_domain::naming::NameRefused| {
            at_line(number, Refusal::name(field, refused))
        };
        check_slug(&room.slug).map_err(|refused| name("room.slug", refused))?;
        let checked = check_room_name(&room.name).map_err(|refused| name("room.name", refused))?;
        let topic = check_topic(&room.topic).map_err(|refused| name("room.topic", refused))?;
        if RoomSettings::from(room.settings).slow_mode_seconds > SLOW_MODE_MAX {
            let detail = format!("must be at most {SLOW_MODE_MAX}");
            let field = "room.settings.slow_mode_seconds";
            return Err(refuse(number, field, "range", &detail));
        }
        self.check_past(number, "room.created_at", room.created_at)?;
        let room = FileRoom { name: checked, topic, ..room };
        let state = RoomState {
            slug: room.slug.clone(),
            name: room.name.clone(),
            kind: kind_here(room.kind),
            topic: room.topic.clone(),
            archived: room.archived,
            settings: room.settings.into(),
        };
        self.add_event(room.created_at, None, EventBody::RoomCreated(state));
        self.header = Some(room);
        Ok(())
    }

    async fn read_person(&mut self, number: u64, person: Person) -> Outcome<()> {
        self.counts.people += 1;
        let node = Arc::clone(&self.node);
        let made = self.people.add(&node, number, person).await?;
        self.part.people.extend(made);
        Ok(())
    }

    fn read_member(&mut self, number: u64, member: &FileMember) -> Outcome<()> {
        if self.counts.messages > 0 {
            return Err(refuse(number, "type", "order", "stands after a message"));
        }
        let Known { here, active } = self.person(number, "person", member.person)?.clone();
        if !self.joined.insert(here.id) {
            return Err(refuse(number, "person", "duplicate", "is a member already"));
        }
        let most = self.node.config.limits.room_members;
        if self.members.len() >= most {
            let detail = format!("is beyond the {most} members that a room may have");
            return Err(refuse(number, "", "too_many", &detail));
        }
        if member.role == Role::Owner && here.kind != UserKind::User {
            return Err(refuse(number, "role", "forbidden", "is not for a bot or a program"));
        }
        self.check_past(number, "joined_at", member.joined_at)?;
        let reason = member.mute_reason.as_deref().map(check_reason).transpose();
        let reason = reason
            .map_err(|refused| at_line(number, Refusal::name("mute_reason", refused)))?
            .flatten()
            .filter(|_| member.muted_until.is_some());
        self.counts.members += 1;
        // Someone who can use it.
        self.has_owner |= member.role == Role::Owner && active;
        let made = ImportedMember {
            user: here.id,
            role: member.role,
            bot: here.kind == UserKind::Bot,
            joined_at: member.joined_at,
            muted_until: member.muted_until,
            mute_reason: reason,
        };
        self.join(here, made);
        Ok(())
    }

    fn join(&mut self, user: UserRef, member: ImportedMember) {
        let ImportedMember { role, joined_at, muted_until, .. } = member;
        self.members.push(member);
        let change =
            MemberChange { user: user.clone(), role, reason: None, muted_until, reason_text: None };
        self.add_event(joined_at, Some(user), EventBody::MemberJoined(change));
    }

    fn read_end(&mut self, number: u64, end: &End, hash: &Sha256) -> Outcome<()> {
        self.end_message();
        for (field, said, found) in [
            ("people", end.counts.people, self.counts.people),
            ("members", end.counts.members, self.counts.members),
            ("messages", end.counts.messages, self.counts.messages),
            ("versions", end.counts.versions, self.counts.versions),
            ("reactions", end.counts.reactions, self.counts.reactions),
        ] {
            if said != found {
                let detail = format!("is {said}, but the file has {found}");
                return Err(refuse(number, field, "count", &detail));
            }
        }
        if !end.sha256.eq_ignore_ascii_case(&hex(&hash.clone().finalize())) {
            let detail = "differs from that of the lines before: the file was changed";
            return Err(refuse(number, "sha256", "checksum", detail));
        }
        let owned = self.members.iter().any(|member| member.role == Role::Owner);
        let direct = self.header.as_ref().is_some_and(|room| room.kind == RoomKind::Direct);
        if !owned && !direct {
            return Err(refuse(number, "members", "no_owner", "have no owner among them"));
        }
        if let Some(name) = self.people.missing() {
            let detail = format!("names `{name}`, who is not in the file");
            return Err(Refusal::field("map", "unknown", detail));
        }
        self.let_somebody_rule();
        self.is_whole = true;
        Ok(())
    }

    /// A room needs an owner who can log in: whoever brings the file, if nobody else can.
    fn let_somebody_rule(&mut self) {
        if self.has_owner {
            return;
        }
        let (at, importer) = (self.node.now(), self.importer.clone());
        let place = self.members.iter_mut().find(|member| member.user == importer.id);
        let Some(member) = place else {
            let member = ImportedMember {
                user: importer.id,
                role: Role::Owner,
                bot: false,
                joined_at: at,
                muted_until: None,
                mute_reason: None,
            };
            return self.join(importer, member);
        };
        member.role = Role::Owner;
        let muted_until = member.muted_until;
        let change = MemberChange {
            user: importer,
            role: Role::Owner,
            reason: None,
            muted_until,
            reason_text: None,
        };
        self.add_event(at, None, EventBody::MemberRoleChanged(change));
    }

    /// Returns what makes the room visible; `None` when the file was not whole.
    pub(super) fn finish(&mut self) -> Option<ImportEnd> {
        let room = self.header.take().filter(|_| self.is_whole)?;
        Some(ImportEnd {
            room: self.room,
            slug: room.slug,
            name: room.name,
            kind: kind_here(room.kind),
            topic: room.topic,
            archived: room.archived,
            settings: room.settings.into(),
            created_at: room.created_at,
            last_seq: self.seq,
            members: std::mem::take(&mut self.members),
            existing: std::mem::take(&mut self.people.existing),
        })
    }

    /// Refuses a time that is still to come, but for clocks that differ.
    pub(super) fn check_past(&self, number: u64, field: &str, at: Timestamp) -> Outcome<()> {
        let latest = self.node.now().as_millis().saturating_add(AHEAD_MS);
        if at.as_millis() <= latest {
            return Ok(());
        }
        Err(refuse(number, field, "future", "is in the future"))
    }

    /// Finds someone whom the file has named.
    pub(super) fn person(&self, number: u64, field: &str, id: UserId) -> Outcome<&Known> {
        let unknown = || refuse(number, field, "unknown", "is nobody whom an earlier line names");
        self.people.get(id).ok_or_else(unknown)
    }

    /// Adds an event to the log and returns its position.
    pub(super) fn add_event(
        &mut self,
        at: Timestamp,
        actor: Option<UserRef>,
        body: EventBody,
    ) -> u64 {
        self.seq += 1;
        self.part.events.push(Event { room: self.room, seq: self.seq, at, actor, body });
        self.seq
    }

    /// Returns the position of the next event.
    pub(super) const fn next_seq(&self) -> u64 {
        self.seq + 1
    }
}

/// A conversation between fixed people exists once, and those of the file are others here.
const fn kind_here(kind: RoomKind) -> RoomKind {
    match kind {
        RoomKind::Direct => RoomKind::Private,
        kind => kind,
    }
}

/// What the first line claims to be.
#[derive(Debug, Deserialize)]
struct Claim {
    format: String,
    version: u64,
}

#[derive(Debug, Deserialize)]
struct Type {
    #[serde(rename = "type")]
    name: String,
}

fn parse<T: DeserializeOwned>(number: u64, text: &str) -> Outcome<T> {
    explain::from_json(text.as_bytes()).map_err(|refusal| at_line(number, refusal))
}

/// Says in which line a refusal is.
pub(super) fn at_line(number: u64, refusal: Refusal) -> Refusal {
    match refusal.errors.into_iter().next() {
        Some(error) => refuse(number, &error.field, &error.code, &error.detail),
        None if refusal.code == Code::BadRequest => {
            refuse(number, "", "json", "is no JSON object that can be read")
        }
        None => Refusal { errors: Vec::new(), ..refusal },
    }
}
