//! E-mail addresses: enough of a check to catch mistakes. Only a mail that arrives proves one.

use unicode_normalization::UnicodeNormalization as _;

/// Longest address, in bytes (RFC 5321, 4.5.3.1.3, less the angle brackets).
const ADDRESS_MAX: usize = 254;
/// Longest part before the `@`, in bytes (RFC 5321, 4.5.3.1.1).
const LOCAL_MAX: usize = 64;
/// Longest part of a domain between dots, in bytes (RFC 1035, 2.3.4).
const LABEL_MAX: usize = 63;

/// An e-mail address was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an e-mail address such as ada@example.com")]
pub struct EmailRefused;

/// Returns the address as it is stored: trimmed, in NFC and lower case, so that one mailbox is one
/// account.
pub fn check_email(text: &str) -> Result<String, EmailRefused> {
    // Before the work on the text, which would otherwise be unbounded.
    if text.len() > 2 * ADDRESS_MAX {
        return Err(EmailRefused);
    }
    let address: String = text.trim().nfc().collect::<String>().to_lowercase();
    let (local, domain) = address.rsplit_once('@').ok_or(EmailRefused)?;
    if address.len() <= ADDRESS_MAX && local_is_plausible(local) && domain_is_plausible(domain) {
        Ok(address)
    } else {
        Err(EmailRefused)
    }
}

/// Unquoted names only; quoted ones are allowed by the standard and used by nobody.
fn local_is_plausible(local: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || "!#$%&'*+/=?^_`{|}~.-".contains(c);
    !local.is_empty()
        && local.len() <= LOCAL_MAX
        && local.chars().all(allowed)
        && local.split('.').all(|atom| !atom.is_empty())
}

fn domain_is_plausible(domain: &str) -> bool {
    let label_is_plausible = |label: &str| {
        (1..=LABEL_MAX).contains(&label.len())
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let top = domain.rsplit('.').next().unwrap_or_default();
    domain.contains('.')
        && domain.split('.').all(label_is_plausible)
        && !top.chars().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_stored_in_one_form() {
        for (text, address) in [
            (" Ada@Example.COM ", "ada@example.com"),
            ("ada+chat@mail.example.co.uk", "ada+chat@mail.example.co.uk"),
            ("o'brien@example.com", "o'brien@example.com"),
            ("jo\u{0308}rg@bu\u{0308}cher.example", "jörg@bücher.example"),
        ] {
            assert_eq!(check_email(text).as_deref(), Ok(address));
        }
    }

    #[test]
    fn mistakes_are_refused() {
        let long = format!("{}@example.com", "a".repeat(65));
        let longer = format!("a@{}.com", "a.".repeat(126));
        let longest = "a".repeat(1 << 20);
        for text in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "ada@example",
            "ada@@example.com",
            "a b@example.com",
            "ada@exam ple.com",
            "ada@.com",
            "ada@example..com",
            "ada@-example.com",
            ".ada@example.com",
            "ada.@example.com",
            "ada@127.0.0.1",
            "ada\0@example.com",
            "ada@example.com\nbcc: x@y.z",
            "<ada@example.com>",
            &long,
            &longer,
            &longest,
        ] {
            assert_eq!(check_email(text), Err(EmailRefused), "{text:?}");
        }
    }
}
