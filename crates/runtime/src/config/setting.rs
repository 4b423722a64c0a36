//! How the value of one key is read from text or TOML, and shown again.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use super::duration::{duration_text, parse_duration};
use crate::secret::{REDACTED, Secret};

/// A type that a key can have.
///
/// The error of the two readers is a sentence fragment that says what is allowed. It never holds
/// the value, which may be a secret.
pub trait Setting: Sized {
    /// True when the value must not be shown.
    const SECRET: bool = false;

    /// Returns the type's name for the documentation.
    fn kind() -> String;

    /// Reads the value from a variable or a flag.
    fn from_text(text: &str) -> Result<Self, String>;

    /// Reads the value from the settings file.
    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        match value {
            toml::Value::String(text) => Self::from_text(text),
            // What an empty text is told is true here as well.
            _ => Err(Self::from_text("").err().unwrap_or_else(|| "must be a string".to_owned())),
        }
    }

    /// Returns the value as the settings file would hold it; nothing when it is not set.
    fn to_toml(&self) -> Option<toml::Value>;
}

impl Setting for bool {
    fn kind() -> String {
        "true or false".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err("must be true or false".to_owned()),
        }
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| "must be true or false".to_owned())
    }

    fn to_toml(&self) -> Option<toml::Value> {
        Some((*self).into())
    }
}

macro_rules! whole_number {
    ($($number:ty),+) => {$(
        impl Setting for $number {
            fn kind() -> String {
                "number".to_owned()
            }

            fn from_text(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| format!("must be a whole number up to {}", Self::MAX))
            }

            fn from_toml(value: &toml::Value) -> Result<Self, String> {
                value
                    .as_integer()
                    .and_then(|number| Self::try_from(number).ok())
                    .ok_or_else(|| format!("must be a whole number up to {}", Self::MAX))
            }

            fn to_toml(&self) -> Option<toml::Value> {
                i64::try_from(*self).ok().map(toml::Value::from)
            }
        }
    )+};
}

whole_number!(u32, usize);

impl Setting for f32 {
    fn kind() -> String {
        "decimal number".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "must be a number such as 0.7".to_owned())
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        match value {
            toml::Value::Float(_) | toml::Value::Integer(_) => Self::from_text(&value.to_string()),
            _ => Err("must be a number such as 0.7".to_owned()),
        }
    }

    fn to_toml(&self) -> Option<toml::Value> {
        // Through text, because widening 0.7 shows as 0.699999988079071.
        self.to_string().parse::<f64>().ok().map(toml::Value::from)
    }
}

impl Setting for String {
    fn kind() -> String {
        "text".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn to_toml(&self) -> Option<toml::Value> {
        Some(self.as_str().into())
    }
}

impl Setting for Secret<String> {
    const SECRET: bool = true;

    fn kind() -> String {
        "secret".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(Self::from(text))
    }

    fn to_toml(&self) -> Option<toml::Value> {
        Some(REDACTED.into())
    }
}

impl Setting for PathBuf {
    fn kind() -> String {
        "path".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("must be a path".to_owned()) } else { Ok(text.into()) }
    }

    fn to_toml(&self) -> Option<toml::Value> {
        Some(self.to_string_lossy().into_owned().into())
    }
}

impl Setting for Duration {
    fn kind() -> String {
        "duration".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        parse_duration(text)
            .ok_or_else(|| "must be a duration with its unit, such as 500ms, 30s or 15m".to_owned())
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        match value {
            toml::Value::String(text) => Self::from_text(text),
            toml::Value::Integer(0) => Ok(Self::ZERO),
            _ => Err("must be a string with a unit, such as \"30s\"".to_owned()),
        }
    }

    fn to_toml(&self) -> Option<toml::Value> {
        Some(duration_text(*self).into())
    }
}

/// `HOST:PORT`, where the host is an address, `localhost`, or left out for all interfaces.
impl Setting for SocketAddr {
    fn kind() -> String {
        "address and port".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        let numeric = match text.rsplit_once(':') {
            Some(("", port)) => format!("0.0.0.0:{port}"),
            Some(("localhost", port)) => format!("127.0.0.1:{port}"),
            _ => text.to_owned(),
        };
        numeric.parse().map_err(|_| {
            "must be an address and a port, such as 127.0.0.1:7777, [::1]:7777, localhost:7777 \
             or :7777 for all interfaces"
                .to_owned()
        })
    }

    fn to_toml(&self) -> Option<toml::Value> {
        Some(self.to_string().into())
    }
}

/// An address range, or one address.
impl Setting for IpNet {
    fn kind() -> String {
        "address range".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        let one = |_| text.parse::<IpAddr>().map(Self::from);
        text.parse().or_else(one).map_err(|_| {
            "must be addresses or ranges such as 10.0.0.0/8, 192.0.2.7 or fd00::/8".to_owned()
        })
    }

    fn to_toml(&self) -> Option<toml::Value> {
        Some(self.to_string().into())
    }
}

/// A web address of a server: http or https, with a host, without credentials.
impl Setting for Url {
    fn kind() -> String {
        "web address".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        let wrong = || "must be a web address such as https://chat.example.com".to_owned();
        let url = Self::parse(text).map_err(|_| wrong())?;
        let web = matches!(url.scheme(), "http" | "https") && url.has_host();
        if !web {
            return Err(wrong());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not hold a user name or password".to_owned());
        }
        Ok(url)
    }

    fn to_toml(&self) -> Option<toml::Value> {
        Some(self.as_str().into())
    }
}

impl<T: Setting> Setting for Option<T> {
    const SECRET: bool = T::SECRET;

    fn kind() -> String {
        T::kind()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        T::from_text(text).map(Some)
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        T::from_toml(value).map(Some)
    }

    fn to_toml(&self) -> Option<toml::Value> {
        self.as_ref().and_then(T::to_toml)
    }
}

/// A list: an array in the file, separated by commas in variables and flags.
impl<T: Setting> Setting for Vec<T> {
    const SECRET: bool = T::SECRET;

    fn kind() -> String {
        format!("list of {}", T::kind())
    }

    fn from_text(text: &str) -> Result<Self, String> {
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(T::from_text).collect()
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        match value {
            toml::Value::Array(items) => items.iter().map(T::from_toml).collect(),
            _ => Err(format!("must be a list, such as [\"…\"]: {}", Self::kind())),
        }
    }

    fn to_toml(&self) -> Option<toml::Value> {
        Some(toml::Value::Array(self.iter().filter_map(T::to_toml).collect()))
    }
}

/// Implements [`Setting`] for an enum whose values are single words.
macro_rules! words {
    ($type:ty { $($word:literal => $variant:ident),+ $(,)? }) => {
        impl $crate::config::setting::Setting for $type {
            fn kind() -> String {
                [$($word),+].join(" | ")
            }

            fn from_text(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(format!("must be one of {}", [$($word),+].join(", "))),
                }
            }

            fn to_toml(&self) -> Option<toml::Value> {
                let word = match self {
                    $(Self::$variant => $word,)+
                };
                Some(word.into())
            }
        }
    };
}

pub(super) use words;
