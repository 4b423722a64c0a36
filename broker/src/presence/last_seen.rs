//! When users were last connected, written for many at once.
//!
//! It is a convenience: what has gathered is written at a clean stop and lost in a crash.

use std::sync::Arc;
use std::time::Duration;

use parlor_protocol::id::UserId;
use parlor_protocol::time::Timestamp;
use parlor_store::{MANY_MAX, Store};

use super::gathered::Gathered;

/// How long times gather before they are written.
const GATHER: Duration = Duration::from_secs(5);
/// Users whose times wait to be written. The times of more are not remembered.
const USERS_MAX: usize = 100_000;

/// Takes down when users were last connected.
#[derive(Debug, Clone)]
pub struct LastSeen {
    seen: Arc<Gathered<UserId, Timestamp>>,
}

impl Default for LastSeen {
    fn default() -> Self {
        Self { seen: Arc::new(Gathered::new(GATHER, USERS_MAX)) }
    }
}

impl LastSeen {
    /// Takes down a time, to be written within seconds.
    pub fn note(&self, user: UserId, at: Timestamp) {
        // One time more or less.
        drop(self.seen.put(user, at, |old, new| *old = (*old).max(new)));
    }

    /// Has the rest written at once.
    pub(crate) fn close(&self) {
        self.seen.close();
    }

    /// Writes until it is closed, and then what is left.
    pub(crate) async fn run(self, store: Arc<dyn Store>) {
        while let Some(seen) = self.seen.take().await {
            let seen: Vec<_> = seen.into_iter().collect();
            for seen in seen.chunks(MANY_MAX) {
                if let Err(error) = store.touch_last_seen_of_users(seen).await {
                    let error = &error as &dyn std::error::Error;
                    tracing::debug!(error, "the time of last connections is not remembered");
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use parlor_protocol::user::{ServerRole, UserKind};
    use parlor_store::record::NewUser;
    use parlor_store::{SqliteOptions, SqliteStore};
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn times_are_written_when_it_is_closed_and_the_newest_counts() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(SqliteOptions::new(folder.path())).unwrap());
        let at = Timestamp::from_millis;
        let ada = NewUser {
            id: UserId(Uuid::new_v4()),
            username: "ada".to_owned(),
            display_name: "Ada".to_owned(),
            kind: UserKind::User,
            email: None,
            password_hash: None,
            role: ServerRole::User,
            at: at(1),
        };
        let store: Arc<dyn Store> = store;
        store.create_user(ada.clone()).await.unwrap().unwrap();
        let last_seen = LastSeen::default();
        last_seen.note(ada.id, at(20));
        last_seen.note(ada.id, at(10));
        last_seen.note(UserId(Uuid::new_v4()), at(10));

        last_seen.close();
        last_seen.run(Arc::clone(&store)).await;

        let found = store.find_user(ada.id).await.unwrap().unwrap();
        assert_eq!(found.last_seen, Some(at(20)));
    }
}
