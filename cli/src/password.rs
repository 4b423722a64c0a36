//! Passwords and other secrets: from a prompt, a pipe or a variable, never from a flag.

use std::io::{self, BufRead as _, Read as _};

use anyhow::Context as _;
use clap::Args;
use parlor_runtime::Secret;

use crate::context::Context;
use crate::failure::Usage;

/// Longest line that is read as a secret, in bytes.
const SECRET_MAX: u64 = 4_096;

/// Where a password comes from.
#[derive(Debug, Clone, Args)]
pub(crate) struct PasswordArgs {
    /// Read the password from standard input [else: `PARLOR_PASSWORD`, else a prompt]
    #[arg(long)]
    password_stdin: bool,
}

impl PasswordArgs {
    /// Returns the password; a new one is asked for twice.
    pub(crate) fn read(&self, context: &Context, new: bool) -> anyhow::Result<Secret<String>> {
        if self.password_stdin {
            return read_line().context("read the password from standard input");
        }
        if let Some(password) = context.sources.variable("PARLOR_PASSWORD") {
            return Ok(Secret::from(password));
        }
        let password = prompt(context, "Password: ")?;
        if new && *prompt(context, "Again: ")?.expose() != *password.expose() {
            return Err(Usage("the two passwords differ".to_owned()).into());
        }
        Ok(password)
    }

    /// Returns the password that is to take the place of the one that was read.
    pub(crate) fn read_next(&self, context: &Context) -> anyhow::Result<Secret<String>> {
        if self.password_stdin {
            return read_line().context("read the new password from standard input");
        }
        if let Some(password) = context.sources.variable("PARLOR_NEW_PASSWORD") {
            return Ok(Secret::from(password));
        }
        let password = prompt(context, "New password: ")?;
        if *prompt(context, "Again: ")?.expose() != *password.expose() {
            return Err(Usage("the two passwords differ".to_owned()).into());
        }
        Ok(password)
    }
}

/// Asks for a secret on the terminal.
pub(crate) fn prompt(context: &Context, question: &str) -> anyhow::Result<Secret<String>> {
    if !context.out.can_ask {
        let ways = "no terminal to ask for the password: use --password-stdin or PARLOR_PASSWORD";
        return Err(Usage(ways.to_owned()).into());
    }
    Ok(Secret::new(rpassword::prompt_password(question).context("ask for the password")?))
}

/// Returns a word that was given, or asks for it.
pub(crate) fn ask(context: &Context, given: Option<String>, what: &str) -> anyhow::Result<String> {
    if let Some(given) = given {
        return Ok(given);
    }
    if !context.out.can_ask {
        return Err(Usage(format!("{what} is missing, and there is no terminal to ask")).into());
    }
    context.out.note(&format!("{what}:"));
    Ok(read_line()?.expose().clone())
}

fn read_line() -> io::Result<Secret<String>> {
    let mut line = String::new();
    io::stdin().lock().take(SECRET_MAX).read_line(&mut line)?;
    let line = line.strip_suffix('\n').unwrap_or(&line);
    Ok(Secret::from(line.strip_suffix('\r').unwrap_or(line)))
}
