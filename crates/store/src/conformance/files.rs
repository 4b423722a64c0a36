//! Files: from the upload to the end, and what is to be removed.

use std::time::Duration;

use parlor_domain::search::Query;
use parlor_protocol::event::EventBody;
use parlor_protocol::id::{FileId, MessageId, RoomId};
use parlor_protocol::message::Attachment;
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::UserRef;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::Factory;
use super::world::{World, text, text_as};
use crate::append::{AppendRefused, Appended, Intent, NewMessage};
use crate::record::{
    FinishedUpload, NewPart, NewUpload, PartRecord, UploadRecord, UploadRefused, UploadState,
};
use crate::search::SearchRequest;

/// How long an upload is kept in these tests.
const LIFE: i64 = 1_000_000;
/// After everything.
const LATER: i64 = 100 * LIFE;

fn new_upload(world: &World, owner: &UserRef, bytes: u64) -> NewUpload {
    NewUpload {
        id: FileId(Uuid::new_v4()),
        owner: owner.id,
        name: "notes.txt".to_owned(),
        bytes,
        at: world.now(),
        expires_at: world.later(LIFE),
        max_open: 5,
        max_bytes: 1_000,
    }
}

pub(super) async fn create(world: &World, owner: &UserRef, bytes: u64) -> FileId {
    let upload = new_upload(world, owner, bytes);
    world.store().create_upload(upload).await.unwrap().unwrap().id
}

fn new_part(world: &World, owner: &UserRef, upload: FileId, first: u64, bytes: u64) -> NewPart {
    let key = format!("files/{}/{first}-{}", upload.0.simple(), Uuid::new_v4().simple());
    NewPart {
        upload,
        owner: owner.id,
        part: PartRecord { first, bytes, key },
        expires_at: world.later(LIFE),
        max_parts: 3,
    }
}

async fn add(
    world: &World,
    owner: &UserRef,
    upload: FileId,
    first: u64,
    bytes: u64,
) -> Result<UploadRecord, UploadRefused> {
    world.store().add_part(new_part(world, owner, upload, first, bytes)).await.unwrap()
}

fn finished(world: &World, owner: &UserRef, upload: FileId) -> FinishedUpload {
    FinishedUpload {
        upload,
        owner: owner.id,
        name: "notes.txt".to_owned(),
        media_type: "text/plain".to_owned(),
        width: None,
        height: None,
        made: None,
        max_bytes: 1_000,
        expires_at: world.later(LIFE),
    }
}

/// Uploads a file of ten bytes.
async fn uploaded(world: &World, owner: &UserRef) -> FileId {
    let upload = create(world, owner, 10).await;
    add(world, owner, upload, 0, 10).await.unwrap();
    let finished = finished(world, owner, upload);
    world.store().finish_upload(finished).await.unwrap().unwrap();
    upload
}

fn with(files: &[FileId], body: &str) -> NewMessage {
    NewMessage { attachments: files.to_vec(), ..text(body) }
}

async fn publish(
    world: &World,
    room: RoomId,
    author: &UserRef,
    message: NewMessage,
) -> Result<Appended, AppendRefused> {
    world.append(room, author, Intent::Publish(message)).await
}

async fn due(world: &World) -> Vec<String> {
    // A claim that has ended at once.
    let at = Timestamp::from_millis(0);
    let mut due = world.store().claim_due_purges(at, at, 100).await.unwrap();
    due.sort_unstable();
    due
}

fn folder(file: FileId) -> String {
    format!("files/{}/", file.0.simple())
}

fn ids(attachments: &[Attachment]) -> Vec<FileId> {
    attachments.iter().map(|attachment| attachment.id).collect()
}

