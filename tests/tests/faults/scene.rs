//! A cluster with rooms full of actors, from the first message to the last check.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use parlor_protocol::user::PresenceStatus;
use parlor_testkit::{
    cluster::{Cluster, ClusterBuilder},
    fake_llm::FakeLlm,
    history::{Summary, Violation},
    process::User,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    actor::{Actor, Habits, Order, Place},
    journal::Journal,
    report::Counts,
    room::{Room, percentile},
    settle, stage, until,
};

/// How long a scene waits at its end for what should have come long before.
const PATIENCE: Duration = Duration::from_mins(2);

/// Who is in a scene.
pub(crate) struct Cast {
    pub(crate) name: String,
    pub(crate) seed: u64,
    pub(crate) rooms: usize,
    /// Members of each room, besides its owner.
    pub(crate) members: usize,
    pub(crate) of_members: Habits,
    pub(crate) of_owners: Habits,
    pub(crate) owners_kick: bool,
    /// In the end everyone has to be shown as they are, which takes a while.
    pub(crate) checks_presence: bool,
}

impl Cast {
    /// Six members of one room who do nothing but write, each every 20 to 60 ms.
    pub(crate) fn writing(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            seed: 1,
            rooms: 1,
            members: 5,
            of_members: Habits::writing(20..60),
            of_owners: Habits::writing(20..60),
            owners_kick: false,
            checks_presence: false,
        }
    }
}

/// How long it took until all was as it should be.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Converged {
    pub(crate) events: Duration,
    pub(crate) replies: Duration,
    pub(crate) presence: Duration,
}

pub(crate) struct Scene {
    pub(crate) cluster: Cluster,
    pub(crate) llm: FakeLlm,
    pub(crate) rooms: Vec<Arc<Room>>,
    pub(crate) owners: Vec<User>,
    pub(crate) places: Vec<Place>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) journal: Arc<Journal>,
    checks_presence: bool,
    actors: JoinSet<()>,
    orders: watch::Sender<Order>,
}

impl Scene {
    /// Starts a cluster and lets everyone act.
    pub(crate) async fn begin(
        cast: Cast,
        build: impl FnOnce(ClusterBuilder) -> ClusterBuilder,
    ) -> Self {
        let journal = Arc::new(Journal::new(&cast.name));
        let counts = Arc::new(Counts::default());
        let llm = FakeLlm::start().await;
        llm.set_script(stage::healthy());
        let cluster = build(stage::builder(&llm)).start().await;
        let (orders, _) = watch::channel(Order::Act);
        let (rooms, owners, places, actors) = Default::default();
        let checks_presence = cast.checks_presence;
        let mut scene = Self {
            cluster,
            llm,
            rooms,
            owners,
            places,
            counts,
            journal,
            checks_presence,
            actors,
            orders,
        };
        for number in 0..cast.rooms {
            scene.fill(number, &cast).await;
        }
        let places = scene.places.clone();
        let all_follow = || places.iter().all(|place| place.state().following_since.is_some());
        until("everyone follows", Duration::from_mins(1), async || all_follow()).await;
        scene
    }

    async fn fill(&mut self, number: usize, cast: &Cast) {
        let owner = self.cluster.register(&format!("owner-{number}")).await;
        let slug = format!("room-{number}");
        let room = Room::create(&owner, &slug, &self.journal, &self.counts).await;
        let names: Vec<_> =
            (0..cast.members).map(|member| format!("member-{number}-{member}")).collect();
        for (member, name) in names.iter().enumerate() {
            let user = self.cluster.register(name).await;
            user.join(&room.slug).await;
            let part = (number * 1_000 + member + 1) as u64;
            self.enter(&user, &room, cast.of_members.clone(), cast.seed ^ (part << 20), None);
        }
        let others = cast.owners_kick.then_some(&names[..]);
        let part = (number * 1_000) as u64 + 999;
        self.enter(&owner, &room, cast.of_owners.clone(), cast.seed ^ (part << 20), others);
        self.rooms.push(room);
        self.owners.push(owner);
    }

    fn enter(
        &mut self,
        user: &User,
        room: &Arc<Room>,
        habits: Habits,
        seed: u64,
        kicks: Option<&[String]>,
    ) {
        let nodes = self.cluster.addrs();
        let order = self.orders.subscribe();
        let at = self.places.len() % nodes.len();
        let actor = Actor::new(user, room, &nodes, habits, seed, &order);
        let actor = actor.at(at).may_kick(kicks.unwrap_or_default());
        self.places.push(actor.place());
        self.actors.spawn(actor.live());
    }

