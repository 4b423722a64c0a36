//! Steps of the schema: taken once, and while programs of another version work.

use parlor_store::postgres::{OpenError, known_schema_version};
use parlor_store::{PostgresOptions, PostgresStore, Users as _};

use super::{database, open, options, person, server, soon};

#[tokio::test]
async fn processes_that_start_together_take_each_step_once() {
    let server = server();
    let url = server.create_database("together");

    let stores = soon(futures_util::future::join_all((0..4).map(|_| open(&url)))).await;

    assert_eq!(stores.len(), 4);
    let steps = server.sql("together", "SELECT count(*) FROM refinery_schema_history");
    assert_eq!(steps.trim(), known_schema_version().to_string());
    let epochs: Vec<_> = stores.iter().map(PostgresStore::epoch).collect();
    assert!(epochs.iter().all(|epoch| *epoch == epochs[0]));
}

#[tokio::test]
async fn process_that_waits_for_another_ones_steps_gives_up_in_time() {
    let server = server();
    let url = server.create_database("held");
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::task::JoinSet::from_iter([connection]);
    client.query("SELECT pg_advisory_lock(8097879415040638977)", &[]).await.unwrap();

    let options =
        PostgresOptions { migration_wait: std::time::Duration::from_millis(250), ..options(&url) };
    let error = PostgresStore::open(options).await.unwrap_err();

    assert!(matches!(error, OpenError::MigrationBusy { .. }), "{error:?}");
    drop((client, connection));
    open(&url).await;
}

#[tokio::test]
async fn empty_database_is_refused_when_nobody_may_change_it() {
    let url = server().create_database("untouched");
    let error = PostgresStore::open(PostgresOptions { migrate: false, ..options(&url) }).await;
    let error = error.unwrap_err();
    assert!(matches!(error, OpenError::OlderSchema { found: 0, .. }), "{error:?}");
    assert_eq!(PostgresStore::schema_version(&options(&url)).await.unwrap(), None);

    let report = PostgresStore::migrate(&options(&url)).await.unwrap();

    assert_eq!((report.from, report.to), (None, known_schema_version()));
    assert_eq!(report.applied[0], (1, "initial".to_owned()));
    PostgresStore::open(PostgresOptions { migrate: false, ..options(&url) }).await.unwrap();
    let again = PostgresStore::migrate(&options(&url)).await.unwrap();
    assert!(again.applied.is_empty());
}

/// Notes a step that this program does not know.
fn add_future_step(name: &str, server: &parlor_testkit::services::Postgres) -> i64 {
    let future = known_schema_version() + 1;
    server.sql(
        name,
        &format!(
            "INSERT INTO refinery_schema_history VALUES ({future}, 'future', 'now', '1'); \
             ALTER TABLE users ADD COLUMN future text"
        ),
    );
    future
}

#[tokio::test]
async fn program_works_with_a_schema_that_only_adds() {
    let (name, url) = database();
    let server = server();
    let running = open(&url).await;
    running.create_user(person("ada")).await.unwrap().unwrap();
    let found = running.find_user_by_name("ada").await.unwrap();

    let future = add_future_step(&name, server);

    // One that runs while the step is taken, and one that starts afterwards.
    assert_eq!(running.find_user_by_name("ada").await.unwrap(), found);
    running.create_user(person("bob")).await.unwrap().unwrap();
    let late = open(&url).await;
    late.create_user(person("carol")).await.unwrap().unwrap();
    assert_eq!(PostgresStore::schema_version(&options(&url)).await.unwrap(), Some(future));
}

#[tokio::test]
async fn program_refuses_a_schema_that_has_removed_what_it_needs() {
    let (name, url) = database();
    let server = server();
    let future = add_future_step(&name, server);
    server.sql(&name, &format!("UPDATE meta SET value = '{future}' WHERE key = 'compatible_from'"));

    let error = PostgresStore::open(options(&url)).await.unwrap_err();

    let known = known_schema_version();
    assert!(
        matches!(error, OpenError::NewerSchema { found, needed, known: k }
            if (found, needed, k) == (future, future, known)),
        "{error:?}"
    );
    assert!(error.to_string().contains("use the newer version"), "{error}");
}

#[tokio::test]
async fn changed_step_is_noticed() {
    let (name, url) = database();
    let change = "UPDATE refinery_schema_history SET checksum = '1' WHERE version = 1";
    server().sql(&name, change);
    let error = PostgresStore::open(options(&url)).await.unwrap_err();
    assert!(matches!(error, OpenError::ChangedMigration { version: 1 }), "{error:?}");
}

#[tokio::test]
async fn step_that_was_left_out_or_is_of_elsewhere_is_noticed() {
    for (change, wrong) in [
        ("DELETE FROM refinery_schema_history WHERE version = 3", 3),
        ("UPDATE refinery_schema_history SET name = 'of_elsewhere' WHERE version = 4", 4),
    ] {
        let (name, url) = database();
        server().sql(&name, change);
        let error = PostgresStore::open(options(&url)).await.unwrap_err();
        assert!(
            matches!(error, OpenError::ChangedMigration { version } if version == wrong),
            "{change}: {error:?}"
        );
    }
}

/// Whoever adds a column decides here whether a change of it is told to those who remember.
#[tokio::test]
async fn every_column_is_told_or_silent() {
    let server = server();
    open(&server.create_database("told_columns")).await;
    let silent = "SELECT a.attrelid::regclass::text || '.' || a.attname FROM pg_attribute a \
                  WHERE a.attrelid IN ('users'::regclass, 'rooms'::regclass, 'members'::regclass) \
                  AND a.attnum > 0 AND NOT a.attisdropped AND NOT EXISTS ( \
                  SELECT 1 FROM pg_trigger t WHERE t.tgrelid = a.attrelid \
                  AND t.tgname LIKE '%told' AND t.tgtype & 16 <> 0 \
                  AND a.attnum = ANY (t.tgattr::int2[])) ORDER BY 1";
    let silent = server.sql("told_columns", silent);
    let silent: Vec<&str> = silent.split_whitespace().collect();
    let expected = [
        "members.bot",
        "members.joined_at",
        "members.mute_reason",
        "members.muted_by",
        "members.name",
        "members.notifications",
        "members.read_seq",
        "members.room",
        "members.user_id",
        "rooms.bots_mark",
        "rooms.client_id",
        "rooms.creator",
        "rooms.id",
        "rooms.last_seq",
        "rooms.member_count",
        "rooms.participants",
        "rooms.reset_through",
        "users.erased_at",
        "users.id",
        "users.last_seen",
        "users.password_hash",
    ];
    assert_eq!(silent, expected);
}
