//! Who may be in a room and write: roles, kicks, bans, mutes and links.

use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use parlor_client::Http;
use parlor_protocol::http::{DeleteMemberRequest, PutMemberRequest, Restriction};
use parlor_protocol::time::Timestamp;
use parlor_runtime::config::parse_duration;
use parlor_runtime::{Clock as _, SystemClock};

use super::settings::RoleName;
use crate::context::Context;

#[derive(Debug, Subcommand)]
pub(super) enum Moderation {
    /// Bring someone into a room, a bot too
    Add(MemberArgs),
    /// Give a member a role
    Role {
        #[command(flatten)]
        member: MemberArgs,
        /// The role
        #[arg(value_enum)]
        role: RoleName,
    },
    /// Remove a member, who may return
    Kick {
        #[command(flatten)]
        member: MemberArgs,
        /// Why; the room is told
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Remove someone and keep them out
    Ban(RestrictArgs),
    /// Let someone in again
    Unban(MemberArgs),
    /// List who may not enter a room
    Bans {
        /// Room, by id or short name
        room: String,
    },
    /// Take the right to write away
    Mute(RestrictArgs),
    /// Give the right to write back
    Unmute(MemberArgs),
    /// List the invite codes of a room that work
    Invites {
        /// Room, by id or short name
        room: String,
    },
    /// Revoke an invite code
    Revoke {
        /// Room, by id or short name
        room: String,
        /// The code
        code: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct MemberArgs {
    /// Room, by id or short name
    room: String,
    /// User name
    username: String,
}

#[derive(Debug, Args)]
pub(super) struct RestrictArgs {
    #[command(flatten)]
    member: MemberArgs,
    /// For how long, such as 30m or 7d [default: until it is lifted]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    time: Option<Duration>,
    /// Why; the room is told
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    parse_duration(text).filter(|time| !time.is_zero()).ok_or("write it like 30m, 12h or 7d")
}

impl RestrictArgs {
    fn restriction(&self) -> Restriction {
        let now = Timestamp::new(SystemClock.now()).as_millis();
        let until = self.time.map(|time| {
            let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
            Timestamp::from_millis(now.saturating_add(millis))
        });
        Restriction { until, reason: self.reason.clone() }
    }
}

/// A restriction that has ended: it is lifted.
fn lifted() -> Restriction {
    Restriction { until: Some(Timestamp::from_millis(0)), reason: None }
}

pub(super) async fn run(http: &Http, command: Moderation, context: &Context) -> anyhow::Result<()> {
    let none = PutMemberRequest::default;
    let (member, request, done) = match command {
        Moderation::Bans { room } => return bans(http, &room, context).await,
        Moderation::Invites { room } => return invites(http, &room, context).await,
        Moderation::Revoke { room, code } => {
            http.revoke_invite(&room, &code).await.context("revoke the code")?;
            context.out.note("the code works no more");
            return Ok(());
        }
        Moderation::Kick { member, reason } => {
            let MemberArgs { room, username } = &member;
            let request = DeleteMemberRequest { reason };
            http.kick_member(room, username, &request).await.context("remove the member")?;
            context.out.note(&format!("removed {username} from {room}"));
            return Ok(());
        }
        Moderation::Add(member) => (member, none(), "brought in"),
        Moderation::Role { member, role } => {
            (member, PutMemberRequest { role: Some(role.into()), ..none() }, "gave a role to")
        }
        Moderation::Ban(args) => {
            let ban = Some(args.restriction());
            (args.member, PutMemberRequest { ban, ..none() }, "banned")
        }
        Moderation::Unban(member) => {
            (member, PutMemberRequest { ban: Some(lifted()), ..none() }, "lifted the ban of")
        }
        Moderation::Mute(args) => {
            let mute = Some(args.restriction());
            (args.member, PutMemberRequest { mute, ..none() }, "muted")
        }
        Moderation::Unmute(member) => {
            (member, PutMemberRequest { mute: Some(lifted()), ..none() }, "lifted the mute of")
        }
    };
    let MemberArgs { room, username } = &member;
    http.put_member(room, username, &request).await.context("change the member")?;
    context.out.note(&format!("{done} {username} in {room}"));
    Ok(())
}

async fn bans(http: &Http, room: &str, context: &Context) -> anyhow::Result<()> {
    let (mut bans, mut cursor) = (Vec::new(), None);
    loop {
        let page = http.bans(room, cursor.as_deref()).await.context("list bans")?;
        bans.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    if context.out.json {
        return Ok(context.out.json(&bans)?);
    }
    let rows = bans.into_iter().map(|ban| {
        vec![
            ban.user.username,
            ban.until.map_or_else(|| "lifted".to_owned(), |until| until.to_string()),
            ban.by.map(|by| by.username).unwrap_or_default(),
            ban.at.to_string(),
            ban.reason.unwrap_or_default(),
        ]
    });
    Ok(context.out.table(&["USER", "UNTIL", "BY", "SINCE", "REASON"], rows.collect())?)
}

async fn invites(http: &Http, room: &str, context: &Context) -> anyhow::Result<()> {
    let (mut invites, mut cursor) = (Vec::new(), None);
    loop {
        let page = http.invites(room, cursor.as_deref()).await.context("list invite codes")?;
        invites.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    if context.out.json {
        return Ok(context.out.json(&invites)?);
    }
    let rows = invites.into_iter().map(|invite| {
        vec![
            invite.code,
            invite.uses_left.to_string(),
            invite.expires_at.to_string(),
            invite.creator.map(|creator| creator.username).unwrap_or_default(),
        ]
    });
    Ok(context.out.table(&["CODE", "USES", "UNTIL", "BY"], rows.collect())?)
}
