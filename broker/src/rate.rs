//! The rate limits of a node, one for each action. Switched off as a whole for tests.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use http::Method;
use parlor_cluster::{LimitKey, Rate, RateLimited, RateLimiter, SharedLimits, TakeRefused};
use parlor_protocol::http::RateRule;
use parlor_protocol::id::{RoomId, UserId};
use parlor_runtime::config::LimitsConfig;

use crate::metrics::AuthMetrics;
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

impl LimitKey for AddressKey {
    fn number(&self) -> u128 {
        match self.0 {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
            IpAddr::V6(v6) => v6.to_bits(),
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
    /// Changes of one user over HTTP.
    pub change: RateLimiter<UserId>,
    /// Searches of one user.
    pub search: RateLimiter<UserId>,
    /// Slash commands of one user.
    pub slash_command: RateLimiter<UserId>,
    /// Parts of files of one user.
    pub upload: RateLimiter<UserId>,
    /// Rooms that one user begins to follow.
    pub subscribe: RateLimiter<UserId>,
    /// Read markers of one user.
    pub read: RateLimiter<UserId>,
    /// Pages of history of one user.
    pub history: RateLimiter<UserId>,
    /// HTTP requests of one user.
    pub requests_user: RateLimiter<UserId>,
    /// HTTP requests of one address without a login.
    pub requests_address: RateLimiter<AddressKey>,
    /// Messages of one incoming webhook.
    pub hooks: RateLimiter<UserId>,
    /// Calls of incoming webhooks from one address.
    pub hooks_address: RateLimiter<AddressKey>,
    /// Registrations from one address.
    pub register: RateLimiter<AddressKey>,
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

impl RateLimits {
    /// Creates the limits from the settings. Nodes share all of them.
    pub fn new(config: &LimitsConfig, shared: &dyn SharedLimits) -> Self {
        let new = New { config, shared };
        let per_minute = config.requests_per_minute;
        let anonymous = config.anonymous_requests_per_minute;
        let per_hour = config.register_per_hour;
        let hooks = config.hook_requests_per_minute;
        Self {
            publish_user: new
                .limit("publish_user", (config.publish_per_second, SECOND, config.publish_burst)),
            publish_room: new.limit(
                "publish_room",
                (config.room_publish_per_second, SECOND, config.room_publish_burst),
            ),
            publish_address: new.limit(
                "publish_address",
                (config.address_publish_per_second, SECOND, config.address_publish_burst),
            ),
            typing: new
                .limit("typing", (config.typing_per_second, SECOND, config.typing_per_second * 2)),
            signal: new.limit("signal", (config.signals_per_second, SECOND, config.signals_burst)),
            change: new.limit("change", (config.changes_per_second, SECOND, config.changes_burst)),
            search: new
                .limit("search", (config.searches_per_second, SECOND, config.searches_burst)),
            slash_command: new.limit(
                "slash_command",
                (config.slash_commands_per_second, SECOND, config.slash_commands_burst),
            ),
            upload: new.limit("upload", (config.uploads_per_second, SECOND, config.uploads_burst)),
            subscribe: new.limit(
                "subscribe",
                (config.subscribes_per_second, SECOND, config.subscribes_burst),
            ),
            read: new
                .limit("read", (config.read_markers_per_second, SECOND, config.read_markers_burst)),
            history: new
                .limit("history", (config.history_per_second, SECOND, config.history_burst)),
            requests_user: new.limit("requests_user", (per_minute, MINUTE, per_minute)),
            requests_address: new.limit("requests_address", (anonymous, MINUTE, anonymous)),
            hooks: new
                .limit("hooks", (config.hook_posts_per_second, SECOND, config.hook_posts_burst)),
            hooks_address: new.limit("hooks_address", (hooks, MINUTE, hooks)),
            register: new.limit("register", (per_hour, HOUR, per_hour)),
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

    /// Takes one request from the budget of the rule that its operation has.
    pub(crate) fn check_rule(&self, rule: Rule, user: UserId) -> Result<(), RateLimited> {
        match rule {
            Rule::Request => Ok(()),
            Rule::Change => self.change.check(&user),
            Rule::Search => self.search.check(&user),
            Rule::Upload => self.upload.check(&user),
            Rule::SlashCommand => self.slash_command.check(&user),
        }
    }

    /// Takes one registration from an address, on all nodes together. Refuses when that cannot be
    /// known.
    pub async fn take_registration(&self, address: AddressKey) -> Outcome<()> {
        self.register.take(&address).await.map_err(|refused| match refused {
            TakeRefused::Limited(limited) => limited.into(),
            TakeRefused::Unavailable => {
                Refusal::unavailable("Accounts cannot be made at the moment; try again soon.")
            }
        })
    }

    /// Forgets keys whose budget is full again, and counts the others.
    pub fn sweep(&self, metrics: &AuthMetrics) {
        sweep(&self.publish_user, "publish_user", metrics);
        sweep(&self.publish_room, "publish_room", metrics);
        sweep(&self.publish_address, "publish_address", metrics);
        sweep(&self.typing, "typing", metrics);
        sweep(&self.signal, "signal", metrics);
        sweep(&self.change, "change", metrics);
        sweep(&self.search, "search", metrics);
        sweep(&self.slash_command, "slash_command", metrics);
        sweep(&self.upload, "upload", metrics);
        sweep(&self.subscribe, "subscribe", metrics);
        sweep(&self.read, "read", metrics);
        sweep(&self.history, "history", metrics);
        sweep(&self.requests_user, "requests_user", metrics);
        sweep(&self.requests_address, "requests_address", metrics);
        sweep(&self.hooks, "hooks", metrics);
        sweep(&self.hooks_address, "hooks_address", metrics);
        sweep(&self.register, "register", metrics);
    }
}

/// The rate of an operation over HTTP, besides that of all requests. Writing messages, reading
/// history, logging in and registering have their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// None but that of all requests: reading.
    Request,
    /// Changing something.
    Change,
    /// Searching.
    Search,
    /// Bringing a part of a file.
    Upload,
    /// A slash command.
    SlashCommand,
}

impl Rule {
    /// Returns the rule of an operation. Whatever changes something has one.
    pub(crate) fn of(method: &Method, path: &str) -> Self {
        if path == "/v1/search" {
            Self::Search
        } else if path.starts_with("/v1/uploads") {
            Self::Upload
        } else if path == "/v1/rooms/{room}/commands" {
            Self::SlashCommand
        } else if method.is_safe() {
            Self::Request
        } else {
            Self::Change
        }
    }

    /// Returns the name, as it stands in metrics and headers.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Change => "change",
            Self::Search => "search",
            Self::Upload => "upload",
            Self::SlashCommand => "slash_command",
        }
    }
}

/// Returns the rates that clients are told, by name; none when they are switched off.
pub(crate) fn told(config: &LimitsConfig) -> BTreeMap<String, RateRule> {
    let second = |count, burst| RateRule { count, seconds: 1, burst };
    let over = |count, seconds| RateRule { count, seconds, burst: count };
    let rates = [
        ("publish", second(config.publish_per_second, config.publish_burst)),
        ("publish_room", second(config.room_publish_per_second, config.room_publish_burst)),
        (
            "publish_address",
            second(config.address_publish_per_second, config.address_publish_burst),
        ),
        ("commands", second(config.commands_per_second, config.commands_burst)),
        ("typing", second(config.typing_per_second, config.typing_per_second * 2)),
        ("signal", second(config.signals_per_second, config.signals_burst)),
        ("subscribe", second(config.subscribes_per_second, config.subscribes_burst)),
        ("read", second(config.read_markers_per_second, config.read_markers_burst)),
        ("history", second(config.history_per_second, config.history_burst)),
        ("search", second(config.searches_per_second, config.searches_burst)),
        ("slash_command", second(config.slash_commands_per_second, config.slash_commands_burst)),
        ("upload", second(config.uploads_per_second, config.uploads_burst)),
        ("change", second(config.changes_per_second, config.changes_burst)),
        ("request", over(config.requests_per_minute, 60)),
        ("request_address", over(config.anonymous_requests_per_minute, 60)),
        ("hooks", second(config.hook_posts_per_second, config.hook_posts_burst)),
        ("hooks_address", over(config.hook_requests_per_minute, 60)),
        ("register", over(config.register_per_hour, 3_600)),
    ];
    let rates = rates.into_iter().filter(|_| config.enabled);
    rates.map(|(name, rule)| (name.to_owned(), rule)).collect()
}

/// Returns the rates as the header says them, by the names that refusals give them.
pub(crate) fn policies(config: &LimitsConfig) -> BTreeMap<String, String> {
    let policy = |(name, rule): (String, RateRule)| {
        let name = policy_name(&name).to_owned();
        let text = format!("\"{name}\";q={};w={}", rule.count, rule.seconds);
        (name, text)
    };
    told(config).into_iter().map(policy).collect()
}

/// Returns the name under which clients know a limit in headers.
fn policy_name(limit: &str) -> &str {
    match limit {
        "publish_user" => "publish",
        "request" | "requests_user" => "user",
        "request_address" | "requests_address" => "address",
        other => other,
    }
}

/// Makes limits from settings.
struct New<'a> {
    config: &'a LimitsConfig,
    shared: &'a dyn SharedLimits,
}

impl New<'_> {
    /// Makes a limit of so many, in a time, and at once.
    fn limit<K: LimitKey>(
        &self,
        name: &'static str,
        (count, per, burst): (u32, Duration, u32),
    ) -> RateLimiter<K> {
        let rate = NonZeroU32::new(count).zip(NonZeroU32::new(burst));
        let rate = rate.map(|(count, burst)| Rate { count, per, burst });
        let rate = rate.filter(|_| self.config.enabled);
        RateLimiter::new(rate, self.config.rate_entries).shared(name, self.shared)
    }
}

