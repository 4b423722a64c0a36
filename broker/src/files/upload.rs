//! Uploads: parts that arrive, and what is made of them when all are there.

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, TryStreamExt as _};
use parlor_files::sniff::HEAD;
use parlor_files::{Content, PictureKind, PictureRefused, WorkError, check_name, named_for, sniff};
use parlor_protocol::code::Code;
use parlor_protocol::id::UserId;
use parlor_protocol::time::Timestamp;
use parlor_store::record::{
    FinishedUpload, NewPart, PartRecord, UploadRecord, UploadRefused, UploadState,
};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::memory::Held;
use super::{Span, folder, stream};
use crate::http::discard;
use crate::node::Node;
use crate::refusal::{Outcome, Refusal};

/// Receives the next part of an upload. What has arrived when a client goes away or is too slow, or
/// when others hold the memory for more, is kept, so that it can go on from there.
pub(crate) async fn receive(
    node: &Node,
    owner: UserId,
    upload: &UploadRecord,
    body: Body,
) -> Outcome<UploadRecord> {
    let (files, config) = (&node.files, &node.config.files);
    files.check_place()?;
    let mut held = files.enter(owner)?;
    let missing = usize::try_from(upload.bytes - upload.received).unwrap_or(usize::MAX);
    let most = missing.min(config.part.get());
    // The other half is for what follows.
    let until = Instant::now() + node.config.limits.request_timeout / 2;
    let bytes = match read(body, most, until, &mut held).await {
        Arrived::Some(bytes) => bytes,
        Arrived::Nothing => {
            return Err(Refusal::new(Code::BadRequest, "The body of the request did not arrive."));
        }
        Arrived::TooMuch(given) if most == missing => {
            let given = upload.received + given;
            return Err(UploadRefused::TooLong { bytes: upload.bytes, given }.into());
        }
        Arrived::TooMuch(given) => {
            let detail = format!("may have at most {most} bytes at once; it has {given} or more");
            let refusal = Refusal::field("body", "too_large", detail);
            return Err(Refusal { code: Code::PayloadTooLarge, ..refusal });
        }
    };
    let received = bytes.len() as u64;
    let part = PartRecord {
        first: upload.received,
        bytes: received,
        key: new_key(upload, node.clock.new_id()),
    };
    let put = files.objects.put(&part.key, bytes).await;
    put.map_err(|error| files.refuse("write", &error))?;
    let key = part.key.clone();
    let new = NewPart {
        upload: upload.id,
        owner,
        part,
        expires_at: expiry(node),
        max_parts: config.parts_per_file,
    };
    match node.store.add_part(new).await? {
        Ok(upload) => {
            files.metrics.received.inc_by(received);
            Ok(upload)
        }
        Err(refused) => {
            remove(node, &key).await;
            Err(refused.into())
        }
    }
}

/// Looks at an upload of which all bytes have arrived, and makes a file of it. One that is not what it
/// is named for, or a broken image, ends here.
pub(crate) async fn finish(
    node: &Node,
    owner: UserId,
    upload: UploadRecord,
) -> Outcome<UploadRecord> {
    node.files.check_place()?;
    if upload.state != UploadState::Open {
        return Ok(upload);
    }
    let finished = match look(node, owner, &upload).await {
        Ok(finished) => finished,
        Err(Verdict::Later(refusal)) => return Err(refusal),
        Err(Verdict::Never(refusal)) => {
            node.store.delete_upload(upload.id, owner).await?;
            node.files.metrics.uploads.with_label_values(&["refused"]).inc();
            return Err(refusal);
        }
    };
    let made = finished.made.as_ref().map(|made| made.key.clone());
    let outcome = node.store.finish_upload(finished).await?;
    if let Some(made) = made {
        // Someone else may have finished it first.
        let parts = node.store.list_parts(upload.id).await?;
        if !parts.iter().any(|part| part.key == made) {
            remove(node, &made).await;
        }
    }
    let upload = outcome?;
    node.files.metrics.uploads.with_label_values(&["finished"]).inc();
    Ok(upload)
}

/// Why an upload is not a file.
enum Verdict {
    /// It may become one when it is tried again.
    Later(Refusal),
    /// It never will.
    Never(Refusal),
}

impl<T: Into<Refusal>> From<T> for Verdict {
    fn from(refusal: T) -> Self {
        Self::Later(refusal.into())
    }
}

