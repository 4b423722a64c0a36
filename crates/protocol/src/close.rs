//! WebSocket close codes. One rule: 4000–4499 reconnect and resume, 4500–4999 do not.

/// Why the server ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseCode {
    /// The node is going away; come back at the time told by `drain`.
    Draining,
    /// The client read too slowly.
    SlowConsumer,
    /// No heartbeat, or no `hello`, in time.
    HeartbeatTimeout,
    /// The node has too much to do.
    Overloaded,
    /// The access token expired and was not refreshed.
    TokenExpired,
    /// A frame could not be understood.
    BadFrame,
    /// Nobody proved who is there.
    Unauthenticated,
    /// Not allowed, or a foreign origin.
    Forbidden,
    /// The login was ended.
    SessionRevoked,
    /// A frame is larger than the limit.
    FrameTooLarge,
    /// Far too many frames.
    Flooding,
}

impl CloseCode {
    /// Every close code.
    pub const ALL: [Self; 11] = [
        Self::Draining,
        Self::SlowConsumer,
        Self::HeartbeatTimeout,
        Self::Overloaded,
        Self::TokenExpired,
        Self::BadFrame,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::SessionRevoked,
        Self::FrameTooLarge,
        Self::Flooding,
    ];

    /// Returns the number on the wire.
    pub const fn as_u16(self) -> u16 {
        match self {
            Self::Draining => 4000,
            Self::SlowConsumer => 4001,
            Self::HeartbeatTimeout => 4002,
            Self::Overloaded => 4003,
            Self::TokenExpired => 4004,
            Self::BadFrame => 4500,
            Self::Unauthenticated => 4501,
            Self::Forbidden => 4503,
            Self::SessionRevoked => 4509,
            Self::FrameTooLarge => 4513,
            Self::Flooding => 4529,
        }
    }

    /// Returns the reason as written into the close frame and the metric's label.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::SlowConsumer => "slow_consumer",
            Self::HeartbeatTimeout => "heartbeat_timeout",
            Self::Overloaded => "overloaded",
            Self::TokenExpired => "token_expired",
            Self::BadFrame => "bad_frame",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::SessionRevoked => "session_revoked",
            Self::FrameTooLarge => "frame_too_large",
            Self::Flooding => "flooding",
        }
    }
}

/// Tells whether a client should reconnect and resume after this close code.
///
/// Codes outside the application's range (a lost connection, a proxy's 1001 or 1006) count as
/// "reconnect".
pub const fn may_reconnect(code: u16) -> bool {
    !matches!(code, 4500..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_tell_who_may_come_back() {
        for close in CloseCode::ALL {
            assert_eq!(may_reconnect(close.as_u16()), close.as_u16() < 4500, "{close:?}");
        }
        assert!(may_reconnect(1006));
    }
}
