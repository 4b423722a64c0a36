//! What the bus did not tell: the store's tail, read a few times a second.
//!
//! The bus may lose anything at any moment. A commit that it did not tell is found here within one
//! interval: rooms that have grown, rooms that are gone, logins that have ended. What shards have
//! already costs them one comparison.

use std::sync::Arc;
use std::time::Duration;

use parlor_bus::{BusStatus, Control, Delivery, Mailbox};
use parlor_protocol::id::SessionId;
use parlor_protocol::time::Timestamp;
use parlor_store::{Commit, StoreError, TailPosition};
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep};

use crate::node::Node;
use crate::refusal::{Outcome, Refusal};

/// Commits in one read.
const PAGE: u32 = 1_000;
/// Time for the bus to be first, so that what it tells is not read from the store as well.
const BUS_FIRST: Duration = Duration::from_millis(50);
/// For how long commits stay in the tail. A node that could not read for longer compares everything.
const KEEP: Duration = Duration::from_mins(15);
/// Controls that may wait. What is lost stands in the tail, too.
const CONTROLS: usize = 1_024;

/// Reads the tail for one node.
#[derive(Debug)]
pub(crate) struct Relay {
    node: Arc<Node>,
    controls: Mailbox,
    bus: watch::Receiver<BusStatus>,
    position: TailPosition,
    epoch: String,
    /// What was read and not yet told.
    found: Vec<Commit>,
    /// More is there already.
    more: bool,
    /// When the tail was last asked for.
    asked_at: Instant,
    /// When it was last read.
    read_at: Instant,
    failing: bool,
    /// Ended logins have to be read again from here on.
    logins_since: Option<Timestamp>,
}

impl Relay {
    /// Notes where the tail stands: what is committed from now on is told.
    ///
    /// Call it before anything is read that must be kept up to date.
    pub(crate) async fn start(node: &Arc<Node>) -> Outcome<Self> {
        let controls = node.bus.subscribe(CONTROLS);
        let controls = controls.ok_or_else(|| Refusal::unavailable("The bus has no place."))?;
        let start = node.store.tail_start().await?;
        let page = node.store.read_tail(&start, 1).await?;
        Ok(Self {
            controls,
            bus: node.bus.status(),
            position: start,
            epoch: page.epoch,
            found: Vec::new(),
            more: false,
            asked_at: Instant::now(),
            read_at: Instant::now(),
            failing: false,
            logins_since: None,
            node: Arc::clone(node),
        })
    }

    /// Reads and tells for ever, also while the node drains: its last sessions are served like all.
    pub(crate) async fn run(self) {
        // Apart: it takes long when the log of a large room goes.
        let forgetting = forget_old(Arc::clone(&self.node));
        tokio::select! {
            () = self.follow() => {}
            () = forgetting => {}
        }
    }