fn sweep<K: LimitKey>(limiter: &RateLimiter<K>, name: &str, metrics: &AuthMetrics) {
    limiter.sweep();
    let entries = i64::try_from(limiter.len()).unwrap_or(i64::MAX);
    metrics.rate_entries.with_label_values(&[name]).set(entries);
    let overflows = metrics.rate_overflows.with_label_values(&[name]);
    overflows.inc_by(limiter.overflows().saturating_sub(overflows.get()));
}

impl From<RateLimited> for Refusal {
    fn from(limited: RateLimited) -> Self {
        let rule = limited.rule.map(policy_name);
        Self { rule, ..Self::rate_limited(limited.retry_after) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_changes_something_has_a_rule() {
        for (method, path, rule) in [
            (Method::GET, "/v1/rooms", Rule::Request),
            (Method::PATCH, "/v1/rooms/{room}", Rule::Change),
            (Method::PUT, "/v1/rooms/{room}/members/{username}", Rule::Change),
            (Method::POST, "/v1/rooms/{room}/invites", Rule::Change),
            (Method::DELETE, "/v1/rooms/{room}/messages/{message}", Rule::Change),
            (Method::GET, "/v1/search", Rule::Search),
            (Method::PATCH, "/v1/uploads/{id}", Rule::Upload),
            (Method::POST, "/v1/rooms/{room}/commands", Rule::SlashCommand),
            (Method::POST, "/v1/commands", Rule::Change),
        ] {
            assert_eq!(Rule::of(&method, path), rule, "{method} {path}");
        }
    }

    #[test]
    fn whatever_refuses_has_a_policy() {
        let config = LimitsConfig::default();
        let policies = policies(&config);
        for limit in [
            "publish_user",
            "publish_room",
            "publish_address",
            "typing",
            "signal",
            "change",
            "search",
            "slash_command",
            "upload",
            "subscribe",
            "read",
            "history",
            "requests_user",
            "requests_address",
            "hooks",
            "hooks_address",
            "register",
        ] {
            assert!(policies.contains_key(policy_name(limit)), "{limit}");
        }
        assert_eq!(policies["user"], format!("\"user\";q={};w=60", config.requests_per_minute));
    }

    #[test]
    fn addresses_of_one_customer_are_one_key() {
        let key = |address: &str| AddressKey::from(address.parse::<IpAddr>().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:2"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_ne!(key("192.0.2.1").number(), key("192.0.2.2").number());
    }
}
