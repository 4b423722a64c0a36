//! Keys for single purposes, derived from the one secret of a deployment.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Fewest bytes of the secret: as many as the output of HMAC-SHA256 (RFC 7518, 3.2).
pub(crate) const SECRET_MIN: usize = 32;

/// The secret key is too short to sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret key must have at least {SECRET_MIN} bytes")]
pub struct KeyTooShort;

/// Derives the key for one purpose, so that what one token shows cannot be used for another.
pub(crate) fn derive(secret: &[u8], purpose: &str) -> Result<[u8; 32], KeyTooShort> {
    if secret.len() < SECRET_MIN { Err(KeyTooShort) } else { Ok(mac(secret, purpose.as_bytes())) }
}

/// Returns a text by which two nodes can tell whether they have the same secret. It says nothing
/// about the secret to whoever does not have it.
pub fn fingerprint(secret: &[u8]) -> Result<String, KeyTooShort> {
    Ok(URL_SAFE_NO_PAD.encode(derive(secret, "parlor secret fingerprint")?))
}

/// Returns the HMAC-SHA256 of `message`.
pub(crate) fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprint_tells_secrets_apart() {
        let one = [1; SECRET_MIN];

        assert_eq!(fingerprint(&one), fingerprint(&one));
        assert_ne!(fingerprint(&one), fingerprint(&[2; SECRET_MIN]));
        assert_eq!(fingerprint(&one[1..]), Err(KeyTooShort));
    }
}
