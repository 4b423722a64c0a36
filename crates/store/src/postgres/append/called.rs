//! Which bots a message calls, decided before the call that writes it.
//!
//! The bots of a room rarely change, so a node remembers them. What it remembers carries the mark of
//! the room that it was read with, and a message is only written where that is still the room's mark.
//! The same mark tells that the room still has the settings that allow to write a batch in one call.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use parlor_domain::turn::{Call, RoomBot, called_bots};
use parlor_protocol::id::{RoomId, UserId};
use parlor_protocol::room::{Role, RoomKind, RoomSettings};
use parlor_protocol::user::{UserKind, UserRef};
use uuid::Uuid;

use super::publish::job_id;
use crate::append::{Append, NewMessage};
use crate::postgres::codec::{id, id_opt, value, word};
use crate::postgres::fault::Outcome;
use crate::postgres::pools::Server;
use crate::postgres::query::{self, Params};
use crate::postgres::rows;
use crate::postgres::sql::append as sql;

/// Rooms that are remembered. When there are more, all are forgotten and read anew.
const ROOMS_MAX: usize = 16_384;
/// Users whose kind is remembered.
const USERS_MAX: usize = 65_536;

/// What decides about calls in one room.
#[derive(Debug)]
pub(super) struct RoomBots {
    pub(super) mark: Uuid,
    kind: RoomKind,
    /// Whether every member may write at any time and call bots.
    pub(super) is_plain: bool,
    bots: Vec<RoomBot>,
    users: Vec<UserRef>,
}

/// A bot that a message calls.
#[derive(Debug)]
pub(super) struct Called {
    pub(super) job: Uuid,
    pub(super) bot: Uuid,
    /// Only if the answered message is by this bot.
    pub(super) if_answered: bool,
}

impl RoomBots {
    /// Returns the bots that a message calls.
    pub(super) fn called(
        &self,
        author: UserId,
        author_kind: UserKind,
        message: &NewMessage,
        max_hops: u32,
    ) -> Vec<Called> {
        if self.bots.is_empty() {
            return Vec::new();
        }
        let call = |reply_to_author| {
            let body = &message.body;
            let call = Call { author, author_kind, body, hops: 0, reply_to_author };
            called_bots(self.kind, &self.bots, call, max_hops)
        };
        let always = call(None);
        // An answer to a bot calls it; whose message is answered, only the database knows.
        let answered =
            |bot: &RoomBot| message.reply_to.is_some() && call(Some(bot.user)).contains(&bot.user);
        let called = self.bots.iter().filter_map(|bot| {
            let certain = always.contains(&bot.user);
            (certain || answered(bot)).then(|| Called {
                job: job_id(message.id, bot.user).0,
                bot: bot.user.0,
                if_answered: !certain,
            })
        });
        called.collect()
    }

    /// Finds a bot.
    pub(super) fn user(&self, bot: UserId) -> Option<&UserRef> {
        self.users.iter().find(|user| user.id == bot)
    }
}

/// What a node remembers of rooms and users.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Remembered {
    rooms: Mutex<HashMap<RoomId, Arc<RoomBots>>>,
    /// A user's kind never changes.
    kinds: Mutex<HashMap<UserId, UserKind>>,
}

/// What a batch needs. Rooms and users that do not exist are absent.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) rooms: HashMap<RoomId, Arc<RoomBots>>,
    pub(super) kinds: HashMap<UserId, UserKind>,
}

impl Facts {
    /// Returns what a user is. Of someone unknown nothing is written anyway.
    pub(super) fn kind(&self, user: UserId) -> UserKind {
        self.kinds.get(&user).copied().unwrap_or(UserKind::User)
    }
}

impl Remembered {
    /// Returns what is known about rooms and users, and reads the rest in one trip.
    pub(super) async fn facts(
        &self,
        conn: &Server,
        batch: impl Iterator<Item = &Append>,
    ) -> Outcome<Facts> {
        let mut facts = Facts::default();
        let (unknown_rooms, unknown_users) = self.recall(batch, &mut facts);
        if unknown_rooms.is_empty() && unknown_users.is_empty() {
            return Ok(facts);
        }
        let users: Params<'_> = &[&unknown_users];
        let (rooms, kinds) = tokio::try_join!(
            read_rooms(conn, &unknown_rooms),
            query::list(conn, sql::LIST_KINDS, users, |row| {
                Ok((id::<UserId>(row, 0)?, word::<UserKind>(row, 1)?))
            }),
        )?;
        self.keep(&rooms, &kinds);
        facts.rooms.extend(rooms);
        facts.kinds.extend(kinds);
        Ok(facts)
    }

    /// Remembers what was read, but for rooms that are not plain. What goes the other way because of
    /// that shows no mark, so nobody would notice that such a room is plain again.
    fn keep(&self, rooms: &[(RoomId, Arc<RoomBots>)], kinds: &[(UserId, UserKind)]) {
        let plain: Vec<_> = rooms.iter().filter(|(_, room)| room.is_plain).cloned().collect();
        remember(&self.rooms, ROOMS_MAX, &plain);
        remember(&self.kinds, USERS_MAX, kinds);
    }

