//! What the fake says and how it misbehaves.

use std::time::Duration;

/// What the fake answers to a chat.
#[derive(Clone, Debug)]
pub struct Script {
    /// The text, in the pieces it is sent in.
    pub tokens: Tokens,
    /// The pause before each piece.
    pub delay: Duration,
    /// What goes wrong.
    pub behaviour: Behaviour,
}

/// The pieces of a reply.
#[derive(Clone, Debug)]
pub enum Tokens {
    /// These pieces.
    List(Vec<String>),
    /// `1 2 3 ...` up to the number.
    Count(usize),
}

/// What goes wrong with a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Nothing.
    Normal,
    /// Pauses before the first and between all other pieces, in place of the script's delay.
    Slow {
        /// The pause before the first piece.
        first: Duration,
        /// The pause before every other piece.
        between: Duration,
    },
    /// Takes the request and never answers, not even with a status. Lists hang too.
    Hang,
    /// Closes the connection in the middle, after this many pieces.
    CutAfter(usize),
    /// Ends the answer properly for HTTP, after this many pieces, but without the mark of the end.
    EndAfter(usize),
    /// Sends this many pieces and then nothing more, with the connection open.
    StallAfter(usize),
    /// Answers with this status; one that redirects points to `/elsewhere`.
    Status {
        /// The status.
        code: u16,
        /// The wait to ask for.
        retry_after: Option<Duration>,
    },
    /// Answers with the status this many times and then normally.
    FailTimes {
        /// How often to fail.
        times: u32,
        /// The status to fail with.
        code: u16,
    },
    /// Sends one piece and then garbage.
    Malformed,
    /// Sends every byte by itself.
    OneByteAtATime,
    /// Sends pieces until the client goes away.
    Endless,
    /// Leaves the usage out.
    NoUsage,
    /// Answers 400 to a request that asks for usage, as some copies of OpenAI's API do.
    RejectsUsageOption,
    /// Sends one piece and then a line of 2 MiB.
    HugeLine,
    /// Sends one piece and then an error within the stream.
    ErrorInStream,
    /// Answers 401, also to a request for the list of models.
    Unauthorized,
}

impl Script {
    /// Returns a script that says the text word by word.
    pub fn says(text: &str) -> Self {
        Self::pieces(text.split_inclusive(' '))
    }

    /// Returns a script that says these pieces.
    pub fn pieces<'a>(pieces: impl IntoIterator<Item = &'a str>) -> Self {
        let tokens = Tokens::List(pieces.into_iter().map(str::to_owned).collect());
        Self { tokens, delay: Duration::ZERO, behaviour: Behaviour::Normal }
    }

    /// Returns a script that counts to `last`, one number a piece.
    pub fn counting(last: usize) -> Self {
        Self { tokens: Tokens::Count(last), delay: Duration::ZERO, behaviour: Behaviour::Normal }
    }

    /// Sets the pause before each piece.
    #[must_use]
    pub fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Sets what goes wrong.
    #[must_use]
    pub fn behaving(mut self, behaviour: Behaviour) -> Self {
        self.behaviour = behaviour;
        self
    }

    /// Returns the whole text.
    pub fn text(&self) -> String {
        self.tokens.each().collect()
    }
}

impl Tokens {
    pub(super) fn each(&self) -> Box<dyn Iterator<Item = String> + Send> {
        match self {
            Self::List(pieces) => Box::new(pieces.clone().into_iter()),
            Self::Count(last) => Box::new((1..=*last).map(|n| format!("{n} "))),
        }
    }
}
