//! `rooms`: list, make, enter and leave rooms.

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use parlor_client::{Http, MembersQuery, RoomQuery};
use parlor_protocol::http::{CreateInviteRequest, CreateRoomRequest, PutMemberRequest};
use parlor_protocol::limits::PAGE_MAX;
use parlor_protocol::room::{Room, RoomKind};
use uuid::Uuid;

use crate::context::Context;
use crate::failure::Usage;
use crate::password;
use crate::render::{kind_name, level_name, role_name, status_name};

mod moderation;
mod reading;
mod settings;

#[derive(Debug, Args)]
pub(crate) struct RoomsArgs {
    #[command(subcommand)]
    command: Option<RoomsCommand>,
}

#[derive(Debug, Subcommand)]
enum RoomsCommand {
    /// List rooms (also without a verb)
    List(ListArgs),
    /// Show one room
    Show {
        /// Room, by id or short name
        room: String,
    },
    /// Make a room
    Create(CreateArgs),
    /// Enter a room
    Join {
        /// Room, by id or short name
        room: String,
        /// Invite code, for a private room
        #[arg(long, value_name = "CODE")]
        invite: Option<String>,
    },
    /// Leave a room
    Leave {
        /// Room, by id or short name
        room: String,
    },
    /// Delete a room with all that was written in it
    Delete {
        /// Room, by id or short name
        room: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// List the members of a room
    Members {
        /// Room, by id or short name
        room: String,
        /// Only those who are there
        #[arg(long)]
        online: bool,
        /// Only those whose user name begins with this
        #[arg(long, value_name = "TEXT")]
        name: Option<String>,
    },
    /// Change name, topic or rules of a room
    Set(Box<settings::SetArgs>),
    /// Give my ownership of a room to another member
    Transfer {
        /// Room, by id or short name
        room: String,
        /// User name of the new owner
        username: String,
    },
    /// Delete all rooms that only I own
    DeleteMine {
        /// Only rooms of this kind
        #[arg(long, value_enum)]
        kind: Option<Kind>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    #[command(flatten)]
    Moderation(moderation::Moderation),
    /// Set the read marker, also back
    Read {
        /// Room, by id or short name
        room: String,
        /// Everything up to here is read [default: all]
        seq: Option<u64>,
    },
    /// Choose which messages to be told of
    Notify {
        /// Room, by id or short name
        room: String,
        /// Which
        level: reading::Level,
    },
    /// Make an invite code
    Invite {
        /// Room, by id or short name
        room: String,
        /// Seconds until it stops working
        #[arg(long, value_name = "SECONDS")]
        expires_in: Option<u64>,
        /// How many may join by it
        #[arg(long, value_name = "N")]
        max_uses: Option<u32>,
    },
}

#[derive(Debug, Default, Args)]
struct ListArgs {
    /// Only rooms that I am in
    #[arg(long)]
    mine: bool,
    /// Only rooms whose name holds this
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// Name to show
    name: String,
    /// Short name [default: made from the name]
    #[arg(long)]
    slug: Option<String>,
    /// Who may find and enter it
    #[arg(long, value_enum, default_value_t = Kind::Public)]
    kind: Kind,
    /// What it is about
    #[arg(long, value_name = "TEXT")]
    topic: Option<String>,
    /// First members, besides me
    #[arg(long = "member", value_name = "USERNAME")]
    members: Vec<String>,
    /// First bots
    #[arg(long = "bot", value_name = "NAME")]
    bots: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// Listed; everyone may join
    Public,
    /// Only for those who were invited
    Private,
    /// A conversation between fixed participants
    Direct,
}

impl From<Kind> for RoomKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Public => Self::Public,
            Kind::Private => Self::Private,
            Kind::Direct => Self::Direct,
        }
    }
}

pub(crate) async fn run(args: RoomsArgs, context: &Context) -> anyhow::Result<()> {
    let http = context.http()?;
    match args.command.unwrap_or(RoomsCommand::List(ListArgs::default())) {
        RoomsCommand::List(args) => list(&http, args, context).await,
        RoomsCommand::Show { room } => {
            let room = http.room(&room).await.context("show the room")?;
            show(&room, context)
        }
        RoomsCommand::Create(args) => create(&http, args, context).await,
        RoomsCommand::Join { room, invite } => {
            join(&http, &room, invite).await.context("enter the room")?;
            context.out.note(&format!("entered {room}"));
            Ok(())
        }
        RoomsCommand::Leave { room } => {
            let me = http.me().await.context("leave the room")?;
            http.delete_member(&room, &me.username).await.context("leave the room")?;
            context.out.note(&format!("left {room}"));
            Ok(())
        }
        RoomsCommand::Delete { room, yes } => delete(&http, &room, yes, context).await,
        RoomsCommand::Members { room, online, name } => {
            let query = MembersQuery { online, q: name, ..MembersQuery::default() };
            members(&http, &room, query, context).await
        }
        RoomsCommand::Set(args) => settings::run(&http, *args, context).await,
        RoomsCommand::Transfer { room, username } => {
            let changed = http.transfer_room(&room, &username).await.context("give the room")?;
            context.out.note(&format!("{username} owns {} now", changed.slug));
            if context.out.json {
                context.out.json(&changed)?;
            }
            Ok(())
        }
        RoomsCommand::DeleteMine { kind, yes } => delete_mine(&http, kind, yes, context).await,
        RoomsCommand::Moderation(command) => moderation::run(&http, command, context).await,
        RoomsCommand::Read { room, seq } => reading::read(&http, &room, seq, context).await,
        RoomsCommand::Notify { room, level } => reading::notify(&http, &room, level, context).await,
        RoomsCommand::Invite { room, expires_in, max_uses } => {
            let request = CreateInviteRequest { expires_in, max_uses };
            let invite = http.create_invite(&room, &request).await.context("make an invite")?;
            if context.out.json {
                return Ok(context.out.json(&invite)?);
            }
            let (uses, until) = (invite.uses_left, invite.expires_at);
            context.out.note(&format!("for {uses} uses, until {until}"));
            Ok(context.out.text(&(crate::plain::line(&invite.code) + "\n"))?)
        }
    }
}

