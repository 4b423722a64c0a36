//! Who writes, until when: typing ends by itself when it is not said again, however the client went.

use std::collections::{HashMap, VecDeque};

use parlor_protocol::id::{RoomId, UserId};
use parlor_protocol::signal::{Signal, SignalBody, Typing};
use parlor_protocol::user::UserRef;
use tokio::time::Instant;

use super::Shard;

impl Shard {
    /// Tells a room a signal of someone who may do so; too much of what may be dropped is.
    pub(crate) fn send_signal(&self, room: RoomId, body: SignalBody) {
        if self.withholds(room, body.family()) {
            return;
        }
        if let SignalBody::Typing(Typing { user, on }) = &body {
            let mut typing = self.typing.borrow_mut();
            let until = Instant::now() + self.node.config.limits.typing_lasts;
            if !*on {
                typing.end(room, user.id);
            } else if !typing.begin(room, user, until) {
                return;
            }
        }
        self.node.bus.publish_signal(Signal { room, body });
    }

    /// Tells a room that someone writes no more, if they did: their message comes.
    pub(crate) fn end_typing(&self, room: RoomId, user: &UserRef) {
        if self.typing.borrow_mut().end(room, user.id) {
            let body = SignalBody::Typing(Typing { user: user.clone(), on: false });
            self.node.bus.publish_signal(Signal { room, body });
        }
    }
}

/// People who write at the same time on one shard. More are not told of.
const TYPING_MAX: usize = 10_000;

type Key = (RoomId, UserId);

/// Those who write.
#[derive(Debug, Default)]
pub(crate) struct TypingNow {
    until: HashMap<Key, (Instant, UserRef)>,
    /// When to look at whom; those who said it again are in it more than once.
    order: VecDeque<(Instant, Key)>,
}

impl TypingNow {
    /// Notes that someone writes, until then. `false` when too many do.
    pub(crate) fn begin(&mut self, room: RoomId, user: &UserRef, until: Instant) -> bool {
        let key = (room, user.id);
        if self.until.len() >= TYPING_MAX && !self.until.contains_key(&key) {
            return false;
        }
        self.until.insert(key, (until, user.clone()));
        self.order.push_back((until, key));
        true
    }

    /// Forgets someone; tells whether they wrote.
    pub(crate) fn end(&mut self, room: RoomId, user: UserId) -> bool {
        !self.until.is_empty() && self.until.remove(&(room, user)).is_some()
    }

    /// Takes the next one whose time is over.
    pub(crate) fn take_over(&mut self, now: Instant) -> Option<(RoomId, UserRef)> {
        while let Some((_, key)) = self.order.pop_front_if(|(at, _)| *at <= now) {
            if self.until.get(&key).is_some_and(|(until, _)| *until <= now) {
                return self.until.remove(&key).map(|(_, user)| (key.0, user));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use parlor_protocol::user::UserKind;
    use uuid::Uuid;

    use super::*;

    fn user(n: u128) -> UserRef {
        UserRef {
            id: UserId(Uuid::from_u128(n)),
            username: "ada".to_owned(),
            display_name: "Ada".to_owned(),
            kind: UserKind::User,
        }
    }

    fn room() -> RoomId {
        RoomId(Uuid::nil())
    }

    #[test]
    fn typing_that_is_not_said_again_is_over() {
        let (mut typing, start) = (TypingNow::default(), Instant::now());
        let second = Duration::from_secs(1);
        assert!(typing.begin(room(), &user(1), start + second));
        assert!(typing.begin(room(), &user(2), start + second));
        assert!(typing.begin(room(), &user(1), start + 2 * second));
        assert!(typing.begin(room(), &user(3), start + 2 * second));
        assert!(typing.end(room(), user(3).id) && !typing.end(room(), user(3).id));

        assert_eq!(typing.take_over(start), None);
        assert_eq!(typing.take_over(start + second), Some((room(), user(2))));
        assert_eq!(typing.take_over(start + second), None, "it was said again");
        assert_eq!(typing.take_over(start + 2 * second), Some((room(), user(1))));
        assert_eq!(typing.take_over(start + 2 * second), None);
        assert!(typing.until.is_empty() && typing.order.is_empty());
    }

    #[test]
    fn people_who_write_at_the_same_time_are_bounded() {
        let (mut typing, now) = (TypingNow::default(), Instant::now());
        for n in 0..TYPING_MAX as u128 {
            assert!(typing.begin(room(), &user(n), now));
        }
        assert!(!typing.begin(room(), &user(u128::MAX), now));
        assert!(typing.begin(room(), &user(0), now), "whoever is known goes on");
    }
}
