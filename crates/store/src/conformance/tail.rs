//! What nodes hear of without having been told.

use std::time::Duration;

use parlor_protocol::id::RoomId;
use uuid::Uuid;

use super::Factory;
use super::world::World;

/// Many rooms are compared with one question.
pub async fn heads_of_rooms_are_listed_without_those_that_do_not_exist(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let (one, two) = (world.public(&ada, &[]).await, world.public(&ada, &[]).await);
    world.said(two, &ada, "hello").await;

    let absent = RoomId(Uuid::new_v4());
    let mut heads = world.store().list_heads(&[one, absent, two]).await.unwrap();

    heads.sort_unstable_by_key(|(_, head)| head.seq);
    let rooms: Vec<_> = heads.iter().map(|(room, _)| *room).collect();
    assert_eq!(rooms, [one, two]);
    for (room, head) in heads {
        assert_eq!(world.store().find_head(room).await.unwrap().unwrap(), head);
    }
    assert!(world.store().list_heads(&[]).await.unwrap().is_empty());
}

/// Reading goes on where it stopped, in pages, and what was not told is nothing.
pub async fn tail_is_read_from_where_it_stood(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;
    let mut position = store.tail_start().await.unwrap();
    for body in ["one", "two", "three"] {
        world.said(room, &ada, body).await;
    }

    let mut told = Vec::new();
    loop {
        let page = store.read_tail(&position, 2).await.unwrap();
        assert_eq!(page.epoch, store.find_head(room).await.unwrap().unwrap().epoch);
        told.extend(page.commits.into_iter().flat_map(|commit| commit.rooms));
        position = page.position;
        if !page.more {
            break;
        }
    }

    // A store with one user tells nothing: that user was told already.
    if !told.is_empty() {
        let head = world.seq(room).await;
        told.sort_unstable();
        told.dedup();
        assert_eq!(told, [(room, head - 2), (room, head - 1), (room, head)]);
    }
    store.prune_tail(Duration::ZERO).await.unwrap();
    let page = store.read_tail(&position, 2).await.unwrap();
    assert!(!page.more);
}
