//! Commands that begin with a slash: what they are called, what they take, how they are read.
//!
//! Only who asks for a command gets one; a message that begins with a slash is a message.

use std::time::Duration;

/// Longest name of a command, in letters.
const NAME_MAX: usize = 32;
/// Longest time of a ban or a mute: a year.
const LONGEST: Duration = Duration::from_hours(365 * 24);

/// A built-in command, as it is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Builtin {
    /// Its name, without the slash.
    pub name: &'static str,
    /// How it is written.
    pub usage: &'static str,
    /// What it does.
    pub about: &'static str,
}

/// The built-in commands, in the order of their names.
pub const BUILTINS: [Builtin; 9] = [
    Builtin {
        name: "away",
        usage: "/away",
        about: "Be idle until you do something, on this connection; there is none over HTTP",
    },
    Builtin {
        name: "ban",
        usage: "/ban USER [TIME] [REASON]",
        about: "Remove someone and keep them out, for a time such as 2h or 7d",
    },
    Builtin { name: "help", usage: "/help [COMMAND]", about: "List the commands of this room" },
    Builtin { name: "invite", usage: "/invite USER", about: "Bring someone into the room" },
    Builtin { name: "kick", usage: "/kick USER [REASON]", about: "Remove someone from the room" },
    Builtin { name: "me", usage: "/me TEXT", about: "Say what you do" },
    Builtin {
        name: "mute",
        usage: "/mute USER [TIME] [REASON]",
        about: "Keep someone from writing, for a time such as 10m or 2h",
    },
    Builtin {
        name: "search",
        usage: "/search TEXT",
        about: "Look for something that was written in this room",
    },
    Builtin { name: "topic", usage: "/topic TEXT", about: "Change what the room is about" },
];

/// A command, as it was meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slash<'a> {
    /// Says what one does.
    Me(&'a str),
    /// Changes the topic.
    Topic(&'a str),
    /// Brings someone in.
    Invite(&'a str),
    /// Removes someone, for a reason that may be empty.
    Kick(&'a str, &'a str),
    /// Keeps someone out, for a time and a reason.
    Ban(&'a str, Option<Duration>, &'a str),
    /// Keeps someone from writing, for a time and a reason.
    Mute(&'a str, Option<Duration>, &'a str),
    /// Is idle.
    Away,
    /// Looks for something.
    Search(&'a str),
    /// Lists commands, or explains one.
    Help(Option<&'a str>),
    /// One that is not built in, with what follows its name.
    Other(&'a str, &'a str),
}

impl Slash<'_> {
    /// Returns the name, without the slash.
    pub const fn name(&self) -> &str {
        match self {
            Self::Me(_) => "me",
            Self::Topic(_) => "topic",
            Self::Invite(_) => "invite",
            Self::Kick(..) => "kick",
            Self::Ban(..) => "ban",
            Self::Mute(..) => "mute",
            Self::Away => "away",
            Self::Search(_) => "search",
            Self::Help(_) => "help",
            Self::Other(name, _) => name,
        }
    }
}

/// Why a command cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SlashRefused {
    /// It is none.
    #[error("must begin with / and the name of a command")]
    NotACommand,
    /// It takes something else.
    #[error("is not how this is written: {0}")]
    Usage(&'static str),
    /// The time is none.
    #[error("must have a time such as 45s, 10m, 2h, 7d or 4w, up to a year")]
    Time,
}

/// Reads a command.
pub fn parse(text: &str) -> Result<Slash<'_>, SlashRefused> {
    let rest = text.trim().strip_prefix('/').ok_or(SlashRefused::NotACommand)?;
    let (name, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let rest = rest.trim();
    if !is_name(name) {
        return Err(SlashRefused::NotACommand);
    }
    let usage = SlashRefused::Usage(usage(name));
    let some = |text: &'_ str| if text.is_empty() { Err(usage) } else { Ok(()) };
    match name {
        "me" => some(rest).map(|()| Slash::Me(rest)),
        "topic" => some(rest).map(|()| Slash::Topic(rest)),
        "search" => some(rest).map(|()| Slash::Search(rest)),
        "away" if rest.is_empty() => Ok(Slash::Away),
        "away" => Err(usage),
        "help" => {
            let (about, more) = split_word(rest);
            let about = about.strip_prefix('/').unwrap_or(about);
            if !more.is_empty() {
                return Err(usage);
            }
            Ok(Slash::Help(Some(about).filter(|about| !about.is_empty())))
        }
        "invite" | "kick" | "ban" | "mute" => {
            let (user, more) = split_word(rest);
            let user = user.strip_prefix('@').unwrap_or(user);
            if user.is_empty() || (name == "invite" && !more.is_empty()) {
                return Err(usage);
            }
            Ok(match name {
                "invite" => Slash::Invite(user),
                "kick" => Slash::Kick(user, more),
                _ => {
                    let (time, reason) = split_time(more)?;
                    match name {
                        "ban" => Slash::Ban(user, time, reason),
                        _ => Slash::Mute(user, time, reason),
                    }
                }
            })
        }
        _ => Ok(Slash::Other(name, rest)),
    }
}

/// Tells whether a command may have this name: lower-case letters, digits and hyphens.
pub fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    begins && name.len() <= NAME_MAX && name.chars().all(allowed)
}

/// Tells whether a command is built in.
pub fn is_builtin(name: &str) -> bool {
    BUILTINS.iter().any(|builtin| builtin.name == name)
}

fn usage(name: &str) -> &'static str {
    BUILTINS.iter().find(|builtin| builtin.name == name).map_or("", |builtin| builtin.usage)
}

fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim();
    text.split_once(char::is_whitespace).map_or((text, ""), |(word, rest)| (word, rest.trim()))
}

