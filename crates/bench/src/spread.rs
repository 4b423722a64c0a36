//! Clients on the threads of a generator: each thread has a runtime and its share of them.
//!
//! The first client that fails ends the measurement: whoever waits for something looks here whether
//! it can still come.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

use crate::target::BenchError;

/// How often it is looked whether what is waited for has come.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Clients that run until they end by themselves.
#[derive(Debug)]
pub(crate) struct Spread<T> {
    threads: Vec<JoinHandle<Vec<T>>>,
    failure: Arc<Mutex<Option<BenchError>>>,
}

/// Starts a client for each item.
pub(crate) fn spread<I, T, W, F>(
    threads: usize,
    items: Vec<I>,
    work: W,
) -> Result<Spread<T>, BenchError>
where
    I: Send + 'static,
    T: Send + 'static,
    W: Fn(I) -> F + Clone + Send + 'static,
    F: Future<Output = Result<T, BenchError>> + 'static,
{
    let failure: Arc<Mutex<Option<BenchError>>> = Arc::default();
    let mut shares: Vec<Vec<I>> = (0..threads.max(1)).map(|_| Vec::new()).collect();
    let count = shares.len();
    for (number, item) in items.into_iter().enumerate() {
        shares[number % count].push(item);
    }
    let start = |(number, share): (usize, Vec<I>)| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(BenchError::Thread)?;
        let (work, failure) = (work.clone(), Arc::clone(&failure));
        std::thread::Builder::new()
            .name(format!("clients-{number}"))
            .spawn(move || LocalSet::new().block_on(&runtime, drive(share, work, failure)))
            .map_err(BenchError::Thread)
    };
    let threads = shares.into_iter().enumerate().map(start).collect::<Result<_, _>>()?;
    Ok(Spread { threads, failure })
}

async fn drive<I, T, W, F>(
    share: Vec<I>,
    work: W,
    failure: Arc<Mutex<Option<BenchError>>>,
) -> Vec<T>
where
    T: 'static,
    W: Fn(I) -> F,
    F: Future<Output = Result<T, BenchError>> + 'static,
{
    let clients: Vec<_> =
        share.into_iter().map(|item| tokio::task::spawn_local(work(item))).collect();
    let mut done = Vec::with_capacity(clients.len());
    for client in clients {
        let outcome = client.await.unwrap_or_else(|error| {
            Err(BenchError::Connection(format!("a client of the generator ended: {error}")))
        });
        match outcome {
            Ok(tally) => done.push(tally),
            Err(error) => {
                // The first one is the cause of the others.
                lock(&failure).get_or_insert(error);
            }
        }
    }
    done
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: Send + 'static> Spread<T> {
    /// Waits until something holds; `false` when it does not within `patience`.
    ///
    /// # Errors
    /// Fails when a client has failed.
    pub(crate) async fn until(
        &self,
        patience: Duration,
        mut holds: impl FnMut() -> bool,
    ) -> Result<bool, BenchError> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(error) = lock(&self.failure).take() {
                return Err(error);
            }
            if holds() {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until a count reaches a number, as long as it grows; `false` when it stood still for
    /// `patience`.
    ///
    /// # Errors
    /// Fails when a client has failed.
    pub(crate) async fn reach(
        &self,
        patience: Duration,
        wanted: u64,
        mut count: impl FnMut() -> u64,
    ) -> Result<bool, BenchError> {
        loop {
            let before = count();
            if before >= wanted {
                return Ok(true);
            }
            if !self.until(patience, || count() > before).await? {
                return Ok(false);
            }
        }
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// Fails when a client has failed.
    pub(crate) async fn pass(&self, time: Duration) -> Result<(), BenchError> {
        self.until(time, || false).await.map(drop)
    }

    /// Waits until all clients have ended.
    ///
    /// # Errors
    /// Fails when a client has failed.
    pub(crate) async fn join(self) -> Result<Vec<T>, BenchError> {
        let mut all = Vec::new();
        for thread in self.threads {
            let share = tokio::task::spawn_blocking(move || thread.join()).await;
            let share = share.ok().and_then(Result::ok);
            let lost = || BenchError::Connection("a thread of the generator failed".to_owned());
            all.extend(share.ok_or_else(lost)?);
        }
        match lock(&self.failure).take() {
            Some(error) => Err(error),
            None => Ok(all),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_item_has_a_client_whatever_the_number_of_threads() {
        for threads in [0, 1, 3, 20] {
            let clients = spread(threads, (0..10).collect(), |item: u64| async move { Ok(item) });
            let mut done = clients.unwrap().join().await.unwrap();
            done.sort_unstable();
            assert_eq!(done, (0..10).collect::<Vec<_>>(), "{threads} threads");
        }
    }

    #[tokio::test]
    async fn patience_begins_anew_as_long_as_there_is_progress() {
        let clients = spread(1, vec![()], |()| async { Ok(()) }).unwrap();
        let patience = Duration::from_millis(500);
        let mut looks = 0;
        let reached = clients.reach(patience, 10, || {
            looks += 1;
            looks
        });
        assert!(reached.await.unwrap());
        assert!(!clients.reach(Duration::from_millis(20), 2, || 1).await.unwrap());
    }

    #[tokio::test]
    async fn whoever_waits_is_told_that_a_client_has_failed() {
        let clients = spread(2, vec![false, true], |fails: bool| async move {
            if fails { Err(BenchError::Address) } else { Ok(()) }
        })
        .unwrap();
        let waited = clients.until(Duration::from_mins(1), || false).await;
        assert!(matches!(waited, Err(BenchError::Address)));
    }
}
