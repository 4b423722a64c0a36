//! From an address to a store: connects, brings the schema up to date, and says in a sentence what
//! is in the way.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::Error as PgError;

use super::address::Address;
use super::epoch::{self, Epoch};
use super::fault::Fault;
use super::pools::{Pools, Use, prepare};
use super::schema::{self, MigrationReport};
use super::sql::meta as sql;
use super::{PostgresOptions, PostgresStore};

/// The oldest server that has all that the store asks of it.
const OLDEST_SERVER: u32 = 140_000;

/// Why the store cannot be opened. Nothing was damaged. No variant holds a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The address is not one of a database.
    #[error(
        "the address of the database is not valid: write it as \
         postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters in the password \
         percent-encoded"
    )]
    BadAddress,
    /// The way to protect the connection is not one that protects.
    #[error(
        "sslmode in the address of the database is not known: use disable, require, verify-ca or \
         verify-full"
    )]
    BadTlsMode,
    /// The file with the certificates cannot be used.
    #[error("{} holds no usable certificate (PEM)", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Option<rustls::pki_types::pem::Error>,
    },
    /// Nobody knows the host.
    #[error("cannot find the host of the database server {servers}")]
    UnknownHost {
        /// Hosts and ports.
        servers: String,
        /// The system's error.
        #[source]
        source: PgError,
    },
    /// There is no server at the address.
    #[error("cannot reach the database server {servers}: is it running, and is the port right?")]
    Unreachable {
        /// Hosts and ports.
        servers: String,
        /// The driver's error.
        #[source]
        source: PgError,
    },
    /// The server does not answer.
    #[error("the database server {servers} did not answer within {}", seconds(*after))]
    Silent {
        /// Hosts and ports.
        servers: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The password is wrong or missing.
    #[error("the database server refuses the password of user {user}")]
    Password {
        /// The user.
        user: String,
    },
    /// The server does not let this user in from here.
    #[error("the database server does not let user {user} in to database {database}")]
    NotLetIn {
        /// The user.
        user: String,
        /// The database.
        database: String,
        /// The server's reason.
        #[source]
        source: PgError,
    },
    /// The server wants an encrypted connection.
    #[error("the database server demands TLS: add sslmode=verify-full to its address")]
    TlsDemanded,
    /// The server cannot encrypt, or its certificate is not trusted.
    #[error(
        "cannot make an encrypted connection to the database server {servers}: does it offer TLS, \
         and is the authority of its certificate known?"
    )]
    Tls {
        /// Hosts and ports.
        servers: String,
        /// The driver's error.
        #[source]
        source: PgError,
    },
    /// There is no such database.
    #[error("there is no database {database} on the server: create it first")]
    NoDatabase {
        /// The database.
        database: String,
    },
    /// The user may not do what is needed.
    #[error(
        "user {user} may not do what is needed in database {database}: make it the owner of the \
         database"
    )]
    NotPermitted {
        /// The user.
        user: String,
        /// The database.
        database: String,
        /// What the server refused.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What identifies the logs may not be read.
    #[error(
        "user {user} may not read the identity of the database server: grant it EXECUTE on the \
         functions pg_control_system, pg_current_wal_lsn and pg_walfile_name"
    )]
    Nameless {
        /// The user.
        user: String,
    },
    /// The server only follows another one.
    #[error("the database server {servers} is a standby: give the address of the primary")]
    Standby {
        /// Hosts and ports.
        servers: String,
    },
    /// The server is too old.
    #[error("the database server has version {found}: version 14 or newer is needed")]
    OldServer {
        /// Its version.
        found: String,
    },
    /// The database cannot hold every text.
    #[error("database {database} has encoding {found}: create it with encoding UTF8")]
    Encoding {
        /// The database.
        database: String,
        /// Its encoding.
        found: String,
    },
    /// The database was written by a newer version of Parlor, which this one cannot work with.
    #[error(
        "the database has schema {found} and needs a program that knows schema {needed}; this one \
         knows {known}: use the newer version of Parlor"
    )]
    NewerSchema {
        /// The schema of the database.
        found: i64,
        /// The oldest schema that a program must know.
        needed: i64,
        /// The newest schema that this version knows.
        known: i64,
    },
    /// The database has an older schema, and nobody allowed to change it.
    #[error(
        "the database has schema {found} and this version needs {known}: run `parlor migrate`, or \
         allow migration at the start"
    )]
    OlderSchema {
        /// The schema of the database; 0: it is empty.
        found: i64,
        /// The newest schema that this version knows.
        known: i64,
    },
    /// A migration that the database has is not the one that this version has.
    #[error("migration {version} of the database differs from that of this version of Parlor")]
    ChangedMigration {
        /// Which.
        version: i64,
    },
    /// Another process is changing the schema for too long.
    #[error("another process has been changing the database's schema for {}", seconds(*after))]
    MigrationBusy {
        /// How long it was waited for.
        after: Duration,
    },
    /// Anything else that the server reports.
    #[error("cannot open the database")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl OpenError {
    /// Tells whether a setting is wrong, as opposed to a service that is not there.
    pub const fn is_setting(&self) -> bool {
        matches!(self, Self::BadAddress | Self::BadTlsMode | Self::CaFile { .. })
    }
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f32())
}

