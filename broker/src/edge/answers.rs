//! The answers on one HTTP/2 connection, watched for readers that take nothing.
//!
//! HTTP/2 has a window for each answer, which the client opens. One that never does keeps the
//! answer in memory, while its connection looks alive. An answer is handed over in pieces, so that
//! it is seen when no further piece is wanted.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// Largest piece: what one window holds by default is four of them.
const PIECE: usize = 16 * 1024;
/// How many times within the limit it is looked for stalled answers.
const LOOKS: u32 = 4;

/// The answers that are on their way.
#[derive(Debug)]
pub(super) struct Answers {
    begun: Instant,
    open: Mutex<Vec<Weak<AtomicU64>>>,
    first: Notify,
}

impl Answers {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { begun: Instant::now(), open: Mutex::default(), first: Notify::new() })
    }

    /// Hands a body over in pieces and notes when the next one is waited for.
    pub(super) fn watch(self: &Arc<Self>, body: Body) -> Body {
        let offered = Arc::new(AtomicU64::new(self.now()));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|answer| answer.strong_count() > 0);
        open.push(Arc::downgrade(&offered));
        self.first.notify_one();
        Body::new(Watched { body, rest: Bytes::new(), offered, answers: Arc::clone(self) })
    }

    /// Waits until an answer was not taken for as long as `limit`.
    pub(super) async fn stalled(&self, limit: Duration) {
        // Most connections have no answer to watch.
        self.first.notified().await;
        let most = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        loop {
            sleep(limit / LOOKS).await;
            let now = self.now();
            let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let offered = |answer: &Weak<AtomicU64>| {
                answer.upgrade().map(|offered| offered.load(Ordering::Relaxed))
            };
            let is_late = |offered| offered != OURS && now.saturating_sub(offered) > most;
            if open.iter().filter_map(offered).any(is_late) {
                return;
            }
        }
    }

    /// Milliseconds of this connection, from 1 on.
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }
}

/// It is this side that has nothing to hand over for now.
const OURS: u64 = 0;

struct Watched {
    body: Body,
    rest: Bytes,
    /// When a piece was offered that has not been followed by a wish for more.
    offered: Arc<AtomicU64>,
    answers: Arc<Answers>,
}

impl Watched {
    fn offer(&self, offered: u64) {
        self.offered.store(offered, Ordering::Relaxed);
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Pending => {
                    self.offer(OURS);
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) => self.rest = bytes,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end @ Poll::Ready(_) => return end,
            }
        }
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        self.offer(self.answers.now());
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(rest));
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn body_comes_out_as_it_went_in() {
        let text = "x".repeat(PIECE * 3 + 5);
        let body = Answers::new().watch(Body::from(text.clone()));
        assert_eq!(body.size_hint().exact(), Some(text.len() as u64));
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        assert_eq!(bytes, text);
    }

    #[tokio::test(start_paused = true)]
    async fn answer_that_is_not_taken_is_noticed_and_one_that_is_not_ready_is_not() {
        let answers = Answers::new();
        let limit = Duration::from_secs(10);
        let mut waiting = answers.watch(Body::from_stream(futures_util::stream::pending::<
            Result<Bytes, std::convert::Infallible>,
        >()));
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(Pin::new(&mut waiting).poll_frame(&mut context).is_pending());
        let patience = Duration::from_mins(1);
        assert!(tokio::time::timeout(patience, answers.stalled(limit)).await.is_err());
        let _untaken = answers.watch(Body::from("x"));
        assert!(tokio::time::timeout(patience, answers.stalled(limit)).await.is_ok());
    }
}
