//! Searching messages.

use parlor_protocol::http::{Page, SearchResult};
use reqwest::Method;

use super::{Call, Http};
use crate::error::ClientError;

/// What to look for.
#[derive(Debug, Clone, Default)]
pub struct SearchQuery {
    /// Words, `"phrases"`, `begin*`, `-without`, and filters such as `from:ada`.
    pub text: String,
    /// Only in this room.
    pub room: Option<String>,
    /// Only messages of this user.
    pub from: Option<String>,
    /// Only messages before this day or time.
    pub before: Option<String>,
    /// Only messages after this day or time.
    pub after: Option<String>,
    /// Only messages with files.
    pub has_attachment: bool,
    /// Where the page starts: `next` of the page before.
    pub cursor: Option<String>,
    /// Items in the page.
    pub limit: Option<u32>,
}

impl Http {
    /// Returns one page of messages that were found, best first. A page may be empty although more
    /// follow.
    pub async fn search(&self, query: &SearchQuery) -> Result<Page<SearchResult>, ClientError> {
        let call = Call::v1(Method::GET, &["search"])
            .query("q", &query.text)
            .query_if("room", query.room.as_deref())
            .query_if("from", query.from.as_deref())
            .query_if("before", query.before.as_deref())
            .query_if("after", query.after.as_deref())
            .query_if("has", query.has_attachment.then_some("attachment"))
            .query_if("cursor", query.cursor.as_deref())
            .query_if("limit", query.limit);
        self.page(call).await
    }
}
