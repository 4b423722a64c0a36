//! `search`: finds messages.

use anyhow::Context as _;
use clap::Args;
use parlor_client::SearchQuery;
use parlor_protocol::http::{SearchResult, Snippet};

use crate::context::Context;
use crate::plain;
use crate::render::Style;

#[derive(Debug, Args)]
#[command(after_help = "\
All words must be there; \"a phrase\", begin*, -without, from:NAME, in:ROOM, before:2026-01-31,
after:2026-01-31 and has:attachment work in the text, too. Best answers come first.")]
pub(crate) struct SearchArgs {
    /// What to look for
    #[arg(required = true, allow_hyphen_values = true, trailing_var_arg = true)]
    #[arg(value_name = "TEXT")]
    text: Vec<String>,
    /// Only in this room
    #[arg(long)]
    room: Option<String>,
    /// Messages to show
    #[arg(long, value_name = "N", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

pub(crate) async fn run(args: &SearchArgs, context: &Context) -> anyhow::Result<()> {
    let http = context.http()?;
    let mut left = args.limit as usize;
    let limit = Some(args.limit.min(200));
    let (text, room) = (args.text.join(" "), args.room.clone());
    let mut query = SearchQuery { text, room, limit, ..SearchQuery::default() };
    let mut found = 0;
    loop {
        let page = http.search(&query).await.context("search")?;
        for result in page.items.iter().take(left) {
            if context.out.json {
                context.out.json(result)?;
            } else {
                context.out.text(&entry(result, context.out.color))?;
            }
        }
        let n_shown = page.items.len().min(left);
        (left, found) = (left - n_shown, found + n_shown);
        query.cursor = page.next;
        if left == 0 || query.cursor.is_none() {
            break;
        }
    }
    if found == 0 {
        context.out.note("nothing was found");
    }
    Ok(())
}

fn entry(result: &SearchResult, color: bool) -> String {
    let style = Style { color };
    let message = &result.message;
    let place = format!("{} {} #{}", message.created_at, result.room.slug, message.seq);
    let name = style.name(&message.sender);
    format!("{} {name}: {}\n", style.dim(&plain::line(&place)), text(&result.snippet, color))
}

/// Returns the snippet with what was found in bold.
fn text(snippet: &Snippet, color: bool) -> String {
    let chars: Vec<char> = snippet.text.chars().collect();
    let part = |from: usize, to: usize| {
        let part: String = chars.iter().skip(from).take(to.saturating_sub(from)).collect();
        plain::line(&part.replace('\n', " "))
    };
    let (mut text, mut at) = (String::new(), 0);
    for highlight in &snippet.highlights {
        let (start, end) = (highlight.start as usize, highlight.end as usize);
        text.push_str(&part(at, start));
        let found = part(start, end);
        let (bold, plain) = if color { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        text.extend([bold, &found, plain]);
        at = end;
    }
    text.push_str(&part(at, chars.len()));
    text
}

#[cfg(test)]
mod tests {
    use parlor_protocol::http::Highlight;

    use super::*;

    #[test]
    fn what_was_found_is_bold_and_harmless() {
        let snippet = Snippet {
            text: "a\u{1b}[2J Crème\nx".to_owned(),
            highlights: vec![Highlight { start: 6, end: 11 }],
        };
        assert_eq!(text(&snippet, false), "a\u{fffd}[2J Crème x");
        assert_eq!(text(&snippet, true), "a\u{fffd}[2J \u{1b}[1mCrème\u{1b}[0m x");
    }
}