/// The first connection, with which everything is checked.
pub(super) struct First {
    pub(super) client: deadpool_postgres::ClientWrapper,
    pub(super) address: Address,
}

impl std::fmt::Debug for First {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("First").field("address", &self.address).finish_non_exhaustive()
    }
}

impl First {
    /// Connects and refuses servers that cannot be worked with.
    pub(super) async fn connect(
        options: &PostgresOptions,
        address: Address,
        tls: tokio_postgres_rustls::MakeRustlsConnect,
    ) -> Result<Self, OpenError> {
        use deadpool::managed::Manager as _;
        let mut config = address.config.clone();
        prepare(&mut config, options, Use::Writes);
        let manager = deadpool_postgres::Manager::new(config, tls);
        let client = match timeout(options.connect_timeout, manager.create()).await {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => return Err(refusal(&address, error)),
            Err(_) => {
                let after = options.connect_timeout;
                return Err(OpenError::Silent { servers: address.servers, after });
            }
        };
        let first = Self { client, address };
        first.check_server().await?;
        Ok(first)
    }

    async fn check_server(&self) -> Result<(), OpenError> {
        let row = self.client.query_one(sql::SERVER, &[]).await.map_err(|e| self.sorted(e))?;
        let (number, version, standby): (i32, String, bool) = (row.get(0), row.get(1), row.get(2));
        if number.cast_unsigned() < OLDEST_SERVER {
            return Err(OpenError::OldServer { found: version });
        }
        let encoding: String = row.get(3);
        if encoding != "UTF8" {
            let database = self.address.database();
            return Err(OpenError::Encoding { database, found: encoding });
        }
        if standby {
            return Err(OpenError::Standby { servers: self.address.servers.clone() });
        }
        Ok(())
    }

    /// Returns what a failure of the server means to an operator.
    pub(super) fn sorted(&self, error: PgError) -> OpenError {
        match error.code().map(tokio_postgres::error::SqlState::code) {
            Some("42501") => self.not_permitted(Box::new(error)),
            _ => OpenError::Database(Box::new(error)),
        }
    }

    /// Returns that the user may not do something.
    pub(super) fn not_permitted(
        &self,
        source: Box<dyn std::error::Error + Send + Sync>,
    ) -> OpenError {
        let (user, database) = (self.address.user(), self.address.database());
        OpenError::NotPermitted { user, database, source }
    }
}

