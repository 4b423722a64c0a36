//! Images, made anew: what is handed on is only what is seen.
//!
//! An image is decoded within limits that are checked before memory is taken, and encoded again.
//! What cameras and programs write beside the pixels (places, names, thumbnails) is not carried over;
//! the turn that a camera notes is carried out, and the color profile stays.
//!
//! - PNG stays PNG, and JPEG stays JPEG, with a quality of 90.
//! - WebP becomes JPEG, or WebP without loss where parts are transparent. Of an animation the first
//!   image stays.
//! - GIF keeps its animation: its first image is decoded as proof, and its blocks are copied but for
//!   comments and notes of programs.

use std::io::Cursor;

use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageEncoder, ImageError, ImageFormat, ImageReader};

use crate::gif;

/// The side of an avatar in pixels.
pub const AVATAR_SIDE: u32 = 256;
/// The media type of avatars.
pub const AVATAR_TYPE: &str = "image/png";
/// How much of a JPEG's detail is kept, of 100.
const QUALITY: u8 = 90;
/// Largest color profile that is carried over: those of cameras and screens have a few KiB.
const PROFILE_MAX: usize = 64 << 10;

/// Images that are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureKind {
    /// PNG.
    Png,
    /// JPEG.
    Jpeg,
    /// GIF.
    Gif,
    /// WebP.
    WebP,
}

impl PictureKind {
    /// Tells what kind of image begins so.
    pub fn of(head: &[u8]) -> Option<Self> {
        if head.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else if head.starts_with(b"\xff\xd8\xff") {
            Some(Self::Jpeg)
        } else if head.starts_with(b"GIF87a") || head.starts_with(b"GIF89a") {
            Some(Self::Gif)
        } else if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
            Some(Self::WebP)
        } else {
            None
        }
    }

    /// Returns the kind of image that a name with this ending promises.
    pub fn of_ending(ending: &str) -> Option<Self> {
        Some(match ending {
            "png" => Self::Png,
            "jpg" | "jpeg" | "jpe" | "jfif" => Self::Jpeg,
            "gif" => Self::Gif,
            "webp" => Self::WebP,
            _ => return None,
        })
    }

    /// Returns the ending of names.
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Gif => "gif",
            Self::WebP => "webp",
        }
    }

    /// Returns the media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::WebP => "image/webp",
        }
    }

    /// Tells whether a media type is one of an image that was made anew, and so is safe to be shown.
    pub fn is_media_type(text: &str) -> bool {
        [Self::Png, Self::Jpeg, Self::Gif, Self::WebP].iter().any(|kind| kind.media_type() == text)
    }

    const fn format(self) -> ImageFormat {
        match self {
            Self::Png => ImageFormat::Png,
            Self::Jpeg => ImageFormat::Jpeg,
            Self::Gif => ImageFormat::Gif,
            Self::WebP => ImageFormat::WebP,
        }
    }
}

/// How large images may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureLimits {
    /// Pixels of width and of height.
    pub side: u32,
    /// Bytes of memory for the pixels.
    pub memory: u64,
}

impl PictureLimits {
    /// Refuses an image with so many pixels.
    pub(crate) fn refuse(self, width: u32, height: u32) -> PictureRefused {
        PictureRefused::TooLarge { side: self.side, memory: self.memory, width, height }
    }
}

/// An image that was made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The file.
    pub bytes: Bytes,
    /// What it is now.
    pub kind: PictureKind,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// Why an image was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PictureRefused {
    /// It has too many pixels.
    #[error(
        "an image may have at most {side} × {side} pixels and {} MiB of them; this one has {width} × \
         {height}",
        .memory >> 20
    )]
    TooLarge {
        /// Pixels of width and of height.
        side: u32,
        /// Bytes of memory for the pixels.
        memory: u64,
        /// Pixels that it says it has.
        width: u32,
        /// Pixels that it says it has.
        height: u32,
    },
    /// It cannot be decoded.
    #[error("the image is broken")]
    Broken,
}

