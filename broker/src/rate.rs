//! The rate limits of a node, one for each action. Switched off as a whole for tests.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use parlor_cluster::{Rate, RateLimited, RateLimiter};
use parlor_protocol::id::{RoomId, UserId};
use parlor_runtime::config::LimitsConfig;

use crate::refusal::{Outcome, Refusal};

/// An address as a key: IPv6 counts by its /64, because one customer gets at least that much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressKey(IpAddr);

impl From<IpAddr> for AddressKey {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Self(std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
            v4 @ IpAddr::V4(_) => Self(v4),
        }
    }
}

/// All limits.
#[derive(Debug)]
pub struct RateLimits {
    /// Messages of one user.
    pub publish_user: RateLimiter<UserId>,
    /// Messages in one room.
    pub publish_room: RateLimiter<RoomId>,
    /// Messages from one address.
    pub publish_address: RateLimiter<AddressKey>,
    /// `typing` of one user.
    pub typing: RateLimiter<UserId>,
    /// `signal` of one user.
    pub signal: RateLimiter<UserId>,
    /// Pages of history of one user.
    pub history: RateLimiter<UserId>,
    /// HTTP requests of one user.
    pub requests_user: RateLimiter<UserId>,
    /// HTTP requests of one address without a login.
    pub requests_address: RateLimiter<AddressKey>,
    /// Registrations from one address.
    pub register: RateLimiter<AddressKey>,
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

impl RateLimits {
    /// Creates the limits from the settings.
    pub fn new(config: &LimitsConfig) -> Self {
        let rate = |count: u32, per: Duration, burst: u32| {
            let rate = Rate { count: NonZeroU32::new(count)?, per, burst: NonZeroU32::new(burst)? };
            config.enabled.then_some(rate)
        };
        Self {
            publish_user: RateLimiter::new(rate(
                config.publish_per_second,
                SECOND,
                config.publish_burst,
            )),
            publish_room: RateLimiter::new(rate(
                config.room_publish_per_second,
                SECOND,
                config.room_publish_burst,
            )),
            publish_address: RateLimiter::new(rate(
                config.address_publish_per_second,
                SECOND,
                config.address_publish_burst,
            )),
            typing: RateLimiter::new(rate(
                config.typing_per_second,
                SECOND,
                config.typing_per_second * 2,
            )),
            signal: RateLimiter::new(rate(config.signals_per_second, SECOND, config.signals_burst)),
            history: RateLimiter::new(rate(
                config.history_per_second,
                SECOND,
                config.history_burst,
            )),
            requests_user: RateLimiter::new(rate(
                config.requests_per_minute,
                MINUTE,
                config.requests_per_minute,
            )),
            requests_address: RateLimiter::new(rate(
                config.anonymous_requests_per_minute,
                MINUTE,
                config.anonymous_requests_per_minute,
            )),
            register: RateLimiter::new(rate(
                config.register_per_hour,
                HOUR,
                config.register_per_hour,
            )),
        }
    }

    /// Takes one message from the budgets of its author, address and room.
    pub fn check_publish(&self, user: UserId, address: AddressKey, room: RoomId) -> Outcome<()> {
        self.publish_user
            .check(&user)
            .and_then(|()| self.publish_address.check(&address))
            .and_then(|()| self.publish_room.check(&room))
            .map_err(Refusal::from)
    }

    /// Forgets keys whose budget is full again.
    pub fn sweep(&self) {
        self.publish_user.sweep();
        self.publish_room.sweep();
        self.publish_address.sweep();
        self.typing.sweep();
        self.signal.sweep();
        self.history.sweep();
        self.requests_user.sweep();
        self.requests_address.sweep();
        self.register.sweep();
    }
}

impl From<RateLimited> for Refusal {
    fn from(limited: RateLimited) -> Self {
        Self::rate_limited(limited.retry_after)
    }
}
