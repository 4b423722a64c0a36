//! Processes that die, and disks that break, under a store at work. The processes are this test
//! binary again, told by a variable what to be.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parlor_protocol::event::EventBody;
use parlor_store::{Appended, Log as _, Operations as _, StoreError};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::sqlite_writer::fill;
use super::{ROOM, open, publish, settle};

const FOLDER: &str = "PARLOR_TEST_FOLDER";
const WRITERS: u32 = 6;
const ROUNDS: u32 = 5;
const ACKS_A_ROUND: usize = 60;

/// The folder, in a process that is a child.
pub(super) fn child_folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

/// Starts the test `name` of this binary as a child, by way of `shell`.
pub(super) fn start_child(shell: &str, name: &str, folder: &Path) -> Child {
    Command::new("sh")
        .args(["-c", shell])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads", "1"])
        .env(FOLDER, folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// Tells the parent; the harness prints to the same place.
pub(super) fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{line}").unwrap();
    out.flush().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_writes() {
    let Some(folder) = child_folder() else { return };
    let store = Arc::new(open(&folder));
    settle(&store).await;
    tell(&format!("epoch {}", store.epoch()));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            // Everything from the beginning: what was acknowledged before is a repeat.
            for n in 0.. {
                let client_id = format!("{writer}-{n}");
                let answer = store.append(vec![publish(&client_id, &client_id)]).await;
                let seq = match answer.unwrap().remove(0).unwrap() {
                    Appended::New { events, .. } => events[0].seq,
                    Appended::Repeat { event } => event.seq,
                    Appended::Unchanged => panic!("a message is never unchanged"),
                };
                tell(&format!("ack {client_id} {seq}"));
            }
        });
    }
    writers.join_all().await;
}

#[tokio::test]
async fn killed_process_loses_nothing_that_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged: HashMap<String, u64> = HashMap::new();
    let mut epochs = Vec::new();
    for round in 0..ROUNDS {
        let mut child =
            start_child("exec \"$0\" \"$@\"", "sqlite_crash::child_that_writes", folder.path());
        let wanted = acknowledged.len() + ACKS_A_ROUND;
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut note = |line: &str, acknowledged: &mut HashMap<String, u64>| {
            if let Some(epoch) = line.strip_prefix("epoch ") {
                epochs.push(epoch.to_owned());
            }
            let Some(ack) = line.strip_prefix("ack ") else { return };
            // The last line may be cut.
            let Some((client_id, seq)) = ack.split_once(' ') else { return };
            let Ok(seq) = seq.parse() else { return };
            let first = *acknowledged.entry(client_id.to_owned()).or_insert(seq);
            assert_eq!(first, seq, "{client_id} was acknowledged with two positions");
        };
        for line in lines.by_ref() {
            note(&line, &mut acknowledged);
            if acknowledged.len() >= wanted {
                break;
            }
        }
        assert!(acknowledged.len() >= wanted, "the child of round {round} ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        let complete: Vec<String> = lines.collect();
        // What was told before the end counts; only a cut last line does not.
        for line in complete.iter().rev().skip(1) {
            note(line, &mut acknowledged);
        }
    }

    let store = open(folder.path());
    epochs.push(store.epoch().to_owned());
    let events = store.read_events(ROOM, 0, 1_000_000).await.unwrap();
    for (event, seq) in events.iter().zip(1..) {
        assert_eq!(event.seq, seq, "the log has a hole or a double");
    }
    let mut stored: HashMap<String, u64> = HashMap::new();
    for event in events {
        if let EventBody::MessageCreated(message) = event.body {
            let twice = stored.insert(message.client_id.unwrap(), event.seq);
            assert_eq!(twice, None, "a message is there twice");
        }
    }
    for (client_id, seq) in &acknowledged {
        assert_eq!(stored.get(client_id), Some(seq), "{client_id} was lost or moved");
    }
    assert!(acknowledged.len() >= ACKS_A_ROUND * ROUNDS as usize);
    assert!(epochs.iter().all(|epoch| *epoch == epochs[0]), "a crash is no restored backup");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_with_a_broken_disk() {
    let Some(folder) = child_folder() else { return };
    let store = open(&folder);
    settle(&store).await;
    let unlimited = getrlimit(Resource::Fsize);
    // From here on no file grows beyond 1 MiB: each write beyond it fails.
    let limited = Rlimit { current: Some(1024 * 1024), maximum: unlimited.maximum };
    setrlimit(Resource::Fsize, limited).unwrap();

    let acknowledged = fill(&store).await;
    let refused = store.append(vec![publish("refused", "hi")]).await;
    assert!(matches!(refused, Err(StoreError::ReadOnly(_))), "{refused:?}");
    assert!(store.check_health().await.is_err());
    let seen = store.read_events(ROOM, 2, 100_000).await.unwrap().len() as u64;
    // The write that failed may or may not be there: its outcome was told to be open.
    assert!(seen == acknowledged || seen == acknowledged + 1, "{seen} of {acknowledged}");

    setrlimit(Resource::Fsize, unlimited).unwrap();
    let healed = async {
        while store.check_health().await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), healed).await.unwrap();
    store.append(vec![publish("healed", "hi")]).await.unwrap().remove(0).unwrap();
    let events = store.read_events(ROOM, 0, 100_000).await.unwrap();
    for (event, seq) in events.iter().zip(1..) {
        assert_eq!(event.seq, seq, "the log has a hole or a double");
    }
    assert!(events.len() as u64 > acknowledged + 2);
    store.close().await;
    tell("healed");
}

#[test]
fn store_heals_when_the_disk_takes_writes_again() {
    let folder = tempfile::tempdir().unwrap();
    let shell = "trap '' XFSZ; exec \"$0\" \"$@\"";
    let child = start_child(shell, "sqlite_crash::child_with_a_broken_disk", folder.path());

    let output = child.wait_with_output().unwrap();

    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    assert!(told.lines().any(|line| line == "healed"), "the child did not run: {told}");
}
