//! Reads the layers and decides, key by key, which one wins.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use super::problem::{ConfigProblem, ConfigProblems};
use super::section::{Key, Raw};
use super::source::{Origins, Source, Sources};
use super::{Config, check, unknown};
use crate::secret::REDACTED;

/// Bytes of a settings file or a secret's file. Far above any real one; a wrong path may name a
/// device.
const FILE_MAX: u64 = 1 << 20;

/// Settings, and where each came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Where each came from.
    pub origins: Origins,
    /// The settings file that was read.
    pub file: Option<PathBuf>,
}

/// A value that a layer has for a key.
struct Found {
    source: Source,
    value: Value,
}

enum Value {
    Text(String),
    Toml(toml::Value),
}

impl Config {
    /// Reads all layers. Either everything is usable or every problem is told.
    pub fn load(sources: &Sources) -> Result<Loaded, ConfigProblems> {
        let mut load = Load::new(sources);
        load.find_file();
        let unknown = unknown::problems(&load.config.keys(), load.file.as_ref(), sources);
        load.problems.extend(unknown);
        for key in load.config.keys() {
            load.take(&key);
        }
        load.finish()
    }
}

struct Load<'a> {
    sources: &'a Sources,
    config: Config,
    origins: Origins,
    file: Option<(PathBuf, toml::Table)>,
    problems: Vec<ConfigProblem>,
}

impl<'a> Load<'a> {
    fn new(sources: &'a Sources) -> Self {
        let mut config = Config::default();
        if let Some(data_dir) = sources.default_data_dir() {
            config.server.data_dir = data_dir;
        }
        Self { sources, config, origins: Origins::default(), file: None, problems: Vec::new() }
    }

    /// Reads the settings file: the one that was named, else the first that exists.
    fn find_file(&mut self) {
        if let Some(path) = self.sources.file.clone() {
            if !self.read_file(&path) {
                self.complain_of_file(&path, "must be a file that exists".to_owned());
            }
            return;
        }
        let flag = self.sources.flags.iter().rev().find(|flag| flag.key == "server.data_dir");
        let named = flag.map(|flag| flag.value.as_str());
        let named = named.or_else(|| self.sources.variable("PARLOR_SERVER__DATA_DIR"));
        let named = named.or_else(|| self.sources.variable("PARLOR_DATA_DIR")).map(PathBuf::from);
        let data_dir = named.or_else(|| self.sources.default_data_dir());
        for folder in self.sources.working_dir.clone().into_iter().chain(data_dir) {
            if self.read_file(&folder.join("parlor.toml")) {
                return;
            }
        }
    }

    /// Returns false when the file does not exist.
    fn read_file(&mut self, path: &Path) -> bool {
        match read_text(path) {
            Ok(text) => match toml::from_str(&text) {
                Ok(table) => self.file = Some((path.to_path_buf(), table)),
                Err(error) => {
                    // Only the message: the error's own form quotes the line, which may be a key.
                    let line = error.span().map_or(1, |span| {
                        text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1
                    });
                    let why = format!("must be TOML; line {line}: {}", error.message());
                    self.complain_of_file(path, why);
                }
            },
            Err(ReadError::Missing) => return false,
            Err(ReadError::Other(why)) => self.complain_of_file(path, why),
        }
        true
    }

    fn complain_of_file(&mut self, path: &Path, allowed: String) {
        self.problems.push(ConfigProblem {
            key: "settings file".to_owned(),
            source: Source::File(path.to_path_buf()),
            value: None,
            allowed,
        });
    }

    /// Sets one key from the highest layer that has it.
    fn take(&mut self, key: &Key) {
        let found = self.find_in_flags(key);
        let found = found.or_else(|| self.find_in_environment(key));
        let Some(found) = found.or_else(|| self.find_in_file(key)) else { return };
        let raw = match &found.value {
            Value::Text(text) => Raw::Text(text),
            Value::Toml(value) => Raw::Toml(value),
        };
        let section = self.config.section_mut(key.section);
        let set = section.map_or(Ok(()), |section| section.set(key.name, raw));
        if let Err(allowed) = set {
            let shown = match &found.value {
                _ if key.secret || key.name == "providers" => REDACTED.to_owned(),
                Value::Text(text) => format!("{text:?}"),
                Value::Toml(value) => value.to_string(),
            };
            self.problems.push(ConfigProblem {
                key: key.path(),
                source: found.source.clone(),
                value: Some(shown),
                allowed,
            });
        }
        self.origins.0.insert(key.path(), found.source);
    }

    fn find_in_flags(&self, key: &Key) -> Option<Found> {
        let path = key.path();
        let flag = self.sources.flags.iter().rev().find(|flag| flag.key == path)?;
        Some(Found {
            source: Source::Flag(flag.name.clone()),
            value: Value::Text(flag.value.clone()),
        })
    }

