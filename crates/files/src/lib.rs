//! Where the bytes of attachments and avatars are kept, and what is done to them first.
//!
//! Which files there are, whose they are and who may have them is in the store; here are only their
//! bytes, under keys that the store knows. [`Objects`] keeps them: in a folder, or in a bucket of an
//! S3-compatible service. [`sniff`] tells what they are, whatever their name says. [`picture`] makes
//! images anew, so that nothing is handed on but what is seen, and [`Workshop`] does so on a bounded
//! number of threads.

mod gif;
pub mod objects;
pub mod picture;
pub mod sniff;
pub mod workshop;

pub use objects::{Objects, ObjectsError, Place, S3Place};
pub use picture::{Picture, PictureKind, PictureLimits, PictureRefused};
pub use sniff::{Content, Lie, check_name, named_for, sniff};
pub use workshop::{Bench, WorkError, Workshop};