    /// Takes what is remembered, and returns what is not.
    fn recall<'a>(
        &self,
        batch: impl Iterator<Item = &'a Append>,
        facts: &mut Facts,
    ) -> (Vec<Uuid>, Vec<Uuid>) {
        let rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut unknown_rooms, mut unknown_users) = (Vec::new(), Vec::new());
        for append in batch {
            if let Entry::Vacant(place) = facts.rooms.entry(append.room) {
                match rooms.get(&append.room) {
                    Some(known) => {
                        place.insert(Arc::clone(known));
                    }
                    None => unknown_rooms.push(append.room.0),
                }
            }
            match kinds.get(&append.actor) {
                Some(kind) => drop(facts.kinds.insert(append.actor, *kind)),
                None => unknown_users.push(append.actor.0),
            }
        }
        (unknown_rooms, unknown_users)
    }

    /// Forgets a room whose mark was not the one that is remembered.
    pub(super) fn forget(&self, room: RoomId) {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner).remove(&room);
    }
}

fn remember<K: Copy + Eq + std::hash::Hash, V: Clone>(
    known: &Mutex<HashMap<K, V>>,
    max: usize,
    news: &[(K, V)],
) {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if known.len() + news.len() > max {
        known.clear();
    }
    known.extend(news.iter().map(|(key, value)| (*key, value.clone())));
}

async fn read_rooms(conn: &Server, rooms: &[Uuid]) -> Outcome<Vec<(RoomId, Arc<RoomBots>)>> {
    let params: Params<'_> = &[&rooms];
    let found = query::list(conn, sql::LIST_ROOM_BOTS, params, |row| {
        let room: RoomId = id(row, 0)?;
        let bot = match id_opt::<UserId>(row, 3)? {
            None => None,
            Some(user) => {
                let username = value(row, 4)?;
                let bot = RoomBot { user, username, trigger: word(row, 7)? };
                Some((bot, rows::user_ref(row, 3)?))
            }
        };
        let is_plain = is_plain(&rows::settings(row, 8)?);
        Ok((room, value::<Uuid>(row, 1)?, word::<RoomKind>(row, 2)?, is_plain, bot))
    });
    let mut read: Vec<(RoomId, RoomBots)> = Vec::new();
    for (room, mark, kind, is_plain, bot) in found.await? {
        // Rows of the same room follow each other.
        let facts = match read.last_mut() {
            Some((last, facts)) if *last == room => facts,
            _ => {
                let (bots, users) = (Vec::new(), Vec::new());
                &mut read.push_mut((room, RoomBots { mark, kind, is_plain, bots, users })).1
            }
        };
        if let Some((bot, user)) = bot {
            facts.bots.push(bot);
            facts.users.push(user);
        }
    }
    Ok(read.into_iter().map(|(room, facts)| (room, Arc::new(facts))).collect())
}

/// Tells whether a room asks nothing more of who writes than to be a member.
fn is_plain(settings: &RoomSettings) -> bool {
    settings.post == Role::Member
        && settings.call_bots == Role::Member
        && settings.slow_mode_seconds == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let known = Mutex::default();
        for n in 0..10_u32 {
            remember(&known, 4, &[(n, ()), (n + 100, ())]);
            assert!(known.lock().unwrap().len() <= 4);
            assert!(known.lock().unwrap().contains_key(&n), "the newest is there");
        }
    }

    #[test]
    fn room_with_rules_is_read_anew_each_time() {
        let remembered = Remembered::default();
        let room = |is_plain| {
            let (kind, bots, users) = (RoomKind::Public, Vec::new(), Vec::new());
            Arc::new(RoomBots { mark: Uuid::nil(), kind, is_plain, bots, users })
        };
        let (plain, slow) = (RoomId(Uuid::from_u128(1)), RoomId(Uuid::from_u128(2)));
        remembered.keep(&[(plain, room(true)), (slow, room(false))], &[]);
        let known = remembered.rooms.lock().unwrap();
        assert!(known.contains_key(&plain) && !known.contains_key(&slow));
    }

    #[test]
    fn answer_to_a_bot_calls_it_only_if_the_message_is_its_own() {
        let bot = |n, trigger| RoomBot {
            user: UserId(Uuid::from_u128(n)),
            username: format!("bot{n}"),
            trigger,
        };
        let bots = vec![
            bot(1, parlor_protocol::http::Trigger::Mention),
            bot(2, parlor_protocol::http::Trigger::Always),
            bot(3, parlor_protocol::http::Trigger::Never),
        ];
        let (mark, kind, users) = (Uuid::nil(), RoomKind::Public, Vec::new());
        let room = RoomBots { mark, kind, is_plain: true, bots, users };
        let message = |reply_to| NewMessage {
            id: parlor_protocol::id::MessageId(Uuid::nil()),
            client_id: None,
            body: "and then?".to_owned(),
            reply_to,
            thread: None,
            attachments: Vec::new(),
        };
        let called = |message: &NewMessage| {
            let called = room.called(UserId(Uuid::nil()), UserKind::User, message, 3);
            called
                .iter()
                .map(|called| (called.bot.as_u128(), called.if_answered))
                .collect::<Vec<_>>()
        };

        assert_eq!(called(&message(None)), [(2, false)]);
        let answer = message(Some(parlor_protocol::id::MessageId(Uuid::max())));
        assert_eq!(called(&answer), [(1, true), (2, false)]);
    }
}
