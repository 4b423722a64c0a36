//! The provider without a model: it needs no service, no key and no download.
//!
//! It says what it is in every answer that could be taken for a model's, and it can echo, count
//! and write Markdown and code, so that streaming, stopping and rendering can be tried. The same
//! request gives the same reply. It pays no heed to `temperature` and `max_tokens`.

use std::{iter, time::Duration};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use tokio::time::sleep;

use crate::{
    ChatChunk, ChatRequest, ChatStream, FinishReason, Model, Provider, ProviderError, ProviderKind,
    Role, TokenMeter, estimate_request_tokens,
};

mod command;
mod texts;

use command::Command;

/// The name of the demo among the providers, and of its only model.
const NAME: &str = "demo";

/// Words a second that a fast hosted model reaches.
const DELAY_PER_WORD: Duration = Duration::from_millis(25);

/// The built-in provider.
#[derive(Clone, Debug)]
pub struct DemoProvider {
    name: String,
    delay_per_word: Duration,
}

impl Default for DemoProvider {
    fn default() -> Self {
        Self::named(NAME)
    }
}

impl DemoProvider {
    /// Returns the demo under another name.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), delay_per_word: DELAY_PER_WORD }
    }

    /// Sets the pause before each word; zero sends as fast as it is read.
    #[must_use]
    pub fn with_delay_per_word(mut self, delay: Duration) -> Self {
        self.delay_per_word = delay;
        self
    }
}

#[async_trait]
impl Provider for DemoProvider {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> ProviderKind {
        ProviderKind::Demo
    }

    fn default_model(&self) -> &str {
        NAME
    }

    async fn chat(&self, request: ChatRequest) -> Result<ChatStream, ProviderError> {
        let asked = request.messages.iter().rev().find(|message| message.role == Role::User);
        let pieces = pieces(&Command::parse(asked.map_or("", |message| &message.content)));
        let prompt_tokens = estimate_request_tokens(&request);
        let delay = self.delay_per_word;
        let reply = stream::unfold(
            (Some(pieces), TokenMeter::default()),
            move |(pieces, mut meter)| async move {
                let mut pieces = pieces?;
                let Some(text) = pieces.next() else {
                    let usage = meter.usage(prompt_tokens);
                    let end = ChatChunk::Finished { usage, reason: FinishReason::Stop };
                    return Some((Ok(end), (None, meter)));
                };
                if !delay.is_zero() {
                    sleep(delay).await;
                }
                meter.add(&text);
                Some((Ok(ChatChunk::Text(text)), (Some(pieces), meter)))
            },
        );
        Ok(reply.boxed())
    }

    async fn list_models(&self) -> Result<Vec<Model>, ProviderError> {
        Ok(vec![Model { name: NAME.to_owned(), size_bytes: None }])
    }

    async fn check_health(&self) -> Result<Duration, ProviderError> {
        Ok(Duration::ZERO)
    }
}

type Pieces = Box<dyn Iterator<Item = String> + Send>;

fn pieces(command: &Command) -> Pieces {
    match command {
        Command::Count(last) => {
            let last = *last;
            Box::new(
                (1..=last).map(move |n| if n == last { n.to_string() } else { format!("{n} ") }),
            )
        }
        Command::Help => words(texts::HELP.to_owned()),
        Command::Echo(text) => words(text.clone()),
        Command::EchoNothing => words(texts::ECHO_NOTHING.to_owned()),
        Command::CountWhat => words(texts::COUNT_WHAT.to_owned()),
        Command::Markdown => words(texts::MARKDOWN.to_owned()),
        Command::Code(language) => words(texts::code(*language)),
        Command::Other { words: count } => words(texts::other(*count)),
    }
}

/// Splits a text after each run of white space; the pieces together are the text.
fn words(text: String) -> Pieces {
    let mut start = 0;
    Box::new(iter::from_fn(move || {
        let rest = text.get(start..)?;
        let word = rest.find(|c: char| !c.is_whitespace())?;
        let gap = word + rest.get(word..)?.find(char::is_whitespace).unwrap_or(rest.len() - word);
        let after = rest.get(gap..)?;
        let end = gap + after.find(|c: char| !c.is_whitespace()).unwrap_or(after.len());
        start += end;
        rest.get(..end).map(str::to_owned)
    }))
}

#[cfg(test)]
mod tests;