/// Enters a room as whoever is logged in.
pub(crate) async fn join(http: &Http, room: &str, invite: Option<String>) -> anyhow::Result<()> {
    let me = http.me().await?;
    let request = PutMemberRequest { invite, ..PutMemberRequest::default() };
    Ok(http.put_member(room, &me.username, &request).await?)
}

async fn list(http: &Http, args: ListArgs, context: &Context) -> anyhow::Result<()> {
    let mut query = RoomQuery {
        mine: args.mine,
        text: args.search,
        limit: Some(PAGE_MAX),
        ..RoomQuery::default()
    };
    let mut rooms = Vec::new();
    loop {
        let page = http.rooms(&query).await.context("list rooms")?;
        rooms.extend(page.items);
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    if context.out.json {
        return Ok(context.out.json(&rooms)?);
    }
    let row = |room: Room| {
        vec![
            room.slug,
            kind_name(room.kind).to_owned(),
            room.role.map_or("", role_name).to_owned(),
            room.members.to_string(),
            room.unread.to_string(),
            room.mentions.to_string(),
            room.name,
        ]
    };
    let head = ["ROOM", "KIND", "ROLE", "MEMBERS", "UNREAD", "MENTIONS", "NAME"];
    Ok(context.out.table(&head, rooms.into_iter().map(row).collect())?)
}

fn show(room: &Room, context: &Context) -> anyhow::Result<()> {
    if context.out.json {
        return Ok(context.out.json(room)?);
    }
    let rows = [
        ("room", room.slug.clone()),
        ("id", room.id.to_string()),
        ("name", room.name.clone()),
        ("kind", kind_name(room.kind).to_owned()),
        ("topic", room.topic.clone()),
        ("role", room.role.map_or("not a member", role_name).to_owned()),
        ("members", room.members.to_string()),
        ("unread", room.unread.to_string()),
        ("mentions", room.mentions.to_string()),
        ("notifications", level_name(room.notifications).to_owned()),
        ("newest", format!("#{}", room.seq)),
        ("archived", room.archived.to_string()),
        ("made", room.created_at.to_string()),
    ];
    let rows = rows.map(|(name, value)| vec![name.to_owned(), value]);
    Ok(context.out.table(&[], rows.into())?)
}

async fn create(http: &Http, args: CreateArgs, context: &Context) -> anyhow::Result<()> {
    let request = CreateRoomRequest {
        name: args.name,
        slug: args.slug,
        kind: args.kind.into(),
        topic: args.topic,
        members: args.members,
        bots: args.bots,
        client_id: Some(Uuid::new_v4().to_string()),
    };
    let room = http.create_room(&request).await.context("make the room")?;
    if context.out.json {
        return Ok(context.out.json(&room)?);
    }
    context.out.note("made the room");
    Ok(context.out.text(&(crate::plain::line(&room.slug) + "\n"))?)
}

async fn delete(http: &Http, room: &str, yes: bool, context: &Context) -> anyhow::Result<()> {
    let what = format!("Delete {room} with all that was written in it? Type its name to confirm");
    confirm(context, yes, &what, room)?;
    http.delete_room(room).await.context("delete the room")?;
    context.out.note(&format!("deleted {room}"));
    Ok(())
}

async fn delete_mine(
    http: &Http,
    kind: Option<Kind>,
    yes: bool,
    context: &Context,
) -> anyhow::Result<()> {
    let what = "Delete all rooms that only you own, with all that was written in them? Type yes";
    confirm(context, yes, what, "yes")?;
    let deleted = http.delete_my_rooms(kind.map(RoomKind::from)).await.context("delete rooms")?;
    if context.out.json {
        return Ok(context.out.json(&deleted)?);
    }
    context.out.note(&format!("deleted {} rooms", deleted.len()));
    Ok(())
}

/// Goes on only if whoever is at the terminal repeats a word, or `--yes` was given.
pub(crate) fn confirm(context: &Context, yes: bool, what: &str, word: &str) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if !context.out.can_ask {
        return Err(Usage("--yes is missing, and there is no terminal to ask".to_owned()).into());
    }
    if password::ask(context, None, what)? == word {
        Ok(())
    } else {
        Err(Usage(format!("nothing was done: {word} was not repeated")).into())
    }
}

async fn members(
    http: &Http,
    room: &str,
    mut query: MembersQuery,
    context: &Context,
) -> anyhow::Result<()> {
    let mut members = Vec::new();
    loop {
        let page = http.members_by(room, &query).await.context("list members")?;
        members.extend(page.items);
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    if context.out.json {
        return Ok(context.out.json(&members)?);
    }
    let rows = members.into_iter().map(|member| {
        vec![
            member.user.username,
            role_name(member.role).to_owned(),
            status_name(member.status).to_owned(),
            member.user.display_name,
        ]
    });
    Ok(context.out.table(&["MEMBER", "ROLE", "STATUS", "NAME"], rows.collect())?)
}
