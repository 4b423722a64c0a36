//! Calls of other programs: signed, bounded, and never into the operator's own network.
//!
//! Members name the addresses, so each is a stranger's. A call goes only to public addresses, unless
//! the operator has allowed the host. What is checked is the address that is connected to: names
//! are resolved by [`Guarded`], and the client has no other way to resolve them. Redirects are not
//! followed, proxies of the environment are not used.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use parlor_auth::{SigningKeys, SigningSecret};
use parlor_protocol::id::UserId;
use parlor_protocol::time::Timestamp;
use parlor_runtime::config::WebhooksConfig;
use prometheus::IntGauge;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER, USER_AGENT};
use reqwest::{Client, StatusCode, redirect};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until, timeout_at};
use url::{Host, Url};

use self::address::is_public;
use crate::refusal::{Outcome, Refusal};

mod address;

/// Longest address in bytes.
const URL_MAX: usize = 2_000;
/// Largest answer of a command that is read, in bytes.
const ANSWER_MAX: usize = 64 * 1024;
/// Calls of one command at the same time, and of one caller, so that a slow program holds up nobody
/// else's.
const ASKED_MAX: usize = 10;
/// Longest time for finding out where a name leads, and how long it takes to be told that it leads
/// nowhere that may be called.
const LOOK: Duration = Duration::from_secs(2);

/// Calls other programs.
#[derive(Debug)]
pub struct Outgoing {
    client: Client,
    guarded: Guarded,
    keys: SigningKeys,
    /// Calls that somebody waits for, beside those that webhooks are told by.
    calls: Semaphore,
    /// How many of them are under way.
    under_way: IntGauge,
    /// Those of each command, by its salt, and those of each caller, by their id.
    asked: Mutex<HashMap<[u8; 16], usize>>,
}

/// A place among all calls that somebody waits for.
#[derive(Debug)]
pub(crate) struct Called<'a> {
    _permit: SemaphorePermit<'a>,
    under_way: &'a IntGauge,
}

impl Drop for Called<'_> {
    fn drop(&mut self) {
        self.under_way.dec();
    }
}

/// A place among the calls of one command or one caller.
struct Place<'a> {
    asked: &'a Mutex<HashMap<[u8; 16], usize>>,
    of: [u8; 16],
}

impl<'a> Place<'a> {
    fn take(asked: &'a Mutex<HashMap<[u8; 16], usize>>, of: [u8; 16]) -> Option<Self> {
        let mut calls = asked.lock().unwrap_or_else(PoisonError::into_inner);
        let count = calls.entry(of).or_default();
        if *count >= ASKED_MAX {
            return None;
        }
        *count += 1;
        Some(Self { asked, of })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut calls = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut entry) = calls.entry(self.of) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    /// Where to.
    pub(crate) url: &'a str,
    /// What its signing secret is derived from.
    pub(crate) salt: &'a [u8; 16],
    /// Its id, the same for each attempt.
    pub(crate) id: &'a str,
    /// What it is about, in a word.
    pub(crate) event: &'a str,
    /// When.
    pub(crate) at: Timestamp,
    /// The JSON.
    pub(crate) body: &'a [u8],
    /// How long it may take.
    pub(crate) timeout: Duration,
}

/// Why a call did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failed {
    /// In a few words of our own.
    pub(crate) outcome: String,
    /// The receiver says that it is gone for good.
    pub(crate) is_gone: bool,
    /// The receiver asks to wait.
    pub(crate) retry_after: Option<Duration>,
}

impl Failed {
    fn new(outcome: impl Into<String>) -> Self {
        Self { outcome: outcome.into(), is_gone: false, retry_after: None }
    }
}

impl Outgoing {
    /// Creates the caller.
    ///
    /// # Errors
    ///
    /// Fails when the system offers no TLS.
    pub(crate) fn new(
        config: &WebhooksConfig,
        keys: SigningKeys,
        under_way: IntGauge,
    ) -> reqwest::Result<Self> {
        Self::resolving(config, keys, under_way, system_names)
    }

    fn resolving(
        config: &WebhooksConfig,
        keys: SigningKeys,
        under_way: IntGauge,
        names: fn(String) -> Lookup,
    ) -> reqwest::Result<Self> {
        let allowed = config.allowed_hosts.iter().map(|host| plain_host(host)).collect();
        let guarded = Guarded { allowed, names };
        let builder = || {
            Client::builder()
                .redirect(redirect::Policy::none())
                .no_proxy()
                .referer(false)
                .dns_resolver(Arc::new(guarded.clone()))
                .pool_max_idle_per_host(1)
        };
        // On a machine without certificate authorities plain HTTP still works.
        let client = builder().build().or_else(|_| builder().tls_certs_only([]).build())?;
        let calls = Semaphore::new(config.calls);
        Ok(Self { client, guarded, keys, calls, under_way, asked: Mutex::default() })
    }

    /// Returns the secret that calls with this salt are signed with.
    pub(crate) fn secret(&self, salt: &[u8; 16]) -> SigningSecret {
        self.keys.secret(salt)
    }

    /// Checks an address that someone wants to be called.
    pub(crate) async fn check_url(&self, text: &str) -> Outcome<String> {
        let refuse = |code: &str, detail: String| Err(Refusal::field("url", code, detail));
        if text.len() > URL_MAX {
            return refuse("length", format!("may have at most {URL_MAX} bytes"));
        }
        let Ok(url) = Url::parse(text) else {
            return refuse("invalid", "must be an address with http or https".to_owned());
        };
        let bare = url.username().is_empty() && url.password().is_none();
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !bare {
            let detail = "must be an address with http or https, without a user name";
            return refuse("invalid", detail.to_owned());
        }
        let may_be_called = match (self.guarded.check_literal(&url), url.host_str()) {
            (Some(allowed), _) => allowed,
            // Where it leads is looked up again at each call.
            (None, Some(host)) => {
                self.guarded.allows(host) || self.guarded.look_up(host).await.is_ok()
            }
            (None, None) => false,
        };
        if !may_be_called {
            let detail = "must lead to a public address; an operator can allow others";
            return refuse("not_public", detail.to_owned());
        }
        Ok(url.into())
    }

