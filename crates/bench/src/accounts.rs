//! Users in bulk: as many as there are connections, each with a login and a place in a room.
//!
//! An account that is made over HTTP costs the server a password hash, so ten thousand of them would
//! take minutes. They are written into the store instead, in its own batches and by its own rules,
//! and their access tokens are signed with the server's secret. What the server then sees is a user
//! like any other. Where the store is out of reach a few accounts are made over HTTP, and each has
//! many connections; the report says which it was.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use parlor_auth::{AccessTokens, NewAccess, RefreshTokens};
use parlor_protocol::http::Trigger;
use parlor_protocol::id::{RoomId, SessionId, UserId};
use parlor_protocol::room::RoomKind;
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::{ServerRole, UserKind, UserRef};
use parlor_runtime::Clock;
use parlor_store::record::{BotRecord, NewRoom, NewSession, NewUser};
use parlor_store::{Store, StoreError};
use serde::Serialize;

use crate::target::{BenchError, Target};

/// Writes that wait for the store at the same time; it commits what waits together.
const AT_ONCE: usize = 512;
/// Rooms that are written at the same time.
const ROOMS_AT_ONCE: usize = 64;
/// Life of the tokens and of the logins behind them: longer than any measurement.
const LIFE: Duration = Duration::from_hours(24);
/// Connections of one user where accounts are few: below the default limit, which is 20.
const CONNECTIONS_OF_ONE: usize = 16;
/// Messages that a bot is shown.
const BOT_CONTEXT: u32 = 4;

/// How many rooms there are, and how many connections follow each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// Rooms.
    pub rooms: usize,
    /// Connections in each of them.
    pub members: usize,
}

impl Shape {
    /// Returns how many connections there are in all.
    pub const fn connections(self) -> usize {
        self.rooms * self.members
    }
}

/// What to write into a store.
#[derive(Clone)]
pub struct Seed {
    /// Begins the name of everything, so that several runs can share a database.
    pub run: String,
    /// Rooms and their members; every user is in one room.
    pub shape: Shape,
    /// The hash of the password that all of them have; without it nobody can log in with one.
    pub password_hash: Option<String>,
    /// Bots that are members of every room and answer when they are mentioned.
    pub bots: usize,
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seed")
            .field("run", &self.run)
            .field("shape", &self.shape)
            .field("bots", &self.bots)
            .finish_non_exhaustive()
    }
}

/// Why the users are not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeedError {
    /// The store does not take them.
    #[error("the store does not take the users of the measurement")]
    Store(#[from] StoreError),
    /// A name is taken, which the random part of it makes all but impossible.
    #[error("the store refused {0}")]
    Refused(&'static str),
}

/// Where the users came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Written into the store: one user for each connection.
    Store,
    /// Made over HTTP: few users, each with many connections.
    Http,
}

/// Someone who is logged in.
#[derive(Clone)]
pub struct Person {
    /// The name to log in with.
    pub username: String,
    /// Opens connections.
    pub token: Arc<str>,
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Person").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Logged-in users and the rooms that they are in.
#[derive(Debug, Clone)]
pub struct Crowd {
    /// Where they came from.
    pub origin: Origin,
    /// Rooms, and connections in each of them.
    pub shape: Shape,
    /// The users. With [`Origin::Store`] as many as connections, in the order of their rooms; else
    /// fewer, each a member of every room.
    pub people: Vec<Person>,
    /// The rooms.
    pub rooms: Vec<RoomId>,
    /// Names of the bots that are members of every room.
    pub bots: Vec<String>,
}

/// What one connection needs.
#[derive(Debug, Clone)]
pub struct Seat {
    /// Whose connection it is.
    pub person: Person,
    /// The number of the room that it follows.
    pub room_number: usize,
    /// The room.
    pub room: RoomId,
}

impl Crowd {
    /// Returns the place of the `number`th connection. Those of one room come one after the other.
    ///
    /// # Panics
    /// When there are no people or no rooms.
    pub fn seat(&self, number: usize) -> Seat {
        let room_number = (number / self.shape.members.max(1)) % self.rooms.len();
        Seat {
            person: self.people[number % self.people.len()].clone(),
            room_number,
            room: self.rooms[room_number],
        }
    }

    /// Returns a place in a room for one who writes: that of its first member.
    pub fn writer(&self, room_number: usize) -> Seat {
        self.seat(room_number * self.shape.members.max(1))
    }

