//! Everything that is held of a user as a download, read piece by piece while it is sent.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::HeaderValue;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use parlor_protocol::id::RoomId;
use parlor_protocol::message::Message;
use parlor_protocol::room::Role;
use parlor_store::people::OwnBan;
use serde_json::{Value, json};

use super::endpoint::Endpoint;
use crate::node::{Caller, Node};
use crate::refusal::{Outcome, Refusal};

const JSONL: &str = "application/jsonl";
/// The version of the lines.
const VERSION: u32 = 1;
/// Positions of a log that are looked at in one read.
const SPAN: u64 = 2_000;
/// Messages that are read at once, each with its older texts.
const OWN_PAGE: u32 = 16;
/// Logins, tokens and links that are listed, and bans that are read at once.
const LISTED: u32 = 200;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/users/me/export", "export_me", export_me)
            .about("Users", "Download everything that is held of oneself")
            .details(
                "One JSON object in each line, with a `type`: `header` with the version, `profile`, \
                 `former_name`, `session`, `token`, `bot`, `upload` for a file that no message has, \
                 `ban`, then for each room `membership` or `past_membership`, `integration`, \
                 `webhook`, `command`, `invite`, `message`, `version` and `reaction`, and `end` as the \
                 last one. A download without `end` is not complete. Of rooms that one has left, \
                 nothing that others made of one's messages is told; addresses of webhooks and \
                 commands are told to owners, secrets to nobody.",
            )
            .answers_text(200, JSONL, "What is held.")
            .own_time_limit(),
    ]
}

async fn export_me(State(node): State<Arc<Node>>, caller: Caller) -> Outcome<Response> {
    node.rate.history.check(&caller.user.id)?;
    let export = Export { node, caller, stage: Stage::Head, rooms: VecDeque::new(), lines: 0 };
    let mut response = Response::new(Body::from_stream(stream::try_unfold(export, Export::next)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSONL));
    let name = HeaderValue::from_static("attachment; filename=\"parlor-account.jsonl\"");
    headers.insert(CONTENT_DISPOSITION, name);
    Ok(response)
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Head,
    /// The next bans are read.
    Bans {
        after: Option<RoomId>,
    },
    /// The next room is begun.
    Room,
    /// A part of a room's log is read.
    Log {
        room: RoomId,
        is_member: bool,
        after: u64,
        through: u64,
    },
    Done,
}

#[derive(Debug)]
struct Export {
    node: Arc<Node>,
    caller: Caller,
    stage: Stage,
    rooms: VecDeque<(RoomId, bool)>,
    lines: u64,
}

