//! Moves the bytes of one connection.

use std::time::Duration;

use rand::Rng as _;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    time::sleep,
};

use super::{Direction, Ending, Mode, Orders, Shared};

/// Bytes read at once.
const READ_SIZE: usize = 16 * 1024;

/// Moves bytes both ways until both sides have ended, one broke, or the allowance was used up.
pub(super) async fn both(
    client: &mut TcpStream,
    server: &mut TcpStream,
    shared: &Shared,
) -> Ending {
    let (client_read, client_write) = client.split();
    let (server_read, server_write) = server.split();
    let up = one(client_read, server_write, Direction::ToServer, shared);
    let down = one(server_read, client_write, Direction::ToClient, shared);
    tokio::pin!(up, down);
    let (mut up_ended, mut down_ended) = (false, false);
    loop {
        let outcome = tokio::select! {
            biased;
            outcome = &mut up, if !up_ended => {
                up_ended = true;
                outcome
            }
            outcome = &mut down, if !down_ended => {
                down_ended = true;
                outcome
            }
        };
        match outcome {
            Outcome::Ended if up_ended && down_ended => return Ending::Close,
            Outcome::Ended => {}
            Outcome::Broke => return Ending::Reset,
            Outcome::UsedUp => return Ending::Close,
        }
    }
}

enum Outcome {
    /// The sender ended its side in order.
    Ended,
    /// One of the sockets failed.
    Broke,
    /// The byte after which to cut has passed.
    UsedUp,
}

async fn one(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    direction: Direction,
    shared: &Shared,
) -> Outcome {
    let mut orders = shared.orders.subscribe();
    let mut buffer = vec![0; READ_SIZE];
    loop {
        pass_gate(&mut orders, direction).await;
        let Ok(read) = from.read(&mut buffer).await else { return Outcome::Broke };
        // The mode may have changed while there was nothing to read.
        let mode = pass_gate(&mut orders, direction).await;
        if mode == Mode::BlackHole {
            if read == 0 {
                // Swallow the end of the connection too, for as long as the mode lasts.
                let left = |orders: &Orders| orders.mode(direction) != Mode::BlackHole;
                drop(orders.wait_for(left).await);
                return end_side(&mut to).await;
            }
            shared.counts.send_modify(|counts| counts.swallowed += read);
            continue;
        }
        match mode {
            Mode::Latency(delay) => sleep(delay).await,
            Mode::Jitter { least, most } => {
                let delay = rand::rng().random_range(least..=most.max(least));
                sleep(delay).await;
            }
            _ => {}
        }
        if read == 0 {
            return end_side(&mut to).await;
        }
        let (piece, pause) = match mode {
            Mode::Drip { bytes, every } => (bytes.max(1), every),
            _ => (read, Duration::ZERO),
        };
        for bytes in buffer[..read].chunks(piece) {
            let (allowed, used_up) = take_allowance(shared, direction, bytes.len());
            if to.write_all(&bytes[..allowed]).await.is_err() {
                return Outcome::Broke;
            }
            if used_up {
                return Outcome::UsedUp;
            }
            if !pause.is_zero() {
                sleep(pause).await;
            }
        }
    }
}

/// Waits while the direction is stalled and returns its mode.
async fn pass_gate(orders: &mut watch::Receiver<Orders>, direction: Direction) -> Mode {
    let passing = |orders: &Orders| orders.mode(direction) != Mode::Stall;
    match orders.wait_for(passing).await {
        Ok(now) => now.mode(direction),
        Err(_) => Mode::Pass,
    }
}

async fn end_side(to: &mut WriteHalf<'_>) -> Outcome {
    match to.shutdown().await {
        Ok(()) => Outcome::Ended,
        Err(_) => Outcome::Broke,
    }
}

/// Returns how many of the bytes may pass and whether the connection ends after them.
fn take_allowance(shared: &Shared, direction: Direction, read: usize) -> (usize, bool) {
    let mut outcome = (read, false);
    shared.orders.send_if_modified(|orders| {
        if let Some(allowance) = &mut orders.allowance
            && allowance.direction == direction
        {
            let passing = usize::try_from(allowance.bytes).unwrap_or(usize::MAX).min(read);
            allowance.bytes -= passing as u64;
            outcome = (passing, allowance.bytes == 0);
            if allowance.bytes == 0 {
                orders.allowance = None;
            }
        }
        // Nobody waits for the allowance.
        false
    });
    outcome
}