    /// The key's own variable wins over the well-known names, which may be meant for others.
    fn find_in_environment(&mut self, key: &Key) -> Option<Found> {
        let own = (key.variable(), None);
        let aliases = key.aliases.iter().map(|alias| (alias.variable.to_owned(), alias.unit));
        for (name, unit) in std::iter::once(own).chain(aliases) {
            let value = self.sources.variable(&name).map(str::to_owned);
            let file = format!("{name}_FILE");
            let path = self.sources.variable(&file).filter(|_| key.secret).map(PathBuf::from);
            match (value, path) {
                (None, None) => {}
                (Some(value), None) => {
                    let text = match unit {
                        Some(unit) => format!("{}{unit}", value.trim()),
                        None => value,
                    };
                    return Some(Found {
                        source: Source::Variable(name),
                        value: Value::Text(text),
                    });
                }
                (None, Some(path)) => return self.read_secret_file(key, path, file),
                (Some(_), Some(_)) => {
                    self.complain_of_both(key, Source::Variable(name.clone()), &name, &file);
                    return None;
                }
            }
        }
        None
    }

    fn find_in_file(&mut self, key: &Key) -> Option<Found> {
        let (path, table) = self.file.as_ref()?;
        let section = table.get(key.section)?.as_table()?;
        let value = section.get(key.name).cloned();
        let twin = format!("{}_file", key.name);
        let file = section.get(&twin).filter(|_| key.secret).cloned();
        let source = Source::File(path.clone());
        match (value, file) {
            (None, None) => None,
            (Some(value), None) => Some(Found { source, value: Value::Toml(value) }),
            (None, Some(toml::Value::String(file))) => {
                // Relative to the settings file, so that the two can be moved together.
                let file = path.parent().unwrap_or(Path::new("")).join(file);
                self.read_secret_file(key, file, format!("{}_file", key.path()))
            }
            (None, Some(_)) => {
                self.problems.push(ConfigProblem {
                    key: format!("{}_file", key.path()),
                    source,
                    value: None,
                    allowed: "must be a path".to_owned(),
                });
                None
            }
            (Some(_), Some(_)) => {
                self.complain_of_both(key, source, key.name, &twin);
                None
            }
        }
    }

    fn read_secret_file(&mut self, key: &Key, path: PathBuf, named_by: String) -> Option<Found> {
        let read = read_text(&path);
        let source = Source::SecretFile { path, named_by };
        let allowed = match read {
            Ok(text) => {
                // Editors and `echo` end a file with a line break that is not part of the secret.
                let text = text.strip_suffix('\n').unwrap_or(&text);
                let text = text.strip_suffix('\r').unwrap_or(text);
                if !text.is_empty() {
                    return Some(Found { source, value: Value::Text(text.to_owned()) });
                }
                "must not be an empty file".to_owned()
            }
            Err(ReadError::Missing) => "must be a file that exists".to_owned(),
            Err(ReadError::Other(why)) => why,
        };
        self.problems.push(ConfigProblem { key: key.path(), source, value: None, allowed });
        None
    }

    fn complain_of_both(&mut self, key: &Key, source: Source, one: &str, other: &str) {
        self.problems.push(ConfigProblem {
            key: key.path(),
            source,
            value: None,
            allowed: format!("must be set by {one} or {other}, not by both"),
        });
    }

    fn finish(mut self) -> Result<Loaded, ConfigProblems> {
        // A rule between two keys means nothing when one of them could not be read.
        let broken = |key: &str| self.problems.iter().any(|problem| problem.key == key);
        let complaints: Vec<_> = check::complaints(&self.config)
            .into_iter()
            .filter(|complaint| !complaint.keys.iter().any(|key| broken(key)))
            .collect();
        for complaint in complaints {
            let [first, second] = complaint.keys;
            let not_default = *self.origins.of(first) != Source::Default;
            let key = if not_default { first } else { second };
            self.problems.push(ConfigProblem {
                key: key.to_owned(),
                source: self.origins.of(key).clone(),
                value: None,
                allowed: complaint.allowed,
            });
        }
        if self.problems.is_empty() {
            let file = self.file.map(|(path, _)| path);
            Ok(Loaded { config: self.config, origins: self.origins, file })
        } else {
            Err(ConfigProblems(self.problems))
        }
    }
}

enum ReadError {
    Missing,
    Other(String),
}

fn read_text(path: &Path) -> Result<String, ReadError> {
    let mut text = String::new();
    let read =
        fs::File::open(path).and_then(|file| file.take(FILE_MAX + 1).read_to_string(&mut text));
    match read {
        Ok(_) if text.len() as u64 > FILE_MAX => {
            Err(ReadError::Other("must not be larger than 1MiB".to_owned()))
        }
        Ok(_) => Ok(text),
        // Below something that is not a folder there is no file either.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(ReadError::Missing)
        }
        Err(error) => Err(ReadError::Other(format!("must be readable: {error}"))),
    }
}
