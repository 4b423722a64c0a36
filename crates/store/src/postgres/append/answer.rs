//! What programs say for members who asked them.

use parlor_domain::permission::{Action, post_action};
use parlor_protocol::id::UserId;

use super::publish::{Kind, find_first, publish};
use super::{Desk, Step};
use crate::append::{AppendRefused, Appended, NewMessage};
use crate::postgres::sql::integrations;
use crate::postgres::{query, rows};

/// Writes an answer, if by now the one who asked may still write and the program still speaks here.
pub(super) async fn answer(
    desk: &mut Desk<'_>,
    speaker: UserId,
    message: NewMessage,
) -> Step<Appended> {
    desk.authorize(Action::Read)?;
    let may_write = desk.authorize(post_action(desk.actor.kind));
    give_the_floor(desk, speaker).await?;
    if let Err(refused) = may_write {
        // The first answer stays the answer, as it does for every message.
        return match find_first(desk, &message).await? {
            Some(seq) => desk.repeat(seq).await,
            None => Err(refused),
        };
    }
    publish(desk, message, Kind::Said).await
}

/// Makes the program's integration the actor.
async fn give_the_floor(desk: &mut Desk<'_>, speaker: UserId) -> Step<()> {
    let room = desk.room_key();
    let vouched = query::exists(desk.conn, integrations::IS_VOUCHED, &[&room, &speaker.0]).await?;
    let found = rows::find_user_ref(desk.conn, speaker).await?;
    let member = rows::find_membership(desk.conn, desk.room.id, speaker).await?;
    match found {
        Some((user, true)) if vouched && member.is_some() => {
            desk.actor = user;
            desk.member = member;
            Ok(())
        }
        _ => Err(AppendRefused::NoSuchSpeaker.into()),
    }
}
