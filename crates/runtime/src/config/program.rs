//! What a program needs to be set, beyond what every setting must be.

use super::Config;
use super::problem::{ConfigProblem, ConfigProblems};
use super::source::Origins;

/// A program that works with the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `parlor serve`: everything in one process.
    Serve,
    /// `parlor broker`: clients' connections, one of several processes.
    Broker,
    /// `parlor bot-worker`: replies of bots, one of several processes.
    BotWorker,
}

impl Config {
    /// Returns every setting that this program cannot do without.
    pub fn require(&self, program: Program, origins: &Origins) -> Result<(), ConfigProblems> {
        let mut missing = Vec::new();
        if program != Program::Serve {
            let name = match program {
                Program::BotWorker => "parlor bot-worker",
                Program::Broker | Program::Serve => "parlor broker",
            };
            // A worker shares nothing that would have to be in Redis.
            let has_redis = self.cluster.url.is_some() || program == Program::BotWorker;
            let services = [
                ("store.url", self.store.postgres().is_some(), "DATABASE_URL", "PostgreSQL"),
                ("bus.url", self.bus.url.is_some(), "NATS_URL", "NATS"),
                ("cluster.url", has_redis, "REDIS_URL", "Redis"),
            ];
            for (key, _, variable, service) in services.into_iter().filter(|(_, set, ..)| !set) {
                let allowed = format!(
                    "must name {service} (set {variable}), because `{name}` works beside other \
                     processes; `parlor serve` runs everything in one"
                );
                missing.push((key, allowed));
            }
        }
        if program == Program::BotWorker && !self.bots.enabled {
            missing.push((
                "bots.enabled",
                "must be true for `parlor bot-worker`, which does nothing else".to_owned(),
            ));
        }
        let signs = program != Program::BotWorker;
        if signs && self.store.postgres().is_some() && self.auth.secret_key.is_none() {
            missing.push((
                "auth.secret_key",
                "must be set (SECRET_KEY or SECRET_KEY_FILE), the same on every node, with at \
                 least 32 bytes, because nodes that share a database share logins; \
                 `openssl rand -base64 48` makes one"
                    .to_owned(),
            ));
        }
        if missing.is_empty() {
            return Ok(());
        }
        let problem = |(key, allowed): (&str, String)| ConfigProblem {
            key: key.to_owned(),
            source: origins.of(key).clone(),
            value: None,
            allowed,
        };
        Err(ConfigProblems(missing.into_iter().map(problem).collect()))
    }
}
