//! Which faults, on whom, when, for how long.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use super::{Break, Fault, Neighbor, Target};
use crate::{fake_llm::Behaviour, tcp_proxy::Direction};

/// What there is to break, and for how long in all.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Number of brokers.
    pub brokers: usize,
    /// Number of workers.
    pub workers: usize,
    /// About how long all steps take together, without what processes need to start and stop.
    pub length: Duration,
    /// No fault lasts longer.
    pub longest: Duration,
}

/// A sequence of steps that a seed decides.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// The steps.
    pub steps: Vec<Step>,
}

/// Faults that last at the same time.
#[derive(Debug, Clone)]
pub struct Step {
    /// The pause before they begin.
    pub pause: Duration,
    /// The faults.
    pub faults: Vec<Fault>,
    /// How long they last.
    pub lasts: Duration,
}

impl Plan {
    /// Makes the plan of a seed. Every kind of fault comes once before any comes again.
    pub fn from_seed(seed: u64, shape: &Shape) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let (mut steps, mut planned, mut deck) = (Vec::new(), Duration::ZERO, Vec::new());
        while planned < shape.length {
            if deck.len() < 2 {
                deck.extend(all_kinds(&mut random, shape));
                deck.shuffle(&mut random);
            }
            let faults = draw(&mut deck, &mut random);
            let lasts = faults.iter().map(|fault| lasts(fault, &mut random, shape)).max();
            let lasts = lasts.unwrap_or_default();
            let pause = Duration::from_millis(random.random_range(100..1_500));
            planned += pause + lasts;
            steps.push(Step { pause, faults, lasts });
        }
        Self { seed, steps }
    }
}

/// Takes one fault, or two that have nothing in common.
fn draw(deck: &mut Vec<Fault>, random: &mut StdRng) -> Vec<Fault> {
    let mut faults: Vec<_> = deck.pop().into_iter().collect();
    if random.random_bool(0.4) {
        let other = deck.iter().rposition(|other| faults.iter().all(|one| are_apart(one, other)));
        faults.extend(other.map(|place| deck.remove(place)));
    }
    faults
}

fn are_apart(one: &Fault, other: &Fault) -> bool {
    let targets = |fault: &Fault| match fault {
        Fault::Kill(target)
        | Fault::Stop(target)
        | Fault::Freeze(target)
        | Fault::Clock(target, _) => vec![*target],
        Fault::Link(node, neighbor, _) => match neighbor {
            Neighbor::Postgres => vec![*node, Target::Postgres],
            Neighbor::Nats => vec![*node, Target::Nats],
            Neighbor::Redis => vec![*node, Target::Redis],
            Neighbor::Clients | Neighbor::Model => vec![*node],
        },
        Fault::CutSessions => vec![Target::Postgres],
        Fault::Flush => vec![Target::Redis],
        Fault::Model(_) => Vec::new(),
    };
    let (one, other) = (targets(one), targets(other));
    // A node that is stopped in order needs Postgres for that.
    let needs = |targets: &[Target]| {
        targets.iter().any(|target| matches!(target, Target::Broker(_) | Target::Worker(_)))
    };
    let has_postgres = |targets: &[Target]| targets.contains(&Target::Postgres);
    let is_shared = one.iter().any(|target| other.contains(target));
    let is_needed = (needs(&one) && has_postgres(&other)) || (needs(&other) && has_postgres(&one));
    !is_shared && !is_needed
}

fn lasts(fault: &Fault, random: &mut StdRng, shape: &Shape) -> Duration {
    let longest = u64::try_from(shape.longest.as_millis()).unwrap_or(u64::MAX);
    let range = match fault {
        Fault::CutSessions | Fault::Flush | Fault::Link(_, _, Break::Cut | Break::Reset) => 0..=100,
        Fault::Kill(_) | Fault::Stop(_) => 100..=longest.clamp(200, 4_000),
        _ => 100..=longest.max(200),
    };
    Duration::from_millis(random.random_range(range))
}

