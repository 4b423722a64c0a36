//! Finds installed programs.

use std::path::{Path, PathBuf};

/// Folders that are not on every user's `PATH`. A star stands for one folder of any name.
const PLACES: &[&str] = &[
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/usr/bin",
    "/usr/sbin",
    "/opt/homebrew/bin",
    "/opt/homebrew/sbin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
];

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Program {
    pub(super) name: &'static str,
    /// Names the program itself, before every other place.
    pub(super) variable: &'static str,
    pub(super) debian: &'static str,
    pub(super) homebrew: &'static str,
}

impl Program {
    /// Returns where the program is.
    ///
    /// # Panics
    /// When it is not there, with a sentence that says how to get it.
    pub(super) fn find(self) -> PathBuf {
        if let Some(named) = std::env::var_os(self.variable).filter(|path| !path.is_empty()) {
            let path = PathBuf::from(named);
            assert!(path.is_file(), "{} is {}, which is not a file", self.variable, path.display());
            return path;
        }
        look_for(self.name).unwrap_or_else(|| {
            panic!(
                "this test starts its own {name}, and {name} is not installed. \
                 Debian, Ubuntu: apt-get install {}. macOS: brew install {}. \
                 Elsewhere: set {} to the program",
                self.debian,
                self.homebrew,
                self.variable,
                name = self.name
            )
        })
    }
}

/// Returns the program that runs another with a clock that is wrong.
///
/// # Panics
/// When it is not there, with a sentence that says how to get it.
pub fn faketime() -> PathBuf {
    Program {
        name: "faketime",
        variable: "PARLOR_TEST_FAKETIME",
        debian: "faketime",
        homebrew: "libfaketime",
    }
    .find()
}

fn look_for(name: &str) -> Option<PathBuf> {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let listed = std::env::split_paths(&on_path).collect::<Vec<_>>();
    let others = PLACES.iter().flat_map(|place| expand(Path::new(place)));
    listed.into_iter().chain(others).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Returns the folders that a place stands for, the highest version first.
fn expand(place: &Path) -> Vec<PathBuf> {
    let mut folders = vec![PathBuf::new()];
    for part in place {
        let part = part.to_string_lossy();
        folders = match part.split_once('*') {
            None => folders.iter().map(|folder| folder.join(part.as_ref())).collect(),
            Some((before, after)) => {
                folders.iter().flat_map(|folder| matching(folder, before, after)).collect()
            }
        };
    }
    folders
}

fn matching(folder: &Path, before: &str, after: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = name.strip_prefix(before)?.strip_suffix(after)?;
            Some((version.parse().unwrap_or(0), entry.path()))
        })
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_is_found_first() {
        let home = tempfile::tempdir().unwrap();
        for version in ["9", "15", "16"] {
            std::fs::create_dir_all(home.path().join(version).join("bin")).unwrap();
        }

        let found = expand(&home.path().join("*/bin"));

        let expected: Vec<_> =
            ["16", "15", "9"].iter().map(|version| home.path().join(version).join("bin")).collect();
        assert_eq!(found, expected);
    }
}
