use std::cell::RefCell;
use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::ws::boundary::tests::{Sent, conversation};

/// Pieces of a conversation; between two of them there is nothing to read.
#[derive(Debug, Default)]
struct Pieces(RefCell<VecDeque<Vec<u8>>>);

impl Pieces {
    fn cut(wire: &[u8], lengths: &[usize]) -> Self {
        let (mut pieces, mut rest, mut lengths) = (VecDeque::new(), wire, lengths.iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((*lengths.next().unwrap()).min(rest.len()));
            pieces.push_back(piece.to_vec());
            pieces.push_back(Vec::new());
            rest = after;
        }
        Self(RefCell::new(pieces))
    }
}

impl Source for Pieces {
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut pieces = self.0.borrow_mut();
        let mut piece = pieces.pop_front().unwrap_or_default();
        if piece.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let read = piece.len().min(buffer.len());
        buffer[..read].copy_from_slice(&piece[..read]);
        if read < piece.len() {
            pieces.push_front(piece.split_off(read));
        }
        Ok(read)
    }
}

fn wire(frames: &[Sent]) -> Vec<u8> {
    let mut wire = Vec::new();
    for frame in frames {
        frame.write(&mut wire);
    }
    wire
}

/// Reads everything; returns what was said, one entry for each message or ping.
fn read_all(reader: &mut Reader, pieces: &Pieces) -> Vec<String> {
    let mut said = Vec::new();
    loop {
        match reader.read(pieces) {
            Received::Text(text) => said.push(text.as_str().to_owned()),
            Received::Binary(_) => said.push("binary".to_owned()),
            Received::Nothing => said.push("ping".to_owned()),
            Received::WouldBlock | Received::Paused => {
                if pieces.0.borrow().is_empty() {
                    return said;
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn session_that_says_nothing_holds_no_buffer() {
    let hello = Sent { kind: 1, last: true, payload: b"hello".to_vec() };
    let mut reader = Reader::new(&[], 1024);
    assert!(reader.context.is_none(), "nothing was said yet");

    let mut half = wire(&[hello]);
    let rest = half.split_off(7);
    let pieces = Pieces::cut(&half, &[100]);
    assert!(read_all(&mut reader, &pieces).is_empty());
    assert!(reader.context.is_some(), "a part of a message is kept");

    let pieces = Pieces::cut(&rest, &[100]);
    assert_eq!(read_all(&mut reader, &pieces), ["hello"]);
    assert!(reader.context.is_none(), "given back after the message");
}

#[test]
fn what_came_with_the_request_is_read_first() {
    let frames = ["one", "two"].map(|text| Sent { kind: 1, last: true, payload: text.into() });
    let wire = wire(&frames);
    for begun in 0..=wire.len() {
        let (begun, rest) = wire.split_at(begun);
        let mut reader = Reader::new(begun, 1024);
        let pieces = Pieces::cut(rest, &[3]);
        let mut said = read_all(&mut reader, &Pieces::default());
        said.extend(read_all(&mut reader, &pieces));
        assert_eq!(said, ["one", "two"]);
    }
}

#[test]
fn message_that_is_not_text_is_found_out_across_its_parts() {
    let frames = [
        Sent { kind: 1, last: false, payload: vec![0xe2, 0x82] },
        Sent { kind: 9, last: true, payload: Vec::new() },
        Sent { kind: 0, last: true, payload: vec![0x28] },
    ];
    let pieces = Pieces::cut(&wire(&frames), &[1]);
    let mut reader = Reader::new(&[], 1024);
    let broken = (0..1_000).find_map(|_| match reader.read(&pieces) {
        Received::Broken(code) => Some(code),
        _ => None,
    });
    assert_eq!(broken, Some(1007));
}

#[test]
fn goodbye_is_answered_once() {
    let frames = [Sent { kind: 8, last: true, payload: 1000_u16.to_be_bytes().to_vec() }];
    let mut reader = Reader::new(&[], 1024);
    let pieces = Pieces::cut(&wire(&frames), &[1]);
    let said = (0..100).find(|_| matches!(reader.read(&pieces), Received::Goodbye));
    assert!(said.is_some());
    assert_eq!(reader.take_replies().as_deref(), Some(&[0x88, 2, 3, 0xe8][..]));
    assert!(!matches!(reader.read(&pieces), Received::WouldBlock), "nothing comes after it");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever a client says, in whatever pieces it comes: it is heard, whole, once, and in
    /// order, and nothing is held once it is quiet.
    #[test]
    fn nothing_is_lost_by_giving_back((messages, pieces) in conversation()) {
        let frames: Vec<Sent> = messages.iter().flatten().cloned().collect();
        let mut expected = Vec::new();
        for message in &messages {
            let mut text = Vec::new();
            for frame in message {
                match frame.kind {
                    9 => expected.push("ping".to_owned()),
                    _ => text.extend_from_slice(&frame.payload),
                }
                if frame.last && frame.kind != 9 {
                    expected.push(match message.first().map(|frame| frame.kind) {
                        Some(1) => String::from_utf8(text.clone()).unwrap(),
                        _ => "binary".to_owned(),
                    });
                }
            }
        }
        let mut reader = Reader::new(&[], 1024 * 1024);
        let pieces = Pieces::cut(&wire(&frames), &pieces);
        prop_assert_eq!(read_all(&mut reader, &pieces), expected);
        prop_assert!(reader.context.is_none());
    }
}
