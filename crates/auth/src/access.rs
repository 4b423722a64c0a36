//! Access tokens: short-lived JWTs that say who calls and by which login.
//!
//! One algorithm, HS256, whatever a token's header says. The `kid` only chooses between the present
//! and the previous key. The time is passed in, so that tokens expire by the same clock that made
//! them. A verified token proves who it was made for; whether the login still stands is asked
//! elsewhere.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use parlor_protocol::id::{SessionId, UserId};
use parlor_protocol::user::ServerRole;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::key::{KeyTooShort, derive, mac};

#[cfg(test)]
mod tests;

const ISSUER: &str = "parlor";
const TYPE: &str = "at+jwt";
/// Longest token that is looked at. Ours have fewer than 600 bytes.
const TOKEN_MAX: usize = 2_048;
/// How far another node's clock may be ahead, in seconds (RFC 8725 leaves it to the application).
pub const CLOCK_LEEWAY: i64 = 30;

/// What an access token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Who calls.
    pub user: UserId,
    /// By which login.
    pub session: SessionId,
    /// The token's own id.
    pub id: Uuid,
    /// The role at the time of issue.
    pub role: ServerRole,
    /// When it was issued, in whole seconds.
    pub issued_at: Timestamp,
    /// From when on it is refused, in whole seconds.
    pub expires_at: Timestamp,
}

/// What a new access token shall say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewAccess {
    /// Who calls.
    pub user: UserId,
    /// By which login.
    pub session: SessionId,
    /// The user's role.
    pub role: ServerRole,
    /// The token's own id.
    pub id: Uuid,
}

/// Why an access token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccessRefused {
    /// It was ours; a new one can be had with the refresh token.
    #[error("the access token has expired")]
    Expired,
    /// It is not ours, or was changed. Deliberately without the reason.
    #[error("the access token is not valid")]
    Invalid,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: UserId,
    sid: SessionId,
    jti: Uuid,
    iat: i64,
    exp: i64,
    role: ServerRole,
}

/// Makes and checks access tokens.
#[derive(Clone)]
pub struct AccessTokens {
    current: Key,
    previous: Option<Key>,
    validation: Validation,
}

#[derive(Clone)]
struct Key {
    id: String,
    sign: EncodingKey,
    verify: DecodingKey,
}

impl AccessTokens {
    /// Creates the maker for a secret key. Tokens of the previous key are still accepted, so that a
    /// key can be changed without logging everyone out.
    pub fn new(current: &[u8], previous: Option<&[u8]>) -> Result<Self, KeyTooShort> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[ISSUER]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "sub", "iss", "aud"]);
        // Checked here, against the time that was passed in.
        validation.validate_exp = false;
        let previous = previous.map(Key::new).transpose()?;
        Ok(Self { current: Key::new(current)?, previous, validation })
    }

    /// Returns a token with a life of `life` from `now`, and what it says.
    pub fn issue(&self, new: NewAccess, now: Timestamp, life: Duration) -> (String, Access) {
        let iat = now.as_second();
        let life = i64::try_from(life.as_secs()).unwrap_or(i64::MAX);
        let exp = iat.saturating_add(life).min(Timestamp::MAX.as_second());
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: ISSUER.to_owned(),
            sub: new.user,
            sid: new.session,
            jti: new.id,
            iat,
            exp,
            role: new.role,
        };
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(self.current.id.clone());
        let token = jsonwebtoken::encode(&header, &claims, &self.current.sign)
            .expect("claims of strings and numbers serialize, and HMAC cannot fail");
        (token, Access::try_from(claims).expect("times came from timestamps"))
    }

    /// Checks a token.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Access, AccessRefused> {
        if token.len() > TOKEN_MAX {
            return Err(AccessRefused::Invalid);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| AccessRefused::Invalid)?;
        let known_form = header.typ.as_deref() == Some(TYPE) && header.crit.is_none();
        let key = self.key(header.kid.as_deref()).filter(|_| known_form);
        let key = key.ok_or(AccessRefused::Invalid)?;
        let claims = jsonwebtoken::decode::<Claims>(token, &key.verify, &self.validation)
            .map_err(|_| AccessRefused::Invalid)?
            .claims;
        let access = Access::try_from(claims)?;
        if access.issued_at.as_second() > now.as_second().saturating_add(CLOCK_LEEWAY) {
            return Err(AccessRefused::Invalid);
        }
        if now >= access.expires_at { Err(AccessRefused::Expired) } else { Ok(access) }
    }

    fn key(&self, id: Option<&str>) -> Option<&Key> {
        let id = id?;
        [Some(&self.current), self.previous.as_ref()].into_iter().flatten().find(|key| key.id == id)
    }
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokens")
            .field("current", &self.current.id)
            .field("previous", &self.previous.as_ref().map(|key| &key.id))
            .finish_non_exhaustive()
    }
}

impl Key {
    fn new(secret: &[u8]) -> Result<Self, KeyTooShort> {
        let key = derive(secret, "parlor access token")?;
        let id: Vec<u8> = mac(&key, b"key id").into_iter().take(8).collect();
        Ok(Self {
            id: URL_SAFE_NO_PAD.encode(id),
            sign: EncodingKey::from_secret(&key),
            verify: DecodingKey::from_secret(&key),
        })
    }
}

impl TryFrom<Claims> for Access {
    type Error = AccessRefused;

    fn try_from(claims: Claims) -> Result<Self, Self::Error> {
        let time = |seconds| Timestamp::from_second(seconds).map_err(|_| AccessRefused::Invalid);
        Ok(Self {
            user: claims.sub,
            session: claims.sid,
            id: claims.jti,
            role: claims.role,
            issued_at: time(claims.iat)?,
            expires_at: time(claims.exp)?,
        })
    }
}