async fn look(
    node: &Node,
    owner: UserId,
    upload: &UploadRecord,
) -> Result<FinishedUpload, Verdict> {
    let parts = node.store.list_parts(upload.id).await?;
    let head = load(node, &parts, upload.bytes.min(HEAD as u64)).await?;
    let content = sniff(&head);
    check_name(&upload.name, content)
        .map_err(|lie| Verdict::Never(Refusal::field("name", "type", format!("{lie}"))))?;
    let mut finished = FinishedUpload {
        upload: upload.id,
        owner,
        name: upload.name.clone(),
        media_type: content.media_type().to_owned(),
        width: None,
        height: None,
        made: None,
        max_bytes: node.config.files.user_quota.get() as u64,
        expires_at: expiry(node),
    };
    if let Content::Picture(kind) = content {
        remake(node, upload, &parts, kind, &mut finished).await?;
    }
    Ok(finished)
}

async fn remake(
    node: &Node,
    upload: &UploadRecord,
    parts: &[PartRecord],
    kind: PictureKind,
    finished: &mut FinishedUpload,
) -> Result<(), Verdict> {
    let files = &node.files;
    let bench = files.workshop.enter().await.map_err(refuse_work)?;
    let timer = files.metrics.images.start_timer();
    let bytes = load(node, parts, upload.bytes).await?;
    let picture = bench.remake(bytes, kind).await.map_err(refuse_work)?;
    timer.observe_duration();
    let (most, given) = (node.config.files.file.get(), picture.bytes.len());
    if given > most {
        let detail = format!("may have at most {most} bytes; made anew, it has {given}");
        let refusal = Refusal::field("file", "too_large", detail);
        return Err(Verdict::Never(Refusal { code: Code::PayloadTooLarge, ..refusal }));
    }
    let key = new_key(upload, node.clock.new_id());
    let made = PartRecord { first: 0, bytes: picture.bytes.len() as u64, key };
    let put = files.objects.put(&made.key, picture.bytes).await;
    put.map_err(|error| files.refuse("write", &error))?;
    finished.name = fitting_name(&upload.name, picture.kind);
    picture.kind.media_type().clone_into(&mut finished.media_type);
    (finished.width, finished.height) = (Some(picture.width), Some(picture.height));
    finished.made = Some(made);
    Ok(())
}

/// The name with the ending of the image, unless that would make it too long.
fn fitting_name(name: &str, kind: PictureKind) -> String {
    let fitting = named_for(name, kind);
    if fitting.len() > parlor_domain::file::FILE_NAME_MAX { name.to_owned() } else { fitting }
}

fn refuse_work(error: WorkError) -> Verdict {
    match error {
        WorkError::Busy => Verdict::Later(busy()),
        WorkError::Refused(refused) => Verdict::Never(refuse_picture("file", refused)),
    }
}

/// Too many images are in work.
pub(crate) fn busy() -> Refusal {
    Refusal::unavailable("Too many images arrive at once; try again in a moment.")
}

/// Says why an image was refused.
pub(crate) fn refuse_picture(field: &str, refused: PictureRefused) -> Refusal {
    let (code, name) = match refused {
        PictureRefused::TooLarge { .. } => (Code::PayloadTooLarge, "pixels"),
        PictureRefused::Broken => (Code::ValidationFailed, "broken"),
    };
    Refusal { code, ..Refusal::field(field, name, format!("was refused: {refused}")) }
}

/// Reads the beginning of a file.
async fn load(node: &Node, parts: &[PartRecord], bytes: u64) -> Outcome<Bytes> {
    let files = &node.files;
    let span = Span { from: 0, to: bytes };
    let read = stream(&files.objects, parts, span).await;
    let read = read.map_err(|error| files.refuse("read", &error))?;
    let read = read.try_fold(BytesMut::new(), |mut all, piece| async move {
        all.extend_from_slice(&piece);
        Ok(all)
    });
    let all = read.await.map_err(|error| {
        let error = parlor_files::ObjectsError::Unavailable(Box::new(error));
        files.refuse("read", &error)
    })?;
    Ok(all.freeze())
}

/// Returns when an upload of which something came now is forgotten.
pub(crate) fn expiry(node: &Node) -> Timestamp {
    after(node.now(), node.config.files.upload_expire)
}

/// Returns the time so long after another.
pub(crate) fn after(at: Timestamp, time: std::time::Duration) -> Timestamp {
    let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(at.as_millis().saturating_add(millis))
}

fn new_key(upload: &UploadRecord, id: Uuid) -> String {
    format!("{}{}", folder(upload.id), id.simple())
}

