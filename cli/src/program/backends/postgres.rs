//! The store in `PostgreSQL`.

use parlor_runtime::Config;
use parlor_runtime::config::place;
use parlor_store::postgres::{MigrationReport, OpenError, PostgresOptions, PostgresStore};

use super::fault::{Service, ServiceFault, with_causes};
use super::wait;

/// Returns how to open the store; nothing when it is not in `PostgreSQL`.
pub(crate) fn options(config: &Config) -> Option<PostgresOptions> {
    let store = &config.store;
    let mut options = PostgresOptions::new(store.postgres()?);
    options.max_hops = config.bots.max_hops;
    options.room_members = u32::try_from(config.limits.room_members).unwrap_or(u32::MAX);
    options.lanes = store.lanes;
    options.readers = store.read_connections;
    options.tails = store.tail_connections;
    options.statement_timeout = store.statement_timeout;
    options.connect_timeout = store.connect_timeout;
    options.append_deadline = store.append_deadline;
    options.ca_file.clone_from(&store.tls_ca);
    options.migrate = store.migrate;
    Some(options)
}

/// Opens the store, if the server is there now.
pub(super) async fn open(
    options: PostgresOptions,
    config: &Config,
) -> Result<PostgresStore, ServiceFault> {
    PostgresStore::open(options).await.map_err(|error| fault(config, &error))
}

/// Brings the database to the newest schema, and waits for a server that is not there yet.
pub(crate) async fn migrate(
    options: &PostgresOptions,
    config: &Config,
) -> anyhow::Result<MigrationReport> {
    wait::until(super::deadline(config), || async {
        Ok(PostgresStore::migrate(options).await.map_err(|error| fault(config, &error))?)
    })
    .await
}

/// Returns what an error means to an operator.
pub(crate) fn fault(config: &Config, error: &OpenError) -> ServiceFault {
    let place = place(config.store.postgres().unwrap_or_default());
    let why = with_causes(error);
    let kind = match error {
        OpenError::UnknownHost { .. }
        | OpenError::Unreachable { .. }
        | OpenError::Silent { .. }
        // Another one may be about to take over.
        | OpenError::Standby { .. }
        // Another process may be about to bring it up to date.
        | OpenError::OlderSchema { .. }
        | OpenError::MigrationBusy { .. } => ServiceFault::away,
        OpenError::OldServer { .. }
        | OpenError::NewerSchema { .. }
        | OpenError::ChangedMigration { .. }
        | OpenError::Encoding { .. }
        | OpenError::Nameless { .. }
        | OpenError::Database(_) => ServiceFault::unfit,
        _ => ServiceFault::wrong,
    };
    kind(Service::Postgres, &place, &why)
}
