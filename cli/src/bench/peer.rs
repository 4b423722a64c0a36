//! Other systems than Parlor, which have no users.

use clap::Args;
use parlor_bench::Address;
use parlor_bench::dialect::{self, Dialect};

use super::{LoadArgs, refused};
use crate::failure::Usage;

/// The dialect of Parlor itself, which has users.
const PARLOR: &str = "parlor";

/// Which system is spoken to.
#[derive(Debug, Args)]
#[expect(clippy::doc_markdown, reason = "the words are shown in a terminal")]
pub(super) struct PeerArgs {
    /// System that is spoken to, as bench/compare does with others
    #[arg(long, value_name = "NAME", default_value = PARLOR)]
    dialect: String,
    /// Where a system without users listens, such as ws://127.0.0.1:9000/
    #[arg(long, value_name = "URL")]
    address: Option<String>,
}

impl PeerArgs {
    /// Returns how another system is spoken to and where it is; nothing for Parlor.
    ///
    /// # Errors
    /// Fails for systems that are not known, and addresses that may not be put under load.
    pub(super) fn peer(
        &self,
        load: &LoadArgs,
    ) -> anyhow::Result<Option<(Box<dyn Dialect>, Address)>> {
        if self.dialect == PARLOR {
            return Ok(None);
        }
        let known = || dialect::NAMES.join(", ");
        let dialect = dialect::by_name(&self.dialect)
            .ok_or_else(|| Usage(format!("--dialect must be one of {}", known())))?;
        let address = self
            .address
            .as_deref()
            .ok_or_else(|| Usage(format!("--dialect {} needs --address URL", self.dialect)))?;
        let address = Address::parse(address, load.yes_i_own_this).map_err(refused)?;
        Ok(Some((dialect, address)))
    }
}
