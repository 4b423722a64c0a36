//! Where a measurement takes place: which server, and who is logged in there.
//!
//! - No address: a server is started for the measurement, and its users are written into its store
//!   before.
//! - An address and `--direct`: the users are written into the database of that server, whose
//!   settings (database and secret key) this program is given as a node is.
//! - An address alone: a few accounts are made over HTTP, and each has several connections.

use std::time::{Duration, Instant};

use clap::Args;
use parlor_auth::{AccessTokens, HashParams, PasswordHasher};
use parlor_bench::{
    BenchError, Crowd, Measurement, Origin, Seed, Shape, Target, TargetOptions, over_http, seed,
};
use parlor_bot_worker::GUIDE_SYSTEM_PROMPT;
use parlor_broker::bootstrap;
use parlor_runtime::{Config, Secret, SystemClock};
use parlor_store::Store;
use uuid::Uuid;

use super::started::{Prepared, Started};
use super::{LoadArgs, pin};
use crate::context::{Context, settings};
use crate::failure::Usage;
use crate::program::{backends, secret};

/// Flags about the server that is started, and about the users.
#[derive(Debug, Args)]
#[expect(clippy::doc_markdown, reason = "the words are shown in a terminal")]
pub(crate) struct StageArgs {
    /// Write the users into the database of the server, which DATABASE_URL and SECRET_KEY name as
    /// for a node
    #[arg(long, global = true)]
    direct: bool,
    /// Settings file that names the database for --direct
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
    /// Setting of the server that is started, such as PARLOR_LIMITS__OUTBOX=1MiB; may be given more
    /// than once
    #[arg(long, global = true, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Processors for the server that is started, such as 1 or 2,3
    #[arg(long, global = true, value_name = "CPUS", value_delimiter = ',')]
    pin_server: Vec<usize>,
    /// Processors for the generator
    #[arg(long, global = true, value_name = "CPUS", value_delimiter = ',')]
    pin: Vec<usize>,
}

impl StageArgs {
    /// Keeps the generator to its processors.
    ///
    /// # Errors
    /// Fails when one of them is not there.
    pub(super) fn pin(&self) -> anyhow::Result<()> {
        pin::this_thread(&self.pin)
    }
}

/// What a scenario needs to be there.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    /// Rooms, and connections in each.
    pub(super) rooms: usize,
    /// Connections in each room.
    pub(super) members: usize,
    /// Bots in every room.
    pub(super) bots: usize,
    /// Whether the users can log in with a password.
    pub(super) password: bool,
    /// Settings of a server that is started.
    pub(super) settings: Vec<(String, String)>,
}

impl Wanted {
    /// Returns what a scenario needs that makes its own users.
    pub(super) fn one_place() -> Self {
        Self { rooms: 1, members: 1, ..Self::default() }
    }
}

/// A server and those who are logged in.
#[derive(Debug)]
pub(crate) struct Stage {
    /// Where the load goes.
    pub(super) target: Target,
    /// Who is logged in.
    pub(super) crowd: Crowd,
    /// The password of all of them, if it was wanted.
    pub(super) password: Option<Secret<String>>,
    /// Processes of the server.
    pub(super) pids: Vec<u32>,
    /// How long it took to make the users.
    made_in: Duration,
    started: Option<Started>,
}

impl Stage {
    /// Finds or starts the server, and makes the users.
    ///
    /// # Errors
    /// Fails when the server is another machine's and that was not allowed, or it refuses.
    pub(super) async fn set(
        context: &Context,
        load: &LoadArgs,
        wanted: &Wanted,
    ) -> anyhow::Result<Self> {
        match context.named_server()? {
            None => Box::pin(start(load, wanted)).await,
            Some(server) => {
                let owner = [
                    ("--set", load.stage.set.is_empty()),
                    ("--pin-server", load.stage.pin_server.is_empty()),
                ];
                if let Some((flag, _)) = owner.iter().find(|(_, unused)| !unused) {
                    return Err(Usage(format!("{flag} is for a server that is started")).into());
                }
                Box::pin(find(context, load, wanted, server.to_string())).await
            }
        }
    }

    /// Notes whose connections they were, and which server it was.
    pub(super) fn describe(&self, measurement: &mut Measurement) {
        let server = if self.started.is_some() { "started for this" } else { "named" };
        measurement.plan("server", server);
        measurement.plan("users", self.crowd.people.len());
        let origin = match self.crowd.origin {
            Origin::Store => "written into the store, one for each connection",
            Origin::Http => "made over HTTP, each with several connections",
        };
        measurement.plan("accounts", origin);
        measurement.figure("time to make users and rooms", self.made_in.as_secs_f64(), "s");
    }

