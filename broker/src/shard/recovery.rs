//! Comparing rooms with the store: after something was lost, or may have been, and when the store
//! itself has become another one.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt as _;
use parlor_domain::log::Head;
use parlor_protocol::command::{Position, Since};
use parlor_protocol::id::{RoomId, RoomRef};
use parlor_runtime::Phase as LifePhase;
use tokio::sync::Notify;

use super::hub::RETRY_MAX;
use super::room::Phase;
use super::{Recovery, Shard, Sink};
use crate::shard::conn::Conn;

/// Rooms that are compared with one question to the store.
const COMPARED_AT_ONCE: usize = 512;
/// Sessions of one room that follow it anew at the same time.
const ANEW_AT_ONCE: usize = 8;
/// How long after a fill that found less than was announced the room is compared.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// The text so far of a room's replies is asked for at most so often.
const REFRESH_EVERY: Duration = Duration::from_millis(500);

impl Shard {
    /// Makes up for deliveries that were lost, or may have been: compares every room with the store.
    ///
    /// One pass runs at a time; what is lost meanwhile is found by another one after it.
    pub(super) fn recover(self: &Rc<Self>) {
        self.cut_revoked();
        if self.recovery.get() != Recovery::None {
            self.recovery.set(Recovery::Again);
            return;
        }
        self.recovery.set(Recovery::Once);
        let shard = Rc::clone(self);
        drop(tokio::task::spawn_local(async move {
            while shard.recovery.get() != Recovery::None {
                shard.recovery.set(Recovery::Once);
                let rooms: Vec<RoomId> = shard.rooms.borrow().keys().copied().collect();
                for rooms in rooms.chunks(COMPARED_AT_ONCE) {
                    shard.compare(rooms).await;
                }
                if shard.recovery.get() == Recovery::Once {
                    shard.recovery.set(Recovery::None);
                }
            }
        }));
    }

    /// Fills the room when the store is ahead of it.
    pub(super) async fn catch_up_with_store(self: &Rc<Self>, room: RoomId) {
        self.compare(&[room]).await;
    }

    /// Compares a room a little later: the store has less than was announced, so it may be another one.
    pub(super) fn look_again(self: &Rc<Self>, room: RoomId) {
        let shard = Rc::clone(self);
        drop(tokio::task::spawn_local(async move {
            tokio::time::sleep(LOOK_AGAIN).await;
            shard.catch_up_with_store(room).await;
        }));
    }

    async fn compare(self: &Rc<Self>, rooms: &[RoomId]) {
        let Some(mut heads) = self.read_heads(rooms).await else { return };
        for room in rooms {
            match heads.remove(room) {
                Some(head) => self.compare_room(*room, head).await,
                None => self.close_room(*room),
            }
        }
    }

    /// Asks until there is an answer, because a room that is not compared could miss its newest
    /// event. `None` when the node drains: clients resume elsewhere, from what they have.
    async fn read_heads(&self, rooms: &[RoomId]) -> Option<HashMap<RoomId, Head>> {
        let mut pause = Duration::from_millis(50);
        loop {
            match self.node.store.list_heads(rooms).await {
                Ok(heads) => return Some(heads.into_iter().collect()),
                Err(_) if self.node.lifecycle.phase() < LifePhase::Draining => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY_MAX);
                }
                Err(_) => return None,
            }
        }
    }

    async fn compare_room(self: &Rc<Self>, id: RoomId, head: Head) {
        let deadline = tokio::time::Instant::now() + self.node.config.limits.handshake_timeout;
        // In a busy room one hole follows the other.
        while let Some(ready) = self.filling(id) {
            // What is being read now is part of the old log, if there is a new one.
            if tokio::time::timeout_at(deadline, ready.notified()).await.is_err() {
                break;
            }
        }
        let (is_other_log, behind) = match self.rooms.borrow_mut().get_mut(&id) {
            Some(room) if room.feed.phase() == Phase::Live => {
                let feed = &mut room.feed;
                let is_other_log = feed.head().epoch != head.epoch;
                let is_behind = feed.delivered() < head.seq;
                (is_other_log, !is_other_log && is_behind && feed.start_filling(head.seq))
            }
            // Whoever opens it reads the present state.
            _ => return,
        };
        if is_other_log {
            self.follow_anew(id);
        } else if behind {
            Rc::clone(self).fill(id).await;
        } else {
            self.refresh_streams(id);
        }
    }

    /// Returns what tells the end of filling, if the room is being filled.
    fn filling(&self, id: RoomId) -> Option<Rc<Notify>> {
        let rooms = self.rooms.borrow();
        let room = rooms.get(&id).filter(|room| room.feed.phase() == Phase::Filling)?;
        Some(Rc::clone(&room.ready))
    }

    /// The room's log is another one now: its members are no more those that were checked, and what
    /// they have is no part of it. Each follows it anew and is told to start again, or why not.
    fn follow_anew(self: &Rc<Self>, id: RoomId) {
        self.settle(id);
        let Some(room) = self.rooms.borrow_mut().remove(&id) else { return };
        self.node.bus.unfollow(self.subscriber, id);
        self.node.metrics.room.resident.dec();
        room.ready.notify_waiters();
        let Head { epoch, seq, .. } = room.feed.head();
        let since = Since::Position(Position { epoch, seq });
        let mut sessions: Vec<Rc<Conn>> = Vec::new();
        for member in room.members.into_values() {
            match member.sink {
                // A request that asks again says from where.
                Sink::Stream(queue) => queue.end(),
                Sink::Session(conn) => {
                    conn.rooms.borrow_mut().remove(&id);
                    sessions.push(conn);
                }
            }
        }
        let shard = Rc::clone(self);
        drop(tokio::task::spawn_local(async move {
            let anew = futures_util::stream::iter(sessions).for_each_concurrent(
                ANEW_AT_ONCE,
                async |conn| {
                    let room = RoomRef::from(id);
                    if let Err(refusal) = shard.subscribe(&conn, &room, Some(&since), None).await {
                        conn.send(&refusal.into_frame(None));
                        shard.mark_dirty(&conn);
                    }
                },
            );
            anew.await;
        }));
    }

    /// Asks for the texts so far of the room's replies, after pieces of one were lost.
    pub(super) fn refresh_streams(self: &Rc<Self>, id: RoomId) {
        let now = tokio::time::Instant::now();
        match self.rooms.borrow_mut().get_mut(&id) {
            Some(room) if room.feed.has_holes() => {
                if room.refreshed_at.is_some_and(|at| now - at < REFRESH_EVERY) {
                    return;
                }
                room.refreshed_at = Some(now);
            }
            _ => return,
        }
        let shard = Rc::clone(self);
        drop(tokio::task::spawn_local(async move {
            let streams = shard.node.list_streaming(id).await;
            if let Some(room) = shard.rooms.borrow_mut().get_mut(&id) {
                room.feed.refresh_streams(streams);
            }
        }));
    }
}
