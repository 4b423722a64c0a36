//! Shows a dialect's reader the same bytes in every way that a network may cut them in two, and one
//! by one.

use super::frame;
use super::{Dialect, Incoming};

/// Appends a frame as a server sends it.
pub(crate) fn from_server(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    let mut masked = Vec::new();
    frame::write(opcode, payload, &mut masked);
    let header = masked.len() - payload.len() - 4;
    out.push(masked[0]);
    out.push(masked[1] & 0x7F);
    out.extend_from_slice(&masked[2..header]);
    out.extend_from_slice(payload);
}

/// Checks that `bytes` tell `told` and are answered with `answer`, however they are cut.
#[track_caller]
pub(crate) fn at_every_byte(dialect: &dyn Dialect, bytes: &[u8], told: &[&str], answer: &[u8]) {
    let cut = |at: usize| vec![&bytes[..at], &bytes[at..]];
    let ways = (0..bytes.len()).map(cut).chain([bytes.chunks(1).collect()]);
    for pieces in ways {
        let first = pieces[0].len();
        let mut reader = dialect.reader();
        let (mut waiting, mut out, mut found) = (Vec::new(), Vec::new(), Vec::new());
        for piece in pieces {
            waiting.extend_from_slice(piece);
            let taken = reader
                .take(&waiting, &mut out, &mut |incoming| found.push(name(incoming)))
                .expect("these bytes are what the system sends");
            waiting.drain(..taken);
        }
        assert_eq!(found, told, "the first piece has {first} bytes");
        assert_eq!(out, answer, "the first piece has {first} bytes");
        assert!(waiting.is_empty(), "{} bytes stay", waiting.len());
    }
}

fn name(incoming: Incoming<'_>) -> String {
    match incoming {
        Incoming::Message(payload) => format!("Message({})", String::from_utf8_lossy(payload)),
        other => format!("{other:?}"),
    }
}
