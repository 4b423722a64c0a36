//! Files of rooms.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _};
use parlor_protocol::http::ImportReport;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE};

use super::{Call, Http};
use crate::error::ClientError;

/// The longest that a file may take.
const UPLOAD_MAX: Duration = Duration::from_hours(24);

impl Http {
    /// Makes a room of a file; for administrators. `map` names accounts for people of the file:
    /// their user names there and here. With `dry_run` the file is only checked.
    pub async fn import_room<S, E>(
        &self,
        file: S,
        map: &[(String, String)],
        dry_run: bool,
    ) -> Result<ImportReport, ClientError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: std::error::Error + Send + Sync + 'static,
    {
        // A file can be sent only once: the token is renewed before, if it has to be.
        self.empty(Call::v1(Method::GET, &["users", "me"])).await?;
        let token = self.access_token().await?;
        let config = self.config();
        let mut url = config.url(["v1", "rooms", "import"]);
        let map: Vec<String> = map.iter().map(|(old, new)| format!("{old}={new}")).collect();
        url.query_pairs_mut()
            .append_pair("map", &map.join(","))
            .append_pair("dry_run", if dry_run { "true" } else { "false" });
        // Nothing is read while a large file is sent, so there is no limit on that here.
        let client = reqwest::Client::builder()
            .user_agent(&config.user_agent)
            .connect_timeout(config.connect_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        let response = client
            .post(url)
            .bearer_auth(token)
            .header(ACCEPT, "application/json, application/problem+json")
            .header(CONTENT_TYPE, "application/jsonl")
            .body(reqwest::Body::wrap_stream(file.into_stream()))
            .timeout(UPLOAD_MAX)
            .send()
            .await?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        self.decode(response).await
    }
}