/// An upload knows how much has arrived, and takes a part only where the last one ended.
pub async fn upload_grows_part_by_part_and_each_part_is_taken_once(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let new = new_upload(&world, &ada, 10);
    let upload = world.store().create_upload(new.clone()).await.unwrap().unwrap();
    assert_eq!((upload.received, upload.bytes, upload.state), (0, 10, UploadState::Open));
    assert_eq!(world.store().create_upload(new).await.unwrap().unwrap(), upload);
    let id = upload.id;

    assert_eq!(add(&world, &ada, id, 0, 4).await.unwrap().received, 4);
    assert_eq!(add(&world, &ada, id, 0, 4).await, Err(UploadRefused::Offset(4)));
    assert_eq!(add(&world, &ada, id, 5, 4).await, Err(UploadRefused::Offset(4)));
    assert_eq!(
        add(&world, &ada, id, 4, 7).await,
        Err(UploadRefused::TooLong { bytes: 10, given: 11 })
    );
    assert_eq!(add(&world, &bob, id, 4, 6).await, Err(UploadRefused::NoSuchUpload));
    assert_eq!(add(&world, &ada, id, 4, 1).await.unwrap().received, 5);
    let grown = add(&world, &ada, id, 5, 1).await.unwrap();
    assert!(grown.expires_at > upload.expires_at);
    assert_eq!(add(&world, &ada, id, 6, 4).await, Err(UploadRefused::TooManyParts(3)));

    assert_eq!(world.store().find_upload(id, ada.id).await.unwrap(), Some(grown));
    assert_eq!(world.store().find_upload(id, bob.id).await.unwrap(), None);
    let parts = world.store().list_parts(id).await.unwrap();
    let places: Vec<_> = parts.iter().map(|part| (part.first, part.bytes)).collect();
    assert_eq!(places, [(0, 4), (4, 1), (5, 1)]);
}

/// What is to be removed below the key of a file takes nothing from another file.
pub async fn id_of_an_upload_that_has_ended_is_refused_until_its_bytes_are_gone(
    factory: &dyn Factory,
) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let new = new_upload(&world, &ada, 10);
    let again = async || world.store().create_upload(new.clone()).await.unwrap();
    let upload = again().await.unwrap();
    add(&world, &ada, upload.id, 0, 4).await.unwrap();
    assert_eq!(again().await.unwrap().received, 4);
    assert!(world.store().delete_upload(upload.id, ada.id).await.unwrap());
    // Once for what is there, and once for what was being written.
    for _ in 0..2 {
        assert_eq!(again().await, Err(UploadRefused::Ended));
        let (at, until) = (world.now(), world.later(1));
        let keys = world.store().claim_due_purges(at, until, 10).await.unwrap();
        assert_eq!(keys, [folder(upload.id)]);
        assert_eq!(again().await, Err(UploadRefused::Ended));
        world.store().settle_purges(keys, until, at).await.unwrap();
    }
    assert_eq!(again().await.unwrap().received, 0);
}

/// Two clients that send the same part at the same time do not both succeed.
pub async fn of_parts_that_come_at_once_one_is_taken(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let upload = create(&world, &ada, 10).await;
    let mut adding = JoinSet::new();
    for _ in 0..8 {
        let (store, part) = (world.shared(), new_part(&world, &ada, upload, 0, 5));
        adding.spawn(async move { store.add_part(part).await.unwrap() });
    }
    let came = adding.join_all().await;
    assert_eq!(came.iter().filter(|came| came.is_ok()).count(), 1, "{came:?}");
    assert_eq!(world.store().list_parts(upload).await.unwrap().len(), 1);
}

/// A user has so many open uploads and so many bytes, however many begin at once.
pub async fn uploads_of_a_user_are_bounded(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let mut creating = JoinSet::new();
    for _ in 0..8 {
        let (store, upload) = (world.shared(), new_upload(&world, &ada, 10));
        creating.spawn(async move { store.create_upload(upload).await.unwrap() });
    }
    let came = creating.join_all().await;
    assert_eq!(came.iter().filter(|came| came.is_ok()).count(), 5);
    assert!(came.iter().all(|came| matches!(came, Ok(_) | Err(UploadRefused::TooManyUploads(5)))));

    let first = create(&world, &bob, 900).await;
    let refused = world.store().create_upload(new_upload(&world, &bob, 101)).await.unwrap();
    assert_eq!(refused, Err(UploadRefused::Quota { limit: 1_000, left: 100, given: 101 }));
    create(&world, &bob, 100).await;
    assert!(world.store().delete_upload(first, bob.id).await.unwrap());
    create(&world, &bob, 900).await;
}

