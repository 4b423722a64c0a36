//! Who may do what in a room.

use parlor_protocol::room::{Role, RoomKind};
use parlor_protocol::time::Timestamp;

/// What a member wants to do in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Read history and follow the room.
    Read,
    /// Write a message, react, show typing, send a signal.
    Write,
    /// Change one's own message.
    EditOwn,
    /// Remove one's own message.
    RedactOwn,
    /// Remove another's message.
    RedactOthers,
    /// Pin a message, or unpin it.
    Pin,
    /// Stop or redo a bot's reply.
    SteerBot,
    /// Bring someone in, or make an invite link.
    Invite,
    /// Remove, ban or mute a member.
    Moderate,
    /// Change name or topic.
    Update,
    /// Give roles, archive, delete, reset the history.
    Own,
}

/// A membership as the rules see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// The role.
    pub role: Role,
    /// Until when the member may not write.
    pub muted_until: Option<Timestamp>,
}

/// The part of a room's state that decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomFacts {
    /// Public, private or direct.
    pub kind: RoomKind,
    /// Whether it is closed for new messages.
    pub archived: bool,
}

/// Why an action was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Only members may; the caller may know that the room exists.
    #[error("only members of the room may do this")]
    NotAMember,
    /// The caller may not know that the room exists.
    #[error("there is no such room")]
    Hidden,
    /// The role does not allow it.
    #[error("this needs the role {0}")]
    Role(&'static str),
    /// The member is muted.
    #[error("you may not write here for now")]
    Muted {
        /// Until when.
        until: Timestamp,
    },
    /// The room is closed for new messages.
    #[error("the room is archived")]
    Archived,
    /// A direct room keeps its participants.
    #[error("a direct room keeps its participants")]
    Direct,
}

/// Decides whether a member, or someone who is not one, may act in a room at `now`.
pub fn authorize(
    room: RoomFacts,
    member: Option<Membership>,
    action: Action,
    now: Timestamp,
) -> Result<(), Refused> {
    let Some(member) = member else {
        return Err(match room.kind {
            RoomKind::Public => Refused::NotAMember,
            RoomKind::Private | RoomKind::Direct => Refused::Hidden,
        });
    };
    let (least, name) = least_role(room.kind, action);
    if member.role < least {
        return Err(Refused::Role(name));
    }
    let writes = matches!(action, Action::Write | Action::EditOwn | Action::Pin | Action::SteerBot);
    if writes && room.archived {
        return Err(Refused::Archived);
    }
    if writes && let Some(until) = member.muted_until.filter(|&until| until > now) {
        return Err(Refused::Muted { until });
    }
    if room.kind == RoomKind::Direct && matches!(action, Action::Invite | Action::Moderate) {
        return Err(Refused::Direct);
    }
    Ok(())
}

fn least_role(kind: RoomKind, action: Action) -> (Role, &'static str) {
    match action {
        Action::Read | Action::Write | Action::EditOwn | Action::RedactOwn | Action::SteerBot => {
            (Role::Member, "member")
        }
        // Nobody keeps order in a conversation.
        Action::Pin if kind == RoomKind::Direct => (Role::Member, "member"),
        // Everyone may enter a public room anyway.
        Action::Invite if kind == RoomKind::Public => (Role::Member, "member"),
        Action::Invite | Action::RedactOthers | Action::Pin | Action::Moderate | Action::Update => {
            (Role::Moderator, "moderator")
        }
        Action::Own => (Role::Owner, "owner"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    fn room(kind: RoomKind) -> RoomFacts {
        RoomFacts { kind, archived: false }
    }

    fn member(role: Role) -> Membership {
        Membership { role, muted_until: None }
    }

    fn now() -> Timestamp {
        Timestamp::from_millis(NOW)
    }

    #[test]
    fn stranger_learns_of_a_public_room_only() {
        let public = authorize(room(RoomKind::Public), None, Action::Read, now());
        let private = authorize(room(RoomKind::Private), None, Action::Read, now());
        assert_eq!((public, private), (Err(Refused::NotAMember), Err(Refused::Hidden)));
    }

    #[test]
    fn mute_ends_by_itself() {
        let muted = |until| {
            Some(Membership {
                role: Role::Member,
                muted_until: Some(Timestamp::from_millis(until)),
            })
        };
        let refused = authorize(room(RoomKind::Public), muted(NOW + 1), Action::Write, now());
        assert!(matches!(refused, Err(Refused::Muted { .. })));
        assert_eq!(authorize(room(RoomKind::Public), muted(NOW), Action::Write, now()), Ok(()));
        let reading = authorize(room(RoomKind::Public), muted(NOW + 1), Action::Read, now());
        assert_eq!(reading, Ok(()));
    }

    #[test]
    fn archived_room_is_read_only_for_everyone() {
        let archived = RoomFacts { kind: RoomKind::Public, archived: true };
        assert_eq!(
            authorize(archived, Some(member(Role::Owner)), Action::Write, now()),
            Err(Refused::Archived)
        );
        assert_eq!(authorize(archived, Some(member(Role::Owner)), Action::Own, now()), Ok(()));
    }

    #[test]
    fn higher_roles_may_do_what_lower_ones_may() {
        let actions = [
            Action::Read,
            Action::Write,
            Action::EditOwn,
            Action::RedactOwn,
            Action::RedactOthers,
            Action::Pin,
            Action::SteerBot,
            Action::Invite,
            Action::Moderate,
            Action::Update,
            Action::Own,
        ];
        for action in actions {
            let allowed = |role| {
                authorize(room(RoomKind::Private), Some(member(role)), action, now()).is_ok()
            };
            assert!(allowed(Role::Owner), "{action:?}");
            assert!(!allowed(Role::Member) || allowed(Role::Moderator), "{action:?}");
        }
    }

    #[test]
    fn direct_room_keeps_its_participants() {
        let invite =
            authorize(room(RoomKind::Direct), Some(member(Role::Owner)), Action::Invite, now());
        assert_eq!(invite, Err(Refused::Direct));
    }

    #[test]
    fn pins_are_for_those_who_keep_order_and_in_a_conversation_for_all() {
        let pin = |kind, role| authorize(room(kind), Some(member(role)), Action::Pin, now());
        assert_eq!(pin(RoomKind::Public, Role::Member), Err(Refused::Role("moderator")));
        assert_eq!(pin(RoomKind::Private, Role::Moderator), Ok(()));
        assert_eq!(pin(RoomKind::Direct, Role::Member), Ok(()));
    }
}
