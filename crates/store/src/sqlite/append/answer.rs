//! What programs say for members who asked them.

use parlor_domain::permission::{Action, post_action};
use parlor_protocol::id::UserId;
use rusqlite::params;

use super::publish::{Kind, find_first, publish};
use super::{Desk, Step};
use crate::append::{AppendRefused, Appended, NewMessage};
use crate::sqlite::sql::integrations;
use crate::sqlite::{query, rows};

/// Writes an answer, if by now the one who asked may still write and the program still speaks here.
pub(super) fn answer(desk: &mut Desk<'_>, speaker: UserId, message: NewMessage) -> Step<Appended> {
    desk.authorize(Action::Read)?;
    let may_write = desk.authorize(post_action(desk.actor.kind));
    give_the_floor(desk, speaker)?;
    if let Err(refused) = may_write {
        // The first answer stays the answer, as it does for every message.
        return match find_first(desk, &message)? {
            Some(seq) => desk.repeat(seq),
            None => Err(refused),
        };
    }
    publish(desk, message, Kind::Said)
}

/// Makes the program's integration the actor.
fn give_the_floor(desk: &mut Desk<'_>, speaker: UserId) -> Step<()> {
    let key = params![desk.room_key(), speaker.0.as_bytes()];
    let vouched = query::exists(desk.conn, integrations::IS_VOUCHED, key)?;
    let found = rows::find_user_ref(desk.conn, speaker)?;
    let member = rows::find_membership(desk.conn, desk.room.id, speaker)?;
    match found {
        Some((user, true)) if vouched && member.is_some() => {
            desk.actor = user;
            desk.member = member;
            Ok(())
        }
        _ => Err(AppendRefused::NoSuchSpeaker.into()),
    }
}
