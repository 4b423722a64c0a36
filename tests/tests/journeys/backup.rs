//! Backups: what was acknowledged before one began is there after everything else was lost. The
//! commands are those of `docs/BACKUP.md`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parlor_protocol::{command::Position, frame::Frame};
use parlor_testkit::process::{User, binary};
use tokio::{process::Command, task::JoinSet};

use crate::{
    MACHINE,
    stage::{Place, Stage, in_both_places},
    until,
};

in_both_places!(what_was_acknowledged_before_a_backup_survives_the_loss_of_all_else,);

/// The folders of the page, which stand for others here.
const FOLDERS: [&str; 2] = ["/var/lib/parlor", "/backup"];
const WRITERS: usize = 3;
const PATIENCE: Duration = Duration::from_mins(1);

/// Returns the commands of a block of the page, with the folders of a test.
fn commands(kind: &str, place: Place, folders: [&Path; 2]) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/BACKUP.md");
    let page = std::fs::read_to_string(page).unwrap();
    let head = format!("```sh {kind} {}\n", place.pick("alone", "cluster"));
    let (_, block) = page.split_once(&head).unwrap_or_else(|| panic!("no {head}"));
    let (block, _) = block.split_once("```").unwrap();
    let mut block = block.to_owned();
    for (named, folder) in FOLDERS.into_iter().zip(folders) {
        block = block.replace(named, folder.to_str().unwrap());
    }
    // Nothing of the machine itself.
    assert!(FOLDERS.iter().all(|named| !block.contains(&format!(" {named}"))), "{block}");
    block
}

/// Runs the commands of a block, one after the other.
async fn run(stage: &Stage, commands: &str, home: &Path) {
    let programs = binary().parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap();
    let mut shell = Command::new("sh");
    shell
        .args(["-e", "-c", commands])
        .env_clear()
        .env("PATH", format!("{}:{}", programs.display(), path.display()))
        .env("HOME", home)
        .current_dir(home)
        .stdin(Stdio::null());
    if let Stage::Cluster(cluster, _) = stage {
        shell.env("DATABASE_URL", cluster.postgres.url());
    }
    let done = shell.output().await.unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{commands}\n{said}");
}

/// What writers have had acknowledged.
type Acknowledged = Arc<Mutex<BTreeSet<String>>>;

/// Writes until it is told to stop, or until nobody answers.
async fn write(user: User, acknowledged: Acknowledged, stop: Arc<AtomicBool>) {
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let body = format!("{} {number}", user.name);
        let draft = parlor_testkit::process::draft(&body, None);
        if user.http.publish("general", &draft).await.is_ok() {
            acknowledged.lock().unwrap().insert(body);
        }
    }
}

async fn what_was_acknowledged_before_a_backup_survives_the_loss_of_all_else(place: Place) {
    let _shared = MACHINE.read().await;
    let mut stage = place.builder().env("PARLOR_LIMITS__ENABLED", "false").start().await;
    let ada = stage.register("ada").await;
    let mut reader = ada.socket().await;
    let before = reader.subscribe("general", None).await.unwrap();
    reader.abort();
    let acknowledged = Acknowledged::default();
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let user = stage.register(&format!("writer-{number}")).await;
        writers.spawn(write(user, Acknowledged::clone(&acknowledged), Arc::clone(&stop)));
    }
    let many = |more: usize| {
        let acknowledged = Acknowledged::clone(&acknowledged);
        let enough = acknowledged.lock().unwrap().len() + more;
        move || std::future::ready(acknowledged.lock().unwrap().len() >= enough)
    };

    until("people talk", PATIENCE, many(100)).await;
    let home = tempfile::tempdir().unwrap();
    let data_dir = data_dir(&stage);
    let folders = [&*data_dir, home.path()];
    let kept = acknowledged.lock().unwrap().clone();
    run(&stage, &commands("backup", place, folders), home.path()).await;
    until("people talk on", PATIENCE, many(100)).await;
    let newest = ada.http.room("general").await.unwrap().seq;

    stop.store(true, Ordering::Relaxed);
    writers.join_all().await;
    stage.kill_all().await;
    lose_everything(&stage).await;
    run(&stage, &commands("restore", place, folders), home.path()).await;
    stage.restart().await;

    // Whose login the backup has, goes on.
    let found: BTreeSet<String> =
        ada.history("general").await.into_iter().map(|message| message.body).collect();
    let lost: Vec<_> = kept.difference(&found).collect();
    assert!(lost.is_empty(), "{} of {} are lost: {lost:?}", lost.len(), kept.len());
    let said = acknowledged.lock().unwrap().clone();
    assert!(found.iter().filter(|body| body.starts_with("writer")).all(|body| said.contains(body)));

    // Whoever knows more than the backup does not take new numbers for those it has seen.
    let room = ada.http.room("general").await.unwrap();
    assert_ne!(room.epoch, before.epoch);
    assert!(room.seq < newest, "the backup is older");
    for seq in [before.seq, newest] {
        let mut reader = ada.socket().await;
        let since = Position { epoch: before.epoch.clone(), seq };
        let subscribed = reader.subscribe("general", Some(since)).await.unwrap();
        assert!(!subscribed.resumed);
        let reason = loop {
            if let Frame::Resync(resync) = reader.next_frame().await {
                break resync.reason;
            }
        };
        assert_eq!(reason, "epoch_changed");
    }
    let mut reader = ada.socket().await;
    let since = Position { epoch: room.epoch.clone(), seq: room.seq };
    assert!(reader.subscribe("general", Some(since)).await.unwrap().resumed);
    let said = ada.say("general", "here we are again").await;
    assert_eq!(said.seq, room.seq + 1);
}

/// Returns the folder of the only server; in a cluster no folder counts.
fn data_dir(stage: &Stage) -> PathBuf {
    match stage {
        Stage::Alone(server) => server.data_dir(),
        Stage::Cluster(..) => PathBuf::from("/nonexistent"),
    }
}

/// Removes everything that was not backed up.
async fn lose_everything(stage: &Stage) {
    match stage {
        Stage::Alone(server) => std::fs::remove_dir_all(server.data_dir()).unwrap(),
        Stage::Cluster(cluster, _) => {
            cluster.postgres.query("DROP SCHEMA public CASCADE; CREATE SCHEMA public;");
            cluster.redis.restart().await;
            cluster.nats.restart().await;
        }
    }
}
