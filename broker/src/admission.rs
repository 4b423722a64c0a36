//! How many connections a node, an address and a user may have, and how fast they may come.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use parlor_protocol::id::UserId;
use parlor_runtime::config::LimitsConfig;

use crate::rate::AddressKey;

/// A page connects for itself before it connects its WebSocket.
const HANDSHAKES_PER_UPGRADE: u32 = 2;

/// Counts open connections. Each holds permits that give its places back when dropped.
#[derive(Debug)]
pub struct Admission {
    counts: Arc<Counts>,
    limits: Option<Limits>,
    total: usize,
    handshakes: usize,
    upgrades: Option<DefaultDirectRateLimiter>,
    secured: Option<DefaultDirectRateLimiter>,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    per_address: usize,
    per_user: usize,
    unauthenticated: usize,
}

#[derive(Debug, Default)]
struct Counts {
    all: AtomicUsize,
    handshakes: AtomicUsize,
    unauthenticated: AtomicUsize,
    addresses: papaya::HashMap<AddressKey, usize>,
    users: papaya::HashMap<UserId, usize>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// The node is full.
    #[error("too many connections to this node")]
    Node,
    /// The node is opening as many as it may at a time, or in a second.
    #[error("too many connections at once")]
    Rush,
    /// The address has as many as it may have.
    #[error("too many connections from this address")]
    Address,
    /// The user has as many as they may have.
    #[error("too many connections of this user")]
    User,
    /// Too many have not said who they are.
    #[error("too many connections without a login")]
    Unauthenticated,
}

impl NoPlace {
    /// Returns the metric's label.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Rush => "rush",
            Self::Address => "address",
            Self::User => "user",
            Self::Unauthenticated => "unauthenticated",
        }
    }
}

/// A place; dropping it gives it back.
#[derive(Debug)]
pub struct Permit {
    counts: Arc<Counts>,
    place: Place,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Connection(Option<AddressKey>),
    Handshake,
    Unauthenticated,
    User(UserId),
}

impl Admission {
    /// Creates counters with the limits of the settings. The bound on all connections protects
    /// memory and holds in any case.
    pub fn new(config: &LimitsConfig) -> Self {
        let limits = config.enabled.then_some(Limits {
            per_address: config.connections_per_address,
            per_user: config.connections_per_user,
            unauthenticated: config.unauthenticated,
        });
        let limiter = |rate| {
            let rate = NonZeroU32::new(rate).filter(|_| config.enabled);
            rate.map(|rate| RateLimiter::direct(Quota::per_second(rate)))
        };
        let rate = config.upgrades_per_second;
        Self {
            counts: Arc::default(),
            limits,
            total: config.connections,
            handshakes: config.handshakes,
            upgrades: limiter(rate),
            secured: limiter(rate.saturating_mul(HANDSHAKES_PER_UPGRADE)),
        }
    }

    /// Takes a place for a TCP connection; without an address it is a proxy's.
    pub fn connect(&self, address: Option<AddressKey>) -> Result<Permit, NoPlace> {
        take(&self.counts.all, self.total).ok_or(NoPlace::Node)?;
        let most = self.limits.map_or(usize::MAX, |limits| limits.per_address);
        if address.is_some_and(|address| !take_keyed(&self.counts.addresses, address, most)) {
            self.counts.all.fetch_sub(1, Ordering::Relaxed);
            return Err(NoPlace::Address);
        }
        Ok(self.permit(Place::Connection(address)))
    }

    /// Lets a TLS handshake begin, which costs more than most requests. How many are under way is
    /// bounded by the connections, and by the time that each has.
    pub fn secure(&self) -> Result<(), NoPlace> {
        let is_rush = self.secured.as_ref().is_some_and(|secured| secured.check().is_err());
        if is_rush { Err(NoPlace::Rush) } else { Ok(()) }
    }

    /// Takes a place for an upgrade to a WebSocket, from the request to its answer. After a node has
    /// gone all its clients come to the others; this keeps their logins from starving those who are
    /// there.
    pub fn upgrade(&self) -> Result<Permit, NoPlace> {
        if self.upgrades.as_ref().is_some_and(|upgrades| upgrades.check().is_err()) {
            return Err(NoPlace::Rush);
        }
        take(&self.counts.handshakes, self.handshakes).ok_or(NoPlace::Rush)?;
        Ok(self.permit(Place::Handshake))
    }

    /// Takes a place for a WebSocket that has not said who it is.
    pub fn wait_for_hello(&self) -> Result<Permit, NoPlace> {
        let most = self.limits.map_or(usize::MAX, |limits| limits.unauthenticated);
        take(&self.counts.unauthenticated, most).ok_or(NoPlace::Unauthenticated)?;
        Ok(self.permit(Place::Unauthenticated))
    }

    /// Takes a place for a user's WebSocket.
    pub fn log_in(&self, user: UserId) -> Result<Permit, NoPlace> {
        let most = self.limits.map_or(usize::MAX, |limits| limits.per_user);
        if take_keyed(&self.counts.users, user, most) {
            Ok(self.permit(Place::User(user)))
        } else {
            Err(NoPlace::User)
        }
    }

