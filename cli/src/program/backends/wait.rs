//! Waiting, for a bounded time, for services that are not there yet: in compose and Kubernetes
//! everything starts in any order.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::fault::ServiceFault;

/// From one attempt to the next.
const PAUSE: Duration = Duration::from_millis(500);

/// Tries until it works, until waiting cannot help, or until `deadline`.
pub(super) async fn until<T, F>(
    deadline: Instant,
    mut attempt: impl FnMut() -> F,
) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let mut told = false;
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let fault = error.downcast_ref::<ServiceFault>().filter(|fault| fault.may_pass());
        let Some(fault) = fault.filter(|_| Instant::now() + PAUSE < deadline) else {
            return Err(error);
        };
        if !told {
            tracing::warn!(%fault, "waiting");
            told = true;
        }
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::super::fault::{Service, ServiceFault};
    use super::*;

    async fn attempts(
        works_at: u32,
        fault: fn(Service, &str, &str) -> ServiceFault,
    ) -> (bool, u32) {
        let made = Cell::new(0);
        let deadline = Instant::now() + Duration::from_secs(10);
        let outcome = until(deadline, || {
            made.set(made.get() + 1);
            let works = made.get() >= works_at;
            async move {
                if works {
                    return Ok(());
                }
                Err(fault(Service::Postgres, "postgres://db", "no").into())
            }
        });
        (outcome.await.is_ok(), made.get())
    }

    #[tokio::test(start_paused = true)]
    async fn service_that_comes_late_is_waited_for() {
        assert_eq!(attempts(5, ServiceFault::away).await, (true, 5));
    }

    #[tokio::test(start_paused = true)]
    async fn service_that_never_comes_is_waited_for_until_the_deadline() {
        let started = Instant::now();
        let (worked, made) = attempts(u32::MAX, ServiceFault::away).await;
        assert!(!worked && made > 10);
        assert!(started.elapsed() <= Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn wrong_setting_is_told_at_once() {
        assert_eq!(attempts(2, ServiceFault::wrong).await, (false, 1));
    }
}
