//! A web origin: scheme, host and port, as browsers send it.

use std::fmt;

use url::{Origin, Url};

use super::setting::Setting;

/// An origin in the form of the `Origin` header, such as `https://chat.example.com`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WebOrigin(String);

impl WebOrigin {
    /// Returns the origin as browsers write it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Setting for WebOrigin {
    fn kind() -> String {
        "origin".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Err(
                "must name each origin; * would let any page use a member's login".to_owned()
            );
        }
        let wrong =
            || "must be origins such as https://chat.example.com, without a path".to_owned();
        let url = Url::parse(text).map_err(|_| wrong())?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        match url.origin() {
            origin @ Origin::Tuple(..) if bare && matches!(url.scheme(), "http" | "https") => {
                Ok(Self(origin.ascii_serialization()))
            }
            _ => Err(wrong()),
        }
    }

    fn to_toml(&self) -> Option<toml::Value> {
        Some(self.0.as_str().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_kept_as_browsers_write_them() {
        for (text, origin) in [
            ("https://Chat.Example.com/", "https://chat.example.com"),
            ("https://chat.example.com:443", "https://chat.example.com"),
            ("http://localhost:5173", "http://localhost:5173"),
        ] {
            assert_eq!(WebOrigin::from_text(text).unwrap().as_str(), origin);
        }
        for text in ["*", "chat.example.com", "https://a.example/chat", "file:///", "null", ""] {
            assert!(WebOrigin::from_text(text).is_err(), "{text}");
        }
    }
}
