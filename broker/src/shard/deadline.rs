//! When a connection must be looked at next, and what is due then. No clock and no socket: only
//! times.

use std::time::Duration;

use parlor_protocol::close::CloseCode;
use parlor_runtime::config::LimitsConfig;
use tokio::time::Instant;

/// What is known of a connection's time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    pub(super) opened_at: Instant,
    /// When the proof of who it is expires; `None` while nobody has said who is there.
    pub(super) expires_at: Option<Instant>,
    pub(super) heard_at: Instant,
    pub(super) pinged_at: Option<Instant>,
    /// Since when the socket takes nothing.
    pub(super) blocked_since: Option<Instant>,
}

/// How long is waited for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) hello: Duration,
    pub(super) write: Duration,
    pub(super) idle: Duration,
    pub(super) heartbeat: Duration,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing before this time.
    At(Instant),
    /// A ping.
    Ping,
    /// The end.
    Close(CloseCode),
}

impl From<&LimitsConfig> for Patience {
    fn from(limits: &LimitsConfig) -> Self {
        Self {
            hello: limits.hello_timeout,
            write: limits.write_timeout,
            idle: limits.idle_timeout,
            heartbeat: limits.heartbeat,
        }
    }
}

/// Tells what is due. Where several things are, the end comes before the ping, and the reason that
/// the client can do most about comes first.
pub(super) fn due(life: &Life, patience: &Patience, now: Instant) -> Due {
    let Some(expires_at) = life.expires_at else {
        let hello = life.opened_at + patience.hello;
        return if hello <= now { Due::Close(CloseCode::HeartbeatTimeout) } else { Due::At(hello) };
    };
    let stalled = life.blocked_since.map(|since| since + patience.write);
    let idle = life.heard_at + patience.idle;
    let spoke_at = life.pinged_at.map_or(life.heard_at, |pinged| pinged.max(life.heard_at));
    let ping = spoke_at + patience.heartbeat;
    if expires_at <= now {
        Due::Close(CloseCode::TokenExpired)
    } else if stalled.is_some_and(|stalled| stalled <= now) {
        Due::Close(CloseCode::SlowConsumer)
    } else if idle <= now {
        Due::Close(CloseCode::HeartbeatTimeout)
    } else if ping <= now {
        Due::Ping
    } else {
        Due::At(
            [Some(expires_at), stalled, Some(idle), Some(ping)]
                .into_iter()
                .flatten()
                .min()
                .unwrap_or(now),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        hello: Duration::from_secs(10),
        write: Duration::from_secs(15),
        idle: Duration::from_mins(1),
        heartbeat: Duration::from_secs(25),
    };

    fn secs(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn life(start: Instant) -> Life {
        Life {
            opened_at: start,
            expires_at: Some(start + secs(1_000)),
            heard_at: start,
            pinged_at: None,
            blocked_since: None,
        }
    }

    #[test]
    fn whoever_does_not_say_hello_is_closed_and_never_pinged() {
        let start = Instant::now();
        let silent = Life { expires_at: None, ..life(start) };
        assert_eq!(due(&silent, &PATIENCE, start), Due::At(start + secs(10)));
        let end = Due::Close(CloseCode::HeartbeatTimeout);
        assert_eq!(due(&silent, &PATIENCE, start + secs(10)), end);
    }

    #[test]
    fn silence_is_pinged_once_a_heartbeat_and_ends() {
        let start = Instant::now();
        let mut life = life(start);
        assert_eq!(due(&life, &PATIENCE, start), Due::At(start + secs(25)));
        assert_eq!(due(&life, &PATIENCE, start + secs(25)), Due::Ping);
        life.pinged_at = Some(start + secs(25));
        assert_eq!(due(&life, &PATIENCE, start + secs(25)), Due::At(start + secs(50)));
        life.pinged_at = Some(start + secs(50));
        let end = start + secs(60);
        assert_eq!(due(&life, &PATIENCE, start + secs(50)), Due::At(end), "before the next ping");
        assert_eq!(due(&life, &PATIENCE, end), Due::Close(CloseCode::HeartbeatTimeout));
    }

    #[test]
    fn whoever_was_heard_is_left_in_peace() {
        let start = Instant::now();
        let heard = Life { heard_at: start + secs(20), ..life(start) };
        assert_eq!(due(&heard, &PATIENCE, start + secs(25)), Due::At(start + secs(45)));
    }

    #[test]
    fn stalled_reader_and_expired_proof_end_before_silence_does() {
        let start = Instant::now();
        let stalled = Life { blocked_since: Some(start + secs(2)), ..life(start) };
        assert_eq!(due(&stalled, &PATIENCE, start + secs(3)), Due::At(start + secs(17)));
        let now = start + secs(100);
        assert_eq!(due(&stalled, &PATIENCE, now), Due::Close(CloseCode::SlowConsumer));
        let expired = Life { expires_at: Some(start + secs(90)), ..stalled };
        assert_eq!(due(&expired, &PATIENCE, now), Due::Close(CloseCode::TokenExpired));
    }
}
