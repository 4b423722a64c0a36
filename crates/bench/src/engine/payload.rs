//! What a message of the generator carries: who sent it as which of its messages, when it was due,
//! and padding up to the length that was asked for.
//!
//! Only letters and three signs that no encoding escapes, so that the bytes arrive as they were
//! sent whatever stands around them. They are found by their first sign, not by the shape of the
//! frame, so a server may order the keys of its JSON as it likes.

use memchr::memchr;

/// Begins every payload; the first byte is rare in what surrounds it, and in no other place here.
const MARK: &[u8; 4] = b"~pb-";
/// Fills a payload up.
const PADDING: u8 = b'.';
/// Ends every payload, so that one that was cut off is not taken for a whole one.
const END: u8 = b'!';
const SENDER: usize = MARK.len();
const NUMBER: usize = SENDER + 8;
const TICKET: usize = NUMBER + 8;
const DUE: usize = TICKET + 8;
/// The shortest payload.
pub const PAYLOAD_MIN: usize = DUE + 16 + 1;

/// What stands in a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The sender's number among all senders.
    pub(crate) sender: u32,
    /// 0, 1, 2 … for each sender.
    pub(crate) number: u32,
    /// Its place among the messages in flight, for a closed loop.
    pub(crate) ticket: u32,
    /// When it was due, in microseconds since the generator began.
    pub(crate) due: u64,
}

impl Stamp {
    /// Writes a payload over `payload`, whose length stays.
    pub(crate) fn write(self, payload: &mut [u8]) {
        let end = payload.len() - 1;
        payload[..SENDER].copy_from_slice(MARK);
        payload[SENDER..NUMBER].copy_from_slice(&letters(self.sender));
        payload[NUMBER..TICKET].copy_from_slice(&letters(self.number));
        payload[TICKET..DUE].copy_from_slice(&letters(self.ticket));
        let (high, low) = ((self.due >> 32) as u32, (self.due & 0xFFFF_FFFF) as u32);
        payload[DUE..DUE + 8].copy_from_slice(&letters(high));
        payload[DUE + 8..DUE + 16].copy_from_slice(&letters(low));
        payload[DUE + 16..end].fill(PADDING);
        payload[end] = END;
    }

    /// Reads the payload of this length that begins here.
    #[inline]
    fn read(bytes: &[u8], length: usize) -> Option<Self> {
        let payload = bytes.get(..length)?;
        if !payload.starts_with(MARK) || payload.last() != Some(&END) {
            return None;
        }
        let at = |start: usize| number(*payload.get(start..)?.first_chunk()?);
        let (high, low) = (at(DUE)?, at(DUE + 8)?);
        Some(Self {
            sender: at(SENDER)?,
            number: at(NUMBER)?,
            ticket: at(TICKET)?,
            due: u64::from(high) << 32 | u64::from(low),
        })
    }
}

/// Hands every payload of this length in `bytes` to `each`.
#[inline]
pub(crate) fn find(bytes: &[u8], length: usize, mut each: impl FnMut(Stamp)) {
    let mut rest = bytes;
    while rest.len() >= length
        && let Some(start) = memchr(MARK[0], rest)
    {
        rest = &rest[start..];
        let stamp = Stamp::read(rest, length);
        rest = &rest[if stamp.is_some() { length } else { 1 }..];
        if let Some(stamp) = stamp {
            each(stamp);
        }
    }
}

/// Writes a number as eight letters from `a` to `p`, the highest first.
fn letters(number: u32) -> [u8; 8] {
    let mut letters = [0; 8];
    for (place, letter) in letters.iter_mut().enumerate() {
        let nibble = (number >> (28 - 4 * place)) & 0xF;
        *letter = b"abcdefghijklmnop"[nibble as usize];
    }
    letters
}

/// Reads eight letters, all at once.
#[inline]
fn number(letters: [u8; 8]) -> Option<u32> {
    let nibbles = u64::from_be_bytes(letters).wrapping_sub(0x6161_6161_6161_6161);
    if nibbles & 0xF0F0_F0F0_F0F0_F0F0 != 0 {
        return None;
    }
    let pairs = (nibbles | nibbles >> 4) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs | pairs >> 8) & 0x0000_FFFF_0000_FFFF;
    u32::try_from(fours >> 16 | fours & 0xFFFF).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(number: u32) -> Stamp {
        Stamp { sender: 0xDEAD_BEEF, number, ticket: u32::MAX, due: 0x0123_4567_89AB_CDEF }
    }

    fn payload(stamp: Stamp, length: usize) -> Vec<u8> {
        let mut payload = vec![0; length];
        stamp.write(&mut payload);
        payload
    }

    fn found(bytes: &[u8], length: usize) -> Vec<Stamp> {
        let mut found = Vec::new();
        find(bytes, length, |stamp| found.push(stamp));
        found
    }

    #[test]
    fn what_was_written_is_found_among_other_bytes() {
        for length in [PAYLOAD_MIN, 154, 1_000] {
            let (one, two) = (payload(stamp(7), length), payload(stamp(8), length));
            let bytes = [br#"{"~":"~pb-abc","data":""#, &*one, br#"","x":~"#, &two, b"~"].concat();
            assert_eq!(found(&bytes, length), [stamp(7), stamp(8)]);
        }
    }

    #[test]
    fn what_was_cut_off_or_changed_is_no_payload() {
        let whole = payload(stamp(7), 154);
        for cut in 0..whole.len() {
            assert_eq!(found(&whole[..cut], 154), []);
        }
        let mut other = whole.clone();
        other[SENDER + 3] = b'q';
        assert_eq!(found(&other, 154), []);
        let cut = [&whole[..100], &[b'"'; 54]].concat();
        assert_eq!(found(&cut, 154), []);
        assert_eq!(found(&whole, 155), []);
    }

    #[test]
    fn payload_needs_no_escaping() {
        let json = serde_json::to_string(&String::from_utf8(payload(stamp(9), 154)).unwrap());
        assert_eq!(json.unwrap().len(), 154 + 2);
    }
}