/// Splits a time, if there is one, from the reason that follows.
///
/// A first word that begins like a number is meant as a time: what was mistyped must not become the
/// reason of a ban without end.
fn split_time(text: &str) -> Result<(Option<Duration>, &str), SlashRefused> {
    let (word, rest) = split_word(text);
    if !word.trim_start_matches(['-', '+']).starts_with(char::is_numeric) {
        return Ok((None, text));
    }
    let time = parse_time(word).ok_or(SlashRefused::Time)?;
    Ok((Some(time), rest))
}

/// Reads a number and its unit.
fn parse_time(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    let number = text.strip_suffix(unit)?;
    if !number.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let time = Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(seconds)?);
    (!time.is_zero() && time <= LONGEST).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_as_they_are_meant() {
        let hours = |hours| Some(Duration::from_hours(hours));
        for (text, meant) in [
            ("/me waves  twice", Slash::Me("waves  twice")),
            ("  /topic Tea & cake ", Slash::Topic("Tea & cake")),
            ("/invite @bob", Slash::Invite("bob")),
            ("/kick bob", Slash::Kick("bob", "")),
            ("/kick @bob  not  here ", Slash::Kick("bob", "not  here")),
            ("/ban bob", Slash::Ban("bob", None, "")),
            ("/ban bob m", Slash::Ban("bob", None, "m")),
            ("/ban bob spam,  2h of it", Slash::Ban("bob", None, "spam,  2h of it")),
            ("/ban @bob 7d", Slash::Ban("bob", hours(7 * 24), "")),
            ("/mute bob 120m", Slash::Mute("bob", hours(2), "")),
            ("/mute bob 2h  1h would do", Slash::Mute("bob", hours(2), "1h would do")),
            ("/away", Slash::Away),
            ("/search where is it", Slash::Search("where is it")),
            ("/help", Slash::Help(None)),
            ("/help /ban", Slash::Help(Some("ban"))),
            ("/roll 2d6 now", Slash::Other("roll", "2d6 now")),
            ("/deploy\nprod", Slash::Other("deploy", "prod")),
        ] {
            assert_eq!(parse(text), Ok(meant), "{text}");
        }
    }

    #[test]
    fn what_is_no_command_is_refused() {
        for text in ["", "hi", "/", "/ me", "//x", "/Me waves", "/a/b", "/-x", "me /x"] {
            assert_eq!(parse(text), Err(SlashRefused::NotACommand), "{text}");
        }
        for text in
            ["/me", "/topic ", "/invite", "/invite a b", "/kick", "/ban", "/mute @", "/away now"]
        {
            assert!(matches!(parse(text), Err(SlashRefused::Usage(_))), "{text}");
        }
        for time in [
            "0m",
            "10",
            "10 spam",
            "-1h",
            "+1h",
            "1y",
            "366d",
            "1h30m",
            "99999999999999999999h",
            "1\u{661}m",
        ] {
            assert_eq!(parse(&format!("/mute bob {time}")), Err(SlashRefused::Time), "{time}");
        }
    }

    #[test]
    fn names_of_commands_are_plain_and_short() {
        assert!(is_name("roll-2") && is_name(&"x".repeat(NAME_MAX)));
        for name in ["", "2x", "-x", "Roll", "a_b", "a b", "r\u{f6}ll", &"x".repeat(NAME_MAX + 1)] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn list_is_in_order_and_each_is_read() {
        assert!(BUILTINS.windows(2).all(|pair| pair[0].name < pair[1].name));
        for builtin in BUILTINS {
            assert!(is_name(builtin.name) && is_builtin(builtin.name));
            let text = format!("/{} x", builtin.name);
            let read = parse(&text);
            assert!(!matches!(read, Ok(Slash::Other(..))), "{}", builtin.name);
            if let Ok(read) = read {
                assert_eq!(read.name(), builtin.name);
            }
        }
    }
}