/// An upload is finished when all of it has arrived, and stays what it became.
pub async fn upload_is_finished_once(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let upload = create(&world, &ada, 10).await;
    add(&world, &ada, upload, 0, 4).await.unwrap();
    let early = world.store().finish_upload(finished(&world, &ada, upload)).await.unwrap();
    assert_eq!(early, Err(UploadRefused::Offset(4)));
    add(&world, &ada, upload, 4, 6).await.unwrap();
    let done = world.store().finish_upload(finished(&world, &ada, upload)).await.unwrap().unwrap();
    assert_eq!(done.state, UploadState::Ready);
    let attachment = done.attachment().unwrap();
    assert_eq!((&*attachment.media_type, attachment.bytes), ("text/plain", 10));

    let other = FinishedUpload { media_type: "x/y".to_owned(), ..finished(&world, &ada, upload) };
    assert_eq!(world.store().finish_upload(other).await.unwrap().unwrap(), done);
    assert_eq!(add(&world, &ada, upload, 10, 0).await, Err(UploadRefused::Offset(10)));
    assert_eq!(due(&world).await, [""; 0]);
}

/// What an image was made into replaces what was sent.
pub async fn remade_file_replaces_its_parts(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let upload = create(&world, &ada, 10).await;
    add(&world, &ada, upload, 0, 4).await.unwrap();
    add(&world, &ada, upload, 4, 6).await.unwrap();
    let sent = world.store().list_parts(upload).await.unwrap();
    let key = format!("files/{}/made", upload.0.simple());
    let made = PartRecord { first: 0, bytes: 700, key };
    let done = FinishedUpload {
        name: "cat.png".to_owned(),
        media_type: "image/png".to_owned(),
        width: Some(30),
        height: Some(20),
        made: Some(made.clone()),
        ..finished(&world, &ada, upload)
    };
    let done = world.store().finish_upload(done).await.unwrap().unwrap().attachment().unwrap();
    assert_eq!((done.bytes, done.width, done.height), (700, Some(30), Some(20)));
    assert_eq!(done.name, "cat.png");
    assert_eq!(world.store().list_parts(upload).await.unwrap(), [made]);
    let mut keys: Vec<String> = sent.into_iter().map(|part| part.key).collect();
    keys.sort_unstable();
    assert_eq!(due(&world).await, keys);
    // What it became counts.
    let refused = world.store().create_upload(new_upload(&world, &ada, 301)).await.unwrap();
    assert_eq!(refused, Err(UploadRefused::Quota { limit: 1_000, left: 300, given: 301 }));
}

/// A message has the uploads of its author in their order, each in one message, and they are in its
/// event.
pub async fn message_takes_finished_uploads_of_its_author_once(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let room = world.public(&ada, &[&bob]).await;
    let (one, two) = (uploaded(&world, &ada).await, uploaded(&world, &ada).await);
    let open = create(&world, &ada, 10).await;
    let refused = Err(AppendRefused::NoSuchUpload);
    assert_eq!(publish(&world, room, &bob, with(&[one], "mine")).await, refused);
    assert_eq!(publish(&world, room, &ada, with(&[one, open], "early")).await, refused);
    let unknown = FileId(Uuid::new_v4());
    assert_eq!(publish(&world, room, &ada, with(&[unknown], "none")).await, refused);

    let message = NewMessage { attachments: vec![two, one], ..text_as("c1", "") };
    let id = message.id;
    // In one batch with others, one of which wants the same.
    let batch = vec![
        world.wish(room, &ada, Intent::Publish(text("before"))),
        world.wish(room, &ada, Intent::Publish(message.clone())),
        world.wish(room, &ada, Intent::Publish(with(&[one], "again"))),
        world.wish(room, &bob, Intent::Publish(text("after"))),
    ];
    let came = world.store().append(batch).await.unwrap();
    assert_eq!(came[2], refused);
    let Ok(Appended::New { events, .. }) = &came[1] else { panic!("{came:?}") };
    let EventBody::MessageCreated(told) = &events[0].body else { panic!("{events:?}") };
    assert_eq!(ids(&told.attachments), [two, one]);
    assert_eq!(told.body, "");
    let Ok(Appended::New { events: last, .. }) = &came[3] else { panic!("{came:?}") };
    assert_eq!(last[0].seq, events[0].seq + 1);

    assert_eq!(world.message(room, id).await, **told);
    let log = world.events(room).await;
    assert!(log.contains(&events[0]), "the log tells of it as it was told");
    let again = world.append(room, &ada, Intent::Publish(message)).await;
    let bare = world.append(room, &ada, Intent::Publish(text_as("c1", "other"))).await;
    for again in [again, bare] {
        let Ok(Appended::Repeat { event }) = again else { panic!("{again:?}") };
        assert_eq!(event, events[0]);
    }
    let found = world.store().find_stored_file(one).await.unwrap().unwrap();
    assert_eq!((found.room, found.message), (room, id));
    assert_eq!(found.parts.len(), 1);
    assert!(world.store().find_attachment(room, one).await.unwrap().is_some());
    let elsewhere = world.public(&ada, &[]).await;
    assert!(world.store().find_attachment(elsewhere, one).await.unwrap().is_none());
    assert!(!world.store().delete_upload(one, ada.id).await.unwrap());
}

