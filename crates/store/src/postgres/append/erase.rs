//! The end of a text.

use parlor_protocol::id::MessageId;

use super::{Desk, Step};
use crate::postgres::codec::integer;
use crate::postgres::sql::{files, jobs, messages as sql, reading};

/// Removes the text of a message from everything that is stored, and with it what was made of it:
/// whom it mentions, and its place among the pinned messages.
///
/// This is the only place where a text ends. Whatever keeps a text, or a part of it, anywhere else
/// removes it here.
pub(super) async fn erase_body(desk: &mut Desk<'_>, message: MessageId, seq: u64) -> Step<()> {
    // Events of earlier intents are to be found.
    desk.flush().await?;
    let (room, seq, at) = (desk.room_key(), integer(seq), desk.at.as_millis());
    desk.write(sql::REDACT, &[&room, &seq, &at]).await?;
    #[cfg(feature = "planted-bugs")]
    if parlor_domain::planted::is("redaction-keeps-events") {
        return Ok(());
    }
    desk.write(sql::REDACT_EVENTS, &[&message.0]).await?;
    desk.write(reading::DELETE_MENTIONS_OF_MESSAGE, &[&room, &seq]).await?;
    desk.write(files::DELETE_OF_MESSAGE, &[&room, &seq]).await?;
    desk.write(jobs::ERASE_CHECKPOINT, &[&message.0]).await?;
    Ok(())
}
