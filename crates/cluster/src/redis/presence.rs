//! Presence of the users of all nodes.
//!
//! Each node tells Redis how many connections a user has on it. That expires and is renewed, so
//! what a crashed node said is forgotten. A user is gone when no node has them and the grace time
//! has passed. Redis decides, in one step, who is due and what changed, so one node announces it.
//!
//! While Redis is away each node answers and announces by what it knows itself. When it is back,
//! also when it is empty, every node writes its users again; whatever was announced meanwhile and
//! turns out not to be so is announced anew.

use std::sync::Arc;
use std::time::Duration;

use ::redis::{AsyncCommands as _, Pipeline, RedisResult};
use async_trait::async_trait;
use parlor_protocol::id::UserId;
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::PresenceStatus;
use rand::Rng as _;
use tokio::task::JoinSet;
use tokio::time::sleep;
use uuid::Uuid;

use self::here::{Did, Here, Standing};
use super::RedisConnection;
use super::connection::Away;
use super::script::{LOOK, SWEEP, TOUCH};
use crate::presence::{LocalPresence, Presence, Seen, Transition};

mod here;

/// Users that one script looks at.
const BATCH: usize = 128;
/// Batches of those who are due that one sweep looks at.
const SWEEPS_MAX: usize = 64;
/// Users whose status one call asks for.
const LIST_BATCH: usize = 512;

/// Times of presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresenceOptions {
    /// A user who does nothing for so long is idle.
    pub idle_after: Duration,
    /// What a node says about a user is forgotten after this.
    pub expire: Duration,
    /// How often it is said again.
    pub refresh: Duration,
    /// A user is gone so long after the last connection. Longer than a client takes to come back
    /// when its node is restarted.
    pub grace: Duration,
    /// A user's activity is passed on at most so often.
    pub active_every: Duration,
}

impl Default for PresenceOptions {
    fn default() -> Self {
        Self {
            idle_after: Duration::from_mins(5),
            expire: Duration::from_secs(45),
            refresh: Duration::from_secs(15),
            grace: Duration::from_secs(15),
            active_every: Duration::from_secs(10),
        }
    }
}

/// Presence on Redis.
#[derive(Debug)]
pub struct RedisPresence {
    shared: Arc<Shared>,
    _refresh: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    connection: RedisConnection,
    node: String,
    options: PresenceOptions,
    /// What this node would say if it were alone.
    local: LocalPresence,
    here: Here,
}

/// The answer about one user that was touched.
struct Touched {
    /// A status that nobody has announced yet.
    status: Option<PresenceStatus>,
    /// The user is on any node.
    present: bool,
}

