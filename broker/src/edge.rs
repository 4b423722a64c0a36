//! The edge: one listener, one runtime and one shard for each core.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ::http::{Request, Version};
use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto;
use parlor_bus::Mailbox;
use parlor_runtime::Lifecycle;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tower::Service as _;

use crate::admission::Permit;
use crate::http::{self, ClientAddress};
use crate::node::Node;
use crate::rate::AddressKey;
use crate::shard::Shard;
use crate::stream::{OpenStream, ShardHandle};
use crate::ws;

mod answers;
mod forwarded;
mod link;
mod timed;

use answers::Answers;
use forwarded::{client_address, is_trusted};
use link::Link;
pub(crate) use timed::Timed;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 4_096;
/// Streams that may wait to be opened on one shard.
const STREAM_QUEUE: usize = 256;
/// Requests at once on one HTTP/2 connection: a page needs a few, and each may hold its answer.
const STREAMS_MAX: u32 = 32;
/// Pause after the system refused a connection, such as for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listeners on one address, one for each shard.
#[derive(Debug)]
pub struct Listeners {
    address: SocketAddr,
    sockets: Vec<std::net::TcpListener>,
}

impl Listeners {
    /// Binds `count` listeners to one address; port 0 picks a free one for all.
    ///
    /// # Errors
    ///
    /// Fails when the address is in use, also by another process that shares ports as we do.
    pub fn bind(address: SocketAddr, count: usize) -> io::Result<Self> {
        if address.port() != 0 {
            // Without SO_REUSEPORT: finds out whether someone else listens.
            drop(listen(address, false)?);
        }
        let first = listen(address, true)?;
        let address = first.local_addr()?;
        let mut sockets = vec![first];
        for _ in 1..count {
            sockets.push(listen(address, true)?);
        }
        Ok(Self { address, sockets })
    }

    /// Returns the address that is listened on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts a thread for each listener.
    ///
    /// # Errors
    ///
    /// Fails when a thread or its runtime cannot be made, or the bus has no place.
    pub fn serve(self, node: &Arc<Node>, lifecycle: &Lifecycle) -> io::Result<()> {
        let router = http::router(Arc::clone(node));
        for (index, socket) in self.sockets.into_iter().enumerate() {
            let mailbox = node
                .bus
                .subscribe(node.config.limits.bus_queue)
                .ok_or_else(|| io::Error::other("too many shards"))?;
            let (node, router) = (Arc::clone(node), router.clone());
            lifecycle.spawn_thread(format!("shard-{index}"), move || async move {
                match TcpListener::from_std(socket) {
                    Ok(listener) => run_shard(node, mailbox, listener, router).await,
                    Err(error) => {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "listener cannot be used"
                        );
                    }
                }
            })?;
        }
        Ok(())
    }
}

