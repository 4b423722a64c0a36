//! A TCP proxy that breaks connections the way networks do.
//!
//! It listens on the loopback interface, on a port that the kernel picks, and stops when dropped.
//! Each direction has a mode that can change while connections are open.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

mod pump;

/// What happens to the bytes of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They go through.
    Pass,
    /// They are kept until the mode changes; the sender's buffers fill up.
    Stall,
    /// They are swallowed, as is the end of the connection, so both sides think it is alive.
    BlackHole,
    /// They go through in small pieces.
    Drip {
        /// The size of a piece; 0 counts as 1.
        bytes: usize,
        /// The pause after each piece.
        every: Duration,
    },
    /// They are delayed.
    Latency(Duration),
    /// They are delayed, each time differently.
    Jitter {
        /// The shortest delay.
        least: Duration,
        /// The longest delay.
        most: Duration,
    },
    /// New connections are reset at once; open ones go on.
    Refuse,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server behind the proxy.
    ToServer,
    /// From the server behind the proxy to the client.
    ToClient,
}

/// How connections end that were cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// In order, so that the other side reads an end of file.
    Close,
    /// With a reset, so that the other side gets an error.
    Reset,
}

/// What a connection task listens to.
#[derive(Clone, Copy, Debug)]
struct Orders {
    to_server: Mode,
    to_client: Mode,
    /// Grows with each cut; connections that began before are ended.
    cuts: u64,
    ending: Ending,
    /// Bytes that may still pass before the connection that carries the last one is cut.
    allowance: Option<Allowance>,
}

#[derive(Clone, Copy, Debug)]
struct Allowance {
    direction: Direction,
    bytes: u64,
}

impl Orders {
    fn mode(&self, direction: Direction) -> Mode {
        match direction {
            Direction::ToServer => self.to_server,
            Direction::ToClient => self.to_client,
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    open: usize,
    accepted: usize,
    swallowed: usize,
}

#[derive(Debug)]
struct Shared {
    upstream: Mutex<SocketAddr>,
    orders: watch::Sender<Orders>,
    counts: watch::Sender<Counts>,
}

/// A proxy that runs until it is dropped.
#[derive(Debug)]
pub struct TcpProxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

impl TcpProxy {
    /// Starts a proxy in front of a server, which need not be there yet.
    pub async fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let orders = Orders {
            to_server: Mode::Pass,
            to_client: Mode::Pass,
            cuts: 0,
            ending: Ending::Close,
            allowance: None,
        };
        let shared = Arc::new(Shared {
            upstream: Mutex::new(upstream),
            orders: watch::Sender::new(orders),
            counts: watch::Sender::default(),
        });
        let stop = CancellationToken::new();
        TaskTracker::new().spawn(accept(listener, Arc::clone(&shared), stop.clone()));
        Self { addr, shared, _stop: stop.drop_guard() }
    }

    /// Returns the address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Sets where connections from now on go; open ones stay where they are.
    pub fn set_upstream(&self, upstream: SocketAddr) {
        *self.shared.upstream.lock().unwrap() = upstream;
    }

    /// Sets the mode of both directions.
    pub fn set_mode(&self, mode: Mode) {
        self.shared.orders.send_modify(|orders| {
            orders.to_server = mode;
            orders.to_client = mode;
        });
    }

    /// Sets the mode of one direction. [`Mode::Refuse`] in either refuses new connections.
    pub fn set_mode_for(&self, direction: Direction, mode: Mode) {
        self.shared.orders.send_modify(|orders| match direction {
            Direction::ToServer => orders.to_server = mode,
            Direction::ToClient => orders.to_client = mode,
        });
    }

    /// Closes all connections in order.
    pub fn cut_all(&self) {
        self.end_all(Ending::Close);
    }

    /// Resets all connections.
    pub fn reset_all(&self) {
        self.end_all(Ending::Reset);
    }

    /// Cuts the connection that carries the `n`th byte from now on in this direction, right after
    /// that byte. Other connections go on, and so do later ones.
    pub fn cut_after_bytes(&self, direction: Direction, n: u64) {
        let allowance = Some(Allowance { direction, bytes: n });
        self.shared.orders.send_modify(|orders| orders.allowance = allowance);
    }

    /// Returns how many connections are open.
    pub fn connections(&self) -> usize {
        self.shared.counts.borrow().open
    }

    /// Returns how many connections there were, refused ones included.
    pub fn accepted(&self) -> usize {
        self.shared.counts.borrow().accepted
    }

    /// Waits until exactly `n` connections are open.
    pub async fn wait_connections(&self, n: usize) {
        let mut counts = self.shared.counts.subscribe();
        counts.wait_for(|counts| counts.open == n).await.map(drop).unwrap();
    }

    /// Waits until at least `n` bytes in all went into a black hole.
    pub async fn wait_swallowed(&self, n: usize) {
        let mut counts = self.shared.counts.subscribe();
        counts.wait_for(|counts| counts.swallowed >= n).await.map(drop).unwrap();
    }

    fn end_all(&self, ending: Ending) {
        self.shared.orders.send_modify(|orders| {
            orders.cuts += 1;
            orders.ending = ending;
        });
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((client, _)) = accepted else { continue };
        let guard = CountGuard::new(Arc::clone(&shared));
        let orders = shared.orders.subscribe();
        if [Direction::ToServer, Direction::ToClient]
            .iter()
            .any(|&direction| orders.borrow().mode(direction) == Mode::Refuse)
        {
            client.set_zero_linger().unwrap();
            continue;
        }
        let (shared, stop) = (Arc::clone(&shared), stop.clone());
        connections.spawn(async move {
            let _guard = guard;
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = carry(client, &shared, orders) => {}
            }
        });
    }
}

/// Carries one connection until it ends or is cut.
async fn carry(mut client: TcpStream, shared: &Shared, mut orders: watch::Receiver<Orders>) {
    let cuts = orders.borrow_and_update().cuts;
    let cut = async {
        // The sender outlives this task's use of it, so an error means that the proxy is gone.
        orders.wait_for(|orders| orders.cuts > cuts).await.map_or(Ending::Close, |now| now.ending)
    };
    tokio::pin!(cut);
    let upstream = *shared.upstream.lock().unwrap();
    let connected = tokio::select! {
        biased;
        ending = &mut cut => {
            end(&client, None, ending);
            return;
        }
        connected = TcpStream::connect(upstream) => connected,
    };
    let Ok(mut server) = connected else {
        end(&client, None, Ending::Reset);
        return;
    };
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let ending = tokio::select! {
        biased;
        ending = &mut cut => ending,
        ending = pump::both(&mut client, &mut server, shared) => ending,
    };
    end(&client, Some(&server), ending);
}

fn end(client: &TcpStream, server: Option<&TcpStream>, ending: Ending) {
    if ending == Ending::Reset {
        for socket in std::iter::once(client).chain(server) {
            // Fails only when the other side is gone already.
            drop(socket.set_zero_linger());
        }
    }
}

struct CountGuard(Arc<Shared>);

impl CountGuard {
    fn new(shared: Arc<Shared>) -> Self {
        shared.counts.send_modify(|counts| {
            counts.open += 1;
            counts.accepted += 1;
        });
        Self(shared)
    }
}

impl Drop for CountGuard {
    fn drop(&mut self) {
        self.0.counts.send_modify(|counts| counts.open -= 1);
    }
}

#[cfg(test)]
mod tests;
