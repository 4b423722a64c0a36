//! `broker`: clients' connections, as one of several processes. Bots answer in `bot-worker`.

use clap::Args;
use parlor_runtime::config::Program;

use crate::program::{ProgramArgs, node};

#[derive(Debug, Args)]
#[expect(clippy::doc_markdown, reason = "the words are shown in a terminal")]
pub(crate) struct BrokerArgs {
    /// Address and port to listen on; port 0 picks a free one [env: PARLOR_LISTEN]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    #[command(flatten)]
    program: ProgramArgs,
}

/// Serves until it is told to stop.
///
/// # Errors
///
/// Fails with a sentence for the operator when it cannot start; nothing is left half made.
pub(crate) async fn run(args: BrokerArgs) -> anyhow::Result<()> {
    let sources = args.program.sources(vec![("--listen", "server.listen", args.listen)]);
    node::run(&sources, Program::Broker).await
}
