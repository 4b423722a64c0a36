//! What the commands of one connection work with.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use parlor_protocol::close::CloseCode;
use parlor_protocol::frame::{Frame, Welcome};
use tokio::time::Instant;

use crate::admission::Permit;
use crate::node::Caller;
use crate::rate::AddressKey;
use crate::shard::Shard;
use crate::shard::conn::{CloseReason, Conn};

/// How often a user's activity is noted.
const ACTIVE_EVERY: Duration = Duration::from_secs(30);

/// Work on a command, ending in a frame to answer with.
pub(super) type Work = Pin<Box<dyn Future<Output = Option<Frame>>>>;

/// One connection, as its commands see it.
pub(super) struct Context {
    pub(super) shard: Rc<Shard>,
    pub(super) conn: Rc<Conn>,
    pub(super) address: AddressKey,
    pub(super) places: Rc<Places>,
    pub(super) active_at: Option<Instant>,
    /// The client has said that nobody is in front of it.
    pub(super) idle: bool,
}

/// The places that a connection holds.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// While nobody has said who is there.
    pub(super) waiting: RefCell<Option<Permit>>,
    /// For the user.
    pub(super) user: RefCell<Option<Permit>>,
}

impl Context {
    /// Returns who the connection belongs to; commands come only after that is known.
    pub(super) fn caller(&self) -> Option<Caller> {
        self.conn.caller.borrow().clone()
    }

    pub(super) fn count(&self, kind: &str, outcome: &str) {
        self.shard.node.metrics.ws.commands.with_label_values(&[kind, outcome]).inc();
    }

    /// Tells presence now and then that the user does something, and at once when nobody seemed to
    /// be there.
    pub(super) fn note_activity(&mut self) {
        let now = Instant::now();
        let was_idle = std::mem::take(&mut self.idle);
        if !was_idle && self.active_at.is_some_and(|at| now.duration_since(at) < ACTIVE_EVERY) {
            return;
        }
        self.active_at = Some(now);
        let Some(caller) = self.caller() else { return };
        let node = Arc::clone(&self.shard.node);
        drop(tokio::task::spawn_local(async move {
            let user = caller.user.id;
            let transition = if was_idle {
                node.presence.set_idle(user, false, node.now()).await
            } else {
                node.presence.active(user, node.now()).await
            };
            node.announce_presence(transition, &caller.user);
        }));
    }
}

/// Makes a connection the user's: takes a place, welcomes, tells presence.
pub(super) async fn log_in(shard: &Rc<Shard>, conn: &Rc<Conn>, places: &Places, caller: Caller) {
    let node = &shard.node;
    match node.admission.log_in(caller.user.id) {
        Ok(permit) => {
            drop(places.user.replace(Some(permit)));
            drop(places.waiting.take());
        }
        Err(none) => {
            node.metrics.http.refused.with_label_values(&[none.reason()]).inc();
            conn.close(CloseReason::Contract(CloseCode::Overloaded));
            return;
        }
    }
    conn.send(&Frame::Welcome(Box::new(Welcome {
        session: caller.session,
        user: caller.user.clone(),
        node: node.name.clone(),
        heartbeat_ms: u64::try_from(node.config.limits.heartbeat.as_millis()).unwrap_or(u64::MAX),
        limits: node.limits(),
    })));
    let user = caller.user.clone();
    *conn.caller.borrow_mut() = Some(caller);
    // The login may have ended while this was under way; housekeeping would notice later.
    let session = conn.caller.borrow().as_ref().map(|caller| caller.session);
    if session.is_some_and(|session| node.revocations.is_revoked(session)) {
        conn.close(CloseReason::Contract(CloseCode::SessionRevoked));
    }
    let transition = node.presence.connected(user.id, node.now()).await;
    node.announce_presence(transition, &user);
}
