//! What someone who means harm, or knows no better, sends to a server: every bad frame, request,
//! token and setting gets a clear answer, and nothing else changes.
//!
//! WebSocket frames are written and read here by hand, from RFC 6455, so that no library's idea of
//! what is right stands between the test and the server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail at once")]

mod closing;
mod commands;
mod descriptors;
mod folder;
mod foreign;
mod framing;
mod handshake;
mod noise;
mod raw;
mod requests;
mod services;
mod settings;
mod sizes;
mod slow;
mod stage;
mod strangers;
mod tokens;
mod utf8;
