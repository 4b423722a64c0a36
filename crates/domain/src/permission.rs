//! Who may do what in a room.

use parlor_protocol::room::{Role, RoomKind, RoomSettings};
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::UserKind;

/// Longest pause between two messages that a room may ask for, in seconds: six hours.
pub const SLOW_MODE_MAX: u32 = 21_600;

/// What a member wants to do in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Read history and follow the room.
    Read,
    /// React.
    Write,
    /// Write a message, show typing.
    Post,
    /// Send a signal of a client's own.
    Signal,
    /// Have one's message call bots.
    CallBots,
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
    /// Set how long members wait between two messages.
    SetSlowMode,
    /// Set who may do what.
    SetRules,
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
    /// Who may do what in it, besides what the roles say.
    pub settings: RoomSettings,
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
    /// Nobody sends signals of their own in this room.
    #[error("the room takes no signals")]
    NoSignals,
    /// The last message of this member was too short a time ago.
    #[error("the room is in slow mode")]
    SlowMode {
        /// Milliseconds until the next one.
        wait_ms: u64,
    },
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
    let least = least_role(&room, action);
    if member.role < least {
        return Err(Refused::Role(role_name(least)));
    }
    let writes = matches!(
        action,
        Action::Write
            | Action::Post
            | Action::Signal
            | Action::CallBots
            | Action::EditOwn
            | Action::Pin
            | Action::SteerBot
    );
    if writes && room.archived {
        return Err(Refused::Archived);
    }
    if writes && let Some(until) = member.muted_until.filter(|&until| until > now) {
        return Err(Refused::Muted { until });
    }
    if action == Action::Signal && !room.settings.signals {
        return Err(Refused::NoSignals);
    }
    let is_of_groups = matches!(
        action,
        Action::Invite | Action::Moderate | Action::SetRules | Action::SetSlowMode
    );
    if room.kind == RoomKind::Direct && is_of_groups {
        return Err(Refused::Direct);
    }
    Ok(())
}

/// Returns what writing a message is for someone. Whoever keeps order lets programs in, so who may
/// post by the settings of the room does not shut them out; a mute and an archived room do.
pub const fn post_action(kind: UserKind) -> Action {
    match kind {
        UserKind::User | UserKind::Bot => Action::Post,
        UserKind::Integration => Action::Write,
    }
}

/// Tells whether slow mode holds for someone. It is for people: moderators keep order with it, and
/// programs have rates of their own.
pub fn is_slowed(settings: &RoomSettings, member: Membership, kind: UserKind) -> bool {
    settings.slow_mode_seconds > 0 && member.role < Role::Moderator && kind == UserKind::User
}

/// Decides whether someone for whom slow mode holds may write again at `now`.
pub fn check_slow_mode(
    settings: &RoomSettings,
    last: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), Refused> {
    let pause = i64::from(settings.slow_mode_seconds) * 1_000;
    let Some(last) = last else { return Ok(()) };
    // A clock that was set back must not keep anyone out for longer.
    let wait = last.as_millis().saturating_add(pause).saturating_sub(now.as_millis()).min(pause);
    match u64::try_from(wait) {
        Ok(wait_ms @ 1..) => Err(Refused::SlowMode { wait_ms }),
        _ => Ok(()),
    }
}

/// Decides whether someone may act against another member: moderators keep order among members, and
/// only an owner acts against moderators and owners.
pub fn check_rank(actor: Membership, target: Membership) -> Result<(), Refused> {
    if target.role >= actor.role && actor.role != Role::Owner {
        return Err(Refused::Role(role_name(Role::Owner)));
    }
    Ok(())
}

