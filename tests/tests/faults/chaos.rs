//! Faults of every kind, in an order that a seed decides, under clients that do everything.

use std::time::Duration;

use parlor_testkit::{
    cluster::ClusterBuilder,
    nemesis::{self, Plan, Shape},
};
use tokio::time::Instant;

use crate::{
    MACHINE,
    actor::Habits,
    report::Report,
    scene::{Cast, Scene},
    soak, stage, tell,
};

/// Seeds of every run; a soak takes ones nobody has seen.
const SEEDS: [u64; 2] = [3, 11];

/// What one run is.
struct Run {
    seed: u64,
    length: Duration,
    longest: Duration,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promises_hold_under_faults_of_every_kind() {
    let _alone = MACHINE.lock().await;
    let Some(soak) = soak() else {
        for seed in seed_of_environment().map_or(SEEDS.to_vec(), |seed| vec![seed]) {
            let (length, longest) = (Duration::from_secs(30), Duration::from_secs(4));
            Box::pin(run(&Run { seed, length, longest })).await;
        }
        return;
    };
    let begun = Instant::now();
    while begun.elapsed() < soak {
        let seed = seed_of_environment().unwrap_or_else(rand::random);
        let (length, longest) = (Duration::from_mins(4), Duration::from_secs(45));
        Box::pin(run(&Run { seed, length, longest })).await;
    }
}

fn seed_of_environment() -> Option<u64> {
    std::env::var_os("PARLOR_SEED")?.to_str()?.parse().ok()
}

/// Runs one seed to its end.
async fn run(run: &Run) {
    tell(&format!("PARLOR_SEED={} repeats this run", run.seed));
    let cast = Cast {
        name: format!("chaos-{}", run.seed),
        seed: run.seed,
        rooms: 2,
        members: 4,
        of_members: Habits::all(),
        of_owners: Habits::of_owner(),
        owners_kick: true,
        checks_presence: true,
    };
    let mut scene = Scene::begin(cast, ClusterBuilder::clocks).await;

    let shape = Shape { brokers: 3, workers: 2, length: run.length, longest: run.longest };
    let plan = Plan::from_seed(run.seed, &shape);
    let journal = std::sync::Arc::clone(&scene.journal);
    let note = |what: &str| journal.note("nemesis", what);
    let done = nemesis::run(&plan, &mut scene.cluster, &scene.llm, &stage::healthy(), note).await;

    let counts = std::sync::Arc::clone(&scene.counts);
    let (summary, converged) = scene.end(Instant::from_std(done.healed_at)).await;
    let report =
        Report { seed: run.seed, counts: &counts, faults: done.faults, summary, converged };
    tell(&report.to_string());
}
