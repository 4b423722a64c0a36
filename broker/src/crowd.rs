//! Who of a room's members is there: counted for those who ask, and told to nobody.
//!
//! A small room is looked at whole, each time. Of a large one, those who are connected at all are
//! looked at instead, and the answer is good for a moment: clients of large rooms are not told who
//! comes and goes, so they ask again and again.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use parlor_protocol::id::{RoomId, UserId};
use parlor_protocol::room::Role;
use parlor_protocol::user::{PresenceStatus, UserKind};
use parlor_store::MANY_MAX;
use parlor_store::record::{MemberFilter, MemberRecord};
use tokio::time::Instant;

use crate::node::Node;
use crate::refusal::Outcome;

/// Members up to which a room is looked at whole, where it is told who comes and goes.
const WHOLE_MAX: u32 = 500;
/// For so long an answer about a large room is good.
const FRESH: Duration = Duration::from_secs(2);
/// Large rooms whose answers are kept.
const ROOMS_MAX: usize = 1_024;
/// Members who are there, in the answers that are kept together.
const KEPT_MAX: usize = 200_000;
/// Users who are looked at for a large room. Of more, the rest is missing.
const PRESENT_MAX: usize = 50_000;

/// A member who is there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct There {
    /// The user name in lower case, by which they are sorted.
    pub(crate) name: String,
    pub(crate) user: UserId,
    pub(crate) role: Role,
}

type Slot = Arc<tokio::sync::Mutex<Option<(Instant, Arc<[There]>)>>>;

/// A room that was asked about.
#[derive(Debug)]
struct Asked {
    at: Instant,
    slot: Slot,
    /// Members in the answer.
    there: usize,
}

/// Who is there, of the large rooms that were asked about.
#[derive(Debug, Default)]
pub struct Crowds {
    rooms: Mutex<HashMap<RoomId, Asked>>,
}

impl Crowds {
    /// Returns those of a room's members who are there, by name.
    pub(crate) async fn find(
        &self,
        node: &Node,
        room: RoomId,
        members: u64,
    ) -> Outcome<Arc<[There]>> {
        let told = u64::try_from(node.config.limits.presence_room).unwrap_or(u64::MAX);
        if members <= u64::from(WHOLE_MAX).min(told) {
            let all = MemberFilter::default();
            let found = node.store.list_members_by(room, &all, None, WHOLE_MAX).await?;
            let users: Vec<UserId> = found.iter().map(|member| member.user.id).collect();
            let statuses = node.presence.list(&users).await;
            let there = found.into_iter().zip(statuses).filter(|(member, status)| {
                *status != PresenceStatus::Offline || is_answered_for(node, member)
            });
            return Ok(there.map(|(member, _)| There::from(member)).collect());
        }
        let slot = self.slot(room);
        // Whoever comes meanwhile waits for the same answer.
        let mut known = slot.lock().await;
        if let Some((at, there)) = known.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            let (_, there) = (at, Arc::clone(there));
            return Ok(there);
        }
        let there = look(node, room).await?;
        *known = Some((Instant::now(), Arc::clone(&there)));
        self.note_size(room, &slot, there.len());
        Ok(there)
    }

    fn slot(&self, room: RoomId) -> Slot {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if rooms.len() >= ROOMS_MAX && !rooms.contains_key(&room) {
            forget_oldest(&mut rooms, room);
        }
        let asked = rooms.entry(room).or_insert_with(|| Asked {
            at: Instant::now(),
            slot: Slot::default(),
            there: 0,
        });
        asked.at = Instant::now();
        Arc::clone(&asked.slot)
    }

    /// Notes how large an answer is, and forgets others when they are too large together.
    fn note_size(&self, room: RoomId, slot: &Slot, there: usize) {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        match rooms.get_mut(&room) {
            Some(asked) if Arc::ptr_eq(&asked.slot, slot) => asked.there = there,
            // It was forgotten meanwhile.
            _ => return,
        }
        while rooms.len() > 1 && rooms.values().map(|asked| asked.there).sum::<usize>() > KEPT_MAX {
            forget_oldest(&mut rooms, room);
        }
    }
}

/// Forgets the room that was asked about longest ago, but for one.
fn forget_oldest(rooms: &mut HashMap<RoomId, Asked>, but: RoomId) {
    let others = rooms.iter().filter(|(room, _)| **room != but);
    let oldest = others.min_by_key(|(_, asked)| asked.at).map(|(room, _)| *room);
    if let Some(oldest) = oldest {
        rooms.remove(&oldest);
    }
}

/// Looks at everyone who is connected.
async fn look(node: &Node, room: RoomId) -> Outcome<Arc<[There]>> {
    let mut present: HashSet<UserId> =
        node.presence.list_present(PRESENT_MAX).await.into_iter().collect();
    if node.config.bots.enabled {
        let bots = node.store.list_room_bots(room).await?;
        present.extend(bots.into_iter().map(|bot| bot.user.id));
    }
    let present: Vec<UserId> = present.into_iter().collect();
    let mut there = Vec::new();
    for users in present.chunks(MANY_MAX) {
        let found = node.store.find_members(room, users).await?;
        there.extend(found.into_iter().flatten().map(There::from));
    }
    there.sort_unstable();
    Ok(there.into())
}

/// A bot has no connection; it is there as long as bots are answered for.
fn is_answered_for(node: &Node, member: &MemberRecord) -> bool {
    member.user.kind == UserKind::Bot && node.config.bots.enabled
}

impl From<MemberRecord> for There {
    fn from(member: MemberRecord) -> Self {
        let name = member.user.username.to_lowercase();
        Self { name, user: member.user.id, role: member.role }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn rooms_whose_answers_are_kept_are_bounded() {
        let crowds = Crowds::default();
        let room = |n| RoomId(Uuid::from_u128(n));
        let first = crowds.slot(room(0));
        for n in 1..2_000 {
            crowds.slot(room(n));
            // Still asked about.
            assert!(Arc::ptr_eq(&first, &crowds.slot(room(0))));
        }
        assert_eq!(crowds.rooms.lock().unwrap().len(), ROOMS_MAX);
    }

    #[test]
    fn many_large_rooms_are_kept_as_far_as_their_answers_are_small() {
        let crowds = Crowds::default();
        let room = |n| RoomId(Uuid::from_u128(n));
        for n in 0..100 {
            let slot = crowds.slot(room(n));
            crowds.note_size(room(n), &slot, 1_000);
        }
        assert_eq!(crowds.rooms.lock().unwrap().len(), 100, "100 rooms of 1,000 have a place");
        let slot = crowds.slot(room(100));
        crowds.note_size(room(100), &slot, KEPT_MAX - 5_000);
        let rooms = crowds.rooms.lock().unwrap();
        assert_eq!(rooms.len(), 6);
        assert!((95..=100).all(|n| rooms.contains_key(&room(n))), "the newest are kept");
    }
}