/// Returns why no connection was made.
fn refusal(address: &Address, error: PgError) -> OpenError {
    let servers = address.servers.clone();
    let (user, database) = (address.user(), address.database());
    if let Some(reported) = error.as_db_error() {
        return match reported.code().code() {
            "28P01" => OpenError::Password { user },
            "28000" if reported.message().contains("no encryption") => OpenError::TlsDemanded,
            "28000" | "42501" => OpenError::NotLetIn { user, database, source: error },
            "3D000" => OpenError::NoDatabase { database },
            "57P03" | "53300" => OpenError::Unreachable { servers, source: error },
            _ => OpenError::Database(Box::new(error)),
        };
    }
    let text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(source) = cause {
        if source.downcast_ref::<rustls::Error>().is_some() {
            return OpenError::Tls { servers, source: error };
        }
        if let Some(failure) = source.downcast_ref::<io::Error>() {
            if failure.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some() {
                return OpenError::Tls { servers, source: error };
            }
            // The system's resolver has no kind of its own.
            if failure.to_string().contains("failed to lookup address") {
                return OpenError::UnknownHost { servers, source: error };
            }
        }
        cause = source.source();
    }
    // The driver tells these apart by their text only.
    if text.contains("TLS") {
        OpenError::Tls { servers, source: error }
    } else if text.contains("configuration") || text.contains("authentication") {
        // It asked for a password and there is none.
        OpenError::Password { user }
    } else {
        OpenError::Unreachable { servers, source: error }
    }
}

impl PostgresStore {
    /// Opens the store: connects, brings the database to the newest schema unless that is not
    /// wanted, and reads the identity of its logs.
    pub async fn open(options: PostgresOptions) -> Result<Self, OpenError> {
        let address = Address::parse(&options.url)?;
        let tls = address.tls(options.ca_file.as_ref())?;
        let mut first = First::connect(&options, address.clone(), tls.clone()).await?;
        schema::settle(&mut first, &options).await?;
        let epoch = Arc::new(Epoch::default());
        match epoch::read(&first.client).await {
            Ok(read) => epoch.set(&read),
            Err(Fault::Nameless) => return Err(OpenError::Nameless { user: address.user() }),
            Err(Fault::Standby) => return Err(OpenError::Standby { servers: address.servers }),
            Err(Fault::Sql(error)) => return Err(first.sorted(error)),
            Err(fault) => return Err(OpenError::Database(Box::new(fault))),
        }
        let pools = Pools::new(&options, &address, &tls, &epoch);
        Ok(Self::new(options, pools, epoch))
    }

    /// Brings the database to the newest schema.
    pub async fn migrate(options: &PostgresOptions) -> Result<MigrationReport, OpenError> {
        let mut first = Self::first(options).await?;
        schema::migrate(&mut first, options).await
    }

    /// Returns the schema of the database; `None` when it is empty.
    pub async fn schema_version(options: &PostgresOptions) -> Result<Option<i64>, OpenError> {
        schema::found(&Self::first(options).await?).await
    }

    /// Gives the logs a new identity, so that all clients load anew. For an operator who has put
    /// back an older state of the database in a way that its server cannot notice.
    pub async fn renew_incarnation(options: &PostgresOptions) -> Result<String, OpenError> {
        let first = Self::first(options).await?;
        let row = first.client.query_one(sql::RENEW_INCARNATION, &[]).await;
        let row = row.map_err(|error| first.sorted(error))?;
        Ok(row.get(0))
    }

    pub(super) async fn first(options: &PostgresOptions) -> Result<First, OpenError> {
        let address = Address::parse(&options.url)?;
        let tls = address.tls(options.ca_file.as_ref())?;
        First::connect(options, address, tls).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever opens a store may do it in a task.
    #[test]
    fn opening_may_move_between_threads() {
        fn check<T: Send>(_: &T) {}
        check(&PostgresStore::open(PostgresOptions::new("")));
        let options = PostgresOptions::new("");
        check(&PostgresStore::migrate(&options));
    }
}
