//! Settings: defaults, then the settings file, then variables, then flags.
//!
//! [`Config::load`] reads all layers and collects every problem before it gives up, each with the
//! key, where its value came from, and what is allowed. The value of a secret is never shown. The
//! program uses plain structs, one for each section; nothing is read from the environment later.

use std::path::PathBuf;

pub mod auth;
pub mod bots;
pub mod bus;
mod check;
pub mod cluster;
mod duration;
pub mod files;
pub mod limits;
pub mod llm;
mod load;
pub mod log;
pub mod origin;
mod print;
pub mod problem;
pub mod program;
pub mod provider;
pub mod relay;
pub mod section;
pub mod server;
pub mod service;
pub mod setting;
pub mod size;
pub mod source;
pub mod stop;
pub mod store;
mod unknown;
mod variables;
pub mod webhooks;

#[cfg(test)]
mod tests;

pub use auth::{AuthConfig, Registration};
pub use bots::BotsConfig;
pub use bus::BusConfig;
pub use cluster::ClusterConfig;
pub use duration::parse_duration;
pub use files::FilesConfig;
pub use limits::LimitsConfig;
pub use llm::{LlmConfig, OllamaHost};
pub use load::Loaded;
pub use log::{LogConfig, LogFormat};
pub use origin::WebOrigin;
pub use problem::{ConfigProblem, ConfigProblems};
pub use program::Program;
pub use provider::{ProviderConfig, ProviderProtocol};
pub use relay::RelayConfig;
pub use server::ServerConfig;
pub use service::place;
pub use size::ByteSize;
pub use source::{Origins, Source, Sources};
pub use stop::LifecycleConfig;
pub use store::StoreConfig;
pub use variables::Variable;
pub use webhooks::WebhooksConfig;

use section::{Key, Section};

/// All settings of a process. The default runs everything in one process on loopback.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// `[server]`
    pub server: ServerConfig,
    /// `[auth]`
    pub auth: AuthConfig,
    /// `[limits]`
    pub limits: LimitsConfig,
    /// `[files]`
    pub files: FilesConfig,
    /// `[llm]`
    pub llm: LlmConfig,
    /// `[bots]`
    pub bots: BotsConfig,
    /// `[store]`
    pub store: StoreConfig,
    /// `[bus]`
    pub bus: BusConfig,
    /// `[cluster]`
    pub cluster: ClusterConfig,
    /// `[relay]`
    pub relay: RelayConfig,
    /// `[webhooks]`
    pub webhooks: WebhooksConfig,
    /// `[log]`
    pub log: LogConfig,
    /// `[lifecycle]`
    pub lifecycle: LifecycleConfig,
}

impl Config {
    /// Returns the settings that a test or an embedder starts from: the defaults, with everything
    /// in one folder.
    pub fn embedded(data_dir: impl Into<PathBuf>) -> Self {
        let mut config = Self::default();
        config.server.data_dir = data_dir.into();
        config
    }

    fn sections(&self) -> [&dyn Section; 13] {
        [
            &self.server,
            &self.auth,
            &self.limits,
            &self.files,
            &self.llm,
            &self.bots,
            &self.store,
            &self.bus,
            &self.cluster,
            &self.relay,
            &self.webhooks,
            &self.log,
            &self.lifecycle,
        ]
    }

    fn section_mut(&mut self, name: &str) -> Option<&mut dyn Section> {
        Some(match name {
            "server" => &mut self.server,
            "auth" => &mut self.auth,
            "limits" => &mut self.limits,
            "files" => &mut self.files,
            "llm" => &mut self.llm,
            "bots" => &mut self.bots,
            "store" => &mut self.store,
            "bus" => &mut self.bus,
            "cluster" => &mut self.cluster,
            "relay" => &mut self.relay,
            "webhooks" => &mut self.webhooks,
            "log" => &mut self.log,
            "lifecycle" => &mut self.lifecycle,
            _ => return None,
        })
    }

    fn keys(&self) -> Vec<Key> {
        self.sections().into_iter().flat_map(Section::keys).collect()
    }
}