/// Returns one fault of every kind, on targets that the seed decides.
fn all_kinds(random: &mut StdRng, shape: &Shape) -> Vec<Fault> {
    let mut faults = Vec::new();
    for target in targets(random, shape) {
        faults.extend([Fault::Kill(target), Fault::Stop(target), Fault::Freeze(target)]);
    }
    let ways = [Direction::ToServer, Direction::ToClient];
    let way = |random: &mut StdRng| ways[random.random_range(0..2)];
    let breaks = [
        Break::Cut,
        Break::Reset,
        Break::Refuse,
        Break::Stall,
        Break::StallOneWay(way(random)),
        Break::BlackHole,
        Break::BlackHoleOneWay(way(random)),
        Break::Drip,
        Break::Late,
    ];
    for how in breaks {
        let (node, neighbor) = some_link(random, shape);
        faults.push(Fault::Link(node, neighbor, how));
    }
    faults.extend([Fault::CutSessions, Fault::Flush]);
    for seconds in [300, -300] {
        faults.push(Fault::Clock(some_node(random, shape), seconds));
    }
    if shape.workers > 0 {
        faults.extend(model_faults().map(Fault::Model));
    }
    faults
}

fn model_faults() -> [Behaviour; 9] {
    let (first, between) = (Duration::from_millis(300), Duration::from_millis(600));
    [
        Behaviour::Status { code: 429, retry_after: Some(Duration::from_secs(1)) },
        Behaviour::Status { code: 500, retry_after: None },
        Behaviour::Hang,
        Behaviour::CutAfter(3),
        Behaviour::EndAfter(3),
        Behaviour::StallAfter(3),
        Behaviour::Slow { first, between },
        Behaviour::HugeLine,
        Behaviour::Malformed,
    ]
}

fn targets(random: &mut StdRng, shape: &Shape) -> Vec<Target> {
    let mut targets = vec![Target::Postgres, Target::Nats, Target::Redis];
    targets.push(Target::Broker(random.random_range(0..shape.brokers)));
    if shape.workers > 0 {
        targets.push(Target::Worker(random.random_range(0..shape.workers)));
    }
    targets
}

fn some_node(random: &mut StdRng, shape: &Shape) -> Target {
    let number = random.random_range(0..shape.brokers + shape.workers);
    if number < shape.brokers {
        Target::Broker(number)
    } else {
        Target::Worker(number - shape.brokers)
    }
}

fn some_link(random: &mut StdRng, shape: &Shape) -> (Target, Neighbor) {
    let node = some_node(random, shape);
    let last = if matches!(node, Target::Broker(_)) { Neighbor::Clients } else { Neighbor::Model };
    let neighbors = [Neighbor::Postgres, Neighbor::Nats, Neighbor::Redis, last];
    (node, neighbors[random.random_range(0..neighbors.len())])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SHAPE: Shape = Shape {
        brokers: 3,
        workers: 2,
        length: Duration::from_mins(10),
        longest: Duration::from_secs(10),
    };

    #[test]
    fn a_seed_makes_one_plan_with_every_kind_of_fault() {
        let plan = Plan::from_seed(7, &SHAPE);
        let again = Plan::from_seed(7, &SHAPE);
        let other = Plan::from_seed(8, &SHAPE);

        let faults = |plan: &Plan| -> Vec<Fault> {
            plan.steps.iter().flat_map(|step| step.faults.clone()).collect()
        };
        assert_eq!(faults(&plan), faults(&again));
        assert_ne!(faults(&plan), faults(&other));
        let kinds: BTreeSet<_> = faults(&plan).iter().map(Fault::kind).collect();
        let all = all_kinds(&mut StdRng::seed_from_u64(1), &SHAPE);
        let all: BTreeSet<_> = all.iter().map(Fault::kind).collect();
        assert_eq!(kinds, all);
    }

    #[test]
    fn faults_at_the_same_time_have_nothing_in_common() {
        for seed in 0..50 {
            for step in Plan::from_seed(seed, &SHAPE).steps {
                if let [one, other] = &step.faults[..] {
                    assert!(are_apart(one, other), "{one} and {other}");
                }
                assert!(step.lasts <= SHAPE.longest);
            }
        }
    }
}
