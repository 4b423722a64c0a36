//! The wire: every frame, event, signal, HTTP body, error code and limit that a client can see.
//!
//! These types are the contract. JSON Schema, `OpenAPI` and `AsyncAPI` documents are generated from
//! them, so what is published cannot differ from what is spoken. Commands (what a client sends)
//! refuse unknown fields; everything a client receives may gain fields and clients ignore those
//! that they do not know.
//!
//! This crate does no I/O and depends on nothing else of the project.

pub mod close;
pub mod code;
pub mod command;
pub mod event;
pub mod frame;
pub mod http;
pub mod id;
pub mod limits;
pub mod message;
pub mod room;
pub mod room_file;
pub mod schema;
pub mod signal;
pub mod time;
pub mod user;

/// The WebSocket subprotocol of this contract.
pub const SUBPROTOCOL: &str = "parlor.v1";

/// The same contract with every frame as `MessagePack` in a binary message.
pub const SUBPROTOCOL_MSGPACK: &str = "parlor.v1.msgpack";

/// All subprotocols that a server speaks.
pub const SUBPROTOCOLS: [&str; 2] = [SUBPROTOCOL, SUBPROTOCOL_MSGPACK];
