//! Addresses of files that work for a short time, for whoever has them. Each says for whom it was
//! signed, so that it ends when that user may no longer have the file.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use uuid::Uuid;

use crate::key::{KeyTooShort, derive, mac};
use crate::ticket::same;

/// Signs addresses of files and checks the signatures.
#[derive(Clone)]
pub struct FileAddresses {
    key: [u8; 32],
}

/// Why an address does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressRefused {
    /// It did.
    #[error("the address has expired")]
    Expired,
    /// It never did.
    #[error("the address is not signed")]
    Invalid,
}

impl FileAddresses {
    /// Creates the signer for a secret key.
    pub fn new(secret: &[u8]) -> Result<Self, KeyTooShort> {
        Ok(Self { key: derive(secret, "parlor file address")? })
    }

    /// Returns the signature of a file's address that was made for a user and works before a second
    /// of the Unix epoch.
    pub fn sign(&self, file: Uuid, user: Uuid, expires: i64) -> String {
        let mut message = [*file.as_bytes(), *user.as_bytes()].concat();
        message.extend(expires.to_be_bytes());
        URL_SAFE_NO_PAD.encode(mac(&self.key, &message))
    }

    /// Checks a signature.
    pub fn verify(
        &self,
        file: Uuid,
        user: Uuid,
        expires: i64,
        signature: &str,
        now: Timestamp,
    ) -> Result<(), AddressRefused> {
        if !same(&self.sign(file, user, expires), signature) {
            return Err(AddressRefused::Invalid);
        }
        if now.as_second() >= expires { Err(AddressRefused::Expired) } else { Ok(()) }
    }
}

impl fmt::Debug for FileAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileAddresses").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"a secret of exactly 32 bytes....";

    fn at(second: i64) -> Timestamp {
        Timestamp::constant(second, 0)
    }

    #[test]
    fn address_works_for_one_file_and_one_user_until_its_end() {
        let addresses = FileAddresses::new(SECRET).unwrap();
        let (file, user, other) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let signature = addresses.sign(file, user, 1_000);
        let verify = |file, user, expires, signature: &str, now| {
            addresses.verify(file, user, expires, signature, at(now))
        };
        assert_eq!(verify(file, user, 1_000, &signature, 999), Ok(()));
        let expired = Err(AddressRefused::Expired);
        assert_eq!(verify(file, user, 1_000, &signature, 1_000), expired);
        let invalid = Err(AddressRefused::Invalid);
        assert_eq!(verify(other, user, 1_000, &signature, 0), invalid);
        assert_eq!(verify(file, other, 1_000, &signature, 0), invalid);
        assert_eq!(verify(user, file, 1_000, &signature, 0), invalid);
        assert_eq!(verify(file, user, 1_001, &signature, 0), invalid);
        assert_eq!(verify(file, user, 1_000, "", 0), invalid);
    }

    #[test]
    fn other_secrets_sign_otherwise() {
        let (others, nil) =
            (FileAddresses::new(b"another secret, also of 32 bytes").unwrap(), Uuid::nil());
        let signature = others.sign(nil, nil, 9);
        let addresses = FileAddresses::new(SECRET).unwrap();
        let refused = addresses.verify(nil, nil, 9, &signature, at(0));
        assert_eq!(refused, Err(AddressRefused::Invalid));
        assert_eq!(format!("{addresses:?}"), "FileAddresses { .. }");
    }
}