/// Makes an image anew. Takes time and memory: see [`crate::Workshop`].
pub fn remake(
    bytes: &[u8],
    kind: PictureKind,
    limits: PictureLimits,
) -> Result<Picture, PictureRefused> {
    if kind == PictureKind::Gif {
        // Before anything is decoded: the limits of its other images.
        let copied = gif::copy(bytes, limits)?;
        let first = decode(bytes, kind, limits)?.image;
        let (width, height) = (first.width(), first.height());
        return Ok(Picture { bytes: copied.into(), kind, width, height });
    }
    let Decoded { image, profile } = decode(bytes, kind, limits)?;
    let kind = match kind {
        PictureKind::WebP if !image.color().has_alpha() => PictureKind::Jpeg,
        kind => kind,
    };
    let mut encoded = Vec::new();
    let written = match kind {
        PictureKind::Jpeg => {
            encode(&image, JpegEncoder::new_with_quality(&mut encoded, QUALITY), profile)
        }
        PictureKind::WebP => encode(&image, WebPEncoder::new_lossless(&mut encoded), profile),
        PictureKind::Png | PictureKind::Gif => {
            encode(&image, PngEncoder::new(&mut encoded), profile)
        }
    };
    let size = (image.width(), image.height());
    written.map_err(|error| refused(&error, limits, size))?;
    Ok(Picture { bytes: encoded.into(), kind, width: image.width(), height: image.height() })
}

/// Makes an avatar of an image: its middle, square, as PNG.
pub fn avatar(bytes: &[u8], limits: PictureLimits) -> Result<Bytes, PictureRefused> {
    let kind = PictureKind::of(bytes).ok_or(PictureRefused::Broken)?;
    let image = decode(bytes, kind, limits)?.image;
    // Cut before it is scaled: scaling a strip to a square of its length takes endless memory.
    let side = image.width().min(image.height());
    let (x, y) = ((image.width() - side) / 2, (image.height() - side) / 2);
    let square = image.crop_imm(x, y, side, side).resize_exact(
        AVATAR_SIDE,
        AVATAR_SIDE,
        FilterType::CatmullRom,
    );
    let mut encoded = Vec::new();
    let written = square.to_rgba8().write_with_encoder(PngEncoder::new(&mut encoded));
    written.map_err(|error| refused(&error, limits, (AVATAR_SIDE, AVATAR_SIDE)))?;
    Ok(encoded.into())
}

struct Decoded {
    image: DynamicImage,
    profile: Option<Vec<u8>>,
}

fn decode(
    bytes: &[u8],
    kind: PictureKind,
    limits: PictureLimits,
) -> Result<Decoded, PictureRefused> {
    let mut bounds = image::Limits::no_limits();
    bounds.max_alloc = Some(limits.memory);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), kind.format());
    reader.limits(bounds.clone());
    // Only the head, to tell how large it says that it is.
    let mut decoder = reader.into_decoder().map_err(|error| refused(&error, limits, (0, 0)))?;
    let (width, height) = decoder.dimensions();
    let refuse = |error: ImageError| refused(&error, limits, (width, height));
    bounds.max_image_width = Some(limits.side);
    bounds.max_image_height = Some(limits.side);
    bounds.check_dimensions(width, height).map_err(refuse)?;
    // All of it, before any of it is decoded.
    bounds.reserve(decoder.total_bytes()).map_err(refuse)?;
    decoder.set_limits(bounds).map_err(refuse)?;
    let turn = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let profile = decoder.icc_profile().ok().flatten();
    let profile = profile.filter(|profile| profile.len() <= PROFILE_MAX);
    let mut image = DynamicImage::from_decoder(decoder).map_err(refuse)?;
    image.apply_orientation(turn);
    Ok(Decoded { image, profile })
}

fn encode(
    image: &DynamicImage,
    mut encoder: impl ImageEncoder,
    profile: Option<Vec<u8>>,
) -> Result<(), ImageError> {
    if let Some(profile) = profile {
        // Without it the colors are a little off.
        drop(encoder.set_icc_profile(profile));
    }
    image.write_with_encoder(encoder)
}

fn refused(
    error: &ImageError,
    limits: PictureLimits,
    (width, height): (u32, u32),
) -> PictureRefused {
    match error {
        ImageError::Limits(_) => limits.refuse(width, height),
        _ => PictureRefused::Broken,
    }
}

#[cfg(test)]
mod tests;
