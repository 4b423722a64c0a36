//! Bodies of HTTP requests and answers. Requests refuse unknown fields.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{JobId, MessageId, RoomId, SessionId, UserId};
use crate::limits::Limits;
use crate::message::Message;
use crate::room::{Role, RoomKind};
use crate::time::Timestamp;
use crate::user::{PresenceStatus, ServerRole, User, UserRef, Visibility};

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page starts; absent at the end.
    pub next: Option<String>,
}

/// A new account.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    /// 3–32 characters: letters, digits, `_`, `-`, `.`.
    pub username: String,
    /// 8–128 characters; refused when common or easy to guess.
    pub password: String,
    /// Optional and unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The name to show; the user name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// An invite code, where registration asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite: Option<String>,
}

/// The first administrator, by the one-time link printed at first start.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetupRequest {
    /// The token of the link.
    pub token: String,
    /// The administrator's user name.
    pub username: String,
    /// The administrator's password.
    pub password: String,
}

/// A login. As JSON, or as an OAuth2 password form (`grant_type` and `scope` are accepted).
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: String,
    /// `password`, where given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_type: Option<String>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
}

/// A new pair of tokens for a refresh token.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// The refresh token; it is spent by this call.
    pub refresh_token: String,
}

/// A pair of tokens.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct TokenResponse {
    /// Whose.
    pub user: User,
    /// Sent as `Authorization: Bearer …`.
    pub access_token: String,
    /// Always `bearer`.
    pub token_type: String,
    /// Seconds until the access token expires.
    pub expires_in: u64,
    /// Opaque, single use.
    pub refresh_token: String,
}

macro_rules! redacted_debug {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}
redacted_debug!(
    RegisterRequest,
    SetupRequest,
    TokenRequest,
    RefreshRequest,
    TokenResponse,
    PutPasswordRequest,
    WsTicket
);

/// The caller's login.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SessionResponse {
    /// Who is logged in.
    pub user: User,
    /// The login.
    pub session: Session,
}

/// A login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Session {
    /// The id.
    pub id: SessionId,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends unless it is refreshed.
    pub expires_at: Timestamp,
    /// The client's name, as far as it was told.
    pub client: String,
}

/// A single-use ticket for the WebSocket upgrade.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct WsTicket {
    /// For `?ticket=`.
    pub ticket: String,
    /// Seconds until it expires.
    pub expires_in: u64,
}

/// Changes of one's own profile.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PatchMeRequest {
    /// A new user name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// A new name to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// A new text about oneself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bio: Option<String>,
    /// Who may see the bio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
}

/// A new password.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutPasswordRequest {
    /// The present password.
    pub current_password: String,
    /// The new one.
    pub new_password: String,
}

/// Whether someone is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PresenceResponse {
    /// Online, idle or offline.
    pub status: PresenceStatus,
    /// When they were last seen.
    pub last_seen: Option<Timestamp>,
    /// How many connections they have.
    pub connections: u32,
}

/// A new room.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRoomRequest {
    /// The name to show, 1–80 characters.
    pub name: String,
    /// The unique short name; made from the name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    /// Public, private or direct.
    pub kind: RoomKind,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// User names of the first members, besides the caller.
    #[serde(default)]
    pub members: Vec<String>,
    /// Names of the first bots.
    #[serde(default)]
    pub bots: Vec<String>,
    /// Makes a repeated request give the first answer again; also as `Idempotency-Key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}

/// Changes of a room.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PatchRoomRequest {
    /// A new name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A new topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Closes the room for new messages, or opens it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
}

/// Joins, invites, or changes a member. An empty object for oneself joins.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PutMemberRequest {
    /// The role to give.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Takes the right to write away for a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mute: Option<Restriction>,
    /// Removes the member and keeps them out for a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ban: Option<Restriction>,
    /// An invite code, to join a private room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invite: Option<String>,
}

/// A mute or a ban.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Restriction {
    /// When it ends; absent: when a moderator lifts it. In the past: it is lifted.
    pub until: Option<Timestamp>,
}

/// An invite link's code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Invite {
    /// The code; whoever has it may join.
    pub code: String,
    /// The room.
    pub room: RoomId,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// How many more may join by it.
    pub uses_left: u32,
}

/// A new invite link.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CreateInviteRequest {
    /// Seconds until it stops working; a week when absent, 30 days at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
    /// How many may join by it; 25 when absent, 1,000 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_uses: Option<u32>,
}

/// A new message.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishRequest {
    /// The text.
    pub body: String,
    /// The author's own id: the same one is one message; also as `Idempotency-Key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<MessageId>,
    /// The message whose thread it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<MessageId>,
}

/// A changed message.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EditMessageRequest {
    /// The new text.
    pub body: String,
}

/// A message and the bot's reply to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PublishAndReply {
    /// The message.
    pub message: Message,
    /// The finished reply; absent when the message called no bot.
    pub reply: Option<Message>,
}

