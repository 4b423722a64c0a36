//! Signatures of what is posted to other programs.
//!
//! No signing secret is stored: each is derived from the secret of the installation and a salt, so
//! whoever reads the database cannot sign. Two forms are sent: one like that of well-known payment
//! services, and that of the Standard Webhooks specification, for which libraries exist.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::key::{KeyTooShort, derive, mac};

/// Derives signing secrets.
#[derive(Clone)]
pub struct SigningKeys {
    key: [u8; 32],
}

/// The secret that deliveries to one address are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret([u8; 32]);

/// The headers that prove a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// `Parlor-Signature`.
    pub parlor: String,
    /// `webhook-signature`.
    pub standard: String,
}

impl SigningKeys {
    /// Creates the keys for the secret of an installation.
    pub fn new(secret: &[u8]) -> Result<Self, KeyTooShort> {
        Ok(Self { key: derive(secret, "parlor webhook signing")? })
    }

    /// Returns the secret that belongs to a salt.
    pub fn secret(&self, salt: &[u8; 16]) -> SigningSecret {
        SigningSecret(mac(&self.key, salt))
    }
}

impl SigningSecret {
    /// Returns the secret as its receiver gets it.
    pub fn show(&self) -> String {
        format!("whsec_{}", STANDARD.encode(self.0))
    }

    /// Signs a delivery with its id and its time in seconds.
    pub fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> Signature {
        let signed = |head: String| mac(&self.0, &[head.as_bytes(), body].concat());
        let hex = |bytes: [u8; 32]| -> String {
            let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
            bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
        };
        Signature {
            parlor: format!("t={seconds},v1={}", hex(signed(format!("{seconds}.")))),
            standard: format!("v1,{}", STANDARD.encode(signed(format!("{id}.{seconds}.")))),
        }
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKeys").finish_non_exhaustive()
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningSecret").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_is_that_of_the_specification() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAAAAAAAAAAA=").unwrap();
        let secret = SigningSecret(secret.try_into().unwrap());
        let signature = secret.sign("msg_1", 1_614_265_330, b"{\"test\": 2432232314}");
        let content = b"msg_1.1614265330.{\"test\": 2432232314}";
        assert_eq!(signature.standard, format!("v1,{}", STANDARD.encode(mac(&secret.0, content))));
        assert!(signature.parlor.starts_with("t=1614265330,v1="));
        assert_eq!(signature.parlor.len(), "t=1614265330,v1=".len() + 64);
    }

    #[test]
    fn secrets_differ_by_salt_and_installation_and_do_not_show_themselves() {
        let keys = SigningKeys::new(&[1; 32]).unwrap();
        let others = SigningKeys::new(&[2; 32]).unwrap();
        assert_eq!(keys.secret(&[1; 16]), keys.secret(&[1; 16]));
        assert_ne!(keys.secret(&[1; 16]), keys.secret(&[2; 16]));
        assert_ne!(keys.secret(&[1; 16]), others.secret(&[1; 16]));
        let secret = keys.secret(&[1; 16]);
        assert!(!format!("{keys:?} {secret:?}").contains(&secret.show()));
    }
}
