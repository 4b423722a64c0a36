//! What must be there before the first client comes: the default room and bot, and a way to the
//! first administrator.

use std::sync::Arc;
use std::time::Duration;

use parlor_auth::{Known, PasswordRule, check_username, ticket};
use parlor_protocol::http::Trigger;
use parlor_protocol::id::{RoomId, RoomRef, UserId};
use parlor_protocol::room::{Role, RoomKind};
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::{ServerRole, UserKind, UserRef};
use parlor_runtime::Clock;
use parlor_runtime::config::BotsConfig;
use parlor_store::record::{BotRecord, NewRoom, NewUser};
use parlor_store::{Append, Intent, Store};

use crate::node::Node;
use crate::refusal::{Outcome, Refusal};

/// The room that everyone joins.
pub const GENERAL: &str = "general";
/// The default bot.
pub const GUIDE: &str = "guide";
/// How long a setup link works: long enough to open a browser, short enough to be forgotten.
const SETUP_MINUTES: i64 = 30;
/// How often a node that waits for an administrator looks for one.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What people are told meanwhile.
const NO_ADMIN: &str = "There is no administrator yet. Whoever runs this server makes one with \
                        `parlor admin create`.";

/// What is wrong with the settings of the first administrator.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The name cannot be used.
    #[error("PARLOR_ADMIN_USERNAME cannot be used: {0}")]
    Username(String),
    /// The password cannot be used.
    #[error("PARLOR_ADMIN_PASSWORD cannot be used: {0}")]
    Password(String),
    /// The store does not answer.
    #[error("cannot prepare the store: {0}")]
    Store(#[from] Refusal),
}

impl From<parlor_store::StoreError> for BootstrapError {
    fn from(error: parlor_store::StoreError) -> Self {
        Self::Store(error.into())
    }
}

/// Makes the default room and bot and the first administrator where they are missing, and
/// remembers the logins that have ended. Returns the one-time setup token when there is no
/// administrator yet and no other node could be asked for one.
///
/// Nodes may do this at the same moment: what one has made, the others find.
///
/// `guide_prompt` is what the default bot is told about itself.
pub async fn prepare(
    node: &Arc<Node>,
    guide_prompt: &str,
) -> Result<Option<String>, BootstrapError> {
    remember_revocations(node).await?;
    furnish(&*node.store, &*node.clock, &node.config.bots, guide_prompt).await?;
    if node.store.has_admin().await? {
        return Ok(None);
    }
    let auth = &node.config.auth;
    if let Some((name, password)) = auth.admin_username.as_ref().zip(auth.admin_password.as_ref()) {
        create_admin(node, name, password.expose()).await?;
        return Ok(None);
    }
    if node.config.store.postgres().is_some() {
        node.setup.close();
        tracing::warn!("there is no administrator; make one with `parlor admin create`");
        node.lifecycle.spawn("await_admin", await_admin(Arc::clone(node)));
        return Ok(None);
    }
    let token = ticket::random();
    let expires_at = Timestamp::from_millis(node.now().as_millis() + SETUP_MINUTES * 60_000);
    node.setup.set(token.clone(), expires_at);
    Ok(Some(token))
}