impl RedisPresence {
    pub(super) fn new(connection: RedisConnection, node: Uuid, options: PresenceOptions) -> Self {
        let shared = Arc::new(Shared {
            connection,
            node: node.simple().to_string(),
            options,
            local: LocalPresence::new(options.idle_after).with_grace(options.grace),
            here: Here::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(refresh(Arc::clone(&shared)));
        Self { shared, _refresh: tasks }
    }
}

#[async_trait]
impl Presence for RedisPresence {
    async fn connected(&self, user: UserId, now: Timestamp) -> Option<Transition> {
        let shared = &self.shared;
        let alone = shared.local.connected(user, now).await;
        let standing = shared.here.connected(user);
        match shared.touch(&[standing], false).await {
            Ok(touched) => {
                shared.here.wrote(&standing);
                to_transition(user, touched.first()?)
            }
            Err(Away) => shared.here.told(alone),
        }
    }

    async fn disconnected(&self, user: UserId, idle: bool, now: Timestamp) -> Option<Transition> {
        let shared = &self.shared;
        let alone = shared.local.disconnected(user, idle, now).await;
        let standing = shared.here.disconnected(user, idle)?;
        match shared.touch(&[standing], false).await {
            Ok(touched) => {
                shared.here.wrote(&standing);
                let touched = touched.first()?;
                if touched.present {
                    // Another node has the user: this one must not miss them if Redis goes away.
                    shared.local.forget(user);
                }
                to_transition(user, touched)
            }
            Err(Away) => shared.here.told(alone),
        }
    }

    async fn active(&self, user: UserId, now: Timestamp) -> Option<Transition> {
        let shared = &self.shared;
        let alone = shared.local.active(user, now).await;
        if !shared.connection.is_up() {
            return shared.here.told(alone);
        }
        let every = shared.options.active_every.min(shared.options.idle_after / 2);
        let standing = shared.here.active(user, every)?;
        match shared.touch(&[standing], false).await {
            Ok(touched) => to_transition(user, touched.first()?),
            Err(Away) => shared.here.told(alone),
        }
    }

    async fn set_idle(&self, user: UserId, idle: bool, now: Timestamp) -> Option<Transition> {
        let shared = &self.shared;
        let alone = shared.local.set_idle(user, idle, now).await;
        let standing = shared.here.set_idle(user, idle)?;
        match shared.touch(&[standing], false).await {
            Ok(touched) => to_transition(user, touched.first()?),
            Err(Away) => shared.here.told(alone),
        }
    }

    async fn sweep(&self, now: Timestamp) -> Vec<Transition> {
        let shared = &self.shared;
        let alone = shared.local.sweep(now).await;
        let mut changed = shared.here.take_found();
        match shared.sweep().await {
            Ok(due) => {
                changed.extend(due);
                changed.extend(shared.correct().await);
            }
            Err(Away) => {
                changed.extend(alone.into_iter().filter_map(|one| shared.here.told(Some(one))));
            }
        }
        changed
    }

    async fn find(&self, user: UserId) -> Seen {
        let alone = self.shared.local.find(user).await;
        match self.shared.look(user).await {
            // Redis may not have heard yet of whoever is here.
            Ok(seen) if alone.connections > 0 && seen.status == PresenceStatus::Offline => alone,
            Ok(seen) => Seen { connections: seen.connections.max(alone.connections), ..seen },
            Err(Away) => alone,
        }
    }

    async fn list(&self, users: &[UserId]) -> Vec<PresenceStatus> {
        match self.shared.statuses(users).await {
            Ok(statuses) => statuses,
            Err(Away) => self.shared.local.list(users).await,
        }
    }

    async fn list_present(&self, most: usize) -> Vec<UserId> {
        match self.shared.present(most).await {
            Ok(users) => users,
            Err(Away) => self.shared.local.list_present(most).await,
        }
    }
}

impl Shared {
    fn due_key(&self) -> String {
        self.connection.key("{presence}:due")
    }

    fn user_prefix(&self) -> String {
        self.connection.key("{presence}:user:")
    }

    fn times(&self) -> [u64; 3] {
        [self.options.expire, self.options.grace, self.options.idle_after].map(millis)
    }

    /// Tells Redis how users stand on this node. `quiet` does not announce those whom Redis did not
    /// know.
    async fn touch(&self, standings: &[Standing], quiet: bool) -> Result<Vec<Touched>, Away> {
        let prefix = self.user_prefix();
        let mut touch = TOUCH.prepare_invoke();
        touch.key(self.due_key()).arg(&self.times()).arg(&self.node).arg(u8::from(quiet));
        for standing in standings {
            let user = standing.user.0.simple().to_string();
            touch.key(format!("{prefix}{user}")).arg(user);
            touch.arg(standing.connections).arg(standing.version);
            touch.arg(match standing.did {
                Did::Nothing => -1,
                Did::Came => -2,
                Did::Something(ago) => millis(ago).cast_signed(),
            });
            touch.arg(u8::from(standing.idle));
        }
        let answers: Vec<String> = self
            .connection
            .call("touch", async |mut connection| touch.invoke_async(&mut connection).await)
            .await?;
        let to_touched = |answer: &String| {
            let present = answer.strip_prefix('+');
            let status = to_status(present.unwrap_or(answer));
            Touched { status, present: present.is_some() }
        };
        Ok(answers.iter().map(to_touched).collect())
    }

    /// Finds those whose status has changed by itself.
    async fn sweep(&self) -> Result<Vec<Transition>, Away> {
        let mut changed = Vec::new();
        for _ in 0..SWEEPS_MAX {
            let mut sweep = SWEEP.key(self.due_key());
            sweep.key(self.connection.key("{presence}:swept"));
            sweep.arg(&self.times()).arg(self.user_prefix()).arg(BATCH);
            sweep.arg(millis(self.options.refresh));
            let (looked_at, found): (usize, Vec<String>) = self
                .connection
                .call("sweep", async |mut connection| sweep.invoke_async(&mut connection).await)
                .await?;
            for pair in found.chunks_exact(2) {
                if let [user, status] = pair
                    && let (Ok(user), Some(status)) = (Uuid::try_parse(user), to_status(status))
                {
                    changed.push(Transition { user: UserId(user), status });
                }
            }
            if looked_at < BATCH {
                break;
            }
        }
        Ok(changed)
    }

    async fn look(&self, user: UserId) -> Result<Seen, Away> {
        let look = LOOK.key(format!("{}{}", self.user_prefix(), user.0.simple()));
        let (status, connections, active): (String, u32, i64) = self
            .connection
            .call("look", async |mut connection| look.invoke_async(&mut connection).await)
            .await?;
        let last_active = (active > 0).then(|| Timestamp::from_millis(active));
        let status = to_status(&status).unwrap_or(PresenceStatus::Offline);
        Ok(Seen { status, connections, last_active })
    }

    /// Returns the status of users. Whoever is here is not gone, whatever Redis has heard.
    async fn statuses(&self, users: &[UserId]) -> Result<Vec<PresenceStatus>, Away> {
        let prefix = self.user_prefix();
        let mut statuses = self.local.list(users).await;
        for (users, statuses) in users.chunks(LIST_BATCH).zip(statuses.chunks_mut(LIST_BATCH)) {
            let mut pipeline = Pipeline::with_capacity(users.len());
            for user in users {
                pipeline.hget(format!("{prefix}{}", user.0.simple()), "s");
            }
            let found: Vec<Option<String>> = self
                .connection
                .call("list", async |mut connection| {
                    let found: RedisResult<_> = pipeline.query_async(&mut connection).await;
                    found
                })
                .await?;
            for (status, found) in statuses.iter_mut().zip(found) {
                if let Some(found @ (PresenceStatus::Online | PresenceStatus::Idle)) =
                    found.as_deref().and_then(to_status)
                {
                    *status = found;
                }
            }
        }
        Ok(statuses)
    }

    /// Returns those about whom something may still change, which are those who are there.
    async fn present(&self, most: usize) -> Result<Vec<UserId>, Away> {
        let due = self.due_key();
        let last = isize::try_from(most).unwrap_or(isize::MAX) - 1;
        let users: Vec<String> = self
            .connection
            .call("present", async |mut connection| connection.zrange(&due, 0, last).await)
            .await?;
        let to_user = |user: &String| Uuid::try_parse(user).ok().map(UserId);
        Ok(users.iter().filter_map(to_user).collect())
    }

    /// Writes all users of this node.
    async fn write_all(&self) -> Result<(), Away> {
        for standings in self.here.all().chunks(BATCH) {
            let touched = self.touch(standings, true).await?;
            for (standing, touched) in standings.iter().zip(&touched) {
                self.here.wrote(standing);
                self.here.found(to_transition(standing.user, touched));
            }
        }
        Ok(())
    }

    /// Returns what must be announced anew, because it was announced while Redis was away and is
    /// not so. Waits until all nodes have had the time to write their users.
    async fn correct(&self) -> Vec<Transition> {
        let told = self.here.take_told(self.options.refresh * 2);
        let users: Vec<_> = told.iter().map(|told| told.user).collect();
        let Ok(statuses) = self.statuses(&users).await else {
            for one in told {
                self.here.told(Some(one));
            }
            return Vec::new();
        };
        let truths = users.into_iter().zip(statuses);
        let truths = truths.map(|(user, status)| Transition { user, status });
        truths.zip(told).filter(|(truth, told)| truth != told).map(|(truth, _)| truth).collect()
    }
}

/// Writes the users of this node again and again, and at once when Redis has come back or has lost
/// what it held.
async fn refresh(shared: Arc<Shared>) {
    let mut era = shared.connection.era();
    loop {
        let pause = shared.options.refresh.mul_f64(rand::rng().random_range(0.9..1.0));
        tokio::select! {
            biased;
            changed = era.changed() => {
                if changed.is_err() {
                    return;
                }
                shared.here.may_correct();
            }
            () = sleep(pause) => {}
        }
        // What could not be written is written when Redis is back.
        let _written = shared.write_all().await;
    }
}

fn to_transition(user: UserId, touched: &Touched) -> Option<Transition> {
    Some(Transition { user, status: touched.status? })
}

fn to_status(status: &str) -> Option<PresenceStatus> {
    Some(match status {
        "online" => PresenceStatus::Online,
        "idle" => PresenceStatus::Idle,
        "offline" => PresenceStatus::Offline,
        _ => return None,
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
