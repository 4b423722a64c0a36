//! Searches that the database gives up.

use std::time::Duration;

use parlor_domain::search::Query;
use parlor_store::conformance::search;
use parlor_store::{
    Log as _, Operations as _, Search as _, SearchRequest, SqliteOptions, SqliteStore,
};

use super::{ADA, Sqlite, publish, settle};

/// Gives a search without time up at its first step, before anything was found.
const INTERRUPTED: Sqlite = Sqlite { search_steps: Some(1) };

#[tokio::test]
async fn search_that_is_interrupted_at_once_gets_on() {
    search::search_that_finds_nothing_for_long_gets_on(&INTERRUPTED).await;
}

#[tokio::test]
async fn search_that_is_interrupted_at_once_leads_on() {
    search::search_without_time_leads_on(&INTERRUPTED).await;
}

#[tokio::test]
async fn window_that_is_interrupted_at_once_loses_nothing() {
    search::window_that_takes_too_long_loses_nothing(&INTERRUPTED).await;
}

/// What is passed over counts as looked at, so a page ends in time though nothing was found.
#[tokio::test]
async fn page_ends_in_time_where_nothing_is_found() {
    for search_steps in [1, 10_000] {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions { search_steps, ..SqliteOptions::new(folder.path()) };
        let store = SqliteStore::open(options).unwrap();
        settle(&store).await;
        let batch = (0..200).map(|n| publish(&n.to_string(), "tea")).collect();
        assert!(store.append(batch).await.unwrap().iter().all(Result::is_ok));
        let mut request = SearchRequest {
            user: ADA,
            query: Query::parse("tea has:attachment").unwrap(),
            from: None,
            room: None,
            window: None,
            limit: 50,
            time: Duration::ZERO,
        };
        let mut pages = 0;
        loop {
            let page = store.search(request.clone()).await.unwrap();
            pages += 1;
            assert_eq!(page.hits, []);
            let Some(next) = page.next else { break };
            assert_ne!(Some(next), request.window, "it goes on");
            request.window = Some(next);
        }
        // 64 messages are looked at before the clock.
        assert!(pages >= 4, "{pages}");
        store.close().await;
    }
}
