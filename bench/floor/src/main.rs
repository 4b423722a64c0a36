//! What the machine allows: two programs without any logic of a product, to measure servers against.
//!
//! `floor epoll` is the least that can be called a chat server. `floor write` and `floor read` are
//! the two ends of bare writes to many sockets. Both serve loopback addresses only.

mod epoll;
mod frame;
mod sweep;

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;

const USAGE: &str = "\
What the machine allows, to measure servers against.

  floor epoll [--port N]       A WebSocket server: one thread, what waits for a room in one write
                               to each of its members
  floor write [--port N] [--members N] [--bytes N] [--batch N] [--rate N] [--seconds N]
                               One write to each member in turn; prints what it cost as JSON
  floor read --port N [--members N]
                               The members: connects, and reads until the other end is done

Options:
  --port N      on 127.0.0.1 [default: 0, any free one, which is printed]
  --members N   connections [default: 1000]
  --bytes N     length of a frame [default: 158, which is a text frame of 154 bytes]
  --batch N     frames in a write [default: 1]
  --rate N      deliveries a second in all [default: 0, as many as there can be]
  --seconds N   of writing [default: 5]
";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) =
        arguments.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    let options = Options::parse(rest)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    match command {
        "epoll" => {
            let server = epoll::Server::bind(address).context("listen")?;
            say(&format!("listening on {}", server.address()))?;
            server.run().context("serve")
        }
        "write" => {
            let writer = sweep::Writer::bind(address).context("listen")?;
            say(&format!("listening on {}", writer.address()))?;
            let cost = writer.run(&options.sweep()).context("write")?;
            say(&cost.to_string())
        }
        "read" => sweep::read(address, options.members).context("read"),
        "" | "--help" | "-h" | "help" => say(USAGE.trim_end()),
        other => anyhow::bail!("there is no command {other}; see floor --help"),
    }
}

/// Writes a line for whoever started this.
fn say(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// What may be given to any command.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Options {
    port: u16,
    members: usize,
    bytes: usize,
    batch: usize,
    rate: u32,
    seconds: u32,
}

impl Options {
    fn parse(arguments: &[String]) -> anyhow::Result<Self> {
        let mut options =
            Self { port: 0, members: 1_000, bytes: 158, batch: 1, rate: 0, seconds: 5 };
        for pair in arguments.chunks(2) {
            let [name, value] = pair else { anyhow::bail!("{} needs a value", pair.concat()) };
            let number: u32 =
                value.parse().with_context(|| format!("{name} takes a number, not {value}"))?;
            let count = usize::try_from(number.max(1)).unwrap_or(usize::MAX);
            match name.as_str() {
                "--port" => options.port = u16::try_from(number).context("a port is 16 bits")?,
                "--members" => options.members = count,
                "--bytes" => options.bytes = count,
                "--batch" => options.batch = count,
                "--rate" => options.rate = number,
                "--seconds" => options.seconds = number.max(1),
                other => anyhow::bail!("there is no option {other}; see floor --help"),
            }
        }
        Ok(options)
    }

    fn sweep(&self) -> sweep::Sweep {
        sweep::Sweep {
            members: self.members,
            bytes: self.bytes,
            batch: self.batch,
            rate: self.rate,
            seconds: self.seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> anyhow::Result<Options> {
        let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        Options::parse(&arguments)
    }

    #[test]
    fn options_are_numbers_after_their_names() {
        let options = parse(&["--members", "7", "--rate", "50000"]).unwrap();
        assert_eq!((options.members, options.rate, options.batch), (7, 50_000, 1));
        for wrong in [&["--members"][..], &["--members", "x"], &["--port", "70000"], &["--x", "1"]]
        {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
