//! `rooms set`: name, topic and rules.

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use parlor_client::Http;
use parlor_protocol::http::{PatchRoomRequest, PatchRoomSettings};
use parlor_protocol::room::Role;

use crate::context::Context;

#[derive(Debug, Args)]
#[group(required = true, multiple = true, args = [
    "name", "topic", "archived", "post", "call_bots", "stop_bots", "invite", "slow_mode", "signals",
])]
pub(super) struct SetArgs {
    /// Room, by id or short name
    room: String,
    /// Name to show
    #[arg(long)]
    name: Option<String>,
    /// What it is about
    #[arg(long, value_name = "TEXT")]
    topic: Option<String>,
    /// Whether it is closed for new messages
    #[arg(long)]
    archived: Option<bool>,
    /// Least role that may write
    #[arg(long, value_enum, value_name = "ROLE")]
    post: Option<RoleName>,
    /// Least role whose messages call bots
    #[arg(long, value_enum, value_name = "ROLE")]
    call_bots: Option<RoleName>,
    /// Least role that may stop replies of bots
    #[arg(long, value_enum, value_name = "ROLE")]
    stop_bots: Option<RoleName>,
    /// Least role that may invite
    #[arg(long, value_enum, value_name = "ROLE")]
    invite: Option<Inviter>,
    /// Seconds that a member waits between two messages; 0: none
    #[arg(long, value_name = "SECONDS")]
    slow_mode: Option<u32>,
    /// Whether clients may send signals of their own
    #[arg(long)]
    signals: Option<bool>,
}

/// A role, as it is written on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum RoleName {
    /// Reads and writes
    Member,
    /// Also keeps order
    Moderator,
    /// May do everything in the room
    Owner,
}

/// Who invites.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Inviter {
    /// Members in public rooms, moderators in private ones
    Default,
    /// Everyone in the room
    Member,
    /// Moderators and owners
    Moderator,
    /// Owners
    Owner,
}

impl From<RoleName> for Role {
    fn from(role: RoleName) -> Self {
        match role {
            RoleName::Member => Self::Member,
            RoleName::Moderator => Self::Moderator,
            RoleName::Owner => Self::Owner,
        }
    }
}

impl Inviter {
    fn role(self) -> Option<Role> {
        match self {
            Self::Default => None,
            Self::Member => Some(Role::Member),
            Self::Moderator => Some(Role::Moderator),
            Self::Owner => Some(Role::Owner),
        }
    }
}

pub(super) async fn run(http: &Http, args: SetArgs, context: &Context) -> anyhow::Result<()> {
    let settings = PatchRoomSettings {
        post: args.post.map(Role::from),
        call_bots: args.call_bots.map(Role::from),
        stop_bots: args.stop_bots.map(Role::from),
        invite: args.invite.map(Inviter::role),
        slow_mode_seconds: args.slow_mode,
        signals: args.signals,
    };
    let request = PatchRoomRequest {
        name: args.name,
        topic: args.topic,
        archived: args.archived,
        settings: Some(settings).filter(|settings| *settings != PatchRoomSettings::default()),
    };
    let room = http.patch_room(&args.room, &request).await.context("change the room")?;
    context.out.note(&format!("changed {}", room.slug));
    if context.out.json {
        context.out.json(&room)?;
    }
    Ok(())
}
