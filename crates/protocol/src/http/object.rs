//! Fields that are objects, and nothing else.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Reads an object or nothing. serde by itself would also take an array, as the fields in their
/// order, which no schema says.
pub(super) fn optional<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::<Object<T>>::deserialize(deserializer)?.map(|object| object.0))
}

struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OnlyMap(PhantomData))
    }
}

struct OnlyMap<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OnlyMap<T> {
    type Value = Object<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

#[cfg(test)]
mod tests {
    use crate::http::{PatchRoomRequest, PutMemberRequest};

    #[test]
    fn array_is_no_object() {
        for body in [r#"{"mute":[null]}"#, r#"{"ban":[]}"#, r#"{"ban":"2026"}"#] {
            assert!(serde_json::from_str::<PutMemberRequest>(body).is_err(), "{body}");
        }
        let settings = r#"{"settings":[null,null]}"#;
        assert!(serde_json::from_str::<PatchRoomRequest>(settings).is_err());
    }

    #[test]
    fn object_and_nothing_are_read() {
        let body = r#"{"mute":{},"ban":null}"#;
        let read: PutMemberRequest = serde_json::from_str(body).unwrap();
        assert!(read.mute.is_some() && read.ban.is_none());
        let read: PatchRoomRequest = serde_json::from_str(r#"{"settings":{}}"#).unwrap();
        assert!(read.settings.is_some());
    }
}
