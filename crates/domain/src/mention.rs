//! Mentions: `@name` in the text of a message.

use parlor_protocol::room::Role;

/// The name that stands for everyone in the room. No user may have it.
const ROOM: &str = "room";

/// Longest user name that is looked for.
const NAME_MAX: usize = 32;
/// Most mentions of one message that are followed.
const MENTIONS_MAX: usize = 32;

/// Returns the user names mentioned in `body`, lower-case, each once, in the order of appearance.
///
/// A mention starts with `@` at the beginning or after a character that cannot be part of a name or
/// an e-mail address. Text in backticks is code and mentions nobody.
pub fn mentions(body: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for text in outside_code(body) {
        let mut before = ' ';
        for (at, c) in text.char_indices() {
            if c == '@' && !is_name_char(before) {
                let name: String = text
                    .get(at + 1..)
                    .unwrap_or_default()
                    .chars()
                    .take_while(|&c| is_name_char(c))
                    .take(NAME_MAX + 1)
                    .collect();
                // A dot or hyphen at the end belongs to the sentence.
                let name = name.trim_end_matches(['.', '-']).to_ascii_lowercase();
                if !name.is_empty() && name.len() <= NAME_MAX && !names.contains(&name) {
                    names.push(name);
                    if names.len() == MENTIONS_MAX {
                        return names;
                    }
                }
            }
            before = c;
        }
    }
    names
}

/// Whom a text mentions, before it is known who is a member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// User names, lower-case, each once, in the order of appearance.
    pub names: Vec<String>,
    /// Whether `@room` is among them. It counts where [`may_name_room`] says so.
    pub room: bool,
}

/// Returns whom a text mentions. Cheap for a text without `@`.
pub fn named(body: &str) -> Named {
    if !body.contains('@') {
        return Named::default();
    }
    let mut names = mentions(body);
    let before = names.len();
    names.retain(|name| name != ROOM);
    Named { room: names.len() != before, names }
}

/// Tells whether `@room` of someone with this role mentions everyone. Of others it is only text.
pub fn may_name_room(role: Role) -> bool {
    role >= Role::Moderator
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// Splits at backticks, the same number of which open and close code, and keeps what is outside.
fn outside_code(body: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = body;
    while let Some(open) = rest.find('`') {
        let (text, code) = rest.split_at(open);
        let ticks = code.len() - code.trim_start_matches('`').len();
        let (fence, inside) = code.split_at(ticks);
        let Some(close) = inside.find(fence) else {
            // Never closed: not code.
            parts.push(text);
            rest = inside;
            continue;
        };
        parts.push(text);
        rest = inside.split_at(close).1.trim_start_matches('`');
    }
    parts.push(rest);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_once_and_in_order() {
        assert_eq!(mentions("@Guide, ask @ada. and @guide"), ["guide", "ada"]);
    }

    #[test]
    fn addresses_and_bare_signs_mention_nobody() {
        assert!(mentions("mail me@example.org or @ or x@y").is_empty());
    }

    #[test]
    fn code_mentions_nobody() {
        assert_eq!(mentions("use `@guide` like ```\n@ada\n``` then @bob"), ["bob"]);
    }

    #[test]
    fn unclosed_backtick_is_not_code() {
        assert_eq!(mentions("it`s @guide"), ["guide"]);
    }

    #[test]
    fn name_may_be_followed_by_punctuation() {
        assert_eq!(mentions("(@a_b-c.d)!"), ["a_b-c.d"]);
        assert_eq!(mentions("hi @guide."), ["guide"]);
    }

    #[test]
    fn room_is_no_name_of_a_user() {
        let both = named("@Room and @ada");
        assert_eq!((both.names, both.room), (vec!["ada".to_owned()], true));
        assert_eq!(named("`@room` me@room.org"), Named::default());
        assert!(may_name_room(Role::Moderator) && !may_name_room(Role::Member));
    }

    #[test]
    fn endless_mentions_are_bounded() {
        let body = (0..1000).map(|n| format!("@user{n}")).collect::<Vec<_>>().join(" ");
        assert_eq!(mentions(&body).len(), MENTIONS_MAX);
    }
}
