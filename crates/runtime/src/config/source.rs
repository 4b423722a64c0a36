//! Where values come from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// The origin of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The program itself.
    Default,
    /// The settings file.
    File(PathBuf),
    /// A variable.
    Variable(String),
    /// A file that holds a secret and was named by a key or variable.
    SecretFile {
        /// The file.
        path: PathBuf,
        /// The variable or key that names it.
        named_by: String,
    },
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) | Self::Flag(name) => f.write_str(name),
            Self::SecretFile { path, named_by } => {
                write!(f, "{}, named by {named_by}", path.display())
            }
        }
    }
}

/// The origin of every key that is not a default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(pub(super) BTreeMap<String, Source>);

impl Origins {
    /// Returns where the value of a key, such as `server.listen`, came from.
    pub fn of(&self, key: &str) -> &Source {
        self.0.get(key).unwrap_or(&Source::Default)
    }
}

/// What settings are read from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    pub(super) file: Option<PathBuf>,
    pub(super) working_dir: Option<PathBuf>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) flags: Vec<Flag>,
}

#[derive(Debug, Clone)]
pub(super) struct Flag {
    pub(super) name: String,
    pub(super) key: String,
    pub(super) value: String,
}

impl Sources {
    /// Returns the sources of this process: its variables, and `parlor.toml` in the working
    /// directory or the data folder.
    ///
    /// An empty variable counts as not set. One that is not UTF-8 is left out.
    pub fn of_process() -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { working_dir: Some(PathBuf::from(".")), ..Self::of_environment(environment) }
    }

    /// Returns sources with nothing but these variables.
    pub fn of_environment(mut environment: BTreeMap<String, String>) -> Self {
        environment.retain(|_, value| !value.trim().is_empty());
        Self { environment, ..Self::default() }
    }

    /// Reads this settings file, which must exist, instead of looking for one.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Looks for `parlor.toml` in this folder before the data folder.
    #[must_use]
    pub fn with_working_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.working_dir = Some(path.into());
        self
    }

    /// Adds a flag, such as `--listen` for `server.listen`. Flags win over everything.
    #[must_use]
    pub fn with_flag(
        mut self,
        flag: impl Into<String>,
        key: impl Into<String>,
        value: impl Into<String>,
    ) -> Self {
        self.flags.push(Flag { name: flag.into(), key: key.into(), value: value.into() });
        self
    }

    /// Returns a variable that is set and not empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str)
    }

    /// Returns the data folder of a user who has said nothing about it.
    pub(super) fn default_data_dir(&self) -> Option<PathBuf> {
        let absolute = |name| self.variable(name).map(Path::new).filter(|path| path.is_absolute());
        let base = absolute("XDG_DATA_HOME").map(Path::to_path_buf);
        let base = base.or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
        base.map(|base| base.join("parlor"))
    }
}
