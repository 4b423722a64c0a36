//! Enums of the contract as the words that columns hold, the same in every backend.

use parlor_protocol::http::{Scope, Scopes, Trigger};
use parlor_protocol::message::MessageStatus;
use parlor_protocol::room::{NotificationLevel, Role, RoomKind};
use parlor_protocol::user::{ServerRole, UserKind, Visibility};

use crate::people::ProgramKind;
use crate::record::{ImportState, UploadState};

/// An enum that is stored as a word.
pub(crate) trait Word: Sized {
    /// Returns the word.
    fn word(self) -> &'static str;

    /// Reads the word.
    fn from_word(word: &str) -> Option<Self>;
}

macro_rules! words {
    ($($type:ident { $($variant:ident = $word:literal,)* })*) => {
        $(impl Word for $type {
            fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            fn from_word(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)*
                    _ => None,
                }
            }
        })*
    };
}

words! {
    UserKind { User = "user", Bot = "bot", Integration = "integration", }
    ServerRole { Admin = "admin", User = "user", }
    Visibility { Public = "public", Private = "private", }
    RoomKind { Public = "public", Private = "private", Direct = "direct", }
    UploadState { Open = "open", Ready = "ready", Attached = "attached", }
    ProgramKind { Integration = "integration", Webhook = "webhook", Command = "command", }
    ImportState { Reading = "reading", GivenUp = "given_up", Finished = "finished", }
    Role { Member = "member", Moderator = "moderator", Owner = "owner", }
    NotificationLevel { All = "all", Mentions = "mentions", None = "none", }
    Trigger { Mention = "mention", Always = "always", Direct = "direct", Never = "never", }
    MessageStatus {
        Complete = "complete",
        Streaming = "streaming",
        Completed = "completed",
        Cancelled = "cancelled",
        Failed = "failed",
        Interrupted = "interrupted",
    }
}

/// Writes scopes as words with a space between them.
pub(crate) fn words_of_scopes(scopes: Scopes) -> String {
    scopes.iter().map(Scope::as_str).collect::<Vec<_>>().join(" ")
}

/// Reads scopes. A word of another version allows nothing here.
pub(crate) fn scopes_from_words(words: &str) -> Scopes {
    words.split(' ').filter_map(Scope::from_name).collect()
}

/// Writes words with a space between them.
pub(crate) fn join_words(words: &[String]) -> String {
    words.join(" ")
}

/// Reads words with a space between them.
pub(crate) fn split_words(words: &str) -> Vec<String> {
    words.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
