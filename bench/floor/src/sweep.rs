//! The price of bare writes: frames of nothing to many sockets, and a reader that throws them away.
//!
//! The sockets block, so what the reader cannot take holds the writer back and nothing grows.

use std::fs;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use serde_json::{Value, json};

/// Clock ticks in a second, as `/proc` counts; fixed by the kernel's interface to programs.
const TICKS_PER_SECOND: f64 = 100.0;
/// Fields of `/proc/PID/stat` between the name and the processor time in user mode.
const FIELDS_BEFORE_USER_TIME: usize = 11;

/// What to write.
#[derive(Debug, Clone)]
pub(crate) struct Sweep {
    pub(crate) members: usize,
    pub(crate) bytes: usize,
    pub(crate) batch: usize,
    /// Deliveries a second; 0 for no limit.
    pub(crate) rate: u32,
    pub(crate) seconds: u32,
}

/// The side that pays.
#[derive(Debug)]
pub(crate) struct Writer {
    listener: TcpListener,
    address: SocketAddr,
}

impl Writer {
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        Ok(Self { address: listener.local_addr()?, listener })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the members, writes to each in turn, and tells what it cost.
    pub(crate) fn run(self, sweep: &Sweep) -> io::Result<Value> {
        let mut members = Vec::with_capacity(sweep.members);
        while members.len() < sweep.members {
            let (stream, _) = self.listener.accept()?;
            stream.set_nodelay(true)?;
            members.push(stream);
        }
        let frames = vec![b'x'; sweep.bytes * sweep.batch];
        let each = (members.len() * sweep.batch) as u64;
        let pause = sweep_length(each, sweep.rate);
        let before = cpu_seconds();
        let start = Instant::now();
        let end = start + Duration::from_secs(sweep.seconds.into());
        let mut due = start;
        let mut deliveries = 0_u64;
        while Instant::now() < end {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            for member in &mut members {
                member.write_all(&frames)?;
            }
            deliveries += each;
            due += pause;
        }
        let seconds = start.elapsed().as_secs_f64();
        let cpu = before.zip(cpu_seconds()).map(|(before, after)| after - before);
        Ok(json!({
            "members": sweep.members,
            "batch": sweep.batch,
            "frame_bytes": sweep.bytes,
            "deliveries": deliveries,
            "seconds": seconds,
            "cpu_seconds": cpu,
        }))
    }
}

/// Returns how long one write to each may take.
fn sweep_length(deliveries: u64, rate: u32) -> Duration {
    if rate == 0 {
        return Duration::ZERO;
    }
    Duration::from_nanos(deliveries.saturating_mul(1_000_000_000) / u64::from(rate))
}

/// Reads what comes to so many connections, until the writer is done with all.
pub(crate) fn read(address: SocketAddr, members: usize) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut streams = Vec::with_capacity(members);
    for at in 0..members {
        let stream = TcpStream::connect(address)?;
        stream.set_nonblocking(true)?;
        let mut stream = mio::net::TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(at), Interest::READABLE)?;
        streams.push(stream);
    }
    let mut events = Events::with_capacity(1_024);
    let mut buffer = vec![0; 64 * 1024];
    let mut open = members;
    while open > 0 {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            let Some(stream) = streams.get_mut(event.token().0) else { continue };
            if !drain(stream, &mut buffer) {
                poll.registry().deregister(stream)?;
                open -= 1;
            }
        }
    }
    Ok(())
}

/// Empties a socket; `false` when it is at its end.
fn drain(stream: &mut mio::net::TcpStream, buffer: &mut [u8]) -> bool {
    loop {
        match stream.read(buffer) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}

/// Returns the processor time of this process; `None` where it cannot be known.
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(FIELDS_BEFORE_USER_TIME);
    let mut next = || ticks.next()?.parse::<f64>().ok();
    Some((next()? + next()?) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_gets_every_frame() {
        let writer = Writer::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = writer.address();
        let reader = std::thread::spawn(move || read(address, 3));
        let sweep = Sweep { members: 3, bytes: 10, batch: 2, rate: 600, seconds: 1 };
        let cost = writer.run(&sweep).unwrap();
        reader.join().unwrap().unwrap();
        let deliveries = cost["deliveries"].as_u64().unwrap();
        assert!(deliveries > 0 && deliveries.is_multiple_of(6), "{cost}");
        assert!(deliveries <= 606, "the rate is kept: {cost}");
    }

    #[test]
    fn rate_says_how_long_a_sweep_takes() {
        assert_eq!(sweep_length(1_000, 50_000), Duration::from_millis(20));
        assert_eq!(sweep_length(1_000, 0), Duration::ZERO);
    }
}