impl Export {
    /// Returns the next part. A failure in the middle breaks the download off, so that nobody takes
    /// a part for the whole.
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        let lines = match self.stage {
            Stage::Done => return Ok(None),
            // Whoever is logged out in the meantime gets nothing more.
            _ if self.node.revocations.is_revoked(self.caller.session) => {
                return Err(io::Error::other("the login has ended"));
            }
            Stage::Head => self.head().await,
            Stage::Bans { after } => self.bans(after).await,
            Stage::Room => self.room().await,
            Stage::Log { room, is_member, after, through } => {
                self.log(room, is_member, after, through).await
            }
        };
        let lines = lines.map_err(io::Error::other)?;
        self.lines += lines.len() as u64;
        let mut part = String::new();
        for line in &lines {
            part.extend([&*line.to_string(), "\n"]);
        }
        Ok(Some((part.into(), self)))
    }

    async fn head(&mut self) -> Result<Vec<Value>, Refusal> {
        let (store, user, now) = (&self.node.store, self.caller.user.id, self.node.now());
        let account = store.find_user(user).await?.ok_or_else(|| Refusal::not_found("user"))?;
        let mut lines = vec![
            json!({
                "type": "header", "format": "parlor.account", "version": VERSION, "at": now,
                "user": user,
            }),
            json!({
                "type": "profile", "profile": account.user, "active": account.active,
                "last_seen": account.last_seen,
            }),
        ];
        for former in store.list_former_names(user).await? {
            lines.push(json!({
                "type": "former_name", "username": former.name, "held_until": former.until,
            }));
        }
        for session in store.list_sessions(Some(user), now, LISTED).await? {
            lines.push(json!({
                "type": "session", "id": session.id, "client": session.client,
                "created_at": session.created_at, "expires_at": session.expires_at,
            }));
        }
        for token in store.list_tokens(user, now).await? {
            lines.push(json!({
                "type": "token", "id": token.id, "name": token.name,
                "created_at": token.created_at, "expires_at": token.expires_at,
                "last_used_at": token.last_used_at,
            }));
        }
        for bot in store.list_bots().await?.into_iter().filter(|bot| bot.owner == Some(user)) {
            lines.push(json!({
                "type": "bot", "bot": bot.user, "system_prompt": bot.system_prompt,
                "provider": bot.provider, "model": bot.model, "created_at": bot.created_at,
            }));
        }
        for upload in store.list_uploads_of(user).await? {
            lines.push(json!({
                "type": "upload", "id": upload.id, "name": upload.name, "bytes": upload.bytes,
                "received": upload.received, "media_type": upload.media_type,
                "expires_at": upload.expires_at,
            }));
        }
        let now_in = store.list_room_ids_of(user).await?;
        let before = store.list_past_rooms(user).await?;
        let before = before.into_iter().filter(|room| !now_in.contains(room));
        self.rooms = now_in.iter().map(|room| (*room, true)).collect();
        self.rooms.extend(before.map(|room| (room, false)));
        self.stage = Stage::Bans { after: None };
        Ok(lines)
    }

    async fn bans(&mut self, after: Option<RoomId>) -> Result<Vec<Value>, Refusal> {
        let bans = self.node.store.list_bans_of(self.caller.user.id, after, LISTED).await?;
        self.stage = match bans.last() {
            Some(last) if bans.len() == LISTED as usize => Stage::Bans { after: Some(last.room) },
            _ => Stage::Room,
        };
        let line = |ban: OwnBan| {
            json!({
                "type": "ban", "room": ban.room, "at": ban.at, "until": ban.until,
                "reason": ban.reason,
            })
        };
        Ok(bans.into_iter().map(line).collect())
    }

    async fn room(&mut self) -> Result<Vec<Value>, Refusal> {
        let Some((room, is_member)) = self.rooms.pop_front() else {
            self.stage = Stage::Done;
            return Ok(vec![json!({"type": "end", "lines": self.lines + 1})]);
        };
        let (store, user, now) = (&self.node.store, self.caller.user.id, self.node.now());
        // It may have gone in the meantime.
        let Some(listing) = store.find_room_listing(room, user).await? else {
            return Ok(Vec::new());
        };
        let (after, through) = (listing.room.head.reset_through, listing.room.head.seq);
        let is_member = is_member && listing.role.is_some();
        self.stage = Stage::Log { room, is_member, after, through };
        let programs = store.list_programs_of(user, room).await?;
        // Others may have changed an address since, and only owners are told it.
        let is_owner = is_member && listing.role == Some(Role::Owner);
        let programs = programs.into_iter().map(|program| {
            json!({
                "type": program.kind.as_str(), "room": room, "id": program.id,
                "name": program.name, "description": program.description,
                "url": program.url.filter(|_| is_owner), "created_at": program.created_at,
            })
        });
        if !is_member {
            // What the room is called now is no business of who is not in it any more.
            let mut lines = vec![json!({"type": "past_membership", "room": room})];
            lines.extend(programs);
            return Ok(lines);
        }
        let mut lines = vec![json!({
            "type": "membership", "room": room, "slug": listing.room.slug,
            "name": listing.room.name, "kind": listing.room.kind, "role": listing.role,
            "read_seq": listing.read_seq, "notifications": listing.notifications,
        })];
        lines.extend(programs);
        for invite in store.list_invites(room, Some(user), None, now, LISTED).await? {
            lines.push(json!({
                "type": "invite", "room": room, "code": invite.code,
                "expires_at": invite.expires_at, "uses_left": invite.uses_left,
            }));
        }
        Ok(lines)
    }

    async fn log(
        &mut self,
        room: RoomId,
        is_member: bool,
        after: u64,
        through: u64,
    ) -> Result<Vec<Value>, Refusal> {
        let (store, user) = (&self.node.store, self.caller.user.id);
        let mut until = (after + SPAN).min(through);
        let mut lines = Vec::new();
        // Who was put out in the meantime is told no more than others who have left.
        let is_member = is_member
            && store
                .find_room_listing(room, user)
                .await?
                .is_some_and(|listing| listing.role.is_some());
        let messages = store.list_own_messages(room, user, after, until, OWN_PAGE).await?;
        if let Some(last) = messages.last().filter(|_| messages.len() == OWN_PAGE as usize) {
            until = last.seq;
        }
        for mut message in messages {
            if !is_member {
                forget_others(&mut message);
            }
            if message.edited_at.is_some() {
                let versions = store.list_versions(room, message.id).await?;
                lines.extend(versions.into_iter().flatten().map(|version| {
                    json!({"type": "version", "room": room, "message": message.id, "is": version})
                }));
            }
            lines.push(json!({"type": "message", "message": message}));
        }
        for (message, emoji) in store.list_own_reactions(room, user, after, until).await? {
            lines.push(json!({
                "type": "reaction", "room": room, "message": message, "emoji": emoji,
            }));
        }
        self.stage = if until >= through {
            Stage::Room
        } else {
            Stage::Log { room, is_member, after: until, through }
        };
        Ok(lines)
    }
}

/// Leaves of a message only what its author did. What others made of it may be of a time when the
/// author was no member any more.
fn forget_others(message: &mut Message) {
    message.reactions.clear();
    message.replies = None;
    message.pinned = None;
    // The text says it; here, they would be called what they are called now.
    message.mentions.clear();
}
