//! `serve`: everything in one process.

use clap::Args;
use parlor_runtime::Sources;
use parlor_runtime::config::Program;

use crate::program::{ProgramArgs, node};

#[derive(Debug, Args)]
#[expect(clippy::doc_markdown, reason = "the words are shown in a terminal")]
pub(crate) struct ServeArgs {
    /// Address and port to listen on; port 0 picks a free one [env: PARLOR_LISTEN]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Folder of the database and the secret key [env: PARLOR_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    #[command(flatten)]
    program: ProgramArgs,
}

impl ServeArgs {
    fn sources(self) -> Sources {
        self.program.sources(vec![
            ("--listen", "server.listen", self.listen),
            ("--data-dir", "server.data_dir", self.data_dir),
        ])
    }
}

/// Serves until it is told to stop.
///
/// # Errors
///
/// Fails with a sentence for the operator when it cannot start; nothing is left half made.
pub(crate) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    node::run(&args.sources(), Program::Serve).await
}