fn listen(address: SocketAddr, share: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if share {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

async fn run_shard(node: Arc<Node>, mailbox: Mailbox, listener: TcpListener, router: Router) {
    let lifecycle = node.lifecycle.clone();
    let shard = Rc::new(Shard::new(Arc::clone(&node), mailbox.id));
    let (requests, mut wishes) = mpsc::channel::<OpenStream>(STREAM_QUEUE);
    let handle = ShardHandle { requests };
    // These serve the shard for as long as the thread lives; they hold nothing that must be saved.
    let mut hub = tokio::task::spawn_local(Rc::clone(&shard).run_hub(mailbox));
    let mut keeper = tokio::task::spawn_local(Rc::clone(&shard).run_housekeeping());
    let mut opener = tokio::task::spawn_local({
        let shard = Rc::clone(&shard);
        async move {
            while let Some(wish) = wishes.recv().await {
                drop(tokio::task::spawn_local(Rc::clone(&shard).open_stream(wish)));
            }
        }
    });
    let draining = lifecycle.draining();
    loop {
        let accepted = tokio::select! {
            biased;
            () = draining.cancelled() => break,
            // Without any of them the shard is of no use: its thread is critical, so its end stops
            // the process.
            _ = &mut hub => return,
            _ = &mut keeper => return,
            _ = &mut opener => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => accept(&shard, &handle, &router, socket, peer.ip()),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    Rc::clone(&shard).drain(node.config.lifecycle.drain).await;
    for task in [hub, keeper, opener] {
        task.abort();
    }
}

fn accept(
    shard: &Rc<Shard>,
    handle: &ShardHandle,
    router: &Router,
    socket: TcpStream,
    peer: IpAddr,
) {
    let node = &shard.node;
    // Until there is an administrator, the server belongs to whoever sits at this machine.
    if node.setup.is_open() && !peer.to_canonical().is_loopback() {
        node.metrics.http.refused.with_label_values(&["setup"]).inc();
        return;
    }
    let proxies = &node.config.server.trusted_proxies;
    // A proxy's connections are other people's.
    let address = (!is_trusted(proxies, peer)).then(|| AddressKey::from(peer));
    let permit = match node.admission.connect(address) {
        Ok(permit) => Rc::new(permit),
        Err(none) => {
            node.metrics.http.refused.with_label_values(&[none.reason()]).inc();
            return;
        }
    };
    // Small frames go out at once; without it they may only be late.
    drop(socket.set_nodelay(true));
    limit_silence(&socket, node.config.limits.write_timeout);
    let serving = serve(Rc::clone(shard), handle.clone(), router.clone(), socket, peer, permit);
    node.lifecycle.spawn_local("http", serving);
}

/// Has the system give up a connection whose other end has vanished, as the last resort: answers and
/// sessions are watched by timers of their own, which end earlier.
fn limit_silence(socket: &TcpStream, write_timeout: Duration) {
    #[cfg(target_os = "linux")]
    drop(socket2::SockRef::from(socket).set_tcp_user_timeout(Some(write_timeout * 6)));
    #[cfg(not(target_os = "linux"))]
    let _ = (socket, write_timeout);
}

async fn serve(
    shard: Rc<Shard>,
    handle: ShardHandle,
    router: Router,
    socket: TcpStream,
    peer: IpAddr,
    permit: Rc<Permit>,
) {
    let connections = shard.node.metrics.http.connections.clone();
    connections.inc();
    if let Some(link) = shake_hands(&shard.node, socket).await {
        speak(shard, handle, router, link, peer, permit).await;
    }
    connections.dec();
}

/// Shakes hands where the node has a certificate; `None` when that comes to nothing.
async fn shake_hands(node: &Node, socket: TcpStream) -> Option<Link> {
    let Some(tls) = &node.tls else { return Some(Link::Plain(socket)) };
    let refuse = |reason| node.metrics.http.refused.with_label_values(&[reason]).inc();
    if let Err(none) = node.admission.secure() {
        refuse(none.reason());
        return None;
    }
    let draining = node.lifecycle.draining();
    let shaken = tokio::select! {
        biased;
        () = draining.cancelled() => return None,
        // Given back when it is done.
        shaken = Box::pin(tls.accept(socket, node.config.limits.handshake_timeout)) => shaken,
    };
    if shaken.is_err() {
        refuse("tls");
    }
    shaken.ok().map(|stream| Link::Tls(Box::new(stream)))
}

async fn speak(
    shard: Rc<Shard>,
    handle: ShardHandle,
    router: Router,
    link: Link,
    peer: IpAddr,
    permit: Rc<Permit>,
) {
    let node = Arc::clone(&shard.node);
    let limits = &node.config.limits;
    let draining = node.lifecycle.draining();
    let asked = Cell::new(false);
    let answers = Answers::new();
    let service = service_fn(|mut request: Request<Incoming>| {
        asked.set(true);
        let (shard, handle) = (Rc::clone(&shard), handle.clone());
        let (mut router, permit) = (router.clone(), Rc::clone(&permit));
        let watch = (request.version() == Version::HTTP_2).then(|| Arc::clone(&answers));
        async move {
            let proxies = &shard.node.config.server.trusted_proxies;
            let address = client_address(peer, request.headers(), proxies);
            if request.uri().path() == "/v1/ws" {
                match ws::upgrade(&shard, &mut request, address, permit).await {
                    Ok(response) => return Ok::<_, Infallible>(response),
                    // Answered by the router, like every request that is refused.
                    Err(refused) => drop(request.extensions_mut().insert(refused)),
                }
            }
            request.extensions_mut().insert(ClientAddress(address));
            request.extensions_mut().insert(handle);
            let response = router.call(request.map(Body::new)).await?;
            Ok(match watch {
                Some(answers) => response.map(|body| answers.watch(body)),
                None => response,
            })
        }
    });
    let mut builder = auto::Builder::new(LocalExecutor);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.handshake_timeout)
        .max_buf_size(limits.request_head.get().max(MIN_HEAD));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.request_head.get()).unwrap_or(u32::MAX))
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(limits.heartbeat)
        .keep_alive_timeout(limits.handshake_timeout);
    {
        let link = Timed::new(link, limits.write_timeout);
        let serving = builder.serve_connection_with_upgrades(link, service);
        tokio::pin!(serving);
        // hyper's own limit begins once it knows which HTTP is spoken, and HTTP/2 has none.
        let silent = async {
            tokio::time::sleep(limits.handshake_timeout).await;
            if asked.get() {
                std::future::pending::<()>().await;
            }
        };
        let finished = tokio::select! {
            biased;
            // What a client did wrong on its connection is its own affair.
            result = serving.as_mut() => { drop(result); true }
            () = draining.cancelled() => false,
            () = silent => true,
            () = answers.stalled(limits.write_timeout) => true,
        };
        if !finished {
            serving.as_mut().graceful_shutdown();
            // A client that takes nothing does not hold up the stop.
            drop(tokio::time::timeout(node.config.lifecycle.drain, serving).await);
        }
    }
}

/// hyper's own least for its buffer.
const MIN_HEAD: usize = 8_192;

/// Runs hyper's tasks on the shard's thread.
#[derive(Debug, Clone, Copy)]
struct LocalExecutor;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        drop(tokio::task::spawn_local(async move { drop(future.await) }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_that_is_in_use_is_found_out() {
        let first = Listeners::bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let second = Listeners::bind(first.address(), 2);
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