    /// Returns the places of all connections.
    pub fn seats(&self) -> Vec<Seat> {
        (0..self.shape.connections()).map(|number| self.seat(number)).collect()
    }
}

/// Writes users, logins, rooms and memberships into a store, and signs their access tokens.
///
/// # Errors
/// Fails when the store does. What was written until then stays.
pub async fn seed(
    store: &dyn Store,
    clock: &dyn Clock,
    tokens: &AccessTokens,
    seed: &Seed,
) -> Result<Crowd, SeedError> {
    let users: Vec<NewUser> = (0..seed.shape.connections())
        .map(|number| {
            let name = format!("bench-{}-{number}", seed.run);
            new_user(clock, name, UserKind::User, seed.password_hash.clone())
        })
        .collect();
    let people: Vec<(UserId, Person)> = stream::iter(users)
        .map(|user| log_in(store, clock, tokens, user))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let bots = make_bots(store, clock, seed).await?;
    let bot_ids: Vec<UserId> = bots.iter().map(|bot| bot.id).collect();
    let members: Vec<Vec<UserId>> = people
        .chunks(seed.shape.members.max(1))
        .map(|members| members.iter().map(|(user, _)| *user).collect())
        .collect();
    let rooms = stream::iter(members.into_iter().enumerate())
        .map(|(number, members)| {
            make_room(store, clock, format!("bench-{}-{number}", seed.run), members, &bot_ids)
        })
        .buffered(ROOMS_AT_ONCE)
        .try_collect()
        .await?;
    Ok(Crowd {
        origin: Origin::Store,
        shape: seed.shape,
        people: people.into_iter().map(|(_, person)| person).collect(),
        rooms,
        bots: bots.into_iter().map(|bot| bot.username).collect(),
    })
}

/// Makes accounts over HTTP: as few as a server's usual limits on connections allow, all members of
/// all rooms.
///
/// # Errors
/// Fails when the server refuses accounts or rooms.
pub async fn over_http(target: &Target, shape: Shape) -> Result<Crowd, BenchError> {
    let users = shape.connections().div_ceil(CONNECTIONS_OF_ONE).max(1);
    let accounts = target.accounts(users).await?;
    let rooms = target.rooms(&accounts, shape.rooms.max(1)).await?;
    let mut people = Vec::with_capacity(accounts.len());
    for account in accounts {
        let token = account.http.access_token().await?.into();
        people.push(Person { username: account.username, token });
    }
    Ok(Crowd { origin: Origin::Http, shape, people, rooms, bots: Vec::new() })
}

fn new_user(clock: &dyn Clock, name: String, kind: UserKind, hash: Option<String>) -> NewUser {
    NewUser {
        id: UserId(clock.new_id()),
        display_name: name.clone(),
        username: name,
        kind,
        email: None,
        password_hash: hash,
        role: ServerRole::User,
        at: clock.now().into(),
    }
}

/// Makes one user with a login, as the server does after it has checked a password.
async fn log_in(
    store: &dyn Store,
    clock: &dyn Clock,
    tokens: &AccessTokens,
    user: NewUser,
) -> Result<(UserId, Person), SeedError> {
    let (id, username, now) = (user.id, user.username.clone(), clock.now());
    store.create_user(user).await?.map_err(|_taken| SeedError::Refused("a user"))?;
    let session = SessionId(clock.new_id());
    let at = Timestamp::new(now);
    let life = i64::try_from(LIFE.as_millis()).unwrap_or(i64::MAX);
    let until = Timestamp::from_millis(at.as_millis().saturating_add(life));
    store
        .create_session(NewSession {
            id: session,
            user: id,
            client: "parlor bench".to_owned(),
            // Nobody has the token of this hash: these logins are not refreshed.
            refresh_hash: RefreshTokens::hash(&clock.new_id().to_string()),
            at,
            idle_until: until,
            absolute_until: until,
            max_sessions: 1,
        })
        .await?;
    let access = NewAccess { user: id, session, role: ServerRole::User, id: clock.new_id() };
    let (token, _) = tokens.issue(access, now, LIFE);
    Ok((id, Person { username, token: token.into() }))
}

async fn make_bots(
    store: &dyn Store,
    clock: &dyn Clock,
    seed: &Seed,
) -> Result<Vec<UserRef>, SeedError> {
    let mut bots = Vec::with_capacity(seed.bots);
    for number in 0..seed.bots {
        let name = format!("bot-{}-{number}", seed.run);
        let account = new_user(clock, name, UserKind::Bot, None);
        let user = UserRef {
            id: account.id,
            username: account.username.clone(),
            display_name: account.display_name.clone(),
            kind: UserKind::Bot,
        };
        let bot = BotRecord {
            user: user.clone(),
            provider: None,
            model: None,
            system_prompt: "You write as you are told.".to_owned(),
            trigger: Trigger::Mention,
            temperature: None,
            max_tokens: None,
            context_messages: BOT_CONTEXT,
            memory_ttl_seconds: 0,
            owner: None,
            created_at: account.at,
        };
        store.create_bot(account, bot).await?.map_err(|_taken| SeedError::Refused("a bot"))?;
        bots.push(user);
    }
    Ok(bots)
}

async fn make_room(
    store: &dyn Store,
    clock: &dyn Clock,
    name: String,
    members: Vec<UserId>,
    bots: &[UserId],
) -> Result<RoomId, SeedError> {
    let id = RoomId(clock.new_id());
    let creator = *members.first().ok_or(SeedError::Refused("a room without members"))?;
    let room = NewRoom {
        id,
        slug: name.clone(),
        name,
        kind: RoomKind::Private,
        topic: String::new(),
        creator,
        members: members.into_iter().chain(bots.iter().copied()).collect(),
        at: clock.now().into(),
        client_id: None,
        max_owned: u32::MAX,
    };
    store.create_room(room).await?.map_err(|_conflict| SeedError::Refused("a room"))?;
    Ok(id)
}

#[cfg(test)]
mod tests;
