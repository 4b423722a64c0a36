//! What a file is, by its bytes. Its name and what its sender says of it do not count, except that
//! a name which promises something else is a lie.

use mime_guess::MimeGuess;

use crate::picture::PictureKind;

/// Bytes that a file is known by.
pub const HEAD: usize = 8 << 10;

/// The media type of what is not known.
pub const OCTET_STREAM: &str = "application/octet-stream";
/// The media type of all text: also of markup and scripts, so that nothing carries them out.
pub const TEXT: &str = "text/plain; charset=utf-8";

/// Programs may have these endings, and any other that is not known.
const PROGRAMS: [&str; 12] =
    ["bin", "com", "deb", "dll", "dylib", "elf", "exe", "msi", "o", "rpm", "so", "wasm"];

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// An image of a kind that every browser shows and that is made anew.
    Picture(PictureKind),
    /// Something with a type of its own: a document, an archive, sound, a film.
    Known(&'static str),
    /// Text.
    Text,
    /// A program.
    Program,
    /// Anything else.
    Unknown,
}

impl Content {
    /// Returns the media type under which it is handed on.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Picture(kind) => kind.media_type(),
            Self::Known(kind) => kind,
            Self::Text => TEXT,
            Self::Program | Self::Unknown => OCTET_STREAM,
        }
    }
}

/// A name promises what the file is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lie {
    /// It is no image.
    #[error("ends like an image, but the content is none")]
    NoPicture,
    /// It is an image.
    #[error("does not end like an image, but the content is one")]
    Picture,
    /// It is a program.
    #[error("ends like a document, but the content is a program")]
    Program,
}

/// Tells what a file is by its first bytes, at most [`HEAD`] of them.
pub fn sniff(head: &[u8]) -> Content {
    let head = head.get(..HEAD).unwrap_or(head);
    if let Some(kind) = PictureKind::of(head) {
        return Content::Picture(kind);
    }
    // First, because text may begin like anything.
    if is_text(head) {
        return Content::Text;
    }
    if infer::is_app(head) {
        return Content::Program;
    }
    match infer::get(head) {
        Some(kind) => match kind.matcher_type() {
            infer::MatcherType::App => Content::Program,
            infer::MatcherType::Text | infer::MatcherType::Custom => Content::Unknown,
            // It begins a little like an image that is made anew, and is none.
            _ if PictureKind::is_media_type(kind.mime_type()) => Content::Unknown,
            _ => Content::Known(kind.mime_type()),
        },
        None => Content::Unknown,
    }
}

/// Tells whether a file's name fits what it is. Names without an ending, or with one that nobody
/// knows, promise nothing.
pub fn check_name(name: &str, content: Content) -> Result<(), Lie> {
    let Some(promised) = MimeGuess::from_path(name).first() else { return Ok(()) };
    let ending = ending(name).unwrap_or_default();
    let promises_picture = PictureKind::of_ending(&ending).is_some();
    match content {
        Content::Picture(_) if promised.type_() != mime_guess::mime::IMAGE => Err(Lie::Picture),
        Content::Picture(_) => Ok(()),
        _ if promises_picture => Err(Lie::NoPicture),
        Content::Program if !PROGRAMS.contains(&&*ending) && promised != OCTET_STREAM => {
            Err(Lie::Program)
        }
        _ => Ok(()),
    }
}

/// Returns a name that ends as its image does.
pub fn named_for(name: &str, kind: PictureKind) -> String {
    match ending(name) {
        Some(ending) if PictureKind::of_ending(&ending) == Some(kind) => name.to_owned(),
        Some(ending) => {
            let stem = name.get(..name.len() - ending.len()).unwrap_or(name);
            format!("{stem}{}", kind.ending())
        }
        None => format!("{name}.{}", kind.ending()),
    }
}

fn ending(name: &str) -> Option<String> {
    let (stem, ending) = name.rsplit_once('.')?;
    (!stem.is_empty() && !ending.is_empty()).then(|| ending.to_ascii_lowercase())
}

