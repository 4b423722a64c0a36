//! What the demo is asked to do.

/// The largest number that `count` goes to.
pub(super) const MAX_COUNT: u32 = 10_000;

/// Characters of a name before `: `, as conversations mark who wrote a message.
const MAX_NAME_CHARS: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Rust,
    Python,
    Bash,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Help,
    Echo(String),
    EchoNothing,
    Count(u32),
    CountWhat,
    Markdown,
    Code(Language),
    Other { words: usize },
}

impl Command {
    /// Reads the command from a member's message.
    ///
    /// Mentions at either end and a name in front are not part of it.
    pub(super) fn parse(message: &str) -> Self {
        let text = without_mentions(message);
        Self::recognize(text)
            .or_else(|| Self::recognize(without_mentions(after_name(text)?)))
            .unwrap_or_else(|| {
                let said = after_name(text).map_or(text, without_mentions);
                Self::Other { words: said.split_whitespace().count() }
            })
    }

    fn recognize(text: &str) -> Option<Self> {
        let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let first = first.trim_end_matches(['!', '?', '.', ',', ':']).to_lowercase();
        let rest = rest.trim();
        Some(match first.as_str() {
            "" if text.is_empty() => Self::Help,
            "help" | "hello" | "hi" | "hey" => Self::Help,
            "echo" if rest.is_empty() => Self::EchoNothing,
            "echo" => Self::Echo(rest.to_owned()),
            "count" => match rest.parse() {
                Ok(last @ 1..=MAX_COUNT) => Self::Count(last),
                _ => Self::CountWhat,
            },
            "markdown" => Self::Markdown,
            "code" => Self::Code(match rest.to_lowercase().as_str() {
                "python" | "py" => Language::Python,
                "bash" | "sh" | "shell" => Language::Bash,
                _ => Language::Rust,
            }),
            _ => return None,
        })
    }
}

fn without_mentions(text: &str) -> &str {
    let mut text = text.trim();
    loop {
        let (first, after) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        if is_mention(first) {
            text = after.trim_start();
            continue;
        }
        let (before, last) = text.rsplit_once(char::is_whitespace).unwrap_or(("", text));
        if !is_mention(last) {
            return text;
        }
        text = before.trim_end();
    }
}

fn is_mention(word: &str) -> bool {
    let name = word.strip_prefix('@').map(|name| name.trim_end_matches([',', ':', '.', '!', '?']));
    name.is_some_and(|name| {
        !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c))
    })
}

/// Returns what follows `name: `, if the text begins that way.
fn after_name(text: &str) -> Option<&str> {
    let (name, rest) = text.split_once(": ")?;
    let plausible = name.chars().count() <= MAX_NAME_CHARS && !name.contains('\n');
    plausible.then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_mentions_around_a_command_are_ignored() {
        for message in [
            "echo one  two",
            "@guide echo one  two",
            "ada: @guide echo one  two",
            "Ada Lovelace: @guide, echo one  two",
            "echo one  two @guide",
            "@guide @other Echo one  two",
        ] {
            assert_eq!(Command::parse(message), Command::Echo("one  two".to_owned()), "{message}");
        }
    }

    #[test]
    fn echo_keeps_colons_and_inner_mentions() {
        assert_eq!(
            Command::parse("@guide echo note: ask @ada today"),
            Command::Echo("note: ask @ada today".to_owned())
        );
    }

    #[test]
    fn count_takes_numbers_up_to_its_bound() {
        assert_eq!(Command::parse("@guide count 10000"), Command::Count(10_000));
        for bad in ["count", "count 0", "count 10001", "count many", "count -1"] {
            assert_eq!(Command::parse(bad), Command::CountWhat, "{bad}");
        }
    }

    #[test]
    fn greetings_and_nothing_at_all_get_help() {
        for message in ["hello", "Hello!", "@guide help", "@guide", "", "ada: hello there"] {
            assert_eq!(Command::parse(message), Command::Help, "{message}");
        }
    }

    #[test]
    fn code_knows_three_languages_and_defaults_to_rust() {
        assert_eq!(Command::parse("code"), Command::Code(Language::Rust));
        assert_eq!(Command::parse("code Python"), Command::Code(Language::Python));
        assert_eq!(Command::parse("code bash"), Command::Code(Language::Bash));
    }

    #[test]
    fn anything_else_is_counted_in_words_without_name_and_mention() {
        assert_eq!(Command::parse("ada: @guide what is the weather"), Command::Other { words: 4 });
    }
}