    /// Adds people who only read.
    pub(crate) async fn add_readers(&mut self, count: usize) {
        let room = Arc::clone(&self.rooms[0]);
        for number in 0..count {
            let user = self.cluster.register(&format!("reader-{number}")).await;
            user.join(&room.slug).await;
            self.enter(&user, &room, Habits::reading(), number as u64, None);
        }
        let places = self.places.clone();
        let all_follow = || places.iter().all(|place| place.state().following_since.is_some());
        until("everyone follows", Duration::from_mins(1), async || all_follow()).await;
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.counts.acknowledged.load(Ordering::Relaxed)
    }

    pub(crate) fn put_off(&self) -> usize {
        self.counts.put_off.load(Ordering::Relaxed)
    }

    /// Waits until so many more messages are acknowledged, and returns how long that took.
    pub(crate) async fn more(&self, messages: usize, patience: Duration) -> Duration {
        let enough = self.acknowledged() + messages;
        let what = format!("{messages} more messages are acknowledged");
        until(&what, patience, async || self.acknowledged() >= enough).await
    }

    /// Returns the time that 99 of 100 deliveries took at most that came in a time.
    pub(crate) fn p99(&self, from: Instant, to: Instant) -> Duration {
        let mut delays: Vec<_> = self.rooms.iter().flat_map(|room| room.delays(from, to)).collect();
        delays.sort_unstable();
        assert!(!delays.is_empty(), "nothing was delivered");
        percentile(&delays, 0.99)
    }

    /// Returns since when each actor follows its room on its present connection.
    pub(crate) fn connections(&self) -> Vec<Option<Instant>> {
        self.places.iter().map(|place| place.state().following_since).collect()
    }

    /// Waits until everyone has everything, ends everyone, and checks the history of each room.
    ///
    /// # Panics
    /// When a promise was broken.
    pub(crate) async fn end(self, healed_at: Instant) -> (Summary, Converged) {
        self.verdict(healed_at, PATIENCE).await.unwrap_or_else(|violations| {
            let shown: Vec<_> = violations.iter().take(20).map(ToString::to_string).collect();
            panic!("{} promises broken:\n{}", violations.len(), shown.join("\n"))
        })
    }

    async fn all_are(&self, status: PresenceStatus) -> Duration {
        settle::presence(&self.cluster, &self.owners[0], &self.places, status).await
    }

    /// Ends as [`Self::end`] does and returns what was broken. Gives up waiting after a time.
    pub(crate) async fn verdict(
        mut self,
        healed_at: Instant,
        patience: Duration,
    ) -> Result<(Summary, Converged), Vec<Violation>> {
        let mut converged = Converged::default();
        for (room, owner) in self.rooms.iter().zip(&self.owners) {
            let took = settle::events(&self.places, room, owner, healed_at, patience).await;
            converged.events = converged.events.max(took);
        }
        self.orders.send_replace(Order::Rest);
        settle::rest(&self.places, patience).await;
        let rested_at = Instant::now();
        for (room, owner) in self.rooms.iter().zip(&self.owners) {
            let took = settle::replies(room, owner, rested_at, patience).await;
            converged.replies = converged.replies.max(took);
        }
        if self.checks_presence {
            converged.presence = self.all_are(PresenceStatus::Online).await;
        }
        for (room, owner) in self.rooms.iter().zip(&self.owners) {
            settle::events(&self.places, room, owner, Instant::now(), patience).await;
        }
        self.orders.send_replace(Order::End);
        while let Some(ended) = self.actors.join_next().await {
            ended.unwrap();
        }
        if self.checks_presence {
            let left = self.all_are(PresenceStatus::Offline).await;
            converged.presence = converged.presence.max(left);
        }
        // Processes say the last when they end.
        sleep(Duration::from_millis(100)).await;
        settle::leaks(&self.cluster, &self.llm, &self.rooms);
        let mut all = Summary { acknowledged: 0, events: 0, replies: 0 };
        let mut violations = Vec::new();
        for (room, owner) in self.rooms.iter().zip(&self.owners) {
            match settle::check(&self.cluster, room, owner).await {
                Ok(summary) => {
                    all.acknowledged += summary.acknowledged;
                    all.events += summary.events;
                    all.replies += summary.replies;
                }
                Err(found) => violations.extend(found),
            }
        }
        if violations.is_empty() {
            self.journal.held();
            return Ok((all, converged));
        }
        Err(violations)
    }
}

/// What the processes logged explains a history.
impl Drop for Scene {
    fn drop(&mut self) {
        if !self.journal.has_held() {
            for (name, log) in self.cluster.logs() {
                self.journal.keep(&name, &log);
            }
        }
    }
}
