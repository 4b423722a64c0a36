//! Whether a WebSocket can be opened, through whatever stands in between: proxies pass ordinary
//! requests on long before they pass these.

use parlor_client::{ClientConfig, ClientError, Connection};
use parlor_protocol::code::Code;
use url::Url;

use super::Finding;

const CHECK: &str = "socket";

/// Opens a WebSocket as nobody, which a server refuses in a way that no proxy does.
pub(super) async fn examine(server: &Url, name: &str) -> Finding {
    let config = match ClientConfig::new(server.as_str()) {
        Ok(config) => config,
        Err(error) => return Finding::fail(CHECK, error.to_string(), "name another with --server"),
    };
    match Connection::open(&config, "doctor").await {
        // The server read the token, so the request came through as it has to.
        Err(ClientError::Problem(problem)) if problem.code == Code::Unauthenticated => {
            Finding::ok(CHECK, format!("{name} opens WebSockets"))
        }
        Err(ClientError::Problem(problem)) if problem.code == Code::BadRequest => Finding::fail(
            CHECK,
            format!("{name} was not asked for a WebSocket: {}", problem.detail),
            "have the proxy pass on `Upgrade` and `Connection`, over HTTP/1.1",
        ),
        Err(ClientError::Problem(problem)) if problem.code == Code::Unavailable => {
            Finding::warn(CHECK, problem.detail.clone(), "try again in a moment")
        }
        Err(error) => Finding::fail(
            CHECK,
            format!("no WebSocket at {name}: {error}"),
            "have the proxy pass /v1/ws on to the server, and look at its log",
        ),
        Ok(_) => Finding::ok(CHECK, format!("{name} opens WebSockets")),
    }
}
