//! Calls of other programs: signed, bounded, and never into the operator's own network.
//!
//! Members name the addresses, so each is a stranger's. A call goes only to public addresses, unless
//! the operator has allowed the host. What is checked is the address that is connected to: names
//! are resolved by [`Guarded`], and the client has no other way to resolve them. Redirects are not
//! followed, proxies of the environment are not used. Calls and look-ups under way are bounded.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use parlor_auth::{SigningKeys, SigningSecret};
use parlor_protocol::id::UserId;
use parlor_protocol::time::Timestamp;
use parlor_runtime::config::WebhooksConfig;
use prometheus::IntGauge;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER, USER_AGENT};
use reqwest::{Client, StatusCode, redirect};
use tokio::sync::{Semaphore, SemaphorePermit};
use url::Url;

use self::names::{Guarded, Names, Unresolved, system_names};
use crate::metrics::UnderWay;
use crate::refusal::{Outcome, Refusal};

mod address;
mod names;

/// Longest address in bytes.
const URL_MAX: usize = 2_000;
/// Largest answer of a command that is read, in bytes.
const ANSWER_MAX: usize = 64 * 1024;
/// Calls of one command at the same time, and of one caller, so that a slow program holds up nobody
/// else's.
const ASKED_MAX: usize = 10;
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
    asked: Places,
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

/// How many places each has taken, by id.
#[derive(Debug, Clone, Default)]
struct Places(Arc<Mutex<HashMap<[u8; 16], usize>>>);

impl Places {
    /// Takes one of the `most` that `of` may have.
    fn take(&self, of: [u8; 16], most: usize) -> Option<Place> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(of).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place { taken: self.clone(), of })
    }
}

/// A place among those of one command or one user.
#[derive(Debug)]
struct Place {
    taken: Places,
    of: [u8; 16],
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut entry) = taken.entry(self.of) {
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
        under_way: UnderWay,
    ) -> reqwest::Result<Self> {
        Self::resolving(config, keys, under_way, system_names)
    }

    fn resolving(
        config: &WebhooksConfig,
        keys: SigningKeys,
        under_way: UnderWay,
        names: Names,
    ) -> reqwest::Result<Self> {
        let guarded = Guarded::new(&config.allowed_hosts, names, under_way.look_ups);
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
        let (under_way, asked) = (under_way.calls, Places::default());
        Ok(Self { client, guarded, keys, calls, under_way, asked })
    }

    /// Returns the secret that calls with this salt are signed with.
    pub(crate) fn secret(&self, salt: &[u8; 16]) -> SigningSecret {
        self.keys.secret(salt)
    }

    /// What is said to whom finds no place.
    pub(crate) fn too_many() -> Refusal {
        Refusal::unavailable(
            "Too many calls of other programs are under way; try again in a moment.",
        )
    }

    /// Checks an address that `user` wants to be called.
    pub(crate) async fn check_url(&self, text: &str, user: UserId) -> Outcome<String> {
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
            (None, Some(host)) if self.guarded.allows(host) => true,
            (None, Some(host)) => match self.guarded.check(host, user).await {
                Err(Unresolved::TooMany) => return Err(Self::too_many()),
                came => came.is_ok(),
            },
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
        let of_both = [*call.salt, caller.0.into_bytes()].map(|of| self.asked.take(of, ASKED_MAX));
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
        match error.downcast_ref() {
            Some(Unresolved::NotAllowed) => return Failed::new("address not allowed"),
            Some(Unresolved::TooMany) => return Failed::new("too many look-ups at once"),
            None => {}
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

#[cfg(test)]
mod tests;
