//! Looks at texts on threads for work that takes its time, in slices: those who share a thread with the
//! caller never wait for it, and what nobody waits for any more soon ends.

use std::sync::Arc;

use parlor_domain::search::Query;

use crate::postgres::fault::{Fault, Outcome};
use crate::search::{Candidate, Judged, SLICE, SLICE_BYTES};

/// Carries out work on a thread where it holds up nobody.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Outcome<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        // The program ends.
        Err(_) => Fault::Closed,
    })
}

/// Looks at the first few candidates, and returns what became of them, and the others.
pub(super) async fn judge_some<R, I>(
    query: &Arc<Query>,
    mut rows: I,
    read: impl Fn(&R) -> Outcome<Candidate> + Send + 'static,
) -> Outcome<(Vec<Judged>, I)>
where
    I: Iterator<Item = R> + Send + 'static,
{
    let query = Arc::clone(query);
    aside(move || {
        let (mut judged, mut bytes) = (Vec::new(), 0);
        while judged.len() < SLICE && bytes < SLICE_BYTES {
            let Some(row) = rows.next() else { break };
            let one = read(&row)?.judge(&query);
            bytes += one.bytes;
            judged.push(one);
        }
        Ok((judged, rows))
    })
    .await?
}

#[cfg(test)]
mod tests {
    use std::thread;

    use parlor_protocol::id::RoomId;
    use uuid::Uuid;

    use super::*;

    /// Looks at texts, and returns how many there were in each slice. None is looked at on the thread
    /// of the caller.
    async fn slices(texts: Vec<String>) -> Vec<usize> {
        let query = Arc::new(Query::parse("tea").unwrap());
        let caller = thread::current().id();
        let read = move |body: &String| {
            assert_ne!(thread::current().id(), caller);
            let body = body.clone();
            Ok(Candidate { place: 1, room: RoomId(Uuid::nil()), seq: 1, body })
        };
        let (mut left, mut slices) = (texts.into_iter(), Vec::new());
        while left.len() > 0 {
            let judged;
            (judged, left) = judge_some(&query, left, read).await.unwrap();
            assert!(judged.iter().all(|judged| judged.answer.is_some()));
            slices.push(judged.len());
        }
        slices
    }

    #[tokio::test]
    async fn texts_are_looked_at_aside_and_a_few_at_a_time() {
        assert_eq!(slices(vec!["tea".to_owned(); 150]).await, [64, 64, 22]);
        let long = format!("tea{}", " ".repeat(SLICE_BYTES / 2));
        assert_eq!(slices(vec![long; 5]).await, [2, 2, 1]);
        let longest = format!("tea{}", " ".repeat(SLICE_BYTES * 2));
        assert_eq!(slices(vec![longest; 2]).await, [1, 1]);
    }
}
