//! Slash commands on a connection.

use std::sync::Arc;

use parlor_domain::slash::Slash;
use parlor_protocol::frame::{Accepted, Frame};
use parlor_protocol::http::CommandAnswer;
use parlor_protocol::id::RoomRef;

use super::command::{Action, charge, presence, refused};
use super::context::Context;
use crate::commands::{Asked, parse};

/// A command that was asked for.
pub(super) struct Wanted {
    pub(super) room: RoomRef,
    pub(super) text: String,
    pub(super) client_id: Option<String>,
}

/// Tells whether it says that nobody is there.
pub(super) fn is_away(text: &str) -> bool {
    matches!(parse(text), Ok(Slash::Away))
}

/// Begins the work on a slash command.
pub(super) fn slash(context: &mut Context, id: Option<String>, wanted: Wanted) -> Action {
    let Some(caller) = context.caller() else { return Action::Done };
    if let Err(refusal) = charge(context, "slash_command", |rate| &rate.slash_command) {
        return refused(id, refusal);
    }
    let Wanted { room, text, client_id } = wanted;
    // Another program takes its time, and the connection goes on meanwhile.
    let takes_time = match parse(&text) {
        Err(refusal) => return refused(id, refusal),
        Ok(Slash::Away) => return away(context, id),
        Ok(command) => matches!(command, Slash::Other(..)),
    };
    let node = Arc::clone(&context.shard.node);
    let address = context.address;
    let asked = Asked { node, caller, address, room, text, client_id };
    let work = Box::pin(async move {
        Some(match asked.run().await {
            Ok(answer) => answered(id, answer),
            Err(refusal) => refusal.into_frame(id),
        })
    });
    if takes_time { Action::Commit(work) } else { Action::Serial(work) }
}

/// Nobody is in front of this client any more.
fn away(context: &mut Context, id: Option<String>) -> Action {
    match presence(context, id.clone(), true) {
        Action::Serial(work) => Action::Serial(Box::pin(async move {
            work.await;
            let text = "You are away until you do something.".to_owned();
            Some(answered(id, CommandAnswer::Changed { text }))
        })),
        other => other,
    }
}

fn answered(re: Option<String>, answer: CommandAnswer) -> Frame {
    let (seq, message) = match &answer {
        CommandAnswer::Message { message, seq } => (Some(*seq), Some(*message)),
        _ => (None, None),
    };
    Frame::Ok(Accepted { re, seq, message, duplicate: false, answer: Some(Box::new(answer)) })
}
