//! `admin create`: makes an administrator in the database itself, without a server to ask. It is the
//! way to the first one of a cluster, and back in when the last one is lost.

use anyhow::Context as _;
use clap::Args;
use parlor_auth::{
    HashParams, Known, NewPasswordError, PasswordHasher, PasswordRule, check_username,
};
use parlor_bot_worker::GUIDE_SYSTEM_PROMPT;
use parlor_broker::bootstrap;
use parlor_protocol::id::UserId;
use parlor_protocol::user::{ServerRole, UserKind};
use parlor_runtime::config::AuthConfig;
use parlor_runtime::{Clock as _, Config, SystemClock};
use parlor_store::Store;
use parlor_store::record::NewUser;

use crate::args::SettingsArgs;
use crate::context::Context;
use crate::failure::Usage;
use crate::password::{PasswordArgs, ask};
use crate::program::backends;

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// User name of the administrator [else: a prompt]
    username: Option<String>,
    #[command(flatten)]
    password: PasswordArgs,
    #[command(flatten)]
    settings: SettingsArgs,
}

pub(super) async fn run(args: CreateArgs, context: &Context) -> anyhow::Result<()> {
    let config = Config::load(&context.settings(&args.settings))?.config;
    let username = ask(context, args.username, "User name")?;
    let username =
        check_username(&username).map_err(|refused| Usage(format!("the user name {refused}")))?;
    let password = args.password.read(context, true)?;
    let password_hash = hash(&config.auth, &username, password.expose()).await?;
    let store = backends::wait_for_store(&config).await?;
    let made = create(&*store, &config, username, password_hash).await;
    store.close().await;
    let name = made?;
    context.out.note(&format!("{name} is an administrator now"));
    Ok(())
}

async fn hash(auth: &AuthConfig, username: &str, password: &str) -> anyhow::Result<String> {
    let params = HashParams {
        memory_kib: u32::try_from(auth.argon2_memory.get() / 1024).unwrap_or(u32::MAX),
        iterations: auth.argon2_iterations,
        parallelism: auth.argon2_parallelism,
    };
    let rule = PasswordRule { min: auth.password_min, max: auth.password_max };
    let known = Known { username: username.to_owned(), ..Known::default() };
    let hashed = PasswordHasher::new(params, 1, 1)?.hash_new(password, rule, known).await;
    hashed.map_err(|error| match error {
        NewPasswordError::Refused(refused) => Usage(refused.to_string()).into(),
        NewPasswordError::Hash(_) => error.into(),
    })
}

async fn create(
    store: &dyn Store,
    config: &Config,
    username: String,
    password_hash: String,
) -> anyhow::Result<String> {
    let clock = SystemClock;
    // Where no server has started yet, the first room has no owner to hand over to.
    bootstrap::furnish(store, &clock, &config.bots, GUIDE_SYSTEM_PROMPT)
        .await
        .context("make the default room")?;
    let user = NewUser {
        id: UserId(clock.new_id()),
        display_name: username.clone(),
        username: username.clone(),
        kind: UserKind::User,
        email: None,
        password_hash: Some(password_hash),
        role: ServerRole::Admin,
        at: clock.now().into(),
    };
    let made = store.create_user(user).await.context("make the administrator")?;
    let account = made.map_err(|_taken| {
        Usage(format!(
            "there is a user {username:?} already; an administrator changes roles with \
             `parlor admin set-user`"
        ))
    })?;
    let steps = bootstrap::owner_of_general(store, account.user.id, clock.now().into());
    let steps = steps.await.context("find the default room")?;
    if !steps.is_empty() {
        // Nobody is told but through the store, where every node looks.
        let appended = store.append(steps).await.context("make them an owner of the room")?;
        for refused in appended.into_iter().filter_map(Result::err) {
            tracing::warn!(?refused, "administrator could not own the default room");
        }
    }
    Ok(account.user.username)
}
