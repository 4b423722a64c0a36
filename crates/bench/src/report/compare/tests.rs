use super::*;

fn measured(system: &str, rate: f64) -> Measurement {
    let mut measurement = Measurement::new(system, "fan-out");
    measurement.deliveries_per_s = Some(rate);
    measurement
}

#[test]
fn median_is_in_the_middle_and_what_is_no_number_does_not_count() {
    let odd = Spread::of([9.0, 1.0, f64::NAN, 5.0].into_iter()).unwrap();
    assert_eq!(odd, Spread { median: 5.0, least: 1.0, most: 9.0, runs: 3 });
    let even = Spread::of([1.0, 2.0].into_iter());
    assert_eq!(even, Some(Spread { median: 1.5, least: 1.0, most: 2.0, runs: 2 }));
    assert_eq!(Spread::of(std::iter::empty()), None);
}

#[test]
fn ratio_refers_to_the_base_or_to_the_first() {
    let all = [measured("bun", 100.0), measured("parlor", 300.0)];
    let ratios = |base| {
        let comparisons = comparisons(all.iter(), base);
        let it = &comparisons[0];
        let ratios = it.systems.iter().map(|system| it.ratio(&deliveries(), system));
        ratios.map(|ratio| number::ratio(ratio.unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(ratios(None), ["1.00x", "3.00x"]);
    assert_eq!(ratios(Some("nobody")), ["1.00x", "3.00x"]);
    assert_eq!(ratios(Some("parlor")), ["0.33x", "1.00x"]);
}

#[test]
fn other_plans_are_not_compared() {
    let mut other = measured("parlor", 1.0);
    other.plan("members", 10_000);
    let all = [measured("parlor", 1.0), other, measured("parlor", 3.0)];
    let comparisons = comparisons(all.iter(), None);
    assert_eq!(comparisons.len(), 2);
    assert_eq!(comparisons[0].systems[0].runs.len(), 2);
    assert!(comparisons[0].single().is_none() && comparisons[1].single().is_some());
}

#[test]
fn faults_of_all_runs_count() {
    let mut all = [measured("parlor", 1.0), measured("parlor", 1.0)];
    all[1].delivery = Some(DeliveryCheck { lost: 2_000, doubled: 1, ..Default::default() });
    let comparisons = comparisons(all.iter(), None);
    let faults = comparisons[0].systems[0].faults().unwrap();
    assert_eq!(faults_in_words(&faults), "2,000 lost, 1 doubled");
    assert_eq!(faults_in_words(&DeliveryCheck::default()), "none");
}

#[test]
fn typical_run_is_the_one_in_the_middle() {
    let all = [measured("parlor", 10.0), measured("parlor", 30.0), measured("parlor", 20.0)];
    let comparisons = comparisons(all.iter(), None);
    assert_eq!(comparisons[0].systems[0].typical().deliveries_per_s, Some(20.0));
}

#[test]
fn systems_without_users_have_the_same_load() {
    let mut parlor = measured("parlor", 1.0);
    parlor.plan("users", 1_000);
    parlor.plan("accounts", "written into the store");
    parlor.plan("server", "started for this");
    parlor.plan("rooms", 1);
    let mut bun = measured("bun", 1.0);
    bun.plan("rooms", 1);
    let mut fewer = parlor.clone();
    fewer.plan("users", 8);
    let all = [bun, parlor, fewer];
    let comparisons = comparisons(all.iter(), None);
    assert_eq!(comparisons.len(), 2, "eight users are another load than a thousand");
    assert_eq!(comparisons[0].systems.len(), 2);
    assert_eq!(comparisons[0].plan_line(), "rooms 1");
}

#[test]
fn closed_loop_is_not_compared_with_a_rate() {
    let mut all = [measured("parlor", 1.0), measured("parlor", 1.0)];
    all[0].plan("rate", "50 messages/s");
    all[1].plan("in flight", "64 messages");
    assert_eq!(comparisons(all.iter(), None).len(), 2);
}

#[test]
fn durable_messages_stand_beside_those_that_are_not() {
    let mut all = [measured("parlor", 1.0), measured("parlor", 2.0), measured("bun", 3.0)];
    for (measurement, promise) in all.iter_mut().zip(["at most once", "durable", "at most once"]) {
        measurement.plan("messages", promise);
    }
    let comparisons = comparisons(all.iter(), None);
    let names: Vec<&str> = comparisons[0].systems.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["parlor", "parlor, durable", "bun"]);
}
