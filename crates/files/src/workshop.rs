//! Work on images, on a bounded number of threads.
//!
//! At most so many images are in work at the same time, because each needs the memory that the
//! limits allow, and at most [`QUEUE`] wait for each of them. Work that has begun is finished also
//! when its caller is gone, so the bound always holds.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::picture::{self, Picture, PictureKind, PictureLimits, PictureRefused};

/// Images that may wait for each one that is in work.
pub const QUEUE: usize = 8;

/// Why an image was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WorkError {
    /// Too many others wait; trying again in a few seconds can succeed.
    #[error("too many images are being made")]
    Busy,
    /// The image is too large or broken.
    #[error(transparent)]
    Refused(#[from] PictureRefused),
}

/// Makes images anew. Clones share one bound.
#[derive(Debug, Clone)]
pub struct Workshop {
    limits: PictureLimits,
    threads: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Workshop {
    /// Makes a workshop with so many threads.
    pub fn new(limits: PictureLimits, threads: usize) -> Self {
        let threads = threads.max(1);
        Self {
            limits,
            threads: Arc::new(Semaphore::new(threads)),
            places: Arc::new(Semaphore::new(threads * (QUEUE + 1))),
        }
    }

    /// Waits for a place at a bench. Load the image only then: those who wait need no memory.
    pub async fn enter(&self) -> Result<Bench, WorkError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| WorkError::Busy)?;
        let thread =
            Arc::clone(&self.threads).acquire_owned().await.map_err(|_| WorkError::Busy)?;
        Ok(Bench { limits: self.limits, _held: (place, thread) })
    }
}

/// The right to work on one image.
#[derive(Debug)]
pub struct Bench {
    limits: PictureLimits,
    _held: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

impl Bench {
    /// Makes an image anew.
    pub async fn remake(self, bytes: Bytes, kind: PictureKind) -> Result<Picture, WorkError> {
        self.run(move |limits| picture::remake(&bytes, kind, limits)).await
    }

    /// Makes an avatar of an image.
    pub async fn avatar(self, bytes: Bytes) -> Result<Bytes, WorkError> {
        self.run(move |limits| picture::avatar(&bytes, limits)).await
    }

    async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce(PictureLimits) -> Result<T, PictureRefused> + Send + 'static,
    ) -> Result<T, WorkError> {
        // The place goes with the work, not with whoever waits for it.
        let working = tokio::task::spawn_blocking(move || {
            let bench = self;
            work(bench.limits)
        });
        match working.await {
            Ok(made) => Ok(made?),
            Err(error) => {
                // A decoder that panics has met something that it was not made for.
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "an image was not decoded"
                );
                Err(PictureRefused::Broken.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::poll;

    use super::*;

    fn shop() -> Workshop {
        Workshop::new(PictureLimits { side: 10, memory: 1_000 }, 1)
    }

    #[tokio::test]
    async fn those_for_whom_there_is_no_place_are_told_so() {
        let shop = shop();
        let (release, held) = mpsc::channel::<()>();
        let bench = shop.enter().await.unwrap();
        let mut working = Box::pin(bench.run(move |_| Ok(held.recv().is_err())));
        assert!(poll!(&mut working).is_pending());
        let mut waiting: Vec<_> = (0..QUEUE).map(|_| Box::pin(shop.enter())).collect();
        for one in &mut waiting {
            assert!(poll!(one).is_pending());
        }
        assert_eq!(shop.enter().await.unwrap_err(), WorkError::Busy);
        drop(release);
        assert!(working.await.unwrap());
        for one in waiting {
            drop(one.await.unwrap());
        }
    }

    #[tokio::test]
    async fn place_is_held_until_the_work_ends_also_when_nobody_waits_for_it() {
        let shop = shop();
        let (release, held) = mpsc::channel::<()>();
        let mut working =
            Box::pin(shop.enter().await.unwrap().run(move |_| Ok(held.recv().is_err())));
        assert!(poll!(&mut working).is_pending());
        drop(working);
        let mut next = Box::pin(shop.enter());
        assert!(poll!(&mut next).is_pending());
        drop(release);
        next.await.unwrap();
    }

    #[tokio::test]
    async fn panic_of_a_decoder_is_a_broken_image() {
        let shop = shop();
        let broken = shop.enter().await.unwrap().run::<()>(|_| panic!("as decoders do")).await;
        assert_eq!(broken, Err(WorkError::Refused(PictureRefused::Broken)));
        assert_eq!(shop.enter().await.unwrap().run(|_| Ok(7)).await, Ok(7));
    }
}
