//! `history`: shows the newest messages, or exports all.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use futures_util::TryStreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use parlor_client::{ExportFormat, Http, MessageQuery};
use parlor_protocol::id::MessageId;
use parlor_protocol::limits::{PAGE_DEFAULT, PAGE_MAX};
use parlor_protocol::time::Timestamp;

use crate::context::Context;
use crate::output::Out;
use crate::plain;
use crate::render::Style;

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Room, by id or short name
    room: String,
    /// Messages to show
    #[arg(long, value_name = "N", default_value_t = PAGE_DEFAULT)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Only messages before this position
    #[arg(long, value_name = "SEQ")]
    before: Option<u64>,
    /// The messages around this position
    #[arg(long, value_name = "SEQ", conflicts_with = "before")]
    around: Option<u64>,
    /// The messages around this time, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with_all = ["before", "around"])]
    at: Option<Timestamp>,
    /// Only the thread of this message
    #[arg(long, value_name = "ID", conflicts_with_all = ["around", "at"])]
    thread: Option<MessageId>,
    /// Write the whole room to this file instead, or to standard output for `-`
    #[arg(long, value_name = "FILE")]
    #[arg(conflicts_with_all = ["limit", "before", "around", "at", "thread"])]
    export: Option<PathBuf>,
    /// How the file is written
    #[arg(long, value_enum, value_name = "FORMAT", requires = "export", default_value = "jsonl")]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// The room with everything in it, for `parlor import`
    Jsonl,
    /// One JSON array of messages
    Json,
    /// Text for people
    Markdown,
}

fn time(text: &str) -> Result<Timestamp, &'static str> {
    serde_json::from_value(text.into()).map_err(|_| "this is no time; write it as in RFC 3339")
}

pub(crate) async fn run(args: &HistoryArgs, context: &Context) -> anyhow::Result<()> {
    let http = context.http()?;
    let Some(path) = &args.export else { return show(&http, args, context).await };
    let format = match args.format {
        Format::Jsonl => ExportFormat::Jsonl,
        Format::Json => ExportFormat::Json,
        Format::Markdown => ExportFormat::Markdown,
    };
    export(&http, &args.room, path, format, context.out).await.context("export the history")
}

async fn show(http: &Http, args: &HistoryArgs, context: &Context) -> anyhow::Result<()> {
    let mut pages = Vec::new();
    let mut before = args.before;
    let mut left = args.limit;
    while left > 0 {
        let limit = Some(left.min(PAGE_MAX));
        let (around, at, thread) = (args.around, args.at, args.thread);
        let query = MessageQuery { before, around, at, thread, limit, ..MessageQuery::default() };
        let page = http.messages(&args.room, &query).await.context("read the history")?;
        let Some(oldest) = page.items.first() else { break };
        before = Some(oldest.seq);
        left = left.saturating_sub(u32::try_from(page.items.len()).unwrap_or(u32::MAX));
        // A page around something has no next one.
        let last = page.next.is_none();
        pages.push(page.items);
        if last {
            break;
        }
    }
    let style = Style { color: context.out.color };
    for message in pages.iter().rev().flatten() {
        if context.out.json {
            context.out.json(message)?;
        } else {
            context.out.text(&style.message(message))?;
        }
    }
    Ok(())
}

async fn export(
    http: &Http,
    room: &str,
    path: &Path,
    format: ExportFormat,
    out: Out,
) -> anyhow::Result<()> {
    let mut pieces = http.export(room, format).await?;
    let mut target = if path == Path::new("-") {
        // What people wrote must not rule the terminal.
        if out.terminal { Target::Terminal(plain::Filter::default()) } else { Target::Pipe }
    } else {
        Target::File(Unfinished::create(path)?)
    };
    // Indicatif shows nothing where standard error is not a terminal.
    let progress = match target {
        Target::Terminal(_) => ProgressBar::hidden(),
        Target::File(_) | Target::Pipe => ProgressBar::new_spinner(),
    };
    let style = ProgressStyle::with_template("{spinner} {bytes} in {elapsed} ({bytes_per_sec})");
    progress.set_style(style?);
    while let Some(piece) = pieces.try_next().await? {
        target.write(&piece, out)?;
        progress.inc(piece.len() as u64);
    }
    progress.finish_and_clear();
    let written = matches!(target, Target::File(_));
    target.finish(out)?;
    if written {
        out.note(&format!("wrote {} ({} bytes)", path.display(), progress.position()));
    }
    Ok(())
}

/// A file that gets its name when it is complete, so that nobody takes a part for the whole.
struct Unfinished {
    file: File,
    part: PathBuf,
    path: PathBuf,
}

impl Unfinished {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        // What people wrote in private rooms is for whoever exports it.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&part).with_context(|| format!("make {}", part.display()))?;
        Ok(Self { file, part, path: path.to_owned() })
    }

    fn finish(&self) -> io::Result<()> {
        self.file.sync_all()?;
        std::fs::rename(&self.part, &self.path)
    }
}

enum Target {
    File(Unfinished),
    Terminal(plain::Filter),
    Pipe,
}

impl Target {
    fn write(&mut self, piece: &[u8], out: Out) -> io::Result<()> {
        match self {
            Self::File(file) => file.file.write_all(piece),
            Self::Terminal(filter) => out.text(&filter.push(piece)),
            Self::Pipe => out.bytes(piece),
        }
    }

    fn finish(&mut self, out: Out) -> io::Result<()> {
        match self {
            Self::File(file) => file.finish(),
            Self::Terminal(_) | Self::Pipe => out.text(""),
        }
    }
}