async fn said_with(world: &World, room: RoomId, author: &UserRef) -> (MessageId, FileId) {
    let file = uploaded(world, author).await;
    let message = with(&[file], "look");
    let id = message.id;
    world.add(room, author, Intent::Publish(message)).await;
    (id, file)
}

/// Redacting a message ends its files in the same commit, also in what the log tells.
pub async fn file_goes_with_the_text_of_its_message(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;
    let (message, file) = said_with(&world, room, &ada).await;
    let (other, kept) = said_with(&world, room, &ada).await;
    let edit = Intent::Edit { message, body: "look here".to_owned() };
    world.add(room, &ada, edit).await;
    assert_eq!(ids(&world.message(room, message).await.attachments), [file]);

    world.add(room, &ada, Intent::Redact { message }).await;
    assert!(world.message(room, message).await.attachments.is_empty());
    assert!(world.store().find_stored_file(file).await.unwrap().is_none());
    assert!(world.store().find_attachment(room, file).await.unwrap().is_none());
    assert_eq!(due(&world).await, [folder(file)]);
    for event in world.events(room).await {
        if let EventBody::MessageCreated(told) = &event.body {
            let expected: &[FileId] = if told.id == other { &[kept] } else { &[] };
            assert_eq!(ids(&told.attachments), expected);
        }
    }
}

/// Returns the first answer of a search.
async fn first_found(world: &World, user: &UserRef, query: &str) -> Option<MessageId> {
    let request = SearchRequest {
        user: user.id,
        query: Query::parse(query).unwrap(),
        from: None,
        room: None,
        window: None,
        limit: 1,
        time: Duration::from_mins(1),
    };
    let page = world.store().search(request).await.unwrap();
    page.hits.first().map(|hit| hit.message.id)
}

/// Only messages that have files count towards a page of a search for such messages.
pub async fn messages_with_files_are_found_among_many_without(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;
    let (message, _) = said_with(&world, room, &ada).await;
    for _ in 0..3 {
        world.said(room, &ada, "look").await;
    }
    for query in ["look has:attachment", "has:attachment"] {
        assert_eq!(first_found(&world, &ada, query).await, Some(message), "{query}");
    }
    world.add(room, &ada, Intent::Redact { message }).await;
    assert_eq!(first_found(&world, &ada, "has:attachment").await, None);
}

/// Files end with the history, and with the room.
pub async fn file_goes_with_the_history_and_with_the_room(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let (room, other) = (world.public(&ada, &[]).await, world.public(&ada, &[]).await);
    let (_, first) = said_with(&world, room, &ada).await;
    let (_, kept) = said_with(&world, other, &ada).await;
    world.add(room, &ada, Intent::ResetHistory).await;
    assert_eq!(due(&world).await, [folder(first)]);
    let (_, second) = said_with(&world, room, &ada).await;
    world.store().delete_room(room, ada.id, world.now()).await.unwrap().unwrap();
    let mut gone = [folder(first), folder(second)];
    gone.sort_unstable();
    assert_eq!(due(&world).await, gone);
    assert!(world.store().find_stored_file(second).await.unwrap().is_none());
    assert!(world.store().find_stored_file(kept).await.unwrap().is_some());
    let deleted = world.store().delete_rooms_owned_by(ada.id, None).await.unwrap();
    assert_eq!(deleted, [other]);
    assert!(due(&world).await.contains(&folder(kept)));
}

