//! A response body that follows a list of steps and notices when the client goes away.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use tokio::{task::yield_now, time::sleep};

use super::Shared;

pub(super) type ReplyBody = UnsyncBoxBody<Bytes, io::Error>;
pub(super) type Steps = Box<dyn Iterator<Item = Step> + Send>;

#[derive(Debug)]
pub(super) enum Step {
    Bytes(Bytes),
    Wait(Duration),
    /// Lets the connection write out what it has.
    Flush,
    /// Closes the connection without ending the answer.
    Cut,
    /// Sends nothing more and keeps the connection open.
    Stall,
}

/// Counts one answer as open, and as aborted if it is dropped before it is complete.
#[derive(Debug)]
pub(super) struct StreamGuard {
    shared: Arc<Shared>,
    complete: bool,
}

impl StreamGuard {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        shared.counts.send_modify(|counts| counts.open += 1);
        Self { shared, complete: false }
    }

    pub(super) fn complete(mut self) {
        self.complete = true;
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.shared.counts.send_modify(|counts| {
            counts.open -= 1;
            counts.aborted += usize::from(!self.complete);
        });
    }
}

pub(super) fn body(steps: Steps, guard: StreamGuard) -> ReplyBody {
    let frames = stream::unfold(Some((steps, guard)), |state| async move {
        let (mut steps, guard) = state?;
        loop {
            match steps.next() {
                Some(Step::Bytes(bytes)) if bytes.is_empty() => {}
                Some(Step::Bytes(bytes)) => {
                    return Some((Ok(Frame::data(bytes)), Some((steps, guard))));
                }
                Some(Step::Wait(pause)) => {
                    if !pause.is_zero() {
                        sleep(pause).await;
                    }
                }
                Some(Step::Flush) => yield_now().await,
                Some(Step::Stall) => std::future::pending().await,
                Some(Step::Cut) => {
                    // What was said so far has to be written out before the cut.
                    yield_now().await;
                    guard.complete();
                    return Some((Err(io::ErrorKind::ConnectionAborted.into()), None));
                }
                None => {
                    guard.complete();
                    return None;
                }
            }
        }
    });
    StreamBody::new(frames).boxed_unsync()
}
