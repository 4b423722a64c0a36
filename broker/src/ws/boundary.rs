//! Where a client's messages begin and end.
//!
//! tungstenite does not tell whether it holds a part of a message. A session that is to give back
//! its reading state, and the buffer in it, must know that nothing is in there; so the headers are
//! followed here as well. Nothing is checked: what is not a frame is tungstenite's to refuse.

/// Follows the bytes of a connection from frame to frame.
#[derive(Debug, Default)]
pub(super) struct Boundary {
    next: Next,
    /// The last frame of data said that others of the same message follow.
    in_message: bool,
}

/// What the next byte is.
#[derive(Debug, Default, Clone, Copy)]
enum Next {
    /// The first of a frame.
    #[default]
    Kind,
    /// The second of a frame: mask and length.
    Length,
    /// One of `left` that make up a length of two or eight bytes; the key comes after it.
    LongLength { left: u8, length: u64, key: u8 },
    /// One of `left` of the key and the payload.
    Rest { left: u64 },
}

const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
/// Kinds of frames from here on are about the connection, and may come within a message.
const CONTROL: u8 = 0x08;
const KEY_BYTES: u8 = 4;

impl Boundary {
    /// Takes note of bytes that were read.
    pub(super) fn advance(&mut self, mut bytes: &[u8]) {
        while let Some((byte, rest)) = bytes.split_first() {
            if let Next::Rest { left } = self.next {
                let skipped = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                (_, bytes) = bytes.split_at(skipped);
                self.rest(left - skipped as u64);
            } else {
                bytes = rest;
                self.step(*byte);
            }
        }
    }

    /// Tells whether all messages that began have ended.
    pub(super) fn is_between_messages(&self) -> bool {
        matches!(self.next, Next::Kind) && !self.in_message
    }

    fn step(&mut self, byte: u8) {
        match self.next {
            Next::Kind => {
                if byte & 0x0f < CONTROL {
                    self.in_message = byte & FINAL == 0;
                }
                self.next = Next::Length;
            }
            Next::Length => {
                let key = if byte & MASKED == 0 { 0 } else { KEY_BYTES };
                match byte & !MASKED {
                    126 => self.next = Next::LongLength { left: 2, length: 0, key },
                    127 => self.next = Next::LongLength { left: 8, length: 0, key },
                    length => self.rest(u64::from(length) + u64::from(key)),
                }
            }
            Next::LongLength { left, length, key } => {
                let length = length << 8 | u64::from(byte);
                match left {
                    0 | 1 => self.rest(length.saturating_add(u64::from(key))),
                    _ => self.next = Next::LongLength { left: left - 1, length, key },
                }
            }
            Next::Rest { left } => self.rest(left.saturating_sub(1)),
        }
    }

    fn rest(&mut self, left: u64) {
        self.next = if left == 0 { Next::Kind } else { Next::Rest { left } };
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame as a client sends it.
    #[derive(Debug, Clone)]
    pub(in crate::ws) struct Sent {
        pub(in crate::ws) kind: u8,
        pub(in crate::ws) last: bool,
        pub(in crate::ws) payload: Vec<u8>,
    }

    impl Sent {
        pub(in crate::ws) fn write(&self, wire: &mut Vec<u8>) {
            wire.push(self.kind | if self.last { FINAL } else { 0 });
            match self.payload.len() {
                short @ 0..=125 => wire.push(MASKED | u8::try_from(short).unwrap()),
                medium @ 126..=65_535 => {
                    wire.push(MASKED | 0x7e);
                    wire.extend(u16::try_from(medium).unwrap().to_be_bytes());
                }
                long => {
                    wire.push(MASKED | 0x7f);
                    wire.extend((long as u64).to_be_bytes());
                }
            }
            let key = [0x81, 0x80, 0x7f, 0xff];
            wire.extend(key);
            wire.extend(self.payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        }
    }

    fn payload() -> impl Strategy<Value = Vec<u8>> {
        let length = prop_oneof![
            8 => 0_usize..40,
            2 => prop::sample::select(vec![125, 126, 127, 300]),
            1 => prop::sample::select(vec![65_535, 65_536]),
        ];
        // Letters, so that the parts of a text are text.
        (length, b'a'..=b'z').prop_map(|(length, letter)| vec![letter; length])
    }

    /// One message in up to four frames, with pings in between.
    fn message() -> impl Strategy<Value = Vec<Sent>> {
        let ping = prop::option::weighted(0.3, prop::collection::vec(any::<u8>(), 0..20));
        let part = (payload(), ping);
        (prop::sample::select(vec![1_u8, 2]), prop::collection::vec(part, 1..4)).prop_map(
            |(kind, parts)| {
                let count = parts.len();
                let mut frames = Vec::new();
                for (index, (payload, ping)) in parts.into_iter().enumerate() {
                    let kind = if index == 0 { kind } else { 0 };
                    frames.push(Sent { kind, last: index + 1 == count, payload });
                    let ping = ping.map(|payload| Sent { kind: 9, last: true, payload });
                    frames.extend(ping);
                }
                frames
            },
        )
    }

    /// Messages, and where the connection is cut into pieces.
    pub(in crate::ws) fn conversation() -> impl Strategy<Value = (Vec<Vec<Sent>>, Vec<usize>)> {
        let pieces = prop_oneof![
            prop::collection::vec(1_usize..4, 1..60),
            prop::collection::vec(1_usize..5_000, 1..20),
        ];
        (prop::collection::vec(message(), 0..8), pieces)
    }

    #[test]
    fn every_place_but_the_end_of_a_message_is_within_one() {
        let frames = [
            Sent { kind: 1, last: false, payload: vec![b'a'; 200] },
            Sent { kind: 9, last: true, payload: vec![b'p'; 3] },
            Sent { kind: 0, last: true, payload: Vec::new() },
        ];
        let mut wire = Vec::new();
        for frame in &frames {
            frame.write(&mut wire);
        }
        let mut boundary = Boundary::default();
        assert!(boundary.is_between_messages());
        for (index, byte) in wire.iter().enumerate() {
            boundary.advance(&[*byte]);
            assert_eq!(boundary.is_between_messages(), index + 1 == wire.len(), "byte {index}");
        }
    }

    #[test]
    fn length_beyond_all_measure_never_ends() {
        let mut boundary = Boundary::default();
        boundary.advance(&[0x82, 0xff]);
        boundary.advance(&[0xff; 8]);
        boundary.advance(&[0; 4_000]);
        assert!(!boundary.is_between_messages());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// However the bytes come, the boundary is where the messages were put together.
        #[test]
        fn boundary_is_where_a_message_ended((messages, pieces) in conversation()) {
            let (mut wire, mut within) = (Vec::new(), false);
            let mut ends = std::collections::HashSet::from([0]);
            for frame in messages.iter().flatten() {
                frame.write(&mut wire);
                if frame.kind < CONTROL {
                    within = !frame.last;
                }
                if !within {
                    ends.insert(wire.len());
                }
            }
            let mut boundary = Boundary::default();
            let (mut at, mut pieces) = (0, pieces.iter().cycle());
            while at < wire.len() {
                let next = wire.len().min(at + pieces.next().unwrap());
                boundary.advance(&wire[at..next]);
                at = next;
                prop_assert_eq!(boundary.is_between_messages(), ends.contains(&at), "at {}", at);
            }
        }
    }
}
