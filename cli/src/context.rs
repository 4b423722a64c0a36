//! What every command needs: the environment, the output, and a client for the right server.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use parlor_client::{ClientConfig, Http};
use parlor_runtime::Sources;
use url::Url;

use crate::args::{Global, SettingsArgs};
use crate::credentials::{Credentials, FileTokens, Profile};
use crate::output::Out;

/// The server of whoever has said nothing about it.
const DEFAULT_SERVER: &str = "http://127.0.0.1:7777";
const USER_AGENT: &str = concat!("parlor-cli/", env!("CARGO_PKG_VERSION"));

/// What every command needs.
#[derive(Debug)]
pub(crate) struct Context {
    /// Variables of the process, and where settings come from.
    pub(crate) sources: Sources,
    pub(crate) out: Out,
    global: Global,
}

impl Context {
    pub(crate) fn new(global: Global, sources: Sources) -> Self {
        let out =
            Out::of_process(global.json, global.color, sources.variable("NO_COLOR").is_some());
        Self { sources, out, global }
    }

    /// Returns the login's file.
    pub(crate) fn profile(&self) -> anyhow::Result<Profile> {
        Profile::find(&self.global.profile, &self.sources)
    }

    /// Returns the server's address, and whether it was named rather than taken for granted.
    pub(crate) fn server(&self) -> anyhow::Result<(Url, bool)> {
        let stored = self.profile()?.read()?.map(|credentials| credentials.server);
        let named = self.global.server.clone().or(stored);
        let text = named.as_deref().unwrap_or(DEFAULT_SERVER);
        let config =
            ClientConfig::new(text).with_context(|| format!("read the server {text:?}"))?;
        Ok((config.base_url, named.is_some()))
    }

    /// Returns the server that the command line or the environment names, without regard to where
    /// the profile is logged in.
    pub(crate) fn named_server(&self) -> anyhow::Result<Option<Url>> {
        let Some(text) = &self.global.server else { return Ok(None) };
        let config =
            ClientConfig::new(text).with_context(|| format!("read the server {text:?}"))?;
        Ok(Some(config.base_url))
    }

    /// Returns a client with the personal access token of the environment, else with the login of
    /// this profile, if that is one of this server.
    pub(crate) fn http(&self) -> anyhow::Result<Http> {
        let (server, _) = self.server()?;
        let user_agent = USER_AGENT.to_owned();
        let config = ClientConfig { user_agent, ..ClientConfig::new(server.as_str())? };
        if let Some(secret) = self.sources.variable("PARLOR_TOKEN") {
            return Ok(Http::with_personal_token(config, secret)?);
        }
        let tokens = FileTokens::new(self.profile()?, Credentials::name_of(&server));
        Ok(Http::with_tokens(config, Arc::new(tokens))?)
    }

    /// Returns where the settings of the server come from.
    pub(crate) fn settings(&self, args: &SettingsArgs) -> Sources {
        settings(self.sources.clone(), args.config.as_deref(), args.data_dir.as_deref())
    }
}

/// Adds the flags to the sources.
pub(crate) fn settings(
    mut sources: Sources,
    config: Option<&Path>,
    data_dir: Option<&str>,
) -> Sources {
    if let Some(path) = config {
        sources = sources.with_file(path);
    }
    if let Some(data_dir) = data_dir {
        sources = sources.with_flag("--data-dir", "server.data_dir", data_dir);
    }
    sources
}