    async fn follow(mut self) {
        let relay = self.node.config.relay.clone();
        let mut compare = ticks(relay.compare_every);
        let mut controls = Vec::new();
        loop {
            let away = *self.bus.borrow_and_update() == BusStatus::Away;
            let pause = match (self.more, away) {
                (true, _) => Duration::ZERO,
                (false, true) => relay.tail_every_away,
                (false, false) => relay.tail_every,
            };
            let due = self.asked_at + pause;
            tokio::select! {
                biased;
                received = self.controls.receive(&mut controls, CONTROLS) => {
                    if received == 0 {
                        return;
                    }
                    for control in controls.drain(..) {
                        self.hear(&control);
                    }
                }
                changed = self.bus.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    // Whatever was published around now may be lost.
                    self.read_and_tell(Duration::ZERO).await;
                }
                () = tokio::time::sleep_until(due) => {
                    let bus_first = if away { Duration::ZERO } else { BUS_FIRST };
                    self.read_and_tell(bus_first).await;
                }
                _ = compare.tick() => self.node.bus.deliver_control(Control::StoreMayBeAhead),
            }
        }
    }

    /// What other nodes tell to nodes rather than to clients.
    fn hear(&self, delivery: &Delivery) {
        if let Delivery::Control(Control::SessionRevoked(session)) = delivery {
            // The shards are told by the same control.
            self.remember_revoked(*session);
        }
    }

    fn remember_revoked(&self, session: SessionId) {
        self.node.revocations.revoke(session, self.node.tokens_expire_by());
    }

    async fn read_and_tell(&mut self, bus_first: Duration) {
        let timer = self.node.metrics.relay.duration.start_timer();
        let read = self.read().await;
        timer.observe_duration();
        self.asked_at = Instant::now();
        match read {
            Ok(()) => {
                self.node.metrics.relay.read_at.set(self.node.now().as_millis() / 1_000);
                let since_last =
                    self.asked_at - std::mem::replace(&mut self.read_at, self.asked_at);
                // A server that crashed gives numbers of transactions out again that a position
                // may count as read.
                if std::mem::take(&mut self.failing) {
                    tracing::info!("the store's tail is read again");
                    self.compare_everything(since_last);
                }
                self.read_ended_logins().await;
            }
            Err(error) => {
                self.more = false;
                self.node.metrics.relay.failures.inc();
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the store's tail cannot be read"
                    );
                }
            }
        }
        // Also what was read before a failure: it is not read again.
        if !self.found.is_empty() {
            sleep(bus_first).await;
            let commits = std::mem::take(&mut self.found);
            self.tell(commits);
        }
    }

    /// Reads what is new, up to a bound.
    async fn read(&mut self) -> Result<(), StoreError> {
        loop {
            let page = self.node.store.read_tail(&self.position, PAGE).await?;
            self.position = page.position;
            self.found.extend(page.commits);
            self.more = page.more;
            if self.epoch != page.epoch {
                self.epoch = page.epoch;
                tracing::warn!("the store's epoch has changed: clients are told to start anew");
                self.node.metrics.relay.epoch_changes.inc();
                self.compare_everything(KEEP);
            }
            if !page.more || self.found.len() > PAGE as usize {
                return Ok(());
            }
        }
    }

    /// For when commits of the time `missed` may have been passed over: shards compare their rooms,
    /// ended logins are read again.
    fn compare_everything(&mut self, missed: Duration) {
        self.node.bus.deliver_control(Control::StoreMayBeAhead);
        // Logins end by the clocks of other nodes.
        let missed = i64::try_from((missed + KEEP).as_millis()).unwrap_or(i64::MAX);
        let since = self.node.now().as_millis().saturating_sub(missed);
        let since = self.logins_since.map_or(since, |before| before.as_millis().min(since));
        self.logins_since = Some(Timestamp::from_millis(since));
    }

    /// Reads ended logins again if that is needed, until it succeeds.
    async fn read_ended_logins(&mut self) {
        let Some(since) = self.logins_since else { return };
        match self.node.store.list_revoked_since(since).await {
            Ok(sessions) => {
                self.logins_since = None;
                for session in sessions {
                    self.end_session(session);
                }
            }
            Err(error) => tracing::warn!(%error, "ended logins cannot be read, trying again"),
        }
    }

    fn tell(&self, commits: Vec<Commit>) {
        #[cfg(feature = "planted-bugs")]
        if parlor_domain::planted::is("tail-not-followed") {
            return;
        }
        let bus = &self.node.bus;
        self.node.metrics.relay.commits.inc_by(commits.len() as u64);
        for commit in commits {
            for (room, seq) in commit.rooms {
                bus.deliver_ahead(room, seq);
            }
            for room in commit.deleted_rooms {
                bus.deliver_control(Control::RoomDeleted(room));
            }
            for session in commit.sessions {
                self.end_session(session);
            }
            for user in commit.users {
                bus.deliver_control(Control::UserRevoked(user));
            }
        }
    }

    /// Cuts a login's connections on this node, once.
    fn end_session(&self, session: SessionId) {
        if !self.node.revocations.is_revoked(session) {
            self.remember_revoked(session);
            self.node.bus.deliver_control(Control::SessionRevoked(session));
        }
    }
}

/// Forgets old commits, and what is left of rooms that are gone, for ever.
async fn forget_old(node: Arc<Node>) {
    let mut due = ticks(node.config.relay.compare_every);
    loop {
        due.tick().await;
        if let Err(error) = node.store.prune_tail(KEEP).await {
            tracing::debug!(%error, "old commits were not forgotten");
        }
    }
}

fn ticks(every: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
