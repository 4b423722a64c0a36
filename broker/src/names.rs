//! New names, told in the rooms of whoever has them: of people, and of bots.
//!
//! Guarantees: what a room is told last is the name that stays. However often somebody changes a
//! name, it is told by one task, which begins anew only when it has been through all rooms.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use parlor_protocol::id::UserId;
use parlor_store::{Append, Intent};

use crate::node::Node;

/// Rooms that are told of a new name at the same time.
const ROOMS_AT_ONCE: usize = 32;

/// Whose new names are being told.
#[derive(Debug, Default)]
pub struct NewNames {
    /// With whether the name has changed since the telling began.
    telling: Mutex<HashMap<UserId, bool>>,
}

impl NewNames {
    /// Notes a new name. Returns whether somebody has to begin to tell it.
    fn note(&self, user: UserId) -> bool {
        let mut telling = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        telling.insert(user, true).is_none()
    }

    /// Begins, or begins anew when the name has changed meanwhile; otherwise it is done.
    fn begin(&self, user: UserId) -> bool {
        let mut telling = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        match telling.get_mut(&user) {
            Some(changed) if *changed => {
                *changed = false;
                true
            }
            _ => {
                telling.remove(&user);
                false
            }
        }
    }
}

/// Tells every room of a user how they are called now. What is read from then on has the new name in
/// any case; this is for those who are there.
pub(crate) fn tell(node: &Arc<Node>, user: UserId) {
    if !node.new_names.note(user) {
        return;
    }
    let telling = Arc::clone(node);
    node.lifecycle.spawn("name", async move {
        while telling.new_names.begin(user) {
            tell_rooms(&telling, user).await;
        }
    });
}

async fn tell_rooms(node: &Node, user: UserId) {
    let rooms = match node.store.list_room_ids_of(user).await {
        Ok(rooms) => rooms,
        Err(error) => {
            tracing::debug!(%error, "rooms were not told of a new name");
            return;
        }
    };
    for some in rooms.chunks(ROOMS_AT_ONCE) {
        let told = some.iter().map(|room| {
            let intent = Intent::TellName;
            node.committer.append(Append { room: *room, actor: user, at: node.now(), intent })
        });
        for outcome in futures_util::future::join_all(told).await {
            if let Err(refusal) = outcome {
                tracing::debug!(%refusal, "a room was not told of a new name");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn change_that_comes_while_a_name_is_told_is_told_by_the_same_task() {
        let (names, ada) = (NewNames::default(), UserId(Uuid::new_v4()));
        assert!(names.note(ada), "somebody has to begin");
        assert!(!names.note(ada), "somebody will");
        assert!(names.begin(ada));
        assert!(!names.note(ada), "somebody is there");
        assert!(!names.note(ada), "and comes by once more");
        assert!(names.begin(ada));
        assert!(!names.begin(ada), "all is told");
        assert!(names.telling.lock().unwrap().is_empty(), "nothing is left of it");
        assert!(names.note(ada), "somebody has to begin again");
    }
}