/// What nobody has attached in time goes, finished or not; what a message has stays.
pub async fn upload_that_no_message_has_expires(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;
    let (open, ready) = (create(&world, &ada, 10).await, uploaded(&world, &ada).await);
    let (_, attached) = said_with(&world, room, &ada).await;
    assert_eq!(world.store().expire_uploads(world.now(), 10).await.unwrap(), 0);
    let later = world.advance(LATER);
    assert_eq!(world.store().expire_uploads(later, 1).await.unwrap(), 1);
    assert_eq!(world.store().expire_uploads(later, 10).await.unwrap(), 1);
    let mut gone = [folder(open), folder(ready)];
    gone.sort_unstable();
    assert_eq!(due(&world).await, gone);
    assert!(world.store().find_stored_file(attached).await.unwrap().is_some());
    let refused = publish(&world, room, &ada, with(&[ready], "late")).await;
    assert_eq!(refused, Err(AppendRefused::NoSuchUpload));
    assert_eq!(world.store().find_upload(open, ada.id).await.unwrap(), None);
}

/// An object stays noted until it was removed; what is below a key is removed twice.
pub async fn removal_is_noted_until_it_was_done(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let (soon, later) = (world.now(), world.later(LIFE));
    store.note_purge("files/1/a", soon).await.unwrap();
    store.note_purge("files/1/a", later).await.unwrap();
    store.note_purge("files/2/", soon).await.unwrap();
    store.note_purge("files/3/b", later).await.unwrap();
    let at = world.now();
    assert_eq!(store.count_due_purges(at).await.unwrap(), 2);
    let claim = async |at: Timestamp, until: Timestamp| {
        let mut due = store.claim_due_purges(at, until, 10).await.unwrap();
        due.sort_unstable();
        due
    };
    let until = world.later(LIFE);
    let due = claim(at, until).await;
    assert_eq!(due, ["files/1/a", "files/2/"]);

    store.settle_purges(due, until, later).await.unwrap();
    assert_eq!(claim(world.now(), until).await, [""; 0]);
    let (at, until) = (world.advance(LATER), world.later(LIFE));
    let due = claim(at, until).await;
    assert_eq!(due, ["files/2/", "files/3/b"]);
    // What cannot be removed lets the others go first.
    store.postpone_purges(due[..1].to_vec(), until, world.later(LATER)).await.unwrap();
    store.postpone_purges(due[1..].to_vec(), until, at).await.unwrap();
    assert_eq!(claim(at, until).await, ["files/3/b"]);
    let (at, until) = (world.advance(LATER), world.later(LIFE));
    let due = claim(at, until).await;
    assert_eq!(due.len(), 2);
    store.settle_purges(due, until, until).await.unwrap();
    assert_eq!(store.count_due_purges(world.advance(LATER)).await.unwrap(), 0);
}

/// Of those who remove objects at the same time, each is given others; and one whose time is over
/// settles nothing that another has claimed since.
pub async fn removal_is_given_to_one_at_a_time(factory: &dyn Factory) {
    let world = World::open(factory).await;
    for n in 0..20 {
        world.store().note_purge(&format!("files/{n}/"), world.now()).await.unwrap();
    }
    let (at, until) = (world.now(), world.later(LIFE));
    let mut claiming = JoinSet::new();
    for _ in 0..8 {
        let store = world.shared();
        claiming.spawn(async move { store.claim_due_purges(at, until, 3).await.unwrap() });
    }
    let mut claimed = claiming.join_all().await.concat();
    // Those who came at the same moment may have been given fewer than there were.
    claimed.extend(world.store().claim_due_purges(at, until, 100).await.unwrap());
    claimed.sort_unstable();
    let given = claimed.len();
    claimed.dedup();
    assert_eq!((given, claimed.len()), (20, 20), "{claimed:?}");

    // Who has not settled them in time has lost them.
    let at = world.advance(LIFE);
    let (before, until) = (until, world.later(LIFE));
    let store = world.store();
    assert_eq!(store.claim_due_purges(at, until, 100).await.unwrap().len(), 20);
    for _ in 0..2 {
        store.settle_purges(claimed.clone(), before, at).await.unwrap();
        store.postpone_purges(claimed.clone(), before, at).await.unwrap();
    }
    assert_eq!(store.count_due_purges(at).await.unwrap(), 0);
    assert_eq!(store.count_due_purges(until).await.unwrap(), 20);
}

