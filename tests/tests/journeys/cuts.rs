//! What networks do to connections while somebody works over them.

use std::time::Duration;

use parlor_testkit::tcp_proxy::{Direction, TcpProxy};
use rand::Rng as _;
use tokio::{process::Child, time::sleep};

/// By so much each pause is longer than the one before, so that a slow machine gets through, too.
const SLOWING: Duration = Duration::from_millis(10);

/// Cuts every connection of a proxy, in one of the four ways by turns.
pub(crate) fn cut(proxy: &TcpProxy, turn: usize) {
    let bytes = rand::rng().random_range(1..4_000);
    match turn % 4 {
        0 => proxy.cut_all(),
        1 => proxy.reset_all(),
        2 => proxy.cut_after_bytes(Direction::ToClient, bytes),
        _ => proxy.cut_after_bytes(Direction::ToServer, bytes % 300),
    }
}

/// Cuts connections until a program has ended.
pub(crate) async fn cut_until_ended(proxy: &TcpProxy, running: &mut Child) {
    let (mut turn, mut slower) = (0, Duration::ZERO);
    while running.try_wait().unwrap().is_none() {
        let pause = rand::rng().random_range(10..120);
        sleep(Duration::from_millis(pause) + slower).await;
        cut(proxy, turn);
        turn += 1;
        slower += SLOWING;
    }
}
