use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout},
};

use super::*;

/// Longer than anything here takes when it works.
const PATIENCE: Duration = Duration::from_secs(10);

/// Long enough for a byte to cross the loopback interface many times over.
const MOMENT: Duration = Duration::from_millis(100);

/// Starts a server that sends back what it gets, and a proxy in front of it.
async fn echo() -> TcpProxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let tasks = TaskTracker::new();
    tasks.clone().spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tasks.spawn(async move {
                let (mut read, mut write) = socket.split();
                drop(tokio::io::copy(&mut read, &mut write).await);
            });
        }
    });
    TcpProxy::start(addr).await
}

async fn connect(proxy: &TcpProxy) -> TcpStream {
    TcpStream::connect(proxy.addr()).await.unwrap()
}

async fn read(socket: &mut TcpStream, n: usize) -> Vec<u8> {
    let mut bytes = vec![0; n];
    timeout(PATIENCE, socket.read_exact(&mut bytes)).await.unwrap().unwrap();
    bytes
}

async fn read_end(socket: &mut TcpStream) -> std::io::Result<usize> {
    timeout(PATIENCE, socket.read(&mut [0; 1])).await.unwrap()
}

async fn is_silent(socket: &mut TcpStream) -> bool {
    timeout(MOMENT, socket.read(&mut [0; 1])).await.is_err()
}

#[tokio::test]
async fn bytes_and_ends_pass_through() {
    let proxy = echo().await;
    let mut socket = connect(&proxy).await;

    socket.write_all(b"hello").await.unwrap();
    assert_eq!(read(&mut socket, 5).await, b"hello");
    assert_eq!(proxy.connections(), 1);
    socket.shutdown().await.unwrap();

    assert_eq!(read_end(&mut socket).await.unwrap(), 0);
    timeout(PATIENCE, proxy.wait_connections(0)).await.unwrap();
    assert_eq!(proxy.accepted(), 1);
}

#[tokio::test]
async fn stalled_bytes_arrive_when_the_stall_ends() {
    let proxy = echo().await;
    let mut socket = connect(&proxy).await;

    proxy.set_mode(Mode::Stall);
    socket.write_all(b"hello").await.unwrap();
    assert!(is_silent(&mut socket).await);
    proxy.set_mode(Mode::Pass);

    assert_eq!(read(&mut socket, 5).await, b"hello");
}

#[tokio::test]
async fn bytes_in_a_black_hole_are_gone_for_good() {
    let proxy = echo().await;
    let mut socket = connect(&proxy).await;

    proxy.set_mode_for(Direction::ToServer, Mode::BlackHole);
    socket.write_all(b"lost").await.unwrap();
    timeout(PATIENCE, proxy.wait_swallowed(4)).await.unwrap();
    proxy.set_mode(Mode::Pass);
    socket.write_all(b"found").await.unwrap();

    assert_eq!(read(&mut socket, 5).await, b"found");
}

#[tokio::test]
async fn dripping_takes_its_time() {
    let proxy = echo().await;
    let mut socket = connect(&proxy).await;
    let began = Instant::now();

    proxy.set_mode_for(
        Direction::ToClient,
        Mode::Drip { bytes: 1, every: Duration::from_millis(20) },
    );
    socket.write_all(b"hello").await.unwrap();

    assert_eq!(read(&mut socket, 5).await, b"hello");
    assert!(began.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn latency_delays_both_ways() {
    let proxy = echo().await;
    let mut socket = connect(&proxy).await;
    let began = Instant::now();

    proxy.set_mode(Mode::Latency(Duration::from_millis(50)));
    socket.write_all(b"hello").await.unwrap();

    assert_eq!(read(&mut socket, 5).await, b"hello");
    assert!(began.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn refusing_resets_new_connections_and_leaves_open_ones() {
    let proxy = echo().await;
    let mut open = connect(&proxy).await;
    open.write_all(b"a").await.unwrap();
    read(&mut open, 1).await;

    proxy.set_mode(Mode::Refuse);
    let refused = match TcpStream::connect(proxy.addr()).await {
        Ok(mut socket) => read_end(&mut socket).await.is_err(),
        Err(_) => true,
    };
    open.write_all(b"b").await.unwrap();

    assert!(refused);
    assert_eq!(read(&mut open, 1).await, b"b");
}

#[tokio::test]
async fn cut_connections_end_and_reset_ones_fail() {
    let proxy = echo().await;
    let mut first = connect(&proxy).await;
    first.write_all(b"a").await.unwrap();
    read(&mut first, 1).await;

    proxy.cut_all();
    assert_eq!(read_end(&mut first).await.unwrap(), 0);

    let mut second = connect(&proxy).await;
    second.write_all(b"b").await.unwrap();
    read(&mut second, 1).await;
    proxy.reset_all();

    let error = read_end(&mut second).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn the_cut_comes_right_after_the_named_byte_and_once() {
    let proxy = echo().await;
    let mut first = connect(&proxy).await;

    proxy.cut_after_bytes(Direction::ToClient, 3);
    first.write_all(b"hello").await.unwrap();
    assert_eq!(read(&mut first, 3).await, b"hel");
    let end = read_end(&mut first).await;
    let mut second = connect(&proxy).await;
    second.write_all(b"hello").await.unwrap();

    assert!(matches!(end, Ok(0) | Err(_)));
    assert_eq!(read(&mut second, 5).await, b"hello");
}

#[tokio::test]
async fn a_dropped_proxy_ends_its_connections() {
    let proxy = echo().await;
    let mut socket = connect(&proxy).await;
    socket.write_all(b"a").await.unwrap();
    read(&mut socket, 1).await;

    drop(proxy);

    assert!(matches!(read_end(&mut socket).await, Ok(0) | Err(_)));
}
