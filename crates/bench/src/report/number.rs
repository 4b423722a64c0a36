//! Numbers as people read them: three digits that matter, thousands set apart, units of bytes.

/// Returns a whole number with its thousands set apart.
pub(super) fn count(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value <= -0.5 { format!("-{text}") } else { text }
}

/// Returns a number with three digits that matter; what is above 100 is whole.
pub(super) fn figure(value: f64) -> String {
    let size = value.abs();
    if size >= 100.0 {
        count(value)
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else if size >= 0.1 || size == 0.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.3}")
    }
}

/// Returns a whole number without unit, or a figure where it is none.
pub(super) fn plain(value: f64) -> String {
    if value.fract() == 0.0 { count(value) } else { figure(value) }
}

/// Returns how many times something is its base.
pub(super) fn ratio(value: f64) -> String {
    format!("{}x", figure(value))
}

/// Returns an amount of memory.
pub(super) fn bytes(value: f64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let mut value = value;
    let mut unit = 0;
    while value.abs() >= 1_024.0 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    if unit == 0 { format!("{value:.0} B") } else { format!("{} {}", figure(value), UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let texts = [0.0, 999.0, 1_000.0, 50_000.4, 1_234_567.0, -1_234.0].map(count);
        assert_eq!(texts, ["0", "999", "1,000", "50,000", "1,234,567", "-1,234"]);
    }

    #[test]
    fn three_digits_matter() {
        let texts = [5_840.4, 123.4, 12.345, 1.0, 0.1516, 0.0123, 0.0].map(figure);
        assert_eq!(texts, ["5,840", "123", "12.3", "1.00", "0.15", "0.012", "0.00"]);
        assert_eq!([4.0, 4.5].map(plain), ["4", "4.50"]);
    }

    #[test]
    fn memory_has_the_unit_that_fits() {
        let texts = [100.0, 1_024.0, 5_734.4, 52_428_800.0, 3_221_225_472.0].map(bytes);
        assert_eq!(texts, ["100 B", "1.00 KiB", "5.60 KiB", "50.0 MiB", "3.00 GiB"]);
    }
}
