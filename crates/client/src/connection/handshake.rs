//! The upgrade request and the first frame.

use std::time::Duration;

use futures_util::StreamExt as _;
use parlor_protocol::SUBPROTOCOL;
use parlor_protocol::frame::{Frame, Welcome};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::{Error, UrlError};
use tokio_tungstenite::tungstenite::http::header::{
    AUTHORIZATION, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL, USER_AGENT,
};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::socket::{Received, receive};
use crate::config::ClientConfig;
use crate::error::{ClientError, Ended};
use crate::http::refusal;

/// The socket under a connection.
pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens the socket and waits for `welcome`.
pub(super) async fn open(
    config: &ClientConfig,
    token: &str,
) -> Result<(Socket, Welcome), ClientError> {
    let mut request =
        config.socket_url().as_str().into_client_request().map_err(|_| ClientError::Address)?;
    let header = |text: &str| HeaderValue::from_str(text).map_err(|_| ClientError::NotLoggedIn);
    let mut authorization = header(&format!("Bearer {token}"))?;
    authorization.set_sensitive(true);
    let headers = request.headers_mut();
    headers.insert(AUTHORIZATION, authorization);
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    if let Ok(agent) = HeaderValue::from_str(&config.user_agent) {
        headers.insert(USER_AGENT, agent);
    }
    let limits = WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .max_write_buffer_size(4 << 20)
        .max_message_size(Some(config.frame_bytes))
        .max_frame_size(Some(config.frame_bytes));
    // Boxed, because a TLS handshake is large and every caller would carry it.
    let opened = Box::pin(connect_async_with_config(request, Some(limits), true)).await;
    let (mut socket, _) = opened.map_err(refused_upgrade)?;
    loop {
        let ended = match socket.next().await {
            Some(received) => match receive(received) {
                Ok(Received::Frame(Frame::Welcome(welcome))) => return Ok((socket, *welcome)),
                Ok(Received::Frame(Frame::Error(refused))) => return Err(refused.into()),
                Ok(Received::Frame(_)) => Ended::Malformed("no welcome".to_owned()),
                Ok(Received::Nothing) => continue,
                Err(ended) => ended,
            },
            None => Ended::Lost("before the welcome".to_owned()),
        };
        return Err(ClientError::Ended(ended));
    }
}

fn refused_upgrade(error: Error) -> ClientError {
    match error {
        Error::Http(response) => {
            let retry_after = response.headers().get(RETRY_AFTER);
            let retry_after = retry_after
                .and_then(|value| value.to_str().ok()?.trim().parse().ok())
                .map(Duration::from_secs);
            let body = response.body().as_deref().unwrap_or_default();
            refusal(response.status().as_u16(), retry_after, body)
        }
        Error::Url(UrlError::UnableToConnect(_)) | Error::Io(_) | Error::Tls(_) => {
            ClientError::Unreachable(error.into())
        }
        Error::Url(_) => ClientError::Address,
        other => ClientError::Malformed(other.to_string()),
    }
}
