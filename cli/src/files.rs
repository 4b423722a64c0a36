//! `files`: attachments as files, and one's own picture.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use futures_util::TryStreamExt as _;
use parlor_client::{ByteStream, Http};
use parlor_protocol::id::FileId;
use parlor_protocol::message::Attachment;
use tokio::fs::OpenOptions;
use tokio::io::AsyncWriteExt as _;

use crate::context::Context;
use crate::failure::Usage;

#[derive(Debug, Args)]
pub(crate) struct FilesArgs {
    #[command(subcommand)]
    command: FilesCommand,
}

#[derive(Debug, Subcommand)]
enum FilesCommand {
    /// Download an attachment
    Get(GetArgs),
    /// Set or remove my picture
    Avatar(AvatarArgs),
}

#[derive(Debug, Args)]
struct GetArgs {
    /// Room, by id or short name
    room: String,
    /// Id of the attachment, as `history` and `tail` tell it
    id: FileId,
    /// File to write; - is standard output [default: the attachment's name, here]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[group(required = true)]
struct AvatarArgs {
    /// Image; its middle is taken
    image: Option<PathBuf>,
    /// Have no picture
    #[arg(long, conflicts_with = "image")]
    remove: bool,
}

pub(crate) async fn run(args: FilesArgs, context: &Context) -> anyhow::Result<()> {
    let http = context.http()?;
    match args.command {
        FilesCommand::Get(args) => get(&http, args, context).await,
        FilesCommand::Avatar(args) => avatar(&http, args, context).await,
    }
}

/// Uploads files for a message.
pub(crate) async fn upload_all(
    http: &Http,
    paths: &[PathBuf],
    context: &Context,
) -> anyhow::Result<Vec<Attachment>> {
    let mut attachments = Vec::with_capacity(paths.len());
    for path in paths {
        let uploaded = http.upload_file(path).await;
        let attachment = uploaded.with_context(|| format!("upload {}", path.display()))?;
        context.out.note(&format!("uploaded {} ({} bytes)", attachment.name, attachment.bytes));
        attachments.push(attachment);
    }
    Ok(attachments)
}

async fn get(http: &Http, args: GetArgs, context: &Context) -> anyhow::Result<()> {
    let address = http.attachment(&args.room, args.id).await.context("find the attachment")?;
    let bytes = http.download(&address).await.context("download the attachment")?;
    if args.output.as_deref() == Some(Path::new("-")) {
        return bytes
            .map_err(anyhow::Error::from)
            .try_for_each(async |piece| Ok(context.out.bytes(&piece)?))
            .await
            .context("download the attachment");
    }
    let path = match args.output {
        Some(path) => path,
        None => name_in(&address.url)
            .ok_or_else(|| Usage("the attachment has no usable name: use --output".to_owned()))?,
    };
    let written = write(bytes, &path).await;
    let written = written.with_context(|| format!("write {}", path.display()))?;
    if context.out.json {
        context.out.json(&serde_json::json!({"path": path, "bytes": written}))?;
    } else {
        context.out.note(&format!("wrote {} ({written} bytes)", path.display()));
    }
    Ok(())
}

/// Writes a new file; never over one that is there. What breaks off leaves none.
async fn write(mut bytes: ByteStream, path: &Path) -> anyhow::Result<u64> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).await?;
    let mut written = 0;
    let writing = async {
        while let Some(piece) = bytes.try_next().await? {
            file.write_all(&piece).await?;
            written += piece.len() as u64;
        }
        file.sync_all().await?;
        Ok::<_, anyhow::Error>(written)
    };
    let outcome = writing.await;
    if outcome.is_err() {
        tokio::fs::remove_file(path).await?;
    }
    outcome
}

/// The name at the end of an address, if it is one: a server must not choose where files go.
fn name_in(url: &str) -> Option<PathBuf> {
    let path = url.split(['?', '#']).next()?;
    let name = path.rsplit('/').next()?;
    let name = percent_encoding::percent_decode_str(name).decode_utf8().ok()?;
    let plain = Path::new(&*name).file_name()?.to_str()? == &*name;
    let safe = plain && !name.starts_with('.') && !name.contains(['/', '\\', ':', '\0']);
    (safe && !name.chars().any(char::is_control)).then(|| PathBuf::from(&*name))
}

async fn avatar(http: &Http, args: AvatarArgs, context: &Context) -> anyhow::Result<()> {
    let Some(path) = args.image else {
        http.delete_avatar().await.context("remove the picture")?;
        context.out.note("you have no picture now");
        return Ok(());
    };
    let image = tokio::fs::read(&path).await;
    let image = image.with_context(|| format!("read {}", path.display()))?;
    let user = http.put_avatar(image.into()).await.context("set the picture")?;
    if context.out.json {
        context.out.json(&user)?;
    } else {
        context.out.note("this is your picture now");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_does_not_choose_where_a_file_goes() {
        let name = |url: &str| name_in(url).map(|path| path.display().to_string());
        assert_eq!(name("/v1/files/1/my%20cat.png?x=1").as_deref(), Some("my cat.png"));
        assert_eq!(
            name("https://chat.example.org/v1/files/1/%C3%BC.txt").as_deref(),
            Some("ü.txt")
        );
        for url in
            ["/f/..", "/f/", "/f/%2e%2e%2fx", "/f/a%2Fb", "/f/a%5Cb", "/f/.bashrc", "/f/a%0Ab"]
        {
            assert_eq!(name(url), None, "{url}");
        }
    }
}
