//! Texts that are not what they look like: characters that cannot be seen, and words that borrow
//! letters from another alphabet.
//!
//! A name is read by people, so two names that look the same must be the same. This does not find
//! every pair: it refuses what no honest name needs, and leaves every script alone.

/// How a text misleads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misleading {
    /// It has characters that cannot be seen, or that turn the text around them.
    Invisible,
    /// A word mixes alphabets whose letters look alike.
    LookAlike,
}

/// Returns how a line of text misleads, if it does.
pub fn find_misleading(text: &str) -> Option<Misleading> {
    if has_hidden(text) {
        return Some(Misleading::Invisible);
    }
    text.split(|c: char| !c.is_alphabetic()).any(mixes_alphabets).then_some(Misleading::LookAlike)
}

/// Finds what does not show where it stands. Joiners, selectors and tags are parts of emoji and of
/// scripts, and mean nothing elsewhere.
fn has_hidden(text: &str) -> bool {
    let mut before: Option<char> = None;
    let mut in_flag = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        in_flag = c == BLACK_FLAG || (in_flag && is_tag(c));
        let after = chars.peek().copied();
        let joins = |c: Option<char>| c.is_some_and(|c| !c.is_ascii() && !c.is_whitespace());
        let is_hidden = match c {
            // Between two signs of a script or of an emoji.
            '\u{200C}' | '\u{200D}' => !(joins(before) && joins(after)),
            // After an emoji, or a digit of a key cap.
            '\u{FE00}'..='\u{FE0F}' => {
                before.is_none_or(|c| c.is_whitespace() || c.is_alphabetic())
            }
            c if is_tag(c) => !in_flag,
            c => c.is_control() || is_never_seen(c),
        };
        if is_hidden {
            return true;
        }
        before = Some(c);
    }
    false
}

/// Begins the flag of a region, which tags spell.
const BLACK_FLAG: char = '\u{1F3F4}';

fn is_tag(c: char) -> bool {
    matches!(c, '\u{E0020}'..='\u{E007F}')
}

fn is_never_seen(c: char) -> bool {
    matches!(
        c,
        '\u{00AD}'
            | '\u{034F}'
            | '\u{061C}'
            | '\u{115F}'
            | '\u{1160}'
            | '\u{17B4}'
            | '\u{17B5}'
            | '\u{180B}'..='\u{180F}'
            | '\u{200B}'
            | '\u{200E}'
            | '\u{200F}'
            | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{FEFF}'
            | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFFB}'
            | '\u{E0000}'..='\u{E001F}'
            | '\u{E0080}'..='\u{E0FFF}'
            | '\u{E000}'..='\u{F8FF}'
    )
}

/// Alphabets whose letters look like those of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alphabet {
    Latin,
    /// Latin letters that have a place of their own: wide ones, and those of formulas.
    Dressed,
    Greek,
    Cyrillic,
    Armenian,
    Cherokee,
}

fn alphabet(c: char) -> Option<Alphabet> {
    Some(match c {
        'a'..='z' | 'A'..='Z' | '\u{00C0}'..='\u{02AF}' | '\u{1E00}'..='\u{1EFF}' => {
            Alphabet::Latin
        }
        '\u{FF21}'..='\u{FF3A}'
        | '\u{FF41}'..='\u{FF5A}'
        | '\u{2100}'..='\u{214F}'
        | '\u{1D400}'..='\u{1D7FF}' => Alphabet::Dressed,
        '\u{0370}'..='\u{03FF}' | '\u{1F00}'..='\u{1FFF}' => Alphabet::Greek,
        '\u{0400}'..='\u{052F}' | '\u{1C80}'..='\u{1C8F}' => Alphabet::Cyrillic,
        '\u{0530}'..='\u{058F}' => Alphabet::Armenian,
        '\u{13A0}'..='\u{13FF}' | '\u{AB70}'..='\u{ABBF}' => Alphabet::Cherokee,
        _ => return None,
    })
}

fn mixes_alphabets(word: &str) -> bool {
    let mut found = word.chars().filter_map(alphabet);
    let first = found.next();
    found.any(|other| Some(other) != first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_scripts_are_what_they_look_like() {
        for text in [
            "Ada Lovelace",
            "Jörg Çelik-Nguyễn",
            "Ада Лавлейс",
            "Ελένη",
            "عمر",
            "می\u{200C}خواهم",
            "山田太郎 Yamada",
            "Ada и Боб",
            "👩\u{200D}💻 dev",
            "❤\u{FE0F} tea",
            "1\u{FE0F}\u{20E3} room",
            "\u{1F3F4}\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F} team",
        ] {
            assert_eq!(find_misleading(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_found() {
        for text in [
            "ada\u{200B}",
            "a\u{200D}da",
            "ada\u{00AD}",
            "ada\u{202E}nimda",
            "\u{3164}",
            "ad\u{FE0F}a",
            "ada\u{E0061}",
            "ada\u{E000}",
            "ada\u{7}",
        ] {
            assert_eq!(find_misleading(text), Some(Misleading::Invisible), "{text:?}");
        }
    }

    #[test]
    fn borrowed_letters_are_found() {
        for text in ["\u{0430}da", "p\u{03BF}stmaster", "ad\u{FF41}", "𝐚da", "the Аdmin"] {
            assert_eq!(find_misleading(text), Some(Misleading::LookAlike), "{text:?}");
        }
    }
}
