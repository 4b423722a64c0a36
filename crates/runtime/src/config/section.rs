//! One table for each section: its fields, their types, defaults, other names and documentation.
//!
//! `section!` makes from one declaration the struct that the program uses, its defaults, and the
//! list of [`Key`]s from which files are read, problems told and documentation written. So a key
//! cannot exist without its sentence.

use super::setting::Setting;

/// Another name under which a key can be set, because people know it from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alias {
    /// The variable's name.
    pub variable: &'static str,
    /// The unit that its plain number has.
    pub unit: Option<&'static str>,
}

/// What is known about one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The section, such as `server`.
    pub section: &'static str,
    /// The name in the section, such as `listen`.
    pub name: &'static str,
    /// The type, in words.
    pub kind: String,
    /// What it is for, in one or more sentences.
    pub doc: String,
    /// The default as TOML; nothing when it is not set.
    pub default: Option<String>,
    /// True when the value is never shown, and can be read from a file named by `…_FILE`.
    pub secret: bool,
    /// Well-known variables that set it as well.
    pub aliases: &'static [Alias],
}

impl Key {
    /// Returns the name in the settings file, such as `server.listen`.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// Returns the variable that sets it, such as `PARLOR_SERVER__LISTEN`.
    pub fn variable(&self) -> String {
        format!("PARLOR_{}__{}", self.section, self.name).to_ascii_uppercase()
    }
}

/// A raw value of one layer.
#[derive(Debug, Clone, Copy)]
pub enum Raw<'a> {
    /// From a variable, a flag or a secret's file.
    Text(&'a str),
    /// From the settings file.
    Toml(&'a toml::Value),
}

impl Raw<'_> {
    /// Reads the value as `T`.
    pub(super) fn read<T: Setting>(self) -> Result<T, String> {
        match self {
            // A secret may begin or end with a space.
            Self::Text(text) if T::SECRET => T::from_text(text),
            Self::Text(text) => T::from_text(text.trim()),
            Self::Toml(value) => T::from_toml(value),
        }
    }
}

/// A part of the settings.
pub trait Section {
    /// Returns its keys in the order of their declaration.
    fn keys(&self) -> Vec<Key>;

    /// Reads and sets one key; the error says what is allowed. An unknown key changes nothing.
    fn set(&mut self, key: &str, raw: Raw<'_>) -> Result<(), String>;

    /// Returns the present value for printing, with secrets hidden.
    fn show(&self, key: &str) -> Option<toml::Value>;
}

/// Declares one section.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $section:ident: $type:ident {
            $(
                $(#[doc = $doc:literal])+
                $key:ident: $kind:ty = $default:expr
                    $(, shown $shown:literal)?
                    $(, also $alias:literal $(in $unit:literal)?)*
                    $(, where $check:expr => $allowed:literal)?
                    ;
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq)]
        pub struct $type {
            $( $(#[doc = $doc])+ pub $key: $kind, )+
        }

        impl Default for $type {
            fn default() -> Self {
                Self { $( $key: $default, )+ }
            }
        }

        impl $crate::config::section::Section for $type {
            fn keys(&self) -> Vec<$crate::config::section::Key> {
                use $crate::config::section::Key;
                use $crate::config::setting::Setting;
                let defaults = Self::default();
                vec![ $( Key {
                    section: stringify!($section),
                    name: stringify!($key),
                    kind: <$kind as Setting>::kind(),
                    doc: [$($doc),+].map(str::trim).join(" "),
                    default: $crate::config::section::shown!(defaults.$key $(, $shown)?),
                    secret: <$kind as Setting>::SECRET,
                    aliases: &[ $( $crate::config::section::Alias {
                        variable: $alias,
                        unit: $crate::config::section::unit!($($unit)?),
                    }, )* ],
                }, )+ ]
            }

            fn set(
                &mut self,
                key: &str,
                raw: $crate::config::section::Raw<'_>,
            ) -> Result<(), String> {
                match key {
                    $( stringify!($key) => {
                        let value: $kind = raw.read()?;
                        $( {
                            let allowed: fn(&$kind) -> bool = $check;
                            if !allowed(&value) {
                                return Err($allowed.to_owned());
                            }
                        } )?
                        self.$key = value;
                    } )+
                    _ => {}
                }
                Ok(())
            }

            fn show(&self, key: &str) -> Option<toml::Value> {
                use $crate::config::setting::Setting;
                match key {
                    $( stringify!($key) => self.$key.to_toml(), )+
                    _ => None,
                }
            }
        }
    };
}

/// Returns the default for the documentation: what was said there, else the value.
macro_rules! shown {
    ($value:expr) => {
        $value.to_toml().map(|value| value.to_string())
    };
    ($value:expr, $shown:literal) => {
        Some($shown.to_owned())
    };
}

/// Turns an optional unit into an `Option`.
macro_rules! unit {
    () => {
        None
    };
    ($unit:literal) => {
        Some($unit)
    };
}

pub(super) use {section, shown, unit};
