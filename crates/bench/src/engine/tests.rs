//! The generator against servers that do wrong.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::{Drive, Load, Outcome, Place, run};
use crate::dialect::{by_name, frame};
use crate::progress::Progress;
use crate::target::BenchError;

/// What a server does with the `number`th message for the `reader`th reader: the frames that it
/// sends, or `None` to close the connection.
type Habit = fn(reader: usize, number: usize, frame: &[u8]) -> Option<Vec<u8>>;

/// Who is in the room, in the order in which they connected, and how many messages there were.
#[derive(Debug, Default)]
struct Room {
    members: BTreeMap<usize, TcpStream>,
    messages: usize,
}

#[expect(clippy::unnecessary_wraps, reason = "it is one habit of several")]
fn honest(_reader: usize, _number: usize, frame: &[u8]) -> Option<Vec<u8>> {
    Some(frame.to_vec())
}

/// Starts a server of one room that speaks the plain dialect; it ends with the test.
fn serve(habit: Habit) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let room = Arc::new(Mutex::new(Room::default()));
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let (stream, room) = (stream.unwrap(), Arc::clone(&room));
            thread::spawn(move || attend(number, stream, &room, habit));
        }
    });
    address
}

fn attend(client: usize, mut stream: TcpStream, room: &Mutex<Room>, habit: Habit) {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4_096]);
    let (mut is_open, mut has_joined) = (false, false);
    while let Ok(count @ 1..) = stream.read(&mut chunk) {
        bytes.extend_from_slice(&chunk[..count]);
        if !is_open && bytes.ends_with(b"\r\n\r\n") {
            stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").unwrap();
            (is_open, bytes) = (true, Vec::new());
        }
        while is_open && let Some(text) = first_text(&mut bytes) {
            let mut room = room.lock().unwrap();
            if !has_joined {
                has_joined = true;
                stream.write_all(&from_server(b"joined")).unwrap();
                room.members.insert(client, stream.try_clone().unwrap());
                continue;
            }
            let number = room.messages;
            room.messages += 1;
            room.members.retain(|reader, member| {
                match habit(*reader, number, &from_server(&text)) {
                    Some(frames) => member.write_all(&frames).is_ok(),
                    None => member.shutdown(Shutdown::Both).is_err(),
                }
            });
        }
    }
}

fn from_server(text: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x81, 126];
    bytes.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(text);
    bytes
}

/// Takes the first frame of a client; its mask is zero.
fn first_text(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let whole = frame::first(bytes)?.length + 4;
    if bytes.len() < whole {
        return None;
    }
    let length = frame::first(bytes)?.payload.len();
    let text = bytes[whole - length..whole].to_vec();
    bytes.drain(..whole);
    Some(text)
}

fn load(address: SocketAddr, drive: Drive) -> Load {
    let token: Arc<str> = "".into();
    Load {
        dialect: by_name("ws").unwrap().into(),
        address,
        authority: address.to_string(),
        path: "/".to_owned(),
        rooms: vec!["room".to_owned()],
        places: (0..5).map(|_| Place { token: Arc::clone(&token), room: 0 }).collect(),
        senders: 1,
        payload: 154,
        drive,
        warm_up: Duration::ZERO,
        duration: Duration::from_millis(300),
        // Longer than a busy machine stands still.
        quiet: Duration::from_secs(3),
        stalled_percent: None,
        // The first connection, which sends, is the server's first as well.
        threads: 1,
        server_pids: Vec::new(),
    }
}

async fn outcome(habit: Habit) -> Outcome {
    let load = load(serve(habit), Drive::Open { rate: 200.0 });
    run(load, &Progress::hidden()).await.unwrap()
}

#[tokio::test]
async fn all_is_well_with_an_honest_server() {
    let outcome = outcome(honest).await;
    let check = outcome.check;
    assert!(check.is_clean(), "{outcome:?}");
    assert_eq!((check.published, check.expected, check.arrived), (60, 300, 300));
    let counts = &outcome.spans[0].counts;
    assert_eq!((counts.published, counts.latency.summary().count), (60, 300));
}

#[tokio::test]
async fn closed_loop_sends_the_next_when_all_have_the_one_before() {
    let mut load = load(serve(honest), Drive::Closed { in_flight: 3 });
    (load.threads, load.senders) = (2, 2);
    let outcome = run(load, &Progress::hidden()).await.unwrap();
    assert!(outcome.check.is_clean(), "{outcome:?}");
    assert!(outcome.check.published > 3, "{outcome:?}");
    assert_eq!(outcome.check.arrived, outcome.check.published * 5);
    assert_eq!(outcome.overdue, 0);
}

#[tokio::test]
async fn what_a_server_drops_is_lost() {
    let check = outcome(|reader, number, frame| {
        let is_dropped = reader == 2 && (number == 7 || number > 56);
        Some(if is_dropped { Vec::new() } else { frame.to_vec() })
    });
    let check = check.await.check;
    assert_eq!((check.lost, check.doubled, check.out_of_order), (1 + 3, 0, 0), "{check:?}");
    assert_eq!(check.arrived, 300 - 4);
}

#[tokio::test]
async fn what_a_server_repeats_is_doubled_and_not_counted_twice() {
    let check = outcome(|reader, number, frame| {
        Some(frame.repeat(if reader == 1 && number % 10 == 0 { 2 } else { 1 }))
    });
    let check = check.await.check;
    assert_eq!((check.lost, check.doubled, check.out_of_order), (0, 6, 0), "{check:?}");
    assert_eq!(check.arrived, 300);
}

#[tokio::test]
async fn what_a_server_turns_round_is_out_of_order() {
    static KEPT: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    let check = outcome(|reader, number, frame| {
        let mut kept = KEPT.lock().unwrap();
        Some(match (reader, number % 10) {
            (3, 4) => {
                *kept = frame.to_vec();
                Vec::new()
            }
            (3, 5) => [frame, &std::mem::take(&mut *kept)].concat(),
            _ => frame.to_vec(),
        })
    });
    let check = check.await.check;
    assert_eq!((check.lost, check.doubled, check.out_of_order), (0, 0, 6), "{check:?}");
}

#[tokio::test]
async fn a_reader_that_is_cut_off_loses_the_rest_and_is_counted() {
    let outcome =
        outcome(|reader, number, frame| (reader != 4 || number < 10).then(|| frame.to_vec()));
    let outcome = outcome.await;
    assert_eq!(outcome.closed, [(1006, 1)]);
    assert_eq!(outcome.check.lost, 50, "{outcome:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let load = load(address, Drive::Open { rate: 1.0 });
    let error = run(load, &Progress::hidden()).await.unwrap_err();
    assert!(matches!(error, BenchError::Connection(_)), "{error:?}");
}
