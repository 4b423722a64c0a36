//! The identity of the logs: it changes whenever the store may have lost the end of them.
//!
//! It is made of the server's identity, its timeline, the database within it, and the `incarnation`
//! in the database. A standby that takes over begins a new timeline, and a copy in another server or
//! database has another identity. What the server itself cannot notice, such as a snapshot of the
//! disk that is put back, an operator tells with a new incarnation.
//!
//! A connection keeps the epoch that it began with: a server changes its timeline only by leaving
//! recovery, and servers in recovery are not used.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use deadpool_postgres::ClientWrapper;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use super::codec::value;
use super::fault::{Fault, Outcome};
use super::sql::meta as sql;

/// Makes the names of epochs differ from those of other things that are hashed.
const NAMESPACE: Uuid = Uuid::from_u128(0x5b0a_1c7e_8f34_4d09_9a5e_2f6d_c3b1_7e80);

/// The newest epoch that was seen.
#[derive(Debug, Default)]
pub(super) struct Epoch {
    newest: RwLock<Arc<str>>,
    /// How many connections were made.
    connections: AtomicU64,
}

impl Epoch {
    /// Returns it.
    pub(super) fn get(&self) -> Arc<str> {
        Arc::clone(&self.newest.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the number of the newest connection.
    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }

    /// Returns the number of a connection that was made just now.
    pub(super) fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Notes what a new connection has read.
    pub(super) fn set(&self, epoch: &Arc<str>) {
        let mut seen = self.newest.write().unwrap_or_else(PoisonError::into_inner);
        if **seen == **epoch {
            return;
        }
        if !seen.is_empty() {
            tracing::warn!(
                before = &**seen,
                epoch = &**epoch,
                "the database is not the one that was here: clients will load anew"
            );
        }
        *seen = Arc::clone(epoch);
    }
}

/// Reads the epoch of a server, and refuses a standby.
pub(super) async fn read(client: &ClientWrapper) -> Outcome<Arc<str>> {
    let row = match client.query_one(sql::IDENTITY, &[]).await.map_err(Fault::from) {
        Ok(row) => row,
        // Some providers do not let programs see the server's own files.
        Err(fault) if fault.is_state(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            return Err(Fault::Nameless);
        }
        Err(fault) => return Err(fault),
    };
    if value::<bool>(&row, 0)? {
        return Err(Fault::Standby);
    }
    let timeline: &str = value(&row, 1)?;
    let server: &str = value(&row, 2)?;
    let database: &str = value(&row, 3)?;
    let incarnation: Option<&str> = value(&row, 4)?;
    let incarnation = incarnation.ok_or(Fault::Contradiction("meta has no incarnation"))?;
    Ok(name(timeline, &format!("{server} {database} {incarnation}")))
}

/// Returns the short name of an identity.
fn name(timeline: &str, identity: &str) -> Arc<str> {
    let hash = Uuid::new_v5(&NAMESPACE, identity.as_bytes()).simple().to_string();
    let hash: String = hash.chars().take(8).collect();
    let timeline = timeline.trim_start_matches('0');
    format!("{hash}.{timeline}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoch_differs_by_timeline_and_by_identity() {
        let epoch = name("00000001", "a b c");

        assert_eq!(epoch, name("00000001", "a b c"));
        assert_ne!(epoch, name("00000002", "a b c"));
        assert_ne!(epoch, name("00000001", "a b d"));
        assert!(epoch.ends_with(".1"), "{epoch}");
    }

    #[test]
    fn newest_epoch_is_remembered() {
        let seen = Epoch::default();
        seen.set(&"a.1".into());
        seen.set(&"a.2".into());
        assert_eq!(&*seen.get(), "a.2");
    }
}