/// When a bot answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// When it is mentioned; in a direct room always.
    Mention,
    /// To every message of a person.
    Always,
    /// Only in direct rooms.
    Direct,
    /// Never.
    Never,
}

/// A bot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bot {
    /// The bot's user.
    pub user: UserRef,
    /// The provider; absent: the server's default.
    pub provider: Option<String>,
    /// The model; absent: the provider's default.
    pub model: Option<String>,
    /// What the bot is told about itself; only for administrators and its maker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// When it answers.
    pub trigger: Trigger,
    /// Sampling temperature.
    pub temperature: Option<f32>,
    /// Longest reply in tokens.
    pub max_tokens: Option<u32>,
    /// Messages of the room that it is shown at most.
    pub context_messages: u32,
    /// How far back it remembers, in seconds; 0: without end.
    pub memory_ttl_seconds: u64,
    /// Who made it.
    pub owner: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A new bot.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateBotRequest {
    /// Its user name.
    pub name: String,
    /// The name to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The provider; absent: the server's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The model; absent: the provider's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What the bot is told about itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// When it answers; `mention` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
    /// Sampling temperature, 0–2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Longest reply in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// Messages of the room that it is shown at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_messages: Option<u32>,
    /// How far back it remembers, in seconds; 0: without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_ttl_seconds: Option<u64>,
}

/// Changes of a bot. What is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PatchBotRequest {
    /// The name to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What the bot is told about itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// When it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
    /// Sampling temperature, 0–2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Longest reply in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// Messages of the room that it is shown at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_messages: Option<u32>,
    /// How far back it remembers, in seconds; 0: without end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_ttl_seconds: Option<u64>,
}

/// A configured model provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProviderSummary {
    /// The name to use in a bot.
    pub name: String,
    /// `ollama`, `openai_compatible` or `demo`.
    pub kind: String,
    /// Whether bots without a provider use it.
    pub default: bool,
    /// The model used when a bot names none.
    pub default_model: String,
    /// The models that it offers; empty when it could not be asked.
    pub models: Vec<String>,
}

/// Whether a provider can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProviderHealth {
    /// The provider.
    pub name: String,
    /// Whether it answered.
    pub reachable: bool,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// What is wrong, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// One prompt to try a provider with.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestPromptRequest {
    /// The provider; absent: the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The model; absent: the provider's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The prompt.
    pub prompt: String,
}

/// What a provider answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TestPromptResponse {
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The answer.
    pub reply: String,
    /// What it cost.
    pub usage: crate::message::Usage,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

/// What a room's bots can remember.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryStats {
    /// The bot.
    pub bot: UserRef,
    /// Messages of the room that the bot would be shown now.
    pub messages: u64,
    /// Their size in tokens, estimated.
    pub tokens: u64,
    /// The oldest of them.
    pub since: Option<Timestamp>,
    /// How far back it remembers, in seconds; 0: without end.
    pub memory_ttl_seconds: u64,
}

/// A bot's duty to answer a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cancelled {
    /// The duty.
    pub job: JobId,
}

/// The state of one thing that the server depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dependency {
    /// Whether it works.
    pub ok: bool,
    /// What it is, such as `sqlite`.
    pub kind: String,
    /// What is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Whether the node takes work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Readiness {
    /// Whether it does.
    pub ready: bool,
    /// Why not, when it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Each dependency by name.
    pub dependencies: BTreeMap<String, Dependency>,
}

/// What this server is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Info {
    /// Always `parlor`.
    pub name: String,
    /// The version.
    pub version: String,
    /// The WebSocket subprotocols.
    pub subprotocols: Vec<String>,
    /// Whether anyone may register.
    pub registration: Registration,
    /// Whether the first administrator is still to be made.
    pub setup_required: bool,
    /// Limits of a connection.
    pub limits: Limits,
}

/// Who may register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    /// Everyone.
    Open,
    /// Those with an invite code.
    Invite,
    /// Nobody.
    Closed,
}

/// The state of the server, for administrators.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// The version.
    pub version: String,
    /// The nodes.
    pub nodes: Vec<NodeStatus>,
    /// Each dependency by name.
    pub dependencies: BTreeMap<String, Dependency>,
}

/// The state of one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// Since when it runs.
    pub started_at: Timestamp,
    /// For how many seconds it has been running.
    pub uptime_seconds: u64,
    /// Open WebSocket connections.
    pub connections: u64,
    /// Rooms with a connected member.
    pub rooms: u64,
}

/// A user as administrators see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AdminUser {
    /// The profile.
    #[serde(flatten)]
    pub user: User,
    /// Whether they may log in.
    pub active: bool,
}

/// Changes of a user by an administrator.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PatchUserRequest {
    /// Whether they may log in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// The server-wide role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<ServerRole>,
}
