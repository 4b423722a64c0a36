use bytes::Bytes;
use parlor_files::{Objects, Place};
use parlor_protocol::id::{FileId, UserId};
use parlor_protocol::user::{ServerRole, UserKind};
use parlor_runtime::ManualClock;
use parlor_runtime::config::FilesConfig;
use parlor_store::record::{NewPart, NewUpload, NewUser, PartRecord, UploadRefused};
use parlor_store::{SqliteOptions, SqliteStore};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::files::folder;
use crate::metrics::Metrics;

/// Two nodes that look after the files of one store, and someone who uploads.
struct Stage {
    store: Box<dyn Store>,
    objects: Objects,
    nodes: [Files; 2],
    clock: ManualClock,
    ada: UserId,
    _folder: TempDir,
}

impl Stage {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: Box<dyn Store> =
            Box::new(SqliteStore::open(SqliteOptions::new(folder.path())).unwrap());
        let objects = Objects::open(Place::Memory).unwrap();
        let node = || {
            let metrics = Metrics::new(prometheus::Registry::new()).unwrap().files;
            Files::new(&FilesConfig::default(), objects.clone(), &[7; 32], metrics).unwrap()
        };
        let (nodes, clock) = ([node(), node()], ManualClock::default());
        let ada = UserId(Uuid::from_u128(1));
        let user = NewUser {
            id: ada,
            username: "ada".to_owned(),
            display_name: "ada".to_owned(),
            kind: UserKind::User,
            email: None,
            password_hash: None,
            role: ServerRole::User,
            at: Timestamp::new(clock.now()),
        };
        store.create_user(user).await.unwrap().unwrap();
        Self { store, objects, nodes, clock, ada, _folder: folder }
    }

    fn now(&self) -> Timestamp {
        Timestamp::new(self.clock.now())
    }

    async fn begin(&self, id: FileId) -> Result<(), UploadRefused> {
        let upload = NewUpload {
            id,
            owner: self.ada,
            name: "notes.txt".to_owned(),
            bytes: 10,
            at: self.now(),
            expires_at: after(self.now(), Duration::from_hours(24)),
            max_open: 5,
            max_bytes: 1_000,
        };
        self.store.create_upload(upload).await.unwrap().map(drop)
    }

    /// Sends a part, and returns the key of its object.
    async fn send(&self, id: FileId) -> String {
        let key = format!("{}part", folder(id));
        self.objects.put(&key, Bytes::from_static(b"hello")).await.unwrap();
        let part = NewPart {
            upload: id,
            owner: self.ada,
            part: PartRecord { first: 0, bytes: 5, key: key.clone() },
            expires_at: after(self.now(), Duration::from_hours(24)),
            max_parts: 10,
        };
        self.store.add_part(part).await.unwrap().unwrap();
        key
    }

    async fn claim(&self) -> Claim {
        Claim::take(&*self.store, self.now()).await.unwrap()
    }

    async fn carry_out(&self, node: usize, claim: Claim) {
        claim.carry_out(&self.nodes[node], &*self.store, &self.clock).await.unwrap();
    }

    /// An upload that has ended, of which only the last removal is left.
    async fn ended(&self, id: FileId) {
        self.begin(id).await.unwrap();
        self.send(id).await;
        assert!(self.store.delete_upload(id, self.ada).await.unwrap());
        self.carry_out(0, self.claim().await).await;
        self.clock.advance(AGAIN);
    }
}

#[tokio::test]
async fn node_that_comes_late_takes_nothing_from_an_upload_that_began_again() {
    let stage = Stage::open().await;
    let id = FileId(Uuid::from_u128(2));
    stage.ended(id).await;

    let [late, quick] = [stage.claim().await, stage.claim().await];
    stage.carry_out(1, quick).await;
    // The id is free when the one who removes has done it, and not before.
    let began = stage.begin(id).await;
    let key = if began.is_ok() { Some(stage.send(id).await) } else { None };
    stage.carry_out(0, late).await;
    if let Some(key) = key {
        stage.objects.read_all(&key).await.unwrap();
    }
    assert_eq!(began, Err(UploadRefused::Ended));
    stage.begin(id).await.unwrap();
}

#[tokio::test]
async fn claim_that_is_over_is_not_carried_out() {
    let stage = Stage::open().await;
    let id = FileId(Uuid::from_u128(2));
    stage.ended(id).await;

    let late = stage.claim().await;
    stage.clock.advance(CLAIMED);
    let next = stage.claim().await;
    stage.carry_out(1, next).await;
    stage.begin(id).await.unwrap();
    let key = stage.send(id).await;
    stage.carry_out(0, late).await;
    stage.objects.read_all(&key).await.unwrap();
}
