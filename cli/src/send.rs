//! `send`: writes one message, and waits for the reply if asked to.

use std::io::{self, Read as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use parlor_client::{Backoff, ClientError, Http};
use parlor_protocol::http::{PublishRequest, RunCommandRequest};
use parlor_protocol::id::MessageId;
use parlor_protocol::message::MessageStatus;
use parlor_runtime::exit;
use uuid::Uuid;

use crate::commands;
use crate::context::Context;
use crate::failure::{Said, Usage};
use crate::files;
use crate::plain;
use crate::render::Style;

/// Longest text that is read from standard input; the server's limit is far below.
const TEXT_MAX: u64 = 1 << 20;
/// Attempts when the server is away or busy.
const ATTEMPTS: usize = 5;
/// Longest pause that is waited for.
const PAUSE_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    /// Room, by id or short name
    room: String,
    /// Text; - or nothing reads standard input
    text: Option<String>,
    /// File to send along; may be given several times
    #[arg(long = "attach", value_name = "FILE")]
    attach: Vec<PathBuf>,
    /// Message that it answers
    #[arg(long, value_name = "ID")]
    reply_to: Option<MessageId>,
    /// Message whose thread it belongs to
    #[arg(long, value_name = "ID")]
    thread: Option<MessageId>,
    /// Wait for the bot's reply and write it
    #[arg(long)]
    wait: bool,
    /// The text is a slash command, such as "/topic Tea"; without this it is written as it is
    #[arg(long, conflicts_with_all = ["reply_to", "thread", "wait"])]
    command: bool,
}

pub(crate) async fn run(args: SendArgs, context: &Context) -> anyhow::Result<()> {
    let http = context.http()?;
    let body = match args.text {
        Some(text) if text != "-" => text,
        None if !args.attach.is_empty() => String::new(),
        _ => tokio::task::spawn_blocking(read_text).await??,
    };
    if body.trim().is_empty() && args.attach.is_empty() {
        return Err(Usage("the text is empty".to_owned()).into());
    }
    if args.command {
        let client_id = Some(Uuid::new_v4().to_string());
        let request = RunCommandRequest { text: body, client_id };
        let run = || http.run_command(&args.room, &request);
        let answer = persist(run).await.context("carry out the command")?;
        return commands::show(answer, context);
    }
    let attachments = files::upload_all(&http, &args.attach, context).await?;
    let request = PublishRequest {
        body,
        client_id: Some(Uuid::new_v4().to_string()),
        reply_to: args.reply_to,
        thread: args.thread,
        attachments: attachments.into_iter().map(|attachment| attachment.id).collect(),
    };
    if args.wait {
        return send_and_wait(&http, &args.room, &request, context).await;
    }
    let publish = || http.publish(&args.room, &request);
    let message = persist(publish).await.context("send")?;
    if context.out.json {
        context.out.json(&message)?;
    } else {
        context.out.note(&format!("sent as #{}", message.seq));
        if looks_like_command(&message.body) {
            context.out.note("it was written as it is; with --command it is a slash command");
        }
    }
    Ok(())
}

/// Tells whether a text begins as a slash command does, and not as a path.
fn looks_like_command(text: &str) -> bool {
    let name = text.split_whitespace().next().and_then(|word| word.strip_prefix('/'));
    name.is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase()))
}

async fn send_and_wait(
    http: &Http,
    room: &str,
    request: &PublishRequest,
    context: &Context,
) -> anyhow::Result<()> {
    let publish = || http.publish_and_wait(room, request);
    let answer = persist(publish).await.context("send")?;
    if context.out.json {
        context.out.json(&answer)?;
    }
    let Some(reply) = answer.reply else {
        context.out.note("no bot was called by this message, so there is no reply");
        return Err(Said(exit::FAILURE).into());
    };
    if !context.out.json {
        let detail = reply.error.as_ref().map(|error| error.detail.as_str());
        let ending = Style { color: false }.ending(reply.status, detail);
        context.out.text(&(plain::lines(&reply.body) + "\n"))?;
        if !ending.is_empty() {
            context.out.note(ending.trim());
        }
    }
    if reply.status == MessageStatus::Completed { Ok(()) } else { Err(Said(exit::FAILURE).into()) }
}

/// Repeats a call while the server is away or busy. The same `client_id` makes that safe.
async fn persist<T, F>(mut call: impl FnMut() -> F) -> Result<T, ClientError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(8));
    for _ in 1..ATTEMPTS {
        match call().await {
            Err(error) if error.is_retryable() => {
                // One program that waits needs no jitter.
                let pause = error.retry_after().unwrap_or(Duration::ZERO).max(backoff.next(1.0));
                if pause > PAUSE_MAX {
                    return Err(error);
                }
                tokio::time::sleep(pause).await;
            }
            outcome => return outcome,
        }
    }
    call().await
}

fn read_text() -> anyhow::Result<String> {
    let mut text = String::new();
    let read = io::stdin().lock().take(TEXT_MAX + 1).read_to_string(&mut text);
    let length = read.context("read the text from standard input")?;
    if length as u64 > TEXT_MAX {
        return Err(Usage("the text is too long".to_owned()).into());
    }
    // A pipe ends with a line break that nobody has written.
    Ok(text.strip_suffix('\n').map(str::to_owned).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use parlor_protocol::code::{Code, Problem};

    use super::*;

    #[test]
    fn command_that_was_sent_as_text_is_noticed() {
        for text in ["/topic Tea", "/help"] {
            assert!(looks_like_command(text), "{text}");
        }
        for text in ["/etc/passwd", "/ topic", "topic /help", "//", "/", ""] {
            assert!(!looks_like_command(text), "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn busy_server_is_asked_again() {
        let calls = Cell::new(0);
        let outcome = persist(async || {
            calls.set(calls.get() + 1);
            if calls.get() < 3 { Err(Problem::new(Code::Unavailable, "").into()) } else { Ok(7) }
        })
        .await;
        assert_eq!((outcome.unwrap(), calls.get()), (7, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn refusal_is_final_and_patience_ends() {
        let calls = Cell::new(0);
        let outcome: Result<(), _> = persist(async || {
            calls.set(calls.get() + 1);
            Err(Problem::new(Code::NotAMember, "").into())
        })
        .await;
        assert_eq!((outcome.unwrap_err().code(), calls.get()), (Some(Code::NotAMember), 1));

        calls.set(0);
        let outcome: Result<(), _> = persist(async || {
            calls.set(calls.get() + 1);
            Err(Problem::new(Code::Unavailable, "").into())
        })
        .await;
        assert_eq!((outcome.unwrap_err().code(), calls.get()), (Some(Code::Unavailable), ATTEMPTS));
    }

    #[tokio::test(start_paused = true)]
    async fn pause_that_is_too_long_is_left_to_the_person() {
        let mut slow = Problem::new(Code::RateLimited, "");
        slow.retry_after_ms = Some(3_600_000);
        let calls = Cell::new(0);
        let outcome: Result<(), _> = persist(async || {
            calls.set(calls.get() + 1);
            Err(slow.clone().into())
        })
        .await;
        assert_eq!((outcome.unwrap_err().code(), calls.get()), (Some(Code::RateLimited), 1));
    }
}
