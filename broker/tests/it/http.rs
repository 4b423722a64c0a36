//! The HTTP contract, over real connections.

mod admin;
pub(crate) mod api;
mod commands;
mod documents;
mod events;
mod export;
mod files;
mod hidden;
mod hooks;
mod import;
mod input;
mod login;
mod members;
mod messages;
mod register;
mod reply;
mod rooms;
mod search;
mod shared;
mod tokens;