/// Removes an object that nothing refers to. What fails here goes with its file.
async fn remove(node: &Node, key: &str) {
    if let Err(error) = node.files.objects.remove(key).await {
        drop(node.files.refuse("remove", &error));
    }
}

/// What came of a body.
#[derive(Debug, PartialEq, Eq)]
enum Arrived {
    /// All of it, or as much as came.
    Some(Bytes),
    /// Not a byte.
    Nothing,
    /// More than may come: so much or more.
    TooMuch(u64),
}

async fn read(body: Body, most: usize, until: Instant, held: &mut Held<'_>) -> Arrived {
    let announced = HttpBody::size_hint(&body).lower();
    let mut chunks = body.into_data_stream();
    if announced > most as u64 {
        discard(chunks).await;
        return Arrived::TooMuch(announced);
    }
    let mut bytes = BytesMut::new();
    // The end, a client that went away, or no more time: what is there counts.
    while let Ok(Some(Ok(chunk))) = timeout_at(until, chunks.next()).await {
        let given = bytes.len() + chunk.len();
        if given > most {
            discard(chunks).await;
            return Arrived::TooMuch(given as u64);
        }
        let fits = held.reach(given);
        bytes.extend_from_slice(chunk.get(..fits.saturating_sub(bytes.len())).unwrap_or_default());
        if fits < given {
            discard(chunks).await;
            break;
        }
    }
    if bytes.is_empty() { Arrived::Nothing } else { Arrived::Some(bytes.freeze()) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::stream;
    use parlor_runtime::config::{ByteSize, FilesConfig};
    use prometheus::IntCounter;

    use super::super::memory::Arriving;
    use super::*;

    fn body(chunks: Vec<std::io::Result<&'static [u8]>>) -> Body {
        Body::from_stream(stream::iter(chunks))
    }

    /// Memory for one part of 32 bytes, in steps of two.
    fn arriving() -> Arriving {
        let config = FilesConfig {
            part: ByteSize::bytes(32),
            avatar: ByteSize::bytes(32),
            parts_in_flight: 1,
            ..FilesConfig::default()
        };
        Arriving::new(&config, IntCounter::new("crowded", "crowded").unwrap())
    }

    async fn arrived(body: Body, most: usize) -> Arrived {
        let arriving = arriving();
        let mut held = arriving.enter(UserId(Uuid::nil())).unwrap();
        read(body, most, Instant::now() + Duration::from_mins(1), &mut held).await
    }

    #[tokio::test]
    async fn what_fits_while_others_hold_the_memory_is_kept() {
        let arriving = arriving();
        let mut other = arriving.enter(UserId(Uuid::from_u128(1))).unwrap();
        assert_eq!(other.reach(28), 28);
        let mut held = arriving.enter(UserId(Uuid::from_u128(2))).unwrap();
        let until = Instant::now() + Duration::from_mins(1);
        let body = body(vec![Ok(b"abc"), Ok(b"def"), Ok(b"ghi")]);
        let some = Arrived::Some(Bytes::from_static(b"abcd"));
        assert_eq!(read(body, 32, until, &mut held).await, some);
    }

    #[tokio::test]
    async fn what_arrives_before_the_cut_is_kept() {
        let cut = || Err(std::io::Error::other("cut"));
        let some = |text: &'static [u8]| Arrived::Some(Bytes::from_static(text));
        assert_eq!(arrived(body(vec![Ok(b"abc"), Ok(b"de")]), 5).await, some(b"abcde"));
        assert_eq!(arrived(body(vec![Ok(b"abc"), cut()]), 5).await, some(b"abc"));
        assert_eq!(arrived(body(vec![cut()]), 5).await, Arrived::Nothing);
        assert_eq!(arrived(body(vec![]), 5).await, Arrived::Nothing);
    }

    #[tokio::test]
    async fn more_than_may_come_is_refused_as_a_whole() {
        assert_eq!(arrived(body(vec![Ok(b"abc"), Ok(b"def")]), 5).await, Arrived::TooMuch(6));
        assert_eq!(arrived(Body::from("abcdef"), 5).await, Arrived::TooMuch(6));
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_slow_client_has_sent_in_its_time_is_kept() {
        let slow = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(40)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b"x")), ()))
        });
        let read = arrived(Body::from_stream(slow), 100).await;
        assert_eq!(read, Arrived::Some(Bytes::from_static(b"x")));
    }
}