/// UTF-8 without control characters. The last character may be cut off.
fn is_text(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            let valid = head.get(..error.valid_up_to()).unwrap_or_default();
            std::str::from_utf8(valid).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.is_empty() && !text.chars().any(|c| c.is_control() && !"\t\n\r\u{c}\u{1b}".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ELF: &[u8] = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0padpadpadpadpadpadpadpadpadpadpad";

    #[test]
    fn markup_and_scripts_are_plain_text() {
        for text in [
            "<!doctype html><script>alert(1)</script>",
            "<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"x()\"/>",
            "#!/bin/sh\nrm -rf /",
            "%PDF is how I begin",
            "MZ is how programs begin",
            "é",
        ] {
            assert_eq!(sniff(text.as_bytes()).media_type(), TEXT, "{text}");
        }
        let cut = "é".repeat(HEAD).into_bytes();
        assert_eq!(sniff(&cut[1..]), Content::Unknown);
        assert_eq!(sniff(&cut[..=HEAD]), Content::Text);
        assert_eq!(sniff(&cut[..3]), Content::Text);
    }

    #[test]
    fn bytes_say_what_a_file_is() {
        assert_eq!(sniff(b"\x89PNG\r\n\x1a\n"), Content::Picture(PictureKind::Png));
        assert_eq!(sniff(b"\xff\xd8\xff\xe0"), Content::Picture(PictureKind::Jpeg));
        assert_eq!(sniff(ELF), Content::Program);
        assert_eq!(sniff(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3").media_type(), "application/pdf");
        assert_eq!(sniff(b"PK\x03\x04\x14\0\0\0\x08\0").media_type(), "application/zip");
        for half in [&b"\x89PNG\0\0\0"[..], b"GIF\0\0\0", b"\0\0\0\0\0\0\0\0WEBP"] {
            assert_eq!(sniff(half).media_type(), OCTET_STREAM, "not made anew, so never shown");
        }
        for nothing in [&b""[..], b"\0\0\0", b"\xff\xfe\xfd"] {
            assert_eq!(sniff(nothing).media_type(), OCTET_STREAM);
        }
    }

    #[test]
    fn name_that_promises_something_else_is_a_lie() {
        let png = Content::Picture(PictureKind::Png);
        assert_eq!(check_name("cat.png", Content::Text), Err(Lie::NoPicture));
        assert_eq!(check_name("cat.JPG", Content::Program), Err(Lie::NoPicture));
        assert_eq!(check_name("letter.pdf", png), Err(Lie::Picture));
        assert_eq!(check_name("letter.pdf", Content::Program), Err(Lie::Program));
        assert_eq!(check_name("letter.txt", Content::Program), Err(Lie::Program));
    }

    #[test]
    fn name_that_promises_nothing_else_is_none() {
        let png = Content::Picture(PictureKind::Png);
        for (name, content) in [
            ("cat.jpg", png),
            ("cat", png),
            ("cat.xyzzy", png),
            ("notes.md", Content::Text),
            ("data.csv", Content::Unknown),
            ("run.exe", Content::Program),
            ("run", Content::Program),
            ("report.docx", Content::Known("application/zip")),
            ("song.mp3", Content::Unknown),
        ] {
            assert_eq!(check_name(name, content), Ok(()), "{name}");
        }
    }

    #[test]
    fn image_is_named_for_what_it_is() {
        assert_eq!(named_for("cat.jpeg", PictureKind::Jpeg), "cat.jpeg");
        assert_eq!(named_for("cat.webp", PictureKind::Jpeg), "cat.jpg");
        assert_eq!(named_for("my.cat.JPG", PictureKind::Png), "my.cat.png");
        assert_eq!(named_for("cat", PictureKind::Gif), "cat.gif");
        assert_eq!(named_for(".png", PictureKind::Png), ".png.png");
    }
}
