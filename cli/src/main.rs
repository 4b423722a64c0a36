//! `parlor`: the server, and everything a person or a script does with one, in one program.
//!
//! Data goes to standard output, words to standard error. Exit codes are those of
//! [`parlor_runtime::exit`].

use std::process::ExitCode;

use clap::Parser as _;
use parlor_runtime::{Sources, exit};

use args::Cli;
use context::Context;

mod account;
mod admin;
mod args;
mod backup;
mod bench;
mod bot_worker;
mod bots;
mod broker;
mod chat;
mod commands;
mod config;
mod context;
mod credentials;
mod doctor;
mod failure;
mod files;
mod generate;
mod health;
mod history;
mod import;
mod integrations;
mod messages;
mod migrate;
mod output;
mod password;
mod plain;
mod program;
mod render;
mod rooms;
mod search;
mod send;
mod serve;
mod tail;
mod tokens;
mod users;
mod webhooks;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers; everything else is a mistake.
            let code = if error.use_stderr() { exit::USAGE } else { exit::SUCCESS };
            // Where even this cannot be written, the code still tells.
            drop(error.print());
            return ExitCode::from(code);
        }
    };
    let context = Context::new(cli.global, Sources::of_process());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failure::report(context.out, &error.into()),
    };
    let outcome = runtime.block_on(cli.command.run(&context));
    // A thread may still wait for a line from the terminal; nobody waits for it.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::from(exit::SUCCESS),
        Err(error) => failure::report(context.out, &error),
    }
}
