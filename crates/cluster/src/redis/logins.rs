//! Attempts to log in, counted for all nodes together.
//!
//! Refuses while Redis is away: a guesser who can make it go away must not gain by that.

use std::time::Duration;

use ::redis::ScriptInvocation;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac as _;

use super::RedisConnection;
use super::script::{LOGIN, REFUND};
use crate::login::{LoginBudget, LoginRule, Logins};
use crate::rate_limit::RateLimited;
use crate::shared::TakeRefused;
use crate::ticket::sealed::{derive, keyed};

/// What the key of user names is derived for.
const PURPOSE: &[u8] = b"parlor login names 1";
/// How long an address is known as a user's after a login.
const KNOWN_FOR: Duration = Duration::from_hours(24 * 30);

/// Counts attempts on all nodes.
#[derive(Debug)]
pub(super) struct RedisLogins {
    connection: RedisConnection,
    rule: LoginRule,
    /// User names become numbers that tell nothing about them.
    names: hmac::Hmac<sha2::Sha256>,
}

impl RedisLogins {
    pub(super) fn new(connection: RedisConnection, rule: LoginRule, secret: &[u8]) -> Self {
        Self { connection, rule, names: keyed(&derive(secret, PURPOSE)) }
    }

    fn invoke(&self, invocation: &mut ScriptInvocation<'_>, login: &str, address: u128) {
        let mut name = self.names.clone();
        name.update(login.as_bytes());
        let user = URL_SAFE_NO_PAD.encode(name.finalize().into_bytes());
        let key = |name: String| self.connection.key(&format!("{{login}}:{name}"));
        invocation
            .key(key(format!("pair:{user}:{address:032x}")))
            .key(key(format!("address:{address:032x}")))
            .key(key(format!("user:{user}")))
            .key(key(format!("known:{user}:{address:032x}")));
    }

    /// Returns the budgets in the order of their keys.
    fn budgets(&self) -> [LoginBudget; 3] {
        [self.rule.pair, self.rule.address, self.rule.user]
    }

    async fn refund(&self, login: &str, address: u128, known_for: Duration) {
        let mut refund = REFUND.prepare_invoke();
        self.invoke(&mut refund, login, address);
        for budget in self.budgets() {
            refund.arg(micros(budget.interval));
        }
        refund.arg(u64::try_from(known_for.as_millis()).unwrap_or(u64::MAX));
        let done = self.connection.call("refund", async |mut connection| {
            refund.invoke_async::<u64>(&mut connection).await
        });
        // Whatever is not given back comes back with time.
        let _done = done.await;
    }
}

#[async_trait]
impl Logins for RedisLogins {
    async fn begin(&self, login: &str, address: u128) -> Result<(), TakeRefused> {
        let mut begin = LOGIN.prepare_invoke();
        self.invoke(&mut begin, login, address);
        for budget in self.budgets() {
            begin.arg(micros(budget.interval)).arg(budget.burst);
        }
        let wait: u64 = self
            .connection
            .call("login", async |mut connection| begin.invoke_async(&mut connection).await)
            .await
            .map_err(|_| TakeRefused::Unavailable)?;
        if wait == 0 {
            return Ok(());
        }
        Err(RateLimited { retry_after: Duration::from_micros(wait), rule: None }.into())
    }

    async fn succeeded(&self, login: &str, address: u128) {
        self.refund(login, address, KNOWN_FOR).await;
    }

    async fn give_back(&self, login: &str, address: u128) {
        self.refund(login, address, Duration::ZERO).await;
    }
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).max(1)
}
