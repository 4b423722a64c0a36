//! Tickets that carry what they prove, under a seal that only the nodes of one deployment can make.
//!
//! So any node can take a ticket that another has given out. That it is taken once only is for
//! others to see to, by the number that each ticket has.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use parlor_protocol::id::{SessionId, UserId};
use parlor_protocol::time::Timestamp;
use rand::Rng as _;
use sha2::Sha256;
use uuid::Uuid;

use super::Ticket;

/// What the key is derived for; nothing else signs under it.
const PURPOSE: &[u8] = b"parlor websocket ticket 1";
/// User, login, two times and the number.
const BODY: usize = 16 + 16 + 8 + 8 + 16;
const SEAL: usize = 32;

/// Identifies one ticket among all.
pub(crate) type Number = u128;

/// Seals tickets and looks at seals.
pub(crate) struct Seal {
    key: Hmac<Sha256>,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seal").finish_non_exhaustive()
    }
}

impl Seal {
    /// Derives the key from the secret of the deployment.
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self { key: keyed(&derive(secret, PURPOSE)) }
    }

    /// Returns the code of a ticket. No two are the same.
    pub(crate) fn close(&self, ticket: &Ticket) -> String {
        let mut code = Vec::with_capacity(BODY + SEAL);
        code.extend_from_slice(ticket.user.0.as_bytes());
        code.extend_from_slice(ticket.session.0.as_bytes());
        code.extend_from_slice(&ticket.access_expires_at.as_millis().to_be_bytes());
        code.extend_from_slice(&ticket.expires_at.as_millis().to_be_bytes());
        code.extend_from_slice(&rand::rng().random::<Number>().to_be_bytes());
        let mut mac = self.key.clone();
        mac.update(&code);
        code.extend_from_slice(&mac.finalize().into_bytes());
        URL_SAFE_NO_PAD.encode(code)
    }

    /// Returns what a code proves, unless it was made or changed by someone else.
    pub(crate) fn open(&self, code: &str) -> Option<(Ticket, Number)> {
        let code: [u8; BODY + SEAL] = URL_SAFE_NO_PAD.decode(code).ok()?.try_into().ok()?;
        let (body, seal) = code.split_at(BODY);
        let mut mac = self.key.clone();
        mac.update(body);
        mac.verify_slice(seal).ok()?;
        let (user, rest) = body.split_first_chunk()?;
        let (session, rest) = rest.split_first_chunk()?;
        let (access_expires_at, rest) = rest.split_first_chunk()?;
        let (expires_at, rest) = rest.split_first_chunk()?;
        let (number, _) = rest.split_first_chunk()?;
        let time = |bytes: &[u8; 8]| Timestamp::from_millis(i64::from_be_bytes(*bytes));
        let ticket = Ticket {
            user: UserId(Uuid::from_bytes(*user)),
            session: SessionId(Uuid::from_bytes(*session)),
            access_expires_at: time(access_expires_at),
            expires_at: time(expires_at),
        };
        Some((ticket, Number::from_be_bytes(*number)))
    }
}

/// Returns a key for one purpose.
pub(crate) fn derive(secret: &[u8], purpose: &[u8]) -> [u8; 32] {
    let mut mac = keyed(secret);
    mac.update(purpose);
    mac.finalize().into_bytes().into()
}

pub(crate) fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket() -> Ticket {
        Ticket {
            user: UserId(Uuid::from_u128(1)),
            session: SessionId(Uuid::from_u128(2)),
            access_expires_at: Timestamp::from_millis(1_700_000_000_123),
            expires_at: Timestamp::from_millis(1_700_000_030_456),
        }
    }

    #[test]
    fn another_node_with_the_same_secret_opens_what_one_has_closed() {
        let code = Seal::new(&[7; 32]).close(&ticket());
        let other = Seal::new(&[7; 32]);
        let (opened, number) = other.open(&code).unwrap();
        assert_eq!(opened, ticket());
        let (_, another) = other.open(&other.close(&ticket())).unwrap();
        assert_ne!(number, another);
        assert!(code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
    }

    #[test]
    fn what_was_changed_or_made_elsewhere_does_not_open() {
        let seal = Seal::new(&[7; 32]);
        let code = seal.close(&ticket());
        assert_eq!(Seal::new(&[8; 32]).open(&code), None);
        for at in 0..code.len() - 1 {
            let mut changed = code.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(seal.open(std::str::from_utf8(&changed).unwrap()), None, "byte {at}");
        }
        for text in ["", "x", "====", &format!("A{code}"), &format!("{code}AA"), "\u{e4}"] {
            assert_eq!(seal.open(text), None);
        }
    }
}
