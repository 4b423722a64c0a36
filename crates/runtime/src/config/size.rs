//! Sizes in bytes as people write them: `512B`, `64KiB`, `1MiB`, `10kB`.

use std::fmt;

use super::setting::Setting;

const UNITS: [(&str, usize); 8] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
    ("B", 1),
];

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(usize);

impl ByteSize {
    /// Returns a size of `n` bytes.
    pub const fn bytes(n: usize) -> Self {
        Self(n)
    }

    /// Returns a size of `n` KiB.
    pub const fn kib(n: usize) -> Self {
        Self(n << 10)
    }

    /// Returns a size of `n` MiB.
    pub const fn mib(n: usize) -> Self {
        Self(n << 20)
    }

    /// Returns the number of bytes.
    pub const fn get(self) -> usize {
        self.0
    }
}

/// The largest binary unit that divides the size.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = UNITS[..3].iter().find(|(_, size)| self.0 > 0 && self.0.is_multiple_of(*size));
        let (unit, size) = exact.copied().unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / size)
    }
}

impl Setting for ByteSize {
    fn kind() -> String {
        "size".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        parse(text.trim())
            .map(Self)
            .ok_or_else(|| "must be a size with its unit, such as 512B, 64KiB or 1MiB".to_owned())
    }

    fn to_toml(&self) -> Option<toml::Value> {
        Some(self.to_string().into())
    }
}

fn parse(text: &str) -> Option<usize> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, size) = UNITS.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<usize>().ok()?.checked_mul(*size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units_and_shown_again() {
        for (text, bytes, shown) in [
            ("64KiB", 65_536, "64KiB"),
            ("1 MiB", 1 << 20, "1MiB"),
            ("10kB", 10_000, "10000B"),
            ("0B", 0, "0B"),
            ("1536B", 1_536, "1536B"),
        ] {
            let size = ByteSize::from_text(text).unwrap();

            assert_eq!(size.get(), bytes, "{text}");
            assert_eq!(size.to_string(), shown);
        }
    }

    #[test]
    fn sizes_without_unit_or_sense_are_refused() {
        for text in ["", "64", "KiB", "-1KiB", "1.5MiB", "64 kibibytes", "99999999999999999999B"] {
            assert!(ByteSize::from_text(text).is_err(), "{text}");
        }
    }
}
