//! A connection whose writes may not stall.
//!
//! hyper bounds the time for a request's head and nothing else. A client that asks and never reads
//! would keep its place, and the answer that waits for it, for as long as it likes.

use std::future::Future as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::time::{Sleep, sleep};

use super::link::Link;

/// A connection that fails when it takes nothing for too long.
#[derive(Debug)]
pub(crate) struct Timed {
    io: TokioIo<Link>,
    limit: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Timed {
    /// Watches a connection's writes.
    pub(crate) fn new(link: Link, limit: Duration) -> Self {
        Self { io: TokioIo::new(link), limit, stalled: None }
    }

    /// Returns the connection itself.
    pub(crate) fn into_inner(self) -> Link {
        self.io.into_inner()
    }

    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let limit = self.limit;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        stalled.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Read for Timed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl Write for Timed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(context, bytes);
        self.watch(context, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.watch(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(context);
        // TCP has nothing to flush, which says nothing of what it takes.
        if self.io.inner().keeps_written() { self.watch(context, polled) } else { polled }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_shutdown(context);
        self.watch(context, polled)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::shard::transport::tests::Pair;

    /// Less than rustls keeps, and more than the system does.
    const ANSWER: usize = 48 * 1024;

    #[tokio::test]
    async fn what_is_encrypted_and_never_taken_does_not_wait_for_ever() {
        let Pair { client, server } = Pair::narrow().await;
        let mut timed = Timed::new(Link::Tls(Box::new(server)), Duration::from_millis(100));
        let answer = vec![b'x'; ANSWER];
        let mut written = 0;
        let error = loop {
            let write = poll_fn(|task| Pin::new(&mut timed).poll_write(task, &answer));
            match write.await {
                Ok(bytes) => written += bytes,
                Err(error) => break error,
            }
            // hyper flushes what it has written, and waits for that alone.
            if let Err(error) = poll_fn(|task| Pin::new(&mut timed).poll_flush(task)).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "after {written} bytes");
        drop(client);
    }
}
