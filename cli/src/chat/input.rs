//! What a typed line means.

/// What /help says.
pub(super) const HELP: &str = "\
/help           this list
/who            who is in the room
/history [N]    the newest N messages (20)
/stop           stop the reply that is being written
/quit           leave
//text          a message that begins with /
/me TEXT        what you do; also /topic, /invite, /kick, /ban, /mute, /search
                and what the room has registered
Everything else is a message. @name calls a bot or a person.";

/// Messages that /history can show.
const HISTORY_MAX: u32 = 200;
const HISTORY_DEFAULT: u32 = 20;

/// What a typed line means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    Nothing,
    Say(String),
    Help,
    Who,
    History(u32),
    Stop,
    Quit,
    /// For the server.
    Command(String),
}

impl Input {
    /// Reads a line.
    pub(super) fn parse(line: &str) -> Self {
        let line = line.trim_end();
        if line.trim().is_empty() {
            return Self::Nothing;
        }
        let Some(command) = line.strip_prefix('/') else { return Self::Say(line.to_owned()) };
        if command.starts_with('/') {
            return Self::Say(command.to_owned());
        }
        let mut words = command.split_whitespace();
        let (verb, argument) = (words.next().unwrap_or_default(), words.next());
        match verb {
            "help" | "?" => Self::Help,
            "who" => Self::Who,
            "stop" => Self::Stop,
            "quit" | "exit" => Self::Quit,
            "history" => {
                let count = argument.and_then(|argument| argument.parse().ok());
                Self::History(count.unwrap_or(HISTORY_DEFAULT).clamp(1, HISTORY_MAX))
            }
            _ => Self::Command(line.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_is_a_message_or_a_command() {
        for (line, input) in [
            ("", Input::Nothing),
            ("   \t", Input::Nothing),
            ("hi @guide ", Input::Say("hi @guide".to_owned())),
            ("  indented", Input::Say("  indented".to_owned())),
            ("//not a command", Input::Say("/not a command".to_owned())),
            ("/help", Input::Help),
            ("/stop now", Input::Stop),
            ("/history", Input::History(20)),
            ("/history 5", Input::History(5)),
            ("/history 999999", Input::History(200)),
            ("/history x", Input::History(20)),
            ("/dance", Input::Command("/dance".to_owned())),
            ("/me waves", Input::Command("/me waves".to_owned())),
            ("/quit", Input::Quit),
        ] {
            assert_eq!(Input::parse(line), input, "{line:?}");
        }
    }
}
