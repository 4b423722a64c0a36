//! Which processors a measurement runs on.
//!
//! A server and a generator that share a processor measure each other. Threads and programs that
//! are started inherit the processors of whoever starts them.

use std::io;

use anyhow::Context as _;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::failure::Usage;

/// Keeps this thread, and the threads that it starts from now on, to these processors; none means
/// all that it may use already.
pub(super) fn this_thread(processors: &[usize]) -> anyhow::Result<()> {
    if processors.is_empty() {
        return Ok(());
    }
    let set = set_of(processors)?;
    sched_setaffinity(None, &set)
        .map_err(|error| Usage(format!("cannot run on processors {processors:?}: {error}")).into())
}

/// Starts something that is to run on these processors, and goes on where this thread was. None
/// means all that there are, also when this thread is kept to some.
pub(super) fn inherited<T>(
    processors: &[usize],
    start: impl FnOnce() -> io::Result<T>,
) -> anyhow::Result<io::Result<T>> {
    let before = sched_getaffinity(None).context("look up the processors of this thread")?;
    let all: Vec<usize> = (0..CpuSet::MAX_CPU).collect();
    // Of those that are named, the system takes the ones that are there.
    this_thread(if processors.is_empty() { &all } else { processors })?;
    let started = start();
    sched_setaffinity(None, &before).context("go back to the processors of before")?;
    Ok(started)
}

fn set_of(processors: &[usize]) -> Result<CpuSet, Usage> {
    let mut set = CpuSet::new();
    for &processor in processors {
        if processor >= CpuSet::MAX_CPU {
            return Err(Usage(format!("there is no processor {processor}")));
        }
        set.set(processor);
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mine() -> Vec<usize> {
        let set = sched_getaffinity(None).unwrap();
        (0..CpuSet::MAX_CPU).filter(|processor| set.is_set(*processor)).collect()
    }

    #[test]
    fn what_is_started_runs_where_it_was_told_and_the_starter_where_it_was() {
        let all = mine();
        let last = *all.last().unwrap();
        let there = inherited(&[last], || Ok(std::thread::spawn(mine).join().unwrap()));
        assert_eq!(there.unwrap().unwrap(), [last]);
        assert_eq!(mine(), all);
    }

    #[test]
    fn what_is_started_is_not_kept_to_where_its_starter_is() {
        let all = mine();
        let first = *all.first().unwrap();
        let there = std::thread::spawn(move || {
            this_thread(&[first]).unwrap();
            inherited(&[], || Ok(std::thread::spawn(mine).join().unwrap()))
        });
        assert_eq!(there.join().unwrap().unwrap().unwrap(), all);
    }

    #[test]
    fn processors_that_are_not_there_are_refused() {
        for processor in [CpuSet::MAX_CPU - 1, CpuSet::MAX_CPU] {
            let refused = inherited(&[processor], || Ok(()));
            assert!(refused.unwrap_err().downcast_ref::<Usage>().is_some(), "{processor}");
        }
    }
}
