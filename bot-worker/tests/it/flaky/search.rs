//! Searching, which a worker does not do.

use async_trait::async_trait;
use parlor_store::contract::Result;
use parlor_store::{Search, SearchPage, SearchRequest};

use super::FlakyStore;

unused! { Search:
    fn search(SearchRequest) -> Result<SearchPage>;
}
