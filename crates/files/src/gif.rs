//! GIF files, copied block by block.
//!
//! Images, their times, the colors and the number of repetitions are copied; comments, texts, notes
//! of programs and whatever follows the end are not.

use crate::picture::{PictureLimits, PictureRefused};

const EXTENSION: u8 = 0x21;
const IMAGE: u8 = 0x2C;
const TRAILER: u8 = 0x3B;
const CONTROL: u8 = 0xF9;
const APPLICATION: u8 = 0xFF;
/// Programs whose note says how often the animation is repeated.
const LOOPS: [&[u8]; 2] = [b"NETSCAPE2.0", b"ANIMEXTS1.0"];

/// Copies a file, if all its images together stay within the limits.
pub(crate) fn copy(bytes: &[u8], limits: PictureLimits) -> Result<Vec<u8>, PictureRefused> {
    let mut reader = Reader { bytes, at: 0 };
    let mut copy = Vec::with_capacity(bytes.len());
    let head = reader.take(13)?;
    let (width, height) = (number(head, 6), number(head, 8));
    if width > limits.side || height > limits.side {
        return Err(limits.refuse(width, height));
    }
    copy.extend_from_slice(head);
    copy.extend_from_slice(reader.take(table(head, 10))?);
    let mut pixels: u64 = 0;
    loop {
        match reader.byte()? {
            EXTENSION => extension(&mut reader, &mut copy)?,
            IMAGE => {
                let place = reader.take(9)?;
                let (width, height) = (number(place, 4), number(place, 6));
                pixels += u64::from(width) * u64::from(height);
                if pixels > limits.memory || width > limits.side || height > limits.side {
                    return Err(limits.refuse(width, height));
                }
                copy.push(IMAGE);
                copy.extend_from_slice(place);
                // The colors, then how many bits a code has.
                copy.extend_from_slice(reader.take(table(place, 8) + 1)?);
                copy.extend_from_slice(reader.blocks()?);
            }
            TRAILER if pixels > 0 => {
                copy.push(TRAILER);
                return Ok(copy);
            }
            _ => return Err(PictureRefused::Broken),
        }
    }
}

fn extension(reader: &mut Reader<'_>, copy: &mut Vec<u8>) -> Result<(), PictureRefused> {
    let label = reader.byte()?;
    let blocks = reader.blocks()?;
    let keep = match label {
        CONTROL => blocks,
        // Its name, and three bytes: always 1, and the number.
        APPLICATION if LOOPS.iter().any(|name| blocks.get(1..12) == Some(name)) => {
            match blocks.get(..16) {
                Some(keep) if keep.get(12..14) == Some(&[3, 1]) => keep,
                _ => return Ok(()),
            }
        }
        _ => return Ok(()),
    };
    copy.extend([EXTENSION, label]);
    copy.extend_from_slice(keep);
    if label == APPLICATION {
        copy.push(0);
    }
    Ok(())
}

/// A number of two bytes.
fn number(bytes: &[u8], at: usize) -> u32 {
    let byte = |at: usize| u32::from(bytes.get(at).copied().unwrap_or(0));
    byte(at) | byte(at + 1) << 8
}

/// The bytes of the colors that follow, if there are any.
fn table(bytes: &[u8], at: usize) -> usize {
    let flags = bytes.get(at).copied().unwrap_or(0);
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], PictureRefused> {
        let taken = self.bytes.get(self.at..self.at + length).ok_or(PictureRefused::Broken)?;
        self.at += length;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, PictureRefused> {
        self.take(1).map(|byte| byte.first().copied().unwrap_or(0))
    }

    /// Takes blocks, each with its length before it, through the empty one at their end.
    fn blocks(&mut self) -> Result<&'a [u8], PictureRefused> {
        let from = self.at;
        loop {
            let length = self.byte()?;
            if length == 0 {
                return self.bytes.get(from..self.at).ok_or(PictureRefused::Broken);
            }
            self.take(usize::from(length))?;
        }
    }
}
