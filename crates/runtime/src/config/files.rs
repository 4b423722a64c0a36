//! `[files]`.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::section::section;
use super::size::ByteSize;
use crate::secret::Secret;

section! {
    /// Attachments and pictures of users.
    files: FilesConfig {
        /// Folder with the bytes of files. When it is not set, `files` in the data folder. Nodes that share a database must share it too, or use a bucket.
        folder: Option<PathBuf> = None;
        /// Bucket of an S3-compatible service with the bytes of files, in place of the folder.
        s3_bucket: Option<String> = None, where |bucket| bucket.as_ref().is_none_or(|bucket| !bucket.is_empty()) => "must not be empty";
        /// Address of that service. When it is not set, that of AWS.
        s3_endpoint: Option<Url> = None;
        /// Region of the bucket.
        s3_region: String = "us-east-1".to_owned(), where |region| !region.is_empty() => "must not be empty";
        /// What the names of all objects in the bucket begin with.
        s3_prefix: Option<String> = None;
        /// Name of the access key. When it is not set, the one that the machine has by its role.
        s3_access_key_id: Option<String> = None, also "AWS_ACCESS_KEY_ID";
        /// Secret of the access key.
        s3_secret_access_key: Option<Secret<String>> = None, also "AWS_SECRET_ACCESS_KEY";

        /// Largest file.
        file: ByteSize = ByteSize::mib(25), where |s| (1 << 10..=1 << 32).contains(&s.get()) => "must be from 1KiB to 4GiB";
        /// Largest part of an upload: what one request may carry.
        part: ByteSize = ByteSize::mib(4), where |s| (1 << 10..=64 << 20).contains(&s.get()) => "must be from 1KiB to 64MiB";
        /// Memory for parts, and new pictures of users, that arrive at one node at the same time: so many of the largest. It is taken as bytes come. One user has a quarter of it, and one part or picture while more than half is taken.
        parts_in_flight: usize = 16, where |n| (1..=10_000).contains(n) => "must be from 1 to 10000";
        /// Parts of one upload, however small.
        parts_per_file: u32 = 1_000, where |n| (1..=100_000).contains(n) => "must be from 1 to 100000";
        /// Files of one message.
        per_message: usize = 10, where |n| (1..=100).contains(n) => "must be from 1 to 100";
        /// Uploads of one user that no message has.
        open_uploads: u32 = 20, where |n| *n >= 1 => "must be at least 1";
        /// Bytes of all files of one user.
        user_quota: ByteSize = ByteSize::mib(1_024), where |s| s.get() >= 1 << 10 => "must be at least 1KiB";
        /// An upload of which nothing more comes, and that no message has, is forgotten after so long.
        upload_expire: Duration = Duration::from_hours(24), where |d| (1..=30 * 86_400).contains(&d.as_secs()) => "must be from 1s to 30 days";
        /// How long the address of a file works.
        address_expire: Duration = Duration::from_mins(5), where |d| (1..=86_400).contains(&d.as_secs()) => "must be from 1s to 1 day";
        /// Pixels of width and of height that an image may have.
        image_side: u32 = 10_000, where |n| (256..=65_535).contains(n) => "must be from 256 to 65535";
        /// Memory for the pixels of one image; larger ones are refused.
        image_memory: ByteSize = ByteSize::mib(128), where |s| (1 << 20..=4 << 30).contains(&s.get()) => "must be from 1MiB to 4GiB";
        /// Images that one node decodes at the same time. Each needs up to three times `image_memory` and the file.
        image_concurrency: usize = 2, where |n| (1..=64).contains(n) => "must be from 1 to 64";
        /// Largest image for the picture of a user.
        avatar: ByteSize = ByteSize::mib(5), where |s| (1 << 10..=64 << 20).contains(&s.get()) => "must be from 1KiB to 64MiB";
        /// How often a node removes what is to be removed.
        sweep: Duration = Duration::from_secs(5), where |d| (10..=3_600_000).contains(&d.as_millis()) => "must be from 10ms to 1h";
    }
}