/// Opens the node when someone has made an administrator in the store.
async fn await_admin(node: Arc<Node>) {
    let draining = node.lifecycle.draining();
    loop {
        tokio::select! {
            biased;
            () = draining.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        // While the store is away there is nothing to be done with an administrator either.
        if matches!(node.store.has_admin().await, Ok(true)) {
            node.setup.clear();
            tracing::info!("there is an administrator now");
            return;
        }
    }
}

impl Node {
    /// Refuses whatever is asked while nobody administers the server.
    pub(crate) fn check_has_admin(&self) -> Outcome<()> {
        if self.setup.is_closed() { Err(Refusal::unavailable(NO_ADMIN)) } else { Ok(()) }
    }
}

/// Makes the default bot and room where they are missing.
pub async fn furnish(
    store: &dyn Store,
    clock: &dyn Clock,
    bots: &BotsConfig,
    guide_prompt: &str,
) -> Outcome<()> {
    let guide = ensure_guide(store, clock, bots, guide_prompt).await?;
    ensure_general(store, clock, &guide).await
}

/// Makes a user a member of the room that everyone joins. Not being able to is not worth refusing
/// them; they can join later.
pub async fn join_general(node: &Node, user: UserId) {
    let Ok(Some(general)) = node.store.find_room(&RoomRef::from(GENERAL), user).await else {
        return;
    };
    let intent = Intent::Join { invite: None };
    let append = Append { room: general.room.id, actor: user, at: node.now(), intent };
    if let Err(refusal) = node.committer.append(append).await {
        tracing::warn!(error.code = %refusal.code, "new user could not join the default room");
    }
}

/// Makes an administrator an owner of the room that everyone joins.
pub async fn own_general(node: &Node, admin: UserId) {
    let steps = match owner_of_general(&*node.store, admin, node.now()).await {
        Ok(steps) => steps,
        Err(refusal) => {
            tracing::warn!(error.code = %refusal.code, "the default room was not found");
            return;
        }
    };
    for step in steps {
        if let Err(refusal) = node.committer.append(step).await {
            tracing::warn!(error.code = %refusal.code, "administrator could not own the default room");
        }
    }
}

/// Returns the steps by which an administrator becomes an owner of the room that everyone joins;
/// none where the room or the default bot was removed.
pub async fn owner_of_general(
    store: &dyn Store,
    admin: UserId,
    at: Timestamp,
) -> Outcome<Vec<Append>> {
    let Some(guide) = store.find_bot(GUIDE).await? else { return Ok(Vec::new()) };
    let found = store.find_room(&RoomRef::from(GENERAL), guide.user.id).await?;
    let Some(general) = found else { return Ok(Vec::new()) };
    let step = |actor, intent| Append { room: general.room.id, actor, at, intent };
    Ok(vec![
        step(admin, Intent::Join { invite: None }),
        step(guide.user.id, Intent::SetRole { user: admin, role: Role::Owner }),
    ])
}

async fn remember_revocations(node: &Node) -> Outcome<()> {
    let life = i64::try_from(node.token_life().as_millis()).unwrap_or(i64::MAX);
    let since = Timestamp::from_millis(node.now().as_millis().saturating_sub(life));
    for session in node.store.list_revoked_since(since).await? {
        node.revocations.revoke(session, node.tokens_expire_by());
    }
    Ok(())
}

async fn ensure_guide(
    store: &dyn Store,
    clock: &dyn Clock,
    bots: &BotsConfig,
    prompt: &str,
) -> Outcome<UserRef> {
    let memory = bots.memory_ttl.as_secs();
    if let Some(mut guide) = store.find_bot(GUIDE).await? {
        let user = guide.user.clone();
        // A setting that was made since the first start counts; none leaves the bot as it is.
        if memory != 0 && guide.memory_ttl_seconds != memory {
            guide.memory_ttl_seconds = memory;
            store.update_bot(guide).await?;
        }
        return Ok(user);
    }
    let user = UserRef {
        id: UserId(clock.new_id()),
        username: GUIDE.to_owned(),
        display_name: "Guide".to_owned(),
        kind: UserKind::Bot,
    };
    let account = NewUser {
        id: user.id,
        username: user.username.clone(),
        display_name: user.display_name.clone(),
        kind: UserKind::Bot,
        email: None,
        password_hash: None,
        role: ServerRole::User,
        at: clock.now().into(),
    };
    let bot = BotRecord {
        user: user.clone(),
        provider: None,
        model: None,
        system_prompt: prompt.to_owned(),
        trigger: Trigger::Mention,
        temperature: None,
        max_tokens: None,
        context_messages: u32::try_from(bots.context_messages).unwrap_or(u32::MAX),
        memory_ttl_seconds: memory,
        owner: None,
        created_at: clock.now().into(),
    };
    match store.create_bot(account, bot).await? {
        Ok(made) => Ok(made.user),
        // Another node was faster, or a person has taken the name.
        Err(conflict) => match store.find_bot(GUIDE).await? {
            Some(theirs) => Ok(theirs.user),
            None => Err(conflict.into()),
        },
    }
}

async fn ensure_general(store: &dyn Store, clock: &dyn Clock, guide: &UserRef) -> Outcome<()> {
    let found = store.find_room(&RoomRef::from(GENERAL), guide.id).await?;
    if let Some(access) = found {
        if access.membership.is_none() {
            // Someone removed the default bot from the room; that is theirs to decide.
            tracing::debug!("the default bot is not a member of the default room");
        }
        return Ok(());
    }
    let room = NewRoom {
        id: RoomId(clock.new_id()),
        slug: GENERAL.to_owned(),
        name: "General".to_owned(),
        kind: RoomKind::Public,
        topic: "Everyone is here. Mention @guide to talk to the bot.".to_owned(),
        creator: guide.id,
        members: Vec::new(),
        at: clock.now().into(),
        client_id: None,
        max_owned: u32::MAX,
    };
    if let Err(conflict) = store.create_room(room).await? {
        // Another node may have been faster.
        if store.find_room(&RoomRef::from(GENERAL), guide.id).await?.is_none() {
            return Err(conflict.into());
        }
    }
    Ok(())
}

async fn create_admin(node: &Node, name: &str, password: &str) -> Result<(), BootstrapError> {
    let username =
        check_username(name).map_err(|refused| BootstrapError::Username(refused.to_string()))?;
    let auth = &node.config.auth;
    let rule = PasswordRule { min: auth.password_min, max: auth.password_max };
    let known = Known { username: username.clone(), email: None, display_name: None };
    let hash = node.passwords.hash_new(password, rule, known).await.map_err(|error| {
        BootstrapError::Password(match error {
            parlor_auth::NewPasswordError::Refused(refused) => refused.to_string(),
            parlor_auth::NewPasswordError::Hash(hash) => hash.to_string(),
        })
    })?;
    let admin = NewUser {
        id: UserId(node.clock.new_id()),
        display_name: username.clone(),
        username,
        kind: UserKind::User,
        email: None,
        password_hash: Some(hash),
        role: ServerRole::Admin,
        at: node.now(),
    };
    match node.store.create_first_admin(admin).await? {
        Ok(account) => {
            own_general(node, account.user.id).await;
            tracing::info!(user.id = %account.user.id, "first administrator was made");
            Ok(())
        }
        // Another node was faster.
        Err(_) if node.store.has_admin().await? => Ok(()),
        Err(conflict) => Err(Refusal::from(conflict).into()),
    }
}
