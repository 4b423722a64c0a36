//! Bodies of HTTP requests and answers. Requests refuse unknown fields.

mod auth;
mod bot;
mod command;
mod file;
mod hook;
mod import;
mod message;
mod object;
mod page;
mod provider;
mod reading;
mod room;
mod search;
mod server;
mod token;
mod user;

pub use auth::{
    PutPasswordRequest, RefreshRequest, RegisterRequest, Session, SessionResponse, SetupRequest,
    TokenRequest, TokenResponse, WsTicket,
};
pub use bot::{Bot, CreateBotRequest, MemoryStats, PatchBotRequest, Trigger};
pub use command::{
    CommandAnswer, CommandHelp, CommandHit, CreateCommandRequest, NewCommandSecret,
    RegisteredCommand, RunCommandRequest,
};
pub use file::{CreateUploadRequest, FileAddress, Upload};
pub use hook::{
    CreateIntegrationRequest, CreateWebhookRequest, DeadLetter, HookPosted, HookRequest,
    Integration, NewIntegrationAddress, NewWebhookSecret, PatchWebhookRequest, Redelivered,
    Webhook,
};
pub use import::{ImportReport, ImportedPerson};
pub use message::{Cancelled, EditMessageRequest, PublishAndReply, PublishRequest};
pub use page::{MemberPage, Page};
pub use provider::{ProviderHealth, ProviderSummary, TestPromptRequest, TestPromptResponse};
pub use reading::{MessageVersion, NotificationsRequest, ReadRequest, ReadState};
pub use room::{
    Ban, CreateInviteRequest, CreateRoomRequest, DeleteMemberRequest, Invite, PatchRoomRequest,
    PatchRoomSettings, PutMemberRequest, Restriction, TransferRoomRequest,
};
pub use search::{FoundRoom, Highlight, SearchResult, Snippet};
pub use server::{Dependency, Info, NodeStatus, RateRule, Readiness, Registration, Status};
pub use token::{CreateTokenRequest, NewPersonalToken, PersonalToken, Scope, Scopes};
pub use user::{
    AdminUser, DeactivateRequest, EraseRequest, EraseUserRequest, ErasedMessages, PatchMeRequest,
    PatchUserRequest, PresenceResponse,
};
