//! What an operator asks of a store.

use super::Factory;
use super::world::{World, text};
use crate::append::Intent;
use crate::error::StoreError;

/// A store that works says so, and says what it is.
pub async fn store_proves_that_it_works(factory: &dyn Factory) {
    let world = World::open(factory).await;

    assert!(!world.store().backend().is_empty());
    world.store().check_health().await.unwrap();
    world.store().check_health().await.unwrap();
}

/// What was queued before the end is written; afterwards every call fails at once, the second close
/// too does nothing.
pub async fn closed_store_has_written_what_was_queued(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;
    let batch = vec![world.wish(room, &ada, Intent::Publish(text("the last line")))];

    let (answer, ()) = tokio::join!(world.store().append(batch), world.store().close());

    assert!(answer.unwrap()[0].is_ok());
    let read = world.store().find_head(room).await;
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    let written = world.store().check_health().await;
    assert!(matches!(written, Err(StoreError::Unavailable(_))), "{written:?}");
    world.store().close().await;
    let remains = world.remains().await;
    assert!(remains.windows(13).any(|bytes| bytes == b"the last line"));
}

/// The first value that is noted under a key is what everyone gets.
pub async fn first_pinned_value_stays(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();

    assert_eq!(store.pin("color", "red").await.unwrap(), "red");
    assert_eq!(store.pin("color", "blue").await.unwrap(), "red");
    assert_eq!(store.pin("shape", "round").await.unwrap(), "round");
}
