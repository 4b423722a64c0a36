//! Slows down guessing of passwords, on all nodes together.
//!
//! Every attempt is charged before its password is looked at and given back when that was right; see
//! [`Logins`] for the budgets. When it cannot be known what was tried on other nodes, nobody logs in
//! with a password; those who are logged in are not concerned.

use std::sync::Arc;
use std::time::Duration;

use parlor_cluster::{LimitKey as _, LoginBudget, LoginRule, Logins, SharedLimits, TakeRefused};
use parlor_runtime::config::LimitsConfig;

use crate::rate::AddressKey;

const HOUR: Duration = Duration::from_hours(1);

/// Counts failed attempts.
#[derive(Debug)]
pub(super) struct LoginThrottle {
    /// `None` when limits are switched off.
    logins: Option<Arc<dyn Logins>>,
}

/// An attempt that was charged. Unless it is given back, it has failed.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    throttle: &'a LoginThrottle,
    login: &'a str,
    address: u128,
}

impl LoginThrottle {
    pub(super) fn new(config: &LimitsConfig, shared: &dyn SharedLimits) -> Self {
        let per_hour =
            |count: u32| LoginBudget { interval: HOUR / count.max(1), burst: count.max(1) };
        let rule = LoginRule {
            pair: LoginBudget {
                interval: config.login_failure_delay,
                burst: config.login_failures,
            },
            user: per_hour(config.login_failures_per_user_hour),
            address: per_hour(config.login_failures_per_address_hour),
            entries: config.rate_entries,
        };
        Self { logins: config.enabled.then(|| shared.logins(rule)) }
    }

    /// Charges an attempt, or tells why there is none now.
    pub(super) async fn begin<'a>(
        &'a self,
        login: &'a str,
        address: AddressKey,
    ) -> Result<Attempt<'a>, TakeRefused> {
        let address = address.number();
        if let Some(logins) = &self.logins {
            logins.begin(login, address).await?;
        }
        Ok(Attempt { throttle: self, login, address })
    }
}

impl Attempt<'_> {
    /// The password was right.
    pub(super) async fn succeeded(self) {
        if let Some(logins) = &self.throttle.logins {
            logins.succeeded(self.login, self.address).await;
        }
    }

    /// The password was not looked at.
    pub(super) async fn give_back(self) {
        if let Some(logins) = &self.throttle.logins {
            logins.give_back(self.login, self.address).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use parlor_cluster::LocalLimits;

    use super::*;

    fn throttle(change: impl FnOnce(&mut LimitsConfig)) -> LoginThrottle {
        let mut config = LimitsConfig::default();
        change(&mut config);
        LoginThrottle::new(&config, &LocalLimits::default())
    }

    fn address() -> AddressKey {
        IpAddr::from(Ipv4Addr::LOCALHOST).into()
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_sent_at_once_are_counted_before_any_has_failed() {
        let throttle = throttle(|_| ());
        let mut pending = Vec::new();
        for _ in 0..5 {
            pending.push(throttle.begin("ada", address()).await.unwrap());
        }
        let refused = throttle.begin("ada", address()).await.unwrap_err();
        assert!(matches!(refused, TakeRefused::Limited(_)), "{refused:?}");
        pending.pop().unwrap().give_back().await;
        assert!(throttle.begin("ada", address()).await.is_ok());
    }

    #[tokio::test]
    async fn limits_can_be_switched_off() {
        let throttle = throttle(|limits| limits.enabled = false);
        for _ in 0..100 {
            assert!(throttle.begin("ada", address()).await.is_ok());
        }
    }
}
