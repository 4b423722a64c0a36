//! `import`: makes a room of a file.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use indicatif::{ProgressBar, ProgressStyle};
use parlor_protocol::http::ImportReport;
use tokio::io::AsyncRead;
use tokio_util::bytes::Bytes;
use tokio_util::io::ReaderStream;

use crate::context::Context;

/// Bytes that are read at once.
const PIECE: usize = 64 << 10;

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// File to read, or standard input for `-`
    file: PathBuf,
    /// Who someone of the file is here; everyone else gets an account that cannot log in
    #[arg(long, value_name = "OLD=NEW", value_parser = pair)]
    map: Vec<(String, String)>,
    /// Only check the file, and tell what would come of it
    #[arg(long)]
    dry_run: bool,
}

fn pair(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() && !text.contains(',') => {
            Ok((old.to_owned(), new.to_owned()))
        }
        _ => Err("write it as OLD=NEW: the user name in the file, and the one here"),
    }
}

pub(crate) async fn run(args: ImportArgs, context: &Context) -> anyhow::Result<()> {
    let http = context.http()?;
    let (file, size) = open(&args.file).await?;
    let progress = ProgressBar::new(size);
    let style = ProgressStyle::with_template("{spinner} {bytes} in {elapsed} ({bytes_per_sec})");
    progress.set_style(style?);
    let shown = progress.clone();
    let file = file.inspect(move |piece| {
        shown.inc(piece.as_ref().map_or(0, |piece| piece.len() as u64));
    });
    let report = http.import_room(file, &args.map, args.dry_run).await;
    progress.finish_and_clear();
    tell(&report.context("import the room")?, context)
}

async fn open(path: &Path) -> anyhow::Result<(BoxStream<'static, io::Result<Bytes>>, u64)> {
    if path == Path::new("-") {
        return Ok((pieces(tokio::io::stdin()), 0));
    }
    let file = tokio::fs::File::open(path).await;
    let file = file.with_context(|| format!("read {}", path.display()))?;
    let size = file.metadata().await.map_or(0, |about| about.len());
    Ok((pieces(file), size))
}

fn pieces(file: impl AsyncRead + Send + 'static) -> BoxStream<'static, io::Result<Bytes>> {
    ReaderStream::with_capacity(file, PIECE).boxed()
}

fn tell(report: &ImportReport, context: &Context) -> anyhow::Result<()> {
    let out = context.out;
    if out.json {
        out.json(report)?;
        return Ok(());
    }
    let people = report.people.iter();
    let rows = people.map(|person| {
        let how = if person.existing { "an account of this server" } else { "cannot log in" };
        vec![person.username.clone(), person.here.clone(), how.to_owned()]
    });
    out.table(&["in the file", "here", ""], rows.collect())?;
    if report.attachments_left_out > 0 {
        out.note(&format!("{} attachments are not in the file", report.attachments_left_out));
    }
    let counts = report.counts;
    let what = format!("{} messages, {} members", counts.messages, counts.members);
    match &report.room {
        Some(room) => out.text(&format!("made {} ({what})\n", room.slug))?,
        None => out.text(&format!("the file is in order ({what}); nothing was made of it\n"))?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn map_is_two_names() {
        assert_eq!(pair("ada=ada2"), Ok(("ada".to_owned(), "ada2".to_owned())));
        for text in ["ada", "=ada", "ada=", "a=b,c=d"] {
            assert!(pair(text).is_err(), "{text}");
        }
    }
}