    /// Ends the server that was started.
    ///
    /// # Errors
    /// Fails when it had ended before.
    pub(super) async fn clear(self) -> anyhow::Result<()> {
        match self.started {
            Some(started) => started.stop().await,
            None => Ok(()),
        }
    }
}

async fn start(load: &LoadArgs, wanted: &Wanted) -> anyhow::Result<Stage> {
    if load.stage.direct {
        return Err(
            Usage("--direct needs the address of the server: --server URL".to_owned()).into()
        );
    }
    let mut extra = wanted.settings.clone();
    for pair in &load.stage.set {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| Usage(format!("--set {pair}: it must be NAME=VALUE")))?;
        extra.push((name.to_owned(), value.to_owned()));
    }
    let prepared = Prepared::new(&extra)?;
    let began = Instant::now();
    let (crowd, password) = write_users(prepared.config(), wanted).await?;
    let made_in = began.elapsed();
    let started = prepared.start(&load.stage.pin_server).await?;
    let target = target(started.address().to_owned(), load)?;
    Ok(Stage {
        target,
        crowd,
        password,
        pids: started.pid().into_iter().collect(),
        made_in,
        started: Some(started),
    })
}

async fn find(
    context: &Context,
    load: &LoadArgs,
    wanted: &Wanted,
    server: String,
) -> anyhow::Result<Stage> {
    if wanted.bots > 0 {
        // Its bots ask a provider of this program.
        let why = "this scenario needs a server of its own: leave --server out";
        return Err(Usage(why.to_owned()).into());
    }
    let target = target(server, load)?;
    let began = Instant::now();
    let (crowd, password) = if load.stage.direct {
        let sources = settings(context.sources.clone(), load.stage.config.as_deref(), None);
        let config = Config::load(&sources)?.config;
        if !backends::are_shared(&config) {
            let why = "--direct is for a server whose database this program can use beside it: set \
                       DATABASE_URL and SECRET_KEY as for a node";
            return Err(Usage(why.to_owned()).into());
        }
        write_users(&config, wanted).await?
    } else if wanted.password {
        let why = "this scenario needs --direct, or a server of its own (leave --server out)";
        return Err(Usage(why.to_owned()).into());
    } else {
        (over_http(&target, wanted.shape()).await?, None)
    };
    Ok(Stage {
        target,
        crowd,
        password,
        pids: load.server_pid.clone(),
        made_in: began.elapsed(),
        started: None,
    })
}

fn target(server: String, load: &LoadArgs) -> anyhow::Result<Target> {
    let options =
        TargetOptions { server, nodes: load.node.clone(), elsewhere: load.yes_i_own_this };
    Target::new(&options).map_err(|error| match error {
        BenchError::Address | BenchError::Elsewhere(_) => Usage(error.to_string()).into(),
        other => other.into(),
    })
}

/// Writes the users into the store of these settings.
async fn write_users(
    config: &Config,
    wanted: &Wanted,
) -> anyhow::Result<(Crowd, Option<Secret<String>>)> {
    let secret = secret::read(config)?;
    let password =
        wanted.password.then(|| Secret::new(format!("{}{}", Uuid::new_v4(), Uuid::new_v4())));
    let password_hash = match &password {
        Some(password) => Some(hash(config, password.expose()).await?),
        None => None,
    };
    let tokens = AccessTokens::new(secret.expose().as_bytes(), None)?;
    let store = backends::wait_for_store(config).await?;
    let run = Uuid::new_v4().simple().to_string().chars().take(8).collect();
    let shape = wanted.shape();
    let wanted = Seed { run, shape, password_hash, bots: wanted.bots };
    let written = write(&*store, config, &secret, &tokens, &wanted).await;
    store.close().await;
    Ok((written?, password))
}

async fn write(
    store: &dyn Store,
    config: &Config,
    key: &Secret<String>,
    tokens: &AccessTokens,
    wanted: &Seed,
) -> anyhow::Result<Crowd> {
    // With another key the tokens would be refused, one by one.
    secret::compare(store, key).await?;
    bootstrap::furnish(store, &SystemClock, &config.bots, GUIDE_SYSTEM_PROMPT).await?;
    Ok(seed(store, &SystemClock, tokens, wanted).await?)
}

/// Hashes a password as the server would.
async fn hash(config: &Config, password: &str) -> anyhow::Result<String> {
    let auth = &config.auth;
    let params = HashParams {
        memory_kib: u32::try_from(auth.argon2_memory.get() / 1024).unwrap_or(u32::MAX),
        iterations: auth.argon2_iterations,
        parallelism: auth.argon2_parallelism,
    };
    Ok(PasswordHasher::new(params, 1, 1)?.hash(password).await?)
}

impl Wanted {
    fn shape(&self) -> Shape {
        Shape { rooms: self.rooms, members: self.members }
    }
}
