//! How the two protocols write a reply.

use std::{iter, time::Duration};

use serde_json::{Value, json};

use super::{
    PLANTED_SECRET,
    script::{Behaviour, Script},
    streaming::{Step, Steps},
};

#[derive(Clone, Copy, Debug)]
pub(super) enum Dialect {
    OpenAi,
    Ollama,
}

impl Dialect {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::OpenAi => "text/event-stream",
            Self::Ollama => "application/x-ndjson",
        }
    }

    fn line(self, value: &Value) -> String {
        match self {
            Self::OpenAi => format!("data: {value}\n\n"),
            Self::Ollama => format!("{value}\n"),
        }
    }

    fn opening(self) -> String {
        match self {
            Self::OpenAi => self.line(
                &json!({ "choices": [{ "index": 0, "delta": { "role": "assistant", "content": "" } }] }),
            ),
            Self::Ollama => String::new(),
        }
    }

    fn token(self, text: &str) -> String {
        self.line(&match self {
            Self::OpenAi => json!({ "choices": [{ "index": 0, "delta": { "content": text } }] }),
            Self::Ollama => {
                json!({ "message": { "role": "assistant", "content": text }, "done": false })
            }
        })
    }

    fn ending(self, usage: Option<(usize, usize)>) -> String {
        match self {
            Self::OpenAi => {
                let stop =
                    json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
                let usage = usage.map(|(prompt, completion)| {
                    let usage = json!({ "prompt_tokens": prompt, "completion_tokens": completion });
                    self.line(&json!({ "choices": [], "usage": usage }))
                });
                format!("{}{}data: [DONE]\n\n", self.line(&stop), usage.unwrap_or_default())
            }
            Self::Ollama => {
                let mut last =
                    json!({ "message": { "content": "" }, "done": true, "done_reason": "stop" });
                if let Some((prompt, completion)) = usage {
                    last["prompt_eval_count"] = json!(prompt);
                    last["eval_count"] = json!(completion);
                }
                self.line(&last)
            }
        }
    }

    fn error(self) -> String {
        let message = format!("upstream {PLANTED_SECRET} failed");
        match self {
            Self::OpenAi => self.line(&json!({ "error": { "message": message } })),
            Self::Ollama => self.line(&json!({ "error": message })),
        }
    }

    fn garbage(self) -> String {
        match self {
            Self::OpenAi => format!("data: {{\"choices\": {PLANTED_SECRET}\n\n"),
            Self::Ollama => format!("<html>{PLANTED_SECRET}</html>\n"),
        }
    }

    fn huge_line(self) -> String {
        self.token(&"x".repeat(2 * 1024 * 1024))
    }
}

/// Returns what to send for a chat, step by step.
pub(super) fn steps(dialect: Dialect, script: &Script, request: &Value) -> Steps {
    let usage = (script.behaviour != Behaviour::NoUsage)
        .then(|| (count_words(request), script.tokens.each().count()));
    let bytes = |text: String| Step::Bytes(text.into());
    let opening = iter::once(bytes(dialect.opening()));
    let one = say(dialect, script).take(2);
    match script.behaviour {
        Behaviour::CutAfter(n) => {
            Box::new(opening.chain(say(dialect, script).take(2 * n)).chain([Step::Cut]))
        }
        Behaviour::EndAfter(n) => Box::new(opening.chain(say(dialect, script).take(2 * n))),
        Behaviour::StallAfter(n) => {
            Box::new(opening.chain(say(dialect, script).take(2 * n)).chain([Step::Stall]))
        }
        Behaviour::Malformed => Box::new(opening.chain(one).chain([bytes(dialect.garbage())])),
        Behaviour::HugeLine => Box::new(opening.chain(one).chain([bytes(dialect.huge_line())])),
        Behaviour::ErrorInStream => Box::new(opening.chain(one).chain([bytes(dialect.error())])),
        Behaviour::Endless => Box::new(opening.chain(say(dialect, script))),
        Behaviour::OneByteAtATime => {
            let all = opening.chain(say(dialect, script)).chain([bytes(dialect.ending(usage))]);
            Box::new(all.flat_map(one_by_one))
        }
        _ => Box::new(opening.chain(say(dialect, script)).chain([bytes(dialect.ending(usage))])),
    }
}

/// Returns a pause and a piece for each token.
fn say(dialect: Dialect, script: &Script) -> Steps {
    let (first, between) = match script.behaviour {
        Behaviour::Slow { first, between } => (first, between),
        _ => (script.delay, script.delay),
    };
    let tokens: Box<dyn Iterator<Item = String> + Send> = match script.behaviour {
        Behaviour::Endless => Box::new((1_u64..).map(|n| format!("{n} "))),
        _ => script.tokens.each(),
    };
    let pauses = iter::once(first).chain(iter::repeat(between));
    Box::new(tokens.zip(pauses).flat_map(move |(token, pause): (String, Duration)| {
        [Step::Wait(pause), Step::Bytes(dialect.token(&token).into())]
    }))
}

fn one_by_one(step: Step) -> Vec<Step> {
    match step {
        Step::Bytes(bytes) => (0..bytes.len())
            .flat_map(|at| [Step::Bytes(bytes.slice(at..=at)), Step::Flush])
            .collect(),
        other => vec![other],
    }
}

/// Counts the words of the prompt, which are its tokens to the fake.
fn count_words(request: &Value) -> usize {
    let messages = request["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    messages
        .iter()
        .filter_map(|message| message["content"].as_str())
        .map(|content| content.split_whitespace().count())
        .sum()
}
