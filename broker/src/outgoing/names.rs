//! Where names lead: to public addresses only, and only so many are looked up at once.
//!
//! The system looks a name up on a thread of its own, and nothing ends that before its time: a name
//! whose servers are silent takes half a minute or more. So the place among all look-ups is that of
//! the thread, not of who waits for it.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parlor_protocol::id::UserId;
use prometheus::IntGauge;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout, timeout_at};
use url::{Host, Url};

use super::address::is_public;
use super::{Place, Places};

/// Longest time for finding out where a name leads, and how long it takes to be told that it leads
/// nowhere that may be called.
pub(super) const LOOK: Duration = Duration::from_secs(2);
/// Names that are looked up at the same time.
pub(super) const LOOK_UPS_MAX: usize = 64;
/// Those of them that one user wants to be called.
pub(super) const CHECKS_MAX: usize = 8;

/// Finds the addresses of a name, on a thread that may wait.
pub(super) type Names = fn(&str) -> std::io::Result<Vec<SocketAddr>>;

pub(super) fn system_names(host: &str) -> std::io::Result<Vec<SocketAddr>> {
    Ok((host, 0).to_socket_addrs()?.collect())
}

/// Why a name has no addresses that may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unresolved {
    /// It leads to no public address, and the operator did not allow it.
    #[error("the host leads to no public address")]
    NotAllowed,
    /// It was not looked up.
    #[error("too many names are looked up")]
    TooMany,
}

/// A place among those who look names up.
#[derive(Debug)]
struct LookUp {
    _permit: OwnedSemaphorePermit,
    _of_user: Option<Place>,
    under_way: IntGauge,
}

impl Drop for LookUp {
    fn drop(&mut self) {
        self.under_way.dec();
    }
}

/// Resolves names to public addresses only.
#[derive(Debug, Clone)]
pub(super) struct Guarded {
    /// Hosts that the operator allows, wherever they are.
    allowed: Arc<[String]>,
    names: Names,
    pub(super) look_ups: Arc<Semaphore>,
    pub(super) under_way: IntGauge,
    /// Those for each user.
    of_users: Places,
}

impl Guarded {
    pub(super) fn new(allowed: &[String], names: Names, under_way: IntGauge) -> Self {
        let allowed = allowed.iter().map(|host| plain_host(host)).collect();
        let look_ups = Arc::new(Semaphore::new(LOOK_UPS_MAX));
        Self { allowed, names, look_ups, under_way, of_users: Places::default() }
    }

    pub(super) fn allows(&self, host: &str) -> bool {
        self.allowed.iter().any(|allowed| *allowed == plain_host(host))
    }

    /// Tells whether a host that is an address may be called; `None` when it is a name.
    pub(super) fn check_literal(&self, url: &Url) -> Option<bool> {
        let address: IpAddr = match url.host()? {
            Host::Domain(_) => return None,
            Host::Ipv4(v4) => v4.into(),
            Host::Ipv6(v6) => v6.into(),
        };
        Some(is_public(address) || self.allows(&address.to_string()))
    }

    /// Checks a name that a user wants to be called. Nobody waits for a place here: there are
    /// enough, unless somebody names hosts whose servers are silent.
    pub(super) async fn check(&self, host: &str, user: UserId) -> Result<(), Unresolved> {
        let of_user = self.of_users.take(user.0.into_bytes(), CHECKS_MAX);
        let of_user = of_user.ok_or(Unresolved::TooMany)?;
        let permit = Arc::clone(&self.look_ups).try_acquire_owned();
        let permit = permit.map_err(|_| Unresolved::TooMany)?;
        self.look_up(host, self.enter(permit, Some(of_user))).await.map(drop)
    }

    /// Resolves a name for a call, which may wait for a place: it is under way already, and an
    /// attempt that fails is one less.
    async fn resolve(&self, host: &str) -> Result<Vec<SocketAddr>, Unresolved> {
        let permit = timeout(LOOK, Arc::clone(&self.look_ups).acquire_owned()).await;
        let permit = permit.ok().and_then(Result::ok).ok_or(Unresolved::TooMany)?;
        self.look_up(host, self.enter(permit, None)).await
    }

    fn enter(&self, permit: OwnedSemaphorePermit, of_user: Option<Place>) -> LookUp {
        self.under_way.inc();
        LookUp { _permit: permit, _of_user: of_user, under_way: self.under_way.clone() }
    }

    /// Looks a name up. One that is not there is refused like one that leads inside, and after the
    /// same time: whoever may name addresses learns nothing of the names of the operator's network.
    /// The place is kept for that time, too, or who counts places would learn it.
    async fn look_up(&self, host: &str, place: LookUp) -> Result<Vec<SocketAddr>, Unresolved> {
        let told_at = Instant::now() + LOOK;
        let (this, host) = (self.clone(), host.to_owned());
        let looking = spawn_blocking(move || {
            let found = this.find(&host);
            if found.is_err() {
                thread::sleep(told_at.saturating_duration_since(Instant::now()));
            }
            drop(place);
            found
        });
        let looked = timeout_at(told_at, looking).await;
        looked.ok().and_then(Result::ok).unwrap_or(Err(Unresolved::NotAllowed))
    }

    /// One address that is not public is enough to refuse all: the name is then not what it says, or
    /// its owner should ask the operator.
    fn find(&self, host: &str) -> Result<Vec<SocketAddr>, Unresolved> {
        let found = (self.names)(host).unwrap_or_default();
        let all_public = found.iter().all(|address| is_public(address.ip()));
        if found.is_empty() || !(all_public || self.allows(host)) {
            return Err(Unresolved::NotAllowed);
        }
        Ok(found)
    }
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
            let found = this.resolve(name.as_str()).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Returns a host as it is compared: in lower case, without brackets and the dot of the root.
fn plain_host(host: &str) -> String {
    let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    bare.to_ascii_lowercase()
}
