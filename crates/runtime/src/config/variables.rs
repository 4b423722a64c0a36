//! The list of all variables, for `parlor config env` and for the documentation.

use super::Config;
use super::section::Key;

/// A variable that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name, such as `PARLOR_SERVER__LISTEN`.
    pub name: String,
    /// The key that it sets.
    pub key: String,
    /// The type, in words.
    pub kind: String,
    /// The default as TOML; nothing when it is not set.
    pub default: Option<String>,
    /// What it is for.
    pub doc: String,
    /// True when its value is never shown.
    pub secret: bool,
}

impl Config {
    /// Returns every variable that can be set: each key's own, its well-known names, and for
    /// secrets the twins that name a file.
    pub fn variables() -> Vec<Variable> {
        Self::default().keys().iter().flat_map(variables_of).collect()
    }

    /// Returns the page of the documentation that lists all keys, as Markdown.
    pub fn reference() -> String {
        let mut page = vec![HEAD.to_owned()];
        let mut section = "";
        for key in Self::default().keys() {
            if key.section != section {
                section = key.section;
                page.push(format!("\n## [{section}]\n\n{TABLE_HEAD}"));
            }
            page.push(row(&key));
        }
        page.concat()
    }
}

const TABLE_HEAD: &str = "\
| Key | Type | Default | Also set by | What it is for |
| --- | --- | --- | --- | --- |
";

const HEAD: &str = "\
# Settings

Generated from the declarations in `crates/runtime/src/config/`. Do not edit.

Every key has a default, so Parlor runs without any settings. A later layer wins over an earlier one:

1. the defaults,
2. the settings file: the one given with `--config`, else `parlor.toml` in the working directory, \
else `parlor.toml` in the data folder,
3. variables: `PARLOR_SECTION__KEY`, such as `PARLOR_SERVER__LISTEN` for `listen` in `[server]`, and \
the well-known names in the fourth column,
4. flags.

An empty variable counts as not set. Lists are arrays in the file and separated by commas in a \
variable. Durations and sizes have their unit: `500ms`, `30s`, `15m`, `12h`, `30d`; `512B`, \
`64KiB`, `1MiB`.

Each secret can also be read from a file: `PARLOR_AUTH__SECRET_KEY_FILE`, `SECRET_KEY_FILE`, or \
`secret_key_file` in the settings file. Setting a secret and its file at once is refused.

`parlor config check` tells everything that is wrong at once. `parlor config print` shows the values \
in use and where each came from. `parlor config env` lists the variables.
";

fn variables_of(key: &Key) -> Vec<Variable> {
    let variable = |name: String, kind: &str, default: Option<String>, secret: bool| Variable {
        name,
        key: key.path(),
        kind: kind.to_owned(),
        default,
        doc: key.doc.clone(),
        secret,
    };
    let own = (key.variable(), key.kind.clone());
    let aliases = key.aliases.iter().map(|alias| {
        let kind = alias.unit.map_or(key.kind.as_str(), unit_name);
        (alias.variable.to_owned(), kind.to_owned())
    });
    let mut variables = Vec::new();
    for (name, kind) in std::iter::once(own).chain(aliases) {
        let file = format!("{name}_FILE");
        variables.push(variable(name, &kind, key.default.clone(), key.secret));
        if key.secret {
            variables.push(variable(file, "path of a file that holds it", None, false));
        }
    }
    variables
}

fn unit_name(unit: &str) -> &str {
    match unit {
        "m" => "number of minutes",
        "s" => "number of seconds",
        other => other,
    }
}

fn row(key: &Key) -> String {
    let code = |text: &str| format!("`{}`", text.replace('|', "\\|"));
    let aliases: Vec<_> = key.aliases.iter().map(|alias| code(alias.variable)).collect();
    let default = key.default.as_deref().map_or_else(|| "not set".to_owned(), code);
    format!(
        "| `{}` | {} | {} | {} | {} |\n",
        key.name,
        key.kind.replace('|', "\\|"),
        default,
        aliases.join(", "),
        key.doc.replace('|', "\\|"),
    )
}
