//! `config`: checks and shows the settings of the server.

use clap::{Args, Subcommand};
use parlor_runtime::config::Variable;
use parlor_runtime::{Config, exit};
use serde_json::json;

use crate::args::{ForArgs, SettingsArgs};
use crate::context::Context;
use crate::failure::Said;

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Tell everything that is wrong with the settings
    Check(CheckArgs),
    /// Show the settings in use, and where each comes from
    Print(SettingsArgs),
    /// List the variables that can be set
    Env,
}

#[derive(Debug, Args)]
struct CheckArgs {
    #[command(flatten)]
    program: ForArgs,
    #[command(flatten)]
    settings: SettingsArgs,
}

pub(crate) fn run(args: &ConfigArgs, context: &Context) -> anyhow::Result<()> {
    match &args.command {
        ConfigCommand::Check(args) => check(args, context),
        ConfigCommand::Print(args) => print(args, context),
        ConfigCommand::Env => env(context),
    }
}

fn check(args: &CheckArgs, context: &Context) -> anyhow::Result<()> {
    let checked = Config::load(&context.settings(&args.settings)).and_then(|loaded| {
        loaded.config.require(args.program.program(), &loaded.origins)?;
        Ok(loaded)
    });
    match checked {
        Ok(loaded) => {
            if context.out.json {
                context.out.json(&json!([]))?;
            }
            context.out.note(&match loaded.file {
                Some(path) => format!("the settings are usable; read {}", path.display()),
                None => "the settings are usable; no settings file was found".to_owned(),
            });
            Ok(())
        }
        Err(problems) if context.out.json => {
            let problems: Vec<_> = problems
                .0
                .iter()
                .map(|problem| {
                    json!({
                        "key": problem.key, "source": problem.source.to_string(),
                        "value": problem.value, "allowed": problem.allowed
                    })
                })
                .collect();
            context.out.json(&problems)?;
            Err(Said(exit::USAGE).into())
        }
        Err(problems) => Err(problems.into()),
    }
}

fn print(args: &SettingsArgs, context: &Context) -> anyhow::Result<()> {
    let loaded = Config::load(&context.settings(args))?;
    let text = loaded.config.print(&loaded.origins);
    if context.out.json {
        let table: toml::Table = toml::from_str(&text)?;
        return Ok(context.out.json(&table)?);
    }
    Ok(context.out.text(&text)?)
}

fn env(context: &Context) -> anyhow::Result<()> {
    let variables = Config::variables();
    if context.out.json {
        let variables: Vec<_> = variables
            .iter()
            .map(|variable| {
                json!({
                    "name": variable.name, "key": variable.key, "kind": variable.kind,
                    "default": variable.default, "doc": variable.doc, "secret": variable.secret
                })
            })
            .collect();
        return Ok(context.out.json(&variables)?);
    }
    Ok(context.out.text(&env_file(&variables))?)
}

/// Returns a file of variables in which everything is a comment.
fn env_file(variables: &[Variable]) -> String {
    let entry = |variable: &Variable| {
        let default = variable.default.as_deref().unwrap_or_default().trim_matches('"');
        format!("# {} ({})\n# {}={default}\n", variable.doc, variable.kind, variable.name)
    };
    variables.iter().map(entry).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_file_changes_nothing_until_a_line_is_uncommented() {
        let variables = Config::variables();
        let text = env_file(&variables);
        assert!(text.lines().all(|line| line.is_empty() || line.starts_with("# ")));
        for variable in &variables {
            assert!(text.contains(&format!("\n# {}=", variable.name)), "{}", variable.name);
        }
    }

    #[test]
    fn env_file_names_the_well_known_variables() {
        let text = env_file(&Config::variables());
        for name in ["PARLOR_LISTEN", "OLLAMA_HOST", "SECRET_KEY", "SECRET_KEY_FILE", "LLM_MODEL"] {
            assert!(text.contains(&format!("\n# {name}=")), "{name}");
        }
        let listen = text.lines().find(|line| line.starts_with("# PARLOR_SERVER__LISTEN="));
        assert_eq!(listen, Some("# PARLOR_SERVER__LISTEN=127.0.0.1:7777"));
    }
}
