//! Keys that do not exist. A misspelt key would silently leave the default in place, so it is a
//! problem.

use std::path::{Path, PathBuf};

use super::problem::ConfigProblem;
use super::section::Key;
use super::source::{Source, Sources};

/// Returns one problem for each name in the file, the variables and the flags that sets nothing.
///
/// Variables count when they begin like ours, `PARLOR_…__…`; others may belong to anybody.
pub(super) fn problems(
    keys: &[Key],
    file: Option<&(PathBuf, toml::Table)>,
    sources: &Sources,
) -> Vec<ConfigProblem> {
    let mut problems = Vec::new();
    if let Some((path, table)) = file {
        for (section, value) in table {
            problems.extend(unknown_in_file(keys, path, section, value));
        }
    }
    for name in sources.environment.keys() {
        let Some((section, _)) = name.strip_prefix("PARLOR_").and_then(|n| n.split_once("__"))
        else {
            continue;
        };
        let known = keys.iter().any(|key| {
            let variable = key.variable();
            *name == variable || key.secret && *name == format!("{variable}_FILE")
        });
        if !known {
            problems.push(ConfigProblem {
                key: name.clone(),
                source: Source::Variable(name.clone()),
                value: None,
                allowed: allowed_keys(keys, &section.to_ascii_lowercase()),
            });
        }
    }
    for flag in &sources.flags {
        if !keys.iter().any(|key| key.path() == flag.key) {
            problems.push(ConfigProblem {
                key: flag.key.clone(),
                source: Source::Flag(flag.name.clone()),
                value: None,
                allowed: "is not a key".to_owned(),
            });
        }
    }
    problems
}

fn unknown_in_file(
    keys: &[Key],
    path: &Path,
    section: &str,
    value: &toml::Value,
) -> Vec<ConfigProblem> {
    let problem = |key: String, allowed: String| ConfigProblem {
        key,
        source: Source::File(path.to_path_buf()),
        value: None,
        allowed,
    };
    let of_section = || keys.iter().filter(|key| key.section == section);
    let Some(table) = value.as_table().filter(|_| of_section().next().is_some()) else {
        return vec![problem(section.to_owned(), allowed_keys(keys, section))];
    };
    let known = |name: &str| {
        of_section().any(|key| {
            key.name == name || key.secret && name.strip_suffix("_file") == Some(key.name)
        })
    };
    let unknown = table.keys().filter(|name| !known(name));
    unknown.map(|name| problem(format!("{section}.{name}"), allowed_keys(keys, section))).collect()
}

/// Returns what could have been meant.
fn allowed_keys(keys: &[Key], section: &str) -> String {
    let names: Vec<_> =
        keys.iter().filter(|key| key.section == section).map(|key| key.name).collect();
    if names.is_empty() {
        let mut sections: Vec<_> = keys.iter().map(|key| key.section).collect();
        sections.dedup();
        format!("is not known; sections are {}", sections.join(", "))
    } else {
        format!("is not known; [{section}] has {}", names.join(", "))
    }
}