    fn permit(&self, place: Place) -> Permit {
        Permit { counts: Arc::clone(&self.counts), place }
    }
}

fn take(count: &AtomicUsize, most: usize) -> Option<()> {
    let taken = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
        (count < most).then_some(count + 1)
    });
    taken.ok().map(|_| ())
}

fn take_keyed<K: std::hash::Hash + Eq + Copy>(
    counts: &papaya::HashMap<K, usize>,
    key: K,
    most: usize,
) -> bool {
    let counts = counts.pin();
    let taken = counts.compute(key, |entry| {
        let count = entry.map_or(0, |(_, count)| *count);
        if count < most {
            papaya::Operation::Insert(count + 1)
        } else {
            papaya::Operation::Abort(())
        }
    });
    !matches!(taken, papaya::Compute::Aborted(()))
}

fn give_back<K: std::hash::Hash + Eq + Copy>(counts: &papaya::HashMap<K, usize>, key: K) {
    counts.pin().compute(key, |entry| match entry.map_or(0, |(_, count)| *count) {
        0 => papaya::Operation::Abort(()),
        1 => papaya::Operation::Remove,
        count => papaya::Operation::Insert(count - 1),
    });
}

impl Drop for Permit {
    fn drop(&mut self) {
        match self.place {
            Place::Connection(address) => {
                self.counts.all.fetch_sub(1, Ordering::Relaxed);
                if let Some(address) = address {
                    give_back(&self.counts.addresses, address);
                }
            }
            Place::Handshake => {
                self.counts.handshakes.fetch_sub(1, Ordering::Relaxed);
            }
            Place::Unauthenticated => {
                self.counts.unauthenticated.fetch_sub(1, Ordering::Relaxed);
            }
            Place::User(user) => give_back(&self.counts.users, user),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use uuid::Uuid;

    use super::*;

    fn admission(change: impl FnOnce(&mut LimitsConfig)) -> Admission {
        let mut config = LimitsConfig::default();
        change(&mut config);
        Admission::new(&config)
    }

    fn address(last: u8) -> AddressKey {
        IpAddr::from([192, 0, 2, last]).into()
    }

    #[test]
    fn one_address_cannot_take_all_places() {
        let admission = admission(|limits| limits.connections_per_address = 2);
        let first = admission.connect(Some(address(1))).unwrap();
        let _second = admission.connect(Some(address(1))).unwrap();
        assert_eq!(admission.connect(Some(address(1))).unwrap_err(), NoPlace::Address);
        assert!(admission.connect(Some(address(2))).is_ok());
        drop(first);
        assert!(admission.connect(Some(address(1))).is_ok(), "a place was given back");
    }

    #[test]
    fn addresses_of_one_customer_count_together() {
        let admission = admission(|limits| limits.connections_per_address = 1);
        let v6 = |text: &str| Some(AddressKey::from(text.parse::<IpAddr>().unwrap()));
        let _first = admission.connect(v6("2001:db8::1")).unwrap();
        assert!(admission.connect(v6("2001:db8::2")).is_err());
        assert!(admission.connect(v6("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn bound_on_all_connections_holds_although_limits_are_off() {
        let admission = admission(|limits| {
            limits.enabled = false;
            limits.connections = 1;
        });
        let _first = admission.connect(Some(address(1))).unwrap();
        assert_eq!(admission.connect(Some(address(2))).unwrap_err(), NoPlace::Node);
    }

    #[test]
    fn rush_of_upgrades_is_bounded_in_number_and_in_rate() {
        let narrow = admission(|limits| limits.handshakes = 1);
        let first = narrow.upgrade().unwrap();
        assert_eq!(narrow.upgrade().unwrap_err(), NoPlace::Rush);
        drop(first);
        assert!(narrow.upgrade().is_ok(), "a place was given back");

        let slow = admission(|limits| limits.upgrades_per_second = 2);
        let opened = (0..100).filter(|_| slow.upgrade().is_ok()).count();
        assert!((2..50).contains(&opened), "{opened} at once");
    }

    #[test]
    fn rush_of_tls_handshakes_is_bounded_in_rate() {
        let slow = admission(|limits| limits.upgrades_per_second = 2);
        let begun = (0..100).filter(|_| slow.secure().is_ok()).count();
        assert!((4..60).contains(&begun), "{begun} at once");
        let free = admission(|limits| limits.enabled = false);
        assert!((0..10_000).all(|_| free.secure().is_ok()));
    }

    #[test]
    fn user_and_unauthenticated_places_are_bounded() {
        let admission = admission(|limits| {
            limits.connections_per_user = 1;
            limits.unauthenticated = 1;
        });
        let ada = UserId(Uuid::from_u128(1));
        let _hello = admission.wait_for_hello().unwrap();
        let _login = admission.log_in(ada).unwrap();
        assert_eq!(admission.wait_for_hello().unwrap_err(), NoPlace::Unauthenticated);
        assert_eq!(admission.log_in(ada).unwrap_err(), NoPlace::User);
    }
}