    /// Makes a call whose answer nobody reads.
    pub(crate) async fn tell(&self, call: Call<'_>) -> Result<(), Failed> {
        let sent = tokio::time::timeout(call.timeout, self.send(call)).await;
        sent.unwrap_or_else(|_| Err(Failed::new("timeout"))).map(drop)
    }

    /// Takes a place among the calls that somebody waits for; `None` when there is none.
    pub(crate) fn enter(&self) -> Option<Called<'_>> {
        let permit = self.calls.try_acquire().ok()?;
        self.under_way.inc();
        Some(Called { _permit: permit, under_way: &self.under_way })
    }

    /// Makes a call for someone and reads its answer, which is bounded.
    pub(crate) async fn ask(&self, call: Call<'_>, caller: UserId) -> Result<Vec<u8>, Failed> {
        let of_both = [*call.salt, caller.0.into_bytes()].map(|of| Place::take(&self.asked, of));
        let [Some(_of_command), Some(_of_caller)] = of_both else {
            return Err(Failed::new("too many calls at once"));
        };
        let Some(_called) = self.enter() else {
            return Err(Failed::new("too many calls at once"));
        };
        let asked = async {
            let mut response = self.send(call).await?;
            let mut answer = Vec::new();
            while let Some(piece) = response.chunk().await.map_err(|error| reason(&error))? {
                if answer.len() + piece.len() > ANSWER_MAX {
                    return Err(Failed::new("answer too large"));
                }
                answer.extend_from_slice(&piece);
            }
            Ok(answer)
        };
        let asked = tokio::time::timeout(call.timeout, asked).await;
        asked.unwrap_or_else(|_| Err(Failed::new("timeout")))
    }

    async fn send(&self, call: Call<'_>) -> Result<reqwest::Response, Failed> {
        let url = Url::parse(call.url).map_err(|_| Failed::new("address not valid"))?;
        // The client does not resolve what is an address already.
        if self.guarded.check_literal(&url) == Some(false) {
            return Err(Failed::new("address not allowed"));
        }
        let seconds = call.at.as_millis().div_euclid(1_000);
        let signature = self.secret(call.salt).sign(call.id, seconds, call.body);
        let request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("parlor/", env!("CARGO_PKG_VERSION")))
            .header("parlor-event", call.event)
            .header("parlor-signature", signature.parlor)
            .header("webhook-id", call.id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", signature.standard)
            .body(call.body.to_vec());
        let response = request.send().await.map_err(|error| reason(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        Err(Failed {
            outcome: format!("HTTP {}", status.as_u16()),
            is_gone: status == StatusCode::GONE,
            retry_after: retry_after(response.headers()),
        })
    }
}

/// Says why there was no answer, in words of our own: those of libraries may quote the address.
fn reason(error: &reqwest::Error) -> Failed {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<NotAllowed>() {
            return Failed::new("address not allowed");
        }
        cause = error.source();
    }
    Failed::new(match error {
        _ if error.is_timeout() => "timeout",
        _ if error.is_connect() => "no connection",
        _ => "connection lost",
    })
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

/// Resolves names to public addresses only.
#[derive(Debug, Clone)]
struct Guarded {
    /// Hosts that the operator allows, wherever they are.
    allowed: Arc<[String]>,
    /// Finds the addresses of a name.
    names: fn(String) -> Lookup,
}

/// The addresses of a name, when they are found.
type Lookup = Pin<Box<dyn Future<Output = std::io::Result<Vec<SocketAddr>>> + Send>>;

fn system_names(host: String) -> Lookup {
    Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.collect()) })
}

/// The host leads to no public address, and the operator did not allow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the host leads to no public address")]
struct NotAllowed;

impl Guarded {
    fn allows(&self, host: &str) -> bool {
        self.allowed.iter().any(|allowed| *allowed == plain_host(host))
    }

    /// Tells whether a host that is an address may be called; `None` when it is a name.
    fn check_literal(&self, url: &Url) -> Option<bool> {
        let address: IpAddr = match url.host()? {
            Host::Domain(_) => return None,
            Host::Ipv4(v4) => v4.into(),
            Host::Ipv6(v6) => v6.into(),
        };
        Some(is_public(address) || self.allows(&address.to_string()))
    }

    /// Resolves a name. One address that is not public is enough to refuse all: the name is then not
    /// what it says, or its owner should ask the operator.
    ///
    /// A name that is not there is refused like one that leads inside, and after the same time:
    /// whoever may name addresses learns nothing of the names of the operator's network.
    async fn look_up(&self, host: &str) -> Result<Vec<SocketAddr>, NotAllowed> {
        let told_at = Instant::now() + LOOK;
        let looked = timeout_at(told_at, (self.names)(host.to_owned())).await;
        let found = looked.ok().and_then(Result::ok).unwrap_or_default();
        let all_public = found.iter().all(|address| is_public(address.ip()));
        if !found.is_empty() && (all_public || self.allows(host)) {
            return Ok(found);
        }
        sleep_until(told_at).await;
        Err(NotAllowed)
    }
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
            let found = this.look_up(name.as_str()).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Returns a host as it is compared: in lower case, without brackets and the dot of the root.
fn plain_host(host: &str) -> String {
    let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    bare.to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
