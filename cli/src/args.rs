//! The command line as a whole. Each family's own arguments stand in its file.

use clap::{Args, Parser, Subcommand, ValueEnum};
use parlor_runtime::config::Program;

use crate::context::Context;
use crate::{
    account, admin, backup, bench, bot_worker, bots, broker, chat, commands, config, doctor, files,
    generate, health, history, import, integrations, messages, migrate, rooms, search, send, serve,
    tail, tokens, users, webhooks,
};

/// Chat rooms that people and language models share.
#[derive(Debug, Parser)]
#[command(name = "parlor", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "\
Start a server with `parlor serve`, then `parlor register` and `parlor chat`.
Settings of the server: `parlor config env`. When something does not work: `parlor doctor`.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Server to talk to [default: the profile's, else port 7777 of this machine]
    #[arg(long, global = true, value_name = "URL", env = "PARLOR_SERVER", hide_env_values = true)]
    #[arg(help_heading = "Everywhere")]
    pub(crate) server: Option<String>,
    /// Login to use, when there are several
    #[arg(long, global = true, value_name = "NAME", env = "PARLOR_PROFILE")]
    #[arg(default_value = "default", hide_env_values = true, help_heading = "Everywhere")]
    pub(crate) profile: String,
    /// Write data as JSON
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) json: bool,
    /// Use colors
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = When::Auto)]
    #[arg(help_heading = "Everywhere")]
    pub(crate) color: When,
}

/// When to use colors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    Always,
    Never,
}

/// Where the settings of the server come from, besides variables.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SettingsArgs {
    /// Settings file [default: parlor.toml here or in the data folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<std::path::PathBuf>,
    /// Folder of the database and the secret key
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<String>,
}

/// Which program the settings are for.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ForArgs {
    /// The program that they are for
    #[arg(long = "for", value_enum, value_name = "PROGRAM", default_value_t = For::Serve)]
    program: For,
}

/// A program that works with the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum For {
    Serve,
    Broker,
    BotWorker,
}

impl ForArgs {
    /// Returns the program.
    pub(crate) fn program(self) -> Program {
        match self.program {
            For::Serve => Program::Serve,
            For::Broker => Program::Broker,
            For::BotWorker => Program::BotWorker,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a server with everything in one process
    Serve(serve::ServeArgs),
    /// Run one of several servers of a cluster, without bots
    Broker(broker::BrokerArgs),
    /// Run one of several processes of a cluster that write the replies of bots
    BotWorker(bot_worker::BotWorkerArgs),
    /// Bring the database to this version
    Migrate(migrate::MigrateArgs),
    /// Copy the data folder, also while the server runs
    Backup(backup::BackupArgs),
    /// Make an account and log in
    Register(account::RegisterArgs),
    /// Log in
    Login(account::LoginArgs),
    /// End the login
    Logout(account::LogoutArgs),
    /// Tell who is logged in, and where
    Whoami,
    /// Look after your own account
    Account(account::own::AccountArgs),
    /// Talk in a room
    Chat(chat::ChatArgs),
    /// Write one message
    Send(send::SendArgs),
    /// Follow a room
    Tail(tail::TailArgs),
    /// Show or export what was written in a room
    History(history::HistoryArgs),
    /// Make a room of a file that `history --export` has written; for administrators
    Import(import::ImportArgs),
    /// Look at single messages, change, remove and pin them
    Messages(messages::MessagesArgs),
    /// Find messages
    Search(search::SearchArgs),
    /// List, make, enter and leave rooms
    Rooms(rooms::RoomsArgs),
    /// List, make and delete bots
    Bots(bots::BotsArgs),
    /// Download attachments, set my picture
    Files(files::FilesArgs),
    /// Look at profiles, and close accounts of others
    Users(users::UsersArgs),
    /// Other programs that post into a room
    Integrations(integrations::IntegrationsArgs),
    /// Addresses that are told what happens in a room
    Webhooks(webhooks::WebhooksArgs),
    /// Slash commands that other programs answer
    Commands(commands::CommandsArgs),
    /// List, make and end personal access tokens, for scripts
    Tokens(tokens::TokensArgs),
    /// Look after the server
    Admin(admin::AdminArgs),
    /// Put load on a server, and see what comes of it
    Bench(Box<bench::BenchArgs>),
    /// Find out what does not work, and what helps
    Doctor(doctor::DoctorArgs),
    /// Tell whether a server takes work; the exit code is 0, 69 or 75
    Health,
    /// Check and show the settings of the server
    Config(config::ConfigArgs),
    /// Write completions for a shell
    Completions(generate::CompletionsArgs),
    /// Write the manual page
    Man(generate::ManArgs),
}

impl Command {
    /// Carries the command out.
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Self::Serve(args) => serve::run(args).await,
            Self::Broker(args) => broker::run(args).await,
            Self::BotWorker(args) => bot_worker::run(args).await,
            Self::Migrate(args) => migrate::run(&args, context).await,
            Self::Backup(args) => backup::run(&args, context).await,
            Self::Register(args) => account::register(args, context).await,
            Self::Login(args) => account::login(args, context).await,
            Self::Logout(args) => account::logout(&args, context).await,
            Self::Whoami => account::whoami(context).await,
            Self::Account(args) => account::own::run(args, context).await,
            Self::Chat(args) => chat::run(&args, context).await,
            Self::Send(args) => send::run(args, context).await,
            Self::Tail(args) => tail::run(&args, context).await,
            Self::History(args) => history::run(&args, context).await,
            Self::Import(args) => import::run(args, context).await,
            Self::Messages(args) => messages::run(args, context).await,
            Self::Search(args) => search::run(&args, context).await,
            Self::Rooms(args) => rooms::run(args, context).await,
            Self::Bots(args) => bots::run(args, context).await,
            Self::Files(args) => files::run(args, context).await,
            Self::Users(args) => users::run(args, context).await,
            Self::Integrations(args) => integrations::run(args, context).await,
            Self::Webhooks(args) => webhooks::run(args, context).await,
            Self::Commands(args) => commands::run(args, context).await,
            Self::Tokens(args) => tokens::run(args, context).await,
            Self::Admin(args) => admin::run(args, context).await,
            Self::Bench(args) => Box::pin(bench::run(*args, context)).await,
            Self::Doctor(args) => Box::pin(doctor::run(&args, context)).await,
            Self::Health => health::run(context).await,
            Self::Config(args) => config::run(&args, context),
            Self::Completions(args) => generate::completions(&args, context),
            Self::Man(args) => generate::man(&args, context),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_names_every_command() {
        insta::assert_snapshot!(Cli::command().term_width(100).render_help());
    }

    #[test]
    fn every_command_has_help_of_its_own() {
        let mut cli = Cli::command().term_width(100);
        cli.build();
        let commands = cli.get_subcommands_mut().filter(|command| command.get_name() != "help");
        let pages: Vec<_> =
            commands.map(|command| command.render_long_help().to_string()).collect();
        insta::assert_snapshot!(pages.join("\n---\n"));
    }

    #[test]
    fn no_flag_takes_a_secret() {
        fn check(command: &clap::Command) {
            for arg in command.get_arguments().filter(|arg| arg.get_action().takes_values()) {
                let name = arg.get_id().as_str();
                let secret = ["password", "token", "secret", "key"];
                let last = name.rsplit('_').next().unwrap();
                assert!(!secret.contains(&last), "--{name} of {command}");
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
