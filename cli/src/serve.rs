//! `serve`: everything in one process.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Address and port to listen on; port 0 picks a free one [env: PARLOR_LISTEN]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen: Option<String>,
    /// Folder of the database and the secret key [env: PARLOR_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<String>,
    /// Settings file [default: parlor.toml here or in the data folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// What is logged, such as info or info,parlor_broker=debug
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
}

pub(crate) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    drop(args);
    anyhow::bail!("serve is not available yet")
}
