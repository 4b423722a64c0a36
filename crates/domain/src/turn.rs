//! Which bots owe a reply to a message.

use parlor_protocol::http::Trigger;
use parlor_protocol::id::UserId;
use parlor_protocol::room::RoomKind;
use parlor_protocol::user::UserKind;

/// A bot that is a member of the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomBot {
    /// The bot's user.
    pub user: UserId,
    /// Its user name.
    pub username: String,
    /// When it answers.
    pub trigger: Trigger,
}

/// The message that may call bots.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The author.
    pub author: UserId,
    /// What the author is.
    pub author_kind: UserKind,
    /// The text.
    pub body: &'a str,
    /// How many replies led to this message: 0 for a person's, one more for each bot's.
    pub hops: u32,
    /// The author of the message that this one answers, if any.
    pub reply_to_author: Option<UserId>,
}

/// Returns the bots that owe a reply.
///
/// A bot answers a person as its trigger says, and a reply to one of its own messages counts as a
/// mention. Bots ignore each other unless mentioned, and at most `max_hops` replies follow one
/// person's message, so that bots cannot talk to each other for ever. Integrations call no bot.
pub fn called_bots(room: RoomKind, bots: &[RoomBot], call: Call<'_>, max_hops: u32) -> Vec<UserId> {
    // What a bot says may come back from outside, by a webhook and then an integration.
    if call.hops >= max_hops || call.author_kind == UserKind::Integration {
        return Vec::new();
    }
    let mentioned = crate::mention::mentions(call.body);
    bots.iter()
        .filter(|bot| bot.user != call.author)
        .filter(|bot| {
            let named = mentioned.contains(&bot.username)
                || (call.author_kind == UserKind::User && call.reply_to_author == Some(bot.user));
            let by_person = call.author_kind == UserKind::User;
            let direct = room == RoomKind::Direct && by_person;
            match bot.trigger {
                Trigger::Never => false,
                Trigger::Mention => named || direct,
                Trigger::Direct => direct,
                Trigger::Always => named || by_person,
            }
        })
        .map(|bot| bot.user)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(n: u128) -> UserId {
        UserId(format!("{n:032x}").parse().unwrap())
    }

    fn bot(n: u128, trigger: Trigger) -> RoomBot {
        RoomBot { user: user(n), username: format!("bot{n}"), trigger }
    }

    fn person(body: &str) -> Call<'_> {
        Call {
            author: user(100),
            author_kind: UserKind::User,
            body,
            hops: 0,
            reply_to_author: None,
        }
    }

    #[test]
    fn mention_calls_only_the_one_who_is_named() {
        let bots = [bot(1, Trigger::Mention), bot(2, Trigger::Mention)];
        assert_eq!(called_bots(RoomKind::Public, &bots, person("hi @Bot2"), 3), [user(2)]);
        assert!(called_bots(RoomKind::Public, &bots, person("hi all"), 3).is_empty());
    }

    #[test]
    fn integration_calls_no_bot() {
        let bots = [bot(1, Trigger::Mention), bot(2, Trigger::Always)];
        let call = Call { author_kind: UserKind::Integration, ..person("hi @bot1") };
        assert!(called_bots(RoomKind::Public, &bots, call, 3).is_empty());
    }

    #[test]
    fn direct_room_needs_no_mention() {
        let bots = [bot(1, Trigger::Mention), bot(2, Trigger::Direct), bot(3, Trigger::Never)];
        assert_eq!(called_bots(RoomKind::Direct, &bots, person("hi"), 3), [user(1), user(2)]);
        assert!(called_bots(RoomKind::Private, &bots, person("hi"), 3).is_empty());
    }

    #[test]
    fn answering_a_bot_is_a_mention() {
        let bots = [bot(1, Trigger::Mention)];
        let call = Call { reply_to_author: Some(user(1)), ..person("and then?") };
        assert_eq!(called_bots(RoomKind::Public, &bots, call, 3), [user(1)]);
    }

    #[test]
    fn bots_ignore_each_other_unless_mentioned_and_hops_are_bounded() {
        let bots = [bot(1, Trigger::Always), bot(2, Trigger::Always)];
        let call = |body, hops| Call {
            author: user(1),
            author_kind: UserKind::Bot,
            body,
            hops,
            reply_to_author: Some(user(2)),
        };
        assert!(called_bots(RoomKind::Public, &bots, call("hi", 1), 3).is_empty());
        assert_eq!(called_bots(RoomKind::Public, &bots, call("@bot2 hi", 1), 3), [user(2)]);
        assert!(called_bots(RoomKind::Public, &bots, call("@bot2 hi", 3), 3).is_empty());
        assert!(called_bots(RoomKind::Public, &bots, call("@bot1 me", 1), 3).is_empty());
    }
}
