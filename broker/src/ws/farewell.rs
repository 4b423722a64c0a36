//! How a connection ends: the farewell goes out, and what still comes in is thrown away.

use std::time::Duration;

use parlor_protocol::close::CloseCode;
use tokio::net::TcpStream;

use super::context::Context;
use crate::shard::conn::{CloseReason, Conn};

/// Time for a farewell to reach a client.
const LINGER: Duration = Duration::from_secs(5);
/// So many times the write timeout a reader that had stalled may take to come to its farewell: it
/// has the system's buffers to read first. It holds its place among the connections meanwhile, but
/// next to no memory.
const SLOW_LINGER: u32 = 3;
/// Bytes that are read and thrown away while saying goodbye, so that the goodbye is not lost to a
/// reset.
const DISCARD_MAX: usize = 1024 * 1024;
const DISCARD_AT_ONCE: usize = 4096;

/// Lets the farewell out, then reads and throws away what the client had sent, so that the
/// kernel does not answer it with a reset that would overtake the farewell.
pub(super) async fn say_goodbye(context: &Context, reason: CloseReason) {
    let conn = &context.conn;
    if reason == CloseReason::Lost {
        return;
    }
    let farewell = async {
        write_out(conn).await;
        conn.socket.finish();
        write_out(conn).await;
        let socket = conn.socket.tcp();
        let stream = socket2::SockRef::from(socket);
        if stream.shutdown(std::net::Shutdown::Write).is_err() {
            return;
        }
        let mut discarded = 0;
        while discarded < DISCARD_MAX && socket.readable().await.is_ok() {
            match discard(socket) {
                Ok(0) => return,
                Ok(read) => discarded += read,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    };
    let node = &context.shard.node;
    let slow = reason == CloseReason::Contract(CloseCode::SlowConsumer);
    let patience = if slow { node.config.limits.write_timeout * SLOW_LINGER } else { LINGER };
    let draining = node.lifecycle.draining();
    tokio::pin!(farewell);
    tokio::select! {
        biased;
        () = farewell.as_mut() => {}
        // A client that does not take its farewell is left.
        () = tokio::time::sleep(patience) => {}
        // A stop does not wait for those who have been slow before.
        () = draining.cancelled(), if slow => {}
    }
}

/// Writes until nothing waits, or nothing more can be written.
async fn write_out(conn: &Conn) {
    while matches!(conn.flush(), Ok(false)) {
        if conn.socket.tcp().writable().await.is_err() {
            return;
        }
    }
}

/// Reads and throws away, also what is encrypted. The buffer is not kept while there is nothing to
/// read.
fn discard(socket: &TcpStream) -> std::io::Result<usize> {
    socket.try_read(&mut [0; DISCARD_AT_ONCE])
}
