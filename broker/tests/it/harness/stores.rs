//! The store of a node: SQLite, or Postgres when the whole suite is run on it.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use parlor_store::Store;
use parlor_store::postgres::{PostgresOptions, PostgresStore};
use parlor_store::sqlite::{SqliteOptions, SqliteStore};
use parlor_testkit::services::Postgres;
use tokio::sync::OnceCell;
use uuid::Uuid;

/// Set to `postgres` for the process that runs the suite once more.
const VARIABLE: &str = "PARLOR_TEST_STORE";

/// One server for all tests of a process. Each node has a database of its own.
static SERVER: OnceCell<Postgres> = OnceCell::const_new();

/// Opens an empty store.
pub(super) async fn open(folder: &Path) -> Arc<dyn Store> {
    if std::env::var_os(VARIABLE).is_none_or(|store| store != "postgres") {
        return Arc::new(SqliteStore::open(SqliteOptions::new(folder)).unwrap());
    }
    let server = SERVER.get_or_init(Postgres::start).await;
    let url = server.create_database(&Uuid::new_v4().to_string());
    Arc::new(PostgresStore::open(PostgresOptions::new(url)).await.unwrap())
}

/// What clients are promised does not depend on where the messages are kept.
#[test]
fn contract_tests_pass_on_postgres_too() {
    let output = Command::new(std::env::current_exe().unwrap())
        .env(VARIABLE, "postgres")
        .args(["drain::", "http::", "session::", "subscribe::", "--test-threads=4"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(!said.contains(" 0 passed"), "no test was found: {said}");
}
