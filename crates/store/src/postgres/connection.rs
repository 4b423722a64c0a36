//! Makes a connection and listens to what the server says in passing.
//!
//! When the wait for a synchronous standby is cut short, the server calls the commit a success and
//! only warns that the standby may not have it. Such a commit is not certain.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use deadpool_postgres::ClientWrapper;
use tokio::task::JoinHandle;
use tokio_postgres::error::DbError;
use tokio_postgres::{AsyncMessage, Config, Connection, Error, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Where the server's code warns that it did not wait for a standby. The text is in the language of
/// the server.
const UNCONFIRMED: &str = "SyncRepWaitForLSN";

/// Whether the server has warned since somebody last asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Doubt(Arc<AtomicBool>);

impl Doubt {
    /// Tells whether a commit since the last question is not certain.
    pub(super) fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }

    fn note(&self, notice: &DbError) {
        if notice.routine() == Some(UNCONFIRMED) {
            self.0.store(true, Ordering::Release);
        }
    }
}

/// Connects.
pub(super) async fn connect(
    config: &Config,
    tls: &MakeRustlsConnect,
) -> Result<(ClientWrapper, Doubt), Error> {
    let (client, connection) = config.connect(tls.clone()).await?;
    let doubt = Doubt::default();
    let task = listen(connection, doubt.clone());
    Ok((ClientWrapper::new(client, task), doubt))
}

/// Moves the bytes of a connection until it ends. A warning is noted before the answer that follows
/// it is given to the caller.
#[expect(clippy::disallowed_methods, reason = "ends with the client that it belongs to")]
fn listen<T>(mut connection: Connection<Socket, T>, doubt: Doubt) -> JoinHandle<()>
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        loop {
            match poll_fn(|context| connection.poll_message(context)).await {
                Some(Ok(AsyncMessage::Notice(notice))) => doubt.note(&notice),
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "a connection to the database has ended"
                    );
                    return;
                }
                None => return,
            }
        }
    })
}
