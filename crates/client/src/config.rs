//! Where the server is, and every bound of the client.

use std::time::Duration;

use parlor_protocol::signal::SignalFamily;
use url::Url;

use crate::error::ClientError;

/// The name under which this client shows itself unless told otherwise.
pub const USER_AGENT: &str = concat!("parlor-client/", env!("CARGO_PKG_VERSION"));

/// Where the server is, and every bound of the client.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The server's address, such as `https://chat.example.com`; a path is kept as a prefix.
    pub base_url: Url,
    /// The client's name and version, as servers and people see it in the list of logins.
    pub user_agent: String,
    /// How long a connection may take to open, with TLS and the WebSocket handshake.
    pub connect_timeout: Duration,
    /// How long an HTTP call may take.
    pub request_timeout: Duration,
    /// How long a call that waits for a bot's reply may take.
    pub reply_timeout: Duration,
    /// How long a download may be silent.
    pub read_timeout: Duration,
    /// Largest HTTP answer that is read into memory, in bytes.
    pub body_bytes: usize,
    /// How long a WebSocket command may wait for its answer.
    pub command_timeout: Duration,
    /// How long a frame may take to be taken by the network.
    pub write_timeout: Duration,
    /// Largest frame that is accepted, in bytes.
    pub frame_bytes: usize,
    /// Families of signals that are to come; all of them when nothing is chosen.
    pub intents: Option<Vec<SignalFamily>>,
    /// Frames that wait for the program; past it the network is not read.
    pub queued_frames: usize,
    /// Commands, and unacknowledged publishes, that wait for the network.
    pub queued_commands: usize,
    /// The first pause before connecting again lies between zero and this.
    pub backoff_base: Duration,
    /// No pause before connecting again is longer, unless the server asks for it.
    pub backoff_cap: Duration,
}

impl ClientConfig {
    /// Creates a configuration with the default bounds.
    ///
    /// # Errors
    /// [`ClientError::Address`] when `base_url` is not an `http` or `https` address.
    pub fn new(base_url: &str) -> Result<Self, ClientError> {
        let base_url = Url::parse(base_url).map_err(|_| ClientError::Address)?;
        let web = matches!(base_url.scheme(), "http" | "https") && base_url.has_host();
        let bare = base_url.username().is_empty() && base_url.password().is_none();
        if !web || !bare {
            return Err(ClientError::Address);
        }
        Ok(Self {
            base_url,
            user_agent: USER_AGENT.to_owned(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            reply_timeout: Duration::from_mins(5),
            read_timeout: Duration::from_mins(1),
            body_bytes: 16 << 20,
            command_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(10),
            frame_bytes: 8 << 20,
            intents: None,
            queued_frames: 256,
            queued_commands: 256,
            backoff_base: Duration::from_millis(500),
            backoff_cap: Duration::from_secs(30),
        })
    }

    /// Returns the address of a path, each segment encoded.
    pub(crate) fn url<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.base_url.clone();
        url.set_query(None);
        url.set_fragment(None);
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Returns the address of the WebSocket.
    pub(crate) fn socket_url(&self) -> Url {
        let mut url = self.url(["v1", "ws"]);
        let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
        // A web address can always become a socket address; `url` refuses other changes only.
        url.set_scheme(scheme).ok();
        if let Some(intents) = &self.intents {
            let names: Vec<&str> = intents.iter().map(|family| family.as_str()).collect();
            url.query_pairs_mut().append_pair("intents", &names.join(","));
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_is_kept_and_segments_are_encoded() {
        let config = ClientConfig::new("https://example.com/chat/?x=1").unwrap();
        let url = config.url(["v1", "rooms", "a/b ?#"]);
        assert_eq!(url.as_str(), "https://example.com/chat/v1/rooms/a%2Fb%20%3F%23");
        assert_eq!(config.socket_url().as_str(), "wss://example.com/chat/v1/ws");
    }

    #[test]
    fn chosen_families_of_signals_are_asked_for() {
        let mut config = ClientConfig::new("http://example.com").unwrap();
        config.intents = Some(vec![SignalFamily::Typing, SignalFamily::Deltas]);
        let url = config.socket_url();
        assert_eq!(url.as_str(), "ws://example.com/v1/ws?intents=typing%2Cdeltas");
    }

    #[test]
    fn only_web_addresses_without_credentials_are_accepted() {
        for wrong in ["", "example.com", "ftp://example.com", "http://a:b@example.com"] {
            assert!(matches!(ClientConfig::new(wrong), Err(ClientError::Address)), "{wrong}");
        }
    }

    #[test]
    fn dots_in_a_segment_do_not_climb() {
        let config = ClientConfig::new("http://example.com").unwrap();
        assert!(config.url(["v1", "rooms", "..", "x"]).path().starts_with("/v1/rooms"));
    }
}