fn least_role(room: &RoomFacts, action: Action) -> Role {
    match action {
        Action::Read | Action::Write | Action::Signal | Action::EditOwn | Action::RedactOwn => {
            Role::Member
        }
        Action::Post => room.settings.post,
        Action::CallBots => room.settings.call_bots,
        Action::SteerBot => room.settings.stop_bots,
        Action::Invite => room.settings.invite.unwrap_or(match room.kind {
            // Everyone may enter a public room anyway.
            RoomKind::Public => Role::Member,
            RoomKind::Private | RoomKind::Direct => Role::Moderator,
        }),
        // Nobody keeps order in a conversation.
        Action::Pin if room.kind == RoomKind::Direct => Role::Member,
        Action::Pin
        | Action::RedactOthers
        | Action::Moderate
        | Action::Update
        | Action::SetSlowMode => Role::Moderator,
        Action::SetRules | Action::Own => Role::Owner,
    }
}

const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::Moderator => "moderator",
        Role::Owner => "owner",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    fn room(kind: RoomKind) -> RoomFacts {
        RoomFacts { kind, archived: false, settings: RoomSettings::default() }
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
        let archived = RoomFacts { archived: true, ..room(RoomKind::Public) };
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
            Action::Post,
            Action::Signal,
            Action::CallBots,
            Action::EditOwn,
            Action::RedactOwn,
            Action::RedactOthers,
            Action::Pin,
            Action::SteerBot,
            Action::Invite,
            Action::Moderate,
            Action::Update,
            Action::SetSlowMode,
            Action::SetRules,
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

    #[test]
    fn settings_say_which_role_may() {
        let rules = RoomSettings {
            post: Role::Moderator,
            call_bots: Role::Owner,
            stop_bots: Role::Moderator,
            invite: Some(Role::Owner),
            ..RoomSettings::default()
        };
        let room = RoomFacts { settings: rules, ..room(RoomKind::Private) };
        let least = |action| {
            [Role::Member, Role::Moderator, Role::Owner]
                .into_iter()
                .find(|role| authorize(room, Some(member(*role)), action, now()).is_ok())
        };
        assert_eq!(least(Action::Post), Some(Role::Moderator));
        assert_eq!(least(Action::CallBots), Some(Role::Owner));
        assert_eq!(least(Action::SteerBot), Some(Role::Moderator));
        assert_eq!(least(Action::Invite), Some(Role::Owner));
        assert_eq!(least(Action::Write), Some(Role::Member), "reacting is not posting");
    }

    #[test]
    fn room_without_signals_takes_them_from_nobody() {
        let rules = RoomSettings { signals: false, ..RoomSettings::default() };
        let room = RoomFacts { settings: rules, ..room(RoomKind::Public) };
        let sent = authorize(room, Some(member(Role::Owner)), Action::Signal, now());
        assert_eq!(sent, Err(Refused::NoSignals));
        assert_eq!(authorize(room, Some(member(Role::Member)), Action::Post, now()), Ok(()));
    }

    #[test]
    fn slow_mode_asks_people_to_wait_and_no_longer_than_it_says() {
        let rules = RoomSettings { slow_mode_seconds: 10, ..RoomSettings::default() };
        let check = |last| check_slow_mode(&rules, last, now());
        let ago = |ms| Some(Timestamp::from_millis(NOW - ms));
        assert_eq!(check(None), Ok(()));
        assert_eq!(check(ago(10_000)), Ok(()));
        assert_eq!(check(ago(9_999)), Err(Refused::SlowMode { wait_ms: 1 }));
        assert_eq!(check(ago(-500_000)), Err(Refused::SlowMode { wait_ms: 10_000 }));

        let slowed = |role, kind| is_slowed(&rules, member(role), kind);
        assert!(slowed(Role::Member, UserKind::User));
        assert!(!slowed(Role::Moderator, UserKind::User));
        assert!(!slowed(Role::Member, UserKind::Bot));
        assert!(!is_slowed(&RoomSettings::default(), member(Role::Member), UserKind::User));
    }

    #[test]
    fn moderators_act_against_members_only() {
        use Role::{Member, Moderator, Owner};
        for (actor, target, allowed) in [
            (Moderator, Member, true),
            (Moderator, Moderator, false),
            (Moderator, Owner, false),
            (Owner, Moderator, true),
            (Owner, Owner, true),
        ] {
            assert_eq!(check_rank(member(actor), member(target)).is_ok(), allowed);
        }
    }
}