/// A user has one picture; the one before is to be removed, and the new one is not.
pub async fn picture_replaces_the_one_before(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let store = world.store();
    let key = |version: &str| format!("avatars/{}/{version}", ada.id.0.simple());
    let at = Timestamp::from_millis(0);
    store.note_purge(&key("v1"), at).await.unwrap();
    let account = store.set_avatar(ada.id, Some("v1".to_owned())).await.unwrap().unwrap();
    assert_eq!(account.user.avatar.as_deref(), Some("/v1/users/ada/avatar?version=v1"));
    assert_eq!(store.find_avatar("ADA").await.unwrap(), Some((ada.id, "v1".to_owned())));
    assert_eq!(store.find_user(ada.id).await.unwrap().unwrap(), account);
    assert_eq!(due(&world).await, [""; 0]);

    store.set_avatar(ada.id, Some("v2".to_owned())).await.unwrap().unwrap();
    store.set_avatar(ada.id, Some("v2".to_owned())).await.unwrap().unwrap();
    assert_eq!(due(&world).await, [key("v1")]);
    let account = store.set_avatar(ada.id, None).await.unwrap().unwrap();
    assert_eq!(account.user.avatar, None);
    assert_eq!(due(&world).await, [key("v1"), key("v2")]);
    assert_eq!(store.find_avatar("ada").await.unwrap(), None);
    let nobody = parlor_protocol::id::UserId(Uuid::new_v4());
    assert!(store.set_avatar(nobody, None).await.unwrap().is_none());
}

/// An image may become larger by being made anew, and still not larger than its owner may have.
pub async fn remade_file_stays_within_what_its_owner_may_have(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    create(&world, &ada, 900).await;
    let upload = create(&world, &ada, 10).await;
    add(&world, &ada, upload, 0, 10).await.unwrap();
    let made = |bytes| FinishedUpload {
        made: Some(PartRecord {
            first: 0,
            bytes,
            key: format!("files/{}/made", upload.0.simple()),
        }),
        ..finished(&world, &ada, upload)
    };
    let refused = world.store().finish_upload(made(101)).await.unwrap();
    assert_eq!(refused, Err(UploadRefused::Quota { limit: 1_000, left: 100, given: 101 }));
    let found = world.store().find_upload(upload, ada.id).await.unwrap().unwrap();
    assert_eq!((found.state, found.received), (UploadState::Open, 10));
    assert_eq!(world.store().list_parts(upload).await.unwrap().len(), 1);
    assert_eq!(due(&world).await, [""; 0]);

    let done = world.store().finish_upload(made(100)).await.unwrap().unwrap();
    assert_eq!((done.state, done.bytes), (UploadState::Ready, 100));
}

/// Whoever goes takes their picture and uploads along, and where it is wanted the files of their
/// messages. Those of others stay.
pub async fn files_of_a_user_go_with_the_user(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let room = world.public(&ada, &[&bob]).await;
    let (_, attached) = said_with(&world, room, &ada).await;
    let (_, of_bob) = said_with(&world, room, &bob).await;
    let (open, ready) = (create(&world, &ada, 10).await, uploaded(&world, &ada).await);
    let store = world.store();
    for user in [&ada, &bob] {
        store.set_avatar(user.id, Some("v1".to_owned())).await.unwrap().unwrap();
    }

    assert_eq!(store.remove_files_of_user(ada.id, false, 1).await.unwrap(), 1);
    assert_eq!(store.remove_files_of_user(ada.id, false, 10).await.unwrap(), 1);
    assert_eq!(store.find_avatar("ada").await.unwrap(), None);
    let mut gone = vec![format!("avatars/{}/v1", ada.id.0.simple()), folder(open), folder(ready)];
    gone.sort_unstable();
    assert_eq!(due(&world).await, gone);
    assert!(store.find_stored_file(attached).await.unwrap().is_some());

    assert_eq!(store.remove_files_of_user(ada.id, true, 10).await.unwrap(), 1);
    assert_eq!(store.remove_files_of_user(ada.id, true, 10).await.unwrap(), 0);
    assert!(store.find_stored_file(attached).await.unwrap().is_none());
    gone.push(folder(attached));
    gone.sort_unstable();
    assert_eq!(due(&world).await, gone);
    assert!(store.find_stored_file(of_bob).await.unwrap().is_some());
    assert!(store.find_avatar("bob").await.unwrap().is_some());
}
