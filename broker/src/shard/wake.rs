//! Wakes one task of the same thread. What was told before the task waits is not lost, and told
//! twice is told once. As `tokio::sync::Notify` for one waiter, in a few words and without state in
//! the waiting future.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, Waker};

/// Wakes the task that polls it.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    told: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Wake {
    /// Wakes the task, now or when it next looks.
    pub(crate) fn notify_one(&self) {
        self.told.set(true);
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Is ready once for all that was told since.
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<()> {
        if self.told.take() {
            return Poll::Ready(());
        }
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::rc::Rc;

    use super::*;

    #[tokio::test]
    async fn what_was_told_before_is_heard_once() {
        let wake = Wake::default();
        wake.notify_one();
        wake.notify_one();
        poll_fn(|context| wake.poll(context)).await;
        let again = poll_fn(|context| Poll::Ready(wake.poll(context))).await;
        assert_eq!(again, Poll::Pending);
    }

    #[tokio::test]
    async fn task_that_waits_is_woken() {
        let wake = Rc::new(Wake::default());
        let woken = tokio::task::LocalSet::new()
            .run_until(async {
                let waiting = Rc::clone(&wake);
                let task = tokio::task::spawn_local(async move {
                    poll_fn(|context| waiting.poll(context)).await;
                });
                tokio::task::yield_now().await;
                wake.notify_one();
                task.await
            })
            .await;
        assert!(woken.is_ok());
    }
}
