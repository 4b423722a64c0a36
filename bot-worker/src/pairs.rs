//! How often one bot has answered another.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use parlor_protocol::id::UserId;
use tokio::time::Instant;

/// The window that is counted.
const WINDOW: Duration = Duration::from_mins(1);

/// Counts replies of bots to bots within the last minute. It holds at most what happened in that
/// minute, at most `limit` times for each pair.
#[derive(Debug)]
pub(crate) struct PairLimit {
    limit: usize,
    replies: Mutex<HashMap<(UserId, UserId), VecDeque<Instant>>>,
}

impl PairLimit {
    /// Creates a count that allows `limit` replies in a minute.
    pub(crate) fn new(limit: u32) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Self { limit, replies: Mutex::default() }
    }

    /// Counts one reply; `false` when there have been too many.
    pub(crate) fn admit(&self, from: UserId, to: UserId) -> bool {
        let now = Instant::now();
        let mut replies = self.replies.lock().unwrap_or_else(PoisonError::into_inner);
        replies.retain(|_, times| {
            while times.front().is_some_and(|&at| now.duration_since(at) >= WINDOW) {
                times.pop_front();
            }
            !times.is_empty()
        });
        let times = replies.entry((from, to)).or_default();
        let free = times.len() < self.limit;
        if free {
            times.push_back(now);
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn bot(n: u128) -> UserId {
        UserId(Uuid::from_u128(n))
    }

    #[tokio::test(start_paused = true)]
    async fn pair_may_talk_so_often_in_a_minute_and_again_later() {
        let pairs = PairLimit::new(2);

        assert!(pairs.admit(bot(1), bot(2)));
        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(pairs.admit(bot(1), bot(2)));
        assert!(!pairs.admit(bot(1), bot(2)));
        assert!(pairs.admit(bot(2), bot(1)), "the other direction is counted by itself");

        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(pairs.admit(bot(1), bot(2)), "the first one is a minute old");
        assert!(!pairs.admit(bot(1), bot(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_old_is_forgotten() {
        let pairs = PairLimit::new(1);
        for n in 0..100 {
            pairs.admit(bot(n), bot(1_000));
        }

        tokio::time::advance(WINDOW).await;
        pairs.admit(bot(1), bot(2));

        assert_eq!(pairs.replies.lock().unwrap().len(), 1);
    }
}
