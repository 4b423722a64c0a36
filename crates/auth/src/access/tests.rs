use serde_json::{Value, json};

use super::*;

const SECRET: &[u8] = b"a secret of exactly 32 bytes....";
const OTHER: &[u8] = b"another secret, also of 32 bytes";
const LIFE: Duration = Duration::from_mins(15);

fn now() -> Timestamp {
    Timestamp::constant(1_767_225_600, 500_000_000)
}

fn tokens() -> AccessTokens {
    AccessTokens::new(SECRET, None).unwrap()
}

fn issue(tokens: &AccessTokens) -> (String, Access) {
    let new = NewAccess {
        user: UserId(Uuid::from_u128(1)),
        session: SessionId(Uuid::from_u128(2)),
        role: ServerRole::Admin,
        id: Uuid::from_u128(3),
    };
    tokens.issue(new, now(), LIFE)
}

/// Signs any header and claims with our real key, as only a thief of the key could.
fn forge(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = mac(&derive(SECRET, "parlor access token").unwrap(), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn good_header() -> Value {
    json!({"typ": "at+jwt", "alg": "HS256", "kid": tokens().current.id})
}

fn good_claims() -> Value {
    json!({
        "iss": "parlor", "aud": "parlor", "role": "user", "iat": now().as_second(),
        "sub": Uuid::from_u128(1), "sid": Uuid::from_u128(2), "jti": Uuid::from_u128(3),
        "exp": now().as_second() + 60,
    })
}

fn with(mut object: Value, key: &str, value: Value) -> Value {
    object[key] = value;
    object
}

#[test]
fn token_says_who_it_was_made_for() {
    let (token, issued) = issue(&tokens());

    assert_eq!(tokens().verify(&token, now()), Ok(issued.clone()));
    assert_eq!(issued.user, UserId(Uuid::from_u128(1)));
    assert_eq!(issued.session, SessionId(Uuid::from_u128(2)));
    assert_eq!(issued.role, ServerRole::Admin);
}

#[test]
fn token_expires_at_the_second_it_says() {
    let (token, issued) = issue(&tokens());
    let last = issued.expires_at - jiff::SignedDuration::from_millis(1);

    assert!(tokens().verify(&token, last).is_ok());
    assert_eq!(tokens().verify(&token, issued.expires_at), Err(AccessRefused::Expired));
}

#[test]
fn token_from_a_clock_ahead_is_accepted_within_the_leeway() {
    let (token, issued) = issue(&tokens());
    let behind = |seconds| issued.issued_at - jiff::SignedDuration::from_secs(seconds);

    assert!(tokens().verify(&token, behind(30)).is_ok());
    assert_eq!(tokens().verify(&token, behind(31)), Err(AccessRefused::Invalid));
}

#[test]
fn tokens_of_the_previous_key_outlive_a_change_of_keys() {
    let (old, _) = issue(&tokens());
    let changed = AccessTokens::new(OTHER, Some(SECRET)).unwrap();
    let (new, _) = issue(&changed);

    assert!(changed.verify(&old, now()).is_ok());
    assert!(changed.verify(&new, now()).is_ok());
    assert_eq!(tokens().verify(&new, now()), Err(AccessRefused::Invalid));
    let forgotten = AccessTokens::new(OTHER, None).unwrap();
    assert_eq!(forgotten.verify(&old, now()), Err(AccessRefused::Invalid));
}

#[test]
fn forged_token_with_the_right_key_is_good() {
    assert!(tokens().verify(&forge(&good_header(), &good_claims()), now()).is_ok());
}

#[test]
fn every_other_header_is_refused() {
    let other = AccessTokens::new(OTHER, None).unwrap();
    for (key, value) in [
        ("alg", json!("none")),
        ("alg", json!("None")),
        ("alg", json!("HS384")),
        ("alg", json!("RS256")),
        ("alg", json!("EdDSA")),
        ("typ", json!("JWT")),
        ("typ", json!(null)),
        ("kid", json!(null)),
        ("kid", json!("")),
        ("kid", json!("../../etc/passwd")),
        ("kid", json!(other.current.id)),
        ("crit", json!(["exp"])),
    ] {
        let token = forge(&with(good_header(), key, value.clone()), &good_claims());

        assert_eq!(tokens().verify(&token, now()), Err(AccessRefused::Invalid), "{key}: {value}");
    }
}

#[test]
fn every_other_claim_is_refused() {
    for (key, value) in [
        ("iss", json!("other")),
        ("aud", json!("other")),
        ("aud", json!([])),
        ("sub", json!("ada")),
        ("sub", json!(1)),
        ("sid", json!("")),
        ("jti", json!("x")),
        ("exp", json!("never")),
        ("exp", json!(i64::MAX)),
        ("exp", json!(1.5e300)),
        ("iat", json!(i64::MIN)),
        ("role", json!("owner")),
    ] {
        let token = forge(&good_header(), &with(good_claims(), key, value.clone()));

        assert_eq!(tokens().verify(&token, now()), Err(AccessRefused::Invalid), "{key}: {value}");
    }
}

#[test]
fn every_claim_is_required() {
    for key in ["iss", "aud", "sub", "sid", "jti", "iat", "exp", "role"] {
        let mut claims = good_claims();
        claims.as_object_mut().unwrap().remove(key);

        let refused = tokens().verify(&forge(&good_header(), &claims), now());

        assert_eq!(refused, Err(AccessRefused::Invalid), "without {key}");
    }
}

#[test]
fn unsigned_and_wrongly_signed_tokens_are_refused() {
    let (good, _) = issue(&tokens());
    let parts: Vec<_> = good.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("a JWT has three parts") };
    let (other, _) = issue(&AccessTokens::new(OTHER, None).unwrap());
    let (_, other_signature) = other.rsplit_once('.').unwrap();
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#);

    for token in [
        String::new(),
        "..".to_owned(),
        format!("{header}.{claims}"),
        format!("{header}.{claims}."),
        format!("{none}.{claims}."),
        format!("{none}.{claims}.{signature}"),
        format!("{header}.{claims}.{other_signature}"),
        format!("{good}x"),
        format!("{good}.{signature}"),
        format!("{good}{}", "x".repeat(TOKEN_MAX)),
    ] {
        assert_eq!(tokens().verify(&token, now()), Err(AccessRefused::Invalid), "{token}");
    }
}

#[test]
fn no_single_changed_character_goes_unnoticed() {
    let (good, _) = issue(&tokens());
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        // The last character of a part may hold unused bits, which the decoder refuses to ignore.
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();

        assert_eq!(tokens().verify(&changed, now()), Err(AccessRefused::Invalid), "at {at}");
    }
}

#[test]
fn short_keys_are_refused_and_never_shown() {
    assert_eq!(AccessTokens::new(&[7; 31], None).err(), Some(KeyTooShort));
    assert_eq!(AccessTokens::new(SECRET, Some(&[7; 31])).err(), Some(KeyTooShort));

    let shown = format!("{:?}", tokens());
    assert!(!shown.contains("exactly 32 bytes"), "{shown}");
}
