//! What can be wrong with a history.

use std::fmt;

use parlor_protocol::id::MessageId;

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// I1: acknowledged at `seq`, but stored elsewhere or not at all.
    Lost {
        /// The author's id.
        client_id: String,
        /// Where it was acknowledged.
        seq: u64,
        /// Where it is stored.
        found: Option<u64>,
    },
    /// I2: stored a second time.
    StoredTwice {
        /// Where the second is.
        seq: u64,
        /// The author's id, or a reply's own.
        name: String,
    },
    /// I2: two attempts at one message got different answers.
    AnswersDiffer(String),
    /// I1: acknowledged without saying where.
    AnswerWithoutPosition(String),
    /// I3: nobody wrote it, or not so.
    Phantom {
        /// Where it is.
        seq: u64,
        /// The author's id.
        client_id: String,
    },
    /// I3: a reader saw what is not in the store.
    DeliveredButNotStored {
        /// Where it was.
        seq: u64,
    },
    /// I4: positions of the store leave a hole, or go back.
    StoreHole {
        /// The position before.
        after: u64,
        /// The position that came.
        seq: u64,
    },
    /// I4 and I7: a reader was not given the next event.
    NotNext {
        /// Who.
        reader: String,
        /// The position before.
        after: u64,
        /// The position that came.
        seq: u64,
    },
    /// I4: not everyone sees the same event at a position.
    Disagree {
        /// The position.
        seq: u64,
    },
    /// I5: written after the event at `after` was acknowledged, but placed before it.
    OutOfRealTime {
        /// Where it was placed.
        seq: u64,
        /// What was acknowledged before.
        after: u64,
    },
    /// I7: the server did not continue where the reader was.
    NotResumed {
        /// Who.
        reader: String,
        /// Where the reader was.
        position: u64,
    },
    /// I7: the log has another identity than before.
    EpochChanged {
        /// Who.
        reader: String,
    },
    /// I8: in the end a reader does not have everything.
    Behind {
        /// Who.
        reader: String,
        /// What it has.
        position: u64,
        /// What there is.
        head: u64,
    },
    /// I9: not one reply to a message that calls a bot.
    Replies {
        /// The message.
        trigger: MessageId,
        /// How many there are.
        count: usize,
    },
    /// I9: not one ending of a reply.
    Endings {
        /// The reply.
        reply: MessageId,
        /// How many there are.
        count: u32,
    },
    /// I9: an ending of a reply that never began.
    EndingWithoutReply(MessageId),
    /// I9: an ending with the status of a reply that is being written.
    EndingThatGoesOn(MessageId),
    /// I9: a piece of a reply that is not being written.
    PieceOfNothing {
        /// Who got it.
        reader: String,
        /// The reply.
        reply: MessageId,
    },
    /// I9: a piece that is not the next one of its turn.
    PieceNotNext {
        /// Who got it.
        reader: String,
        /// The turn and the number that came.
        came: (u32, u32),
        /// The turn and the number before.
        after: (u32, u32),
    },
    /// I9: the pieces of the last turn, joined, are not the text.
    TextDiffers {
        /// Who got it.
        reader: String,
        /// The reply.
        reply: MessageId,
    },
    /// I6: acknowledged, but a node does not have it.
    NotReadable {
        /// The author's id.
        client_id: String,
        /// Where it was acknowledged.
        seq: u64,
    },
    /// I1: an edit was acknowledged and is not stored.
    EditLost(MessageId),
    /// I1: a redaction was acknowledged and is not stored.
    RedactionLost(MessageId),
    /// I3: an edit that nobody asked for.
    EditUnasked(MessageId),
    /// I3: a redaction that nobody asked for.
    RedactionUnasked(MessageId),
    /// I10: somebody wrote who was no member.
    WrittenByStranger {
        /// Where.
        seq: u64,
        /// Who.
        name: String,
    },
    /// I10: somebody was told what happened after their removal.
    ToldAfterRemoval {
        /// Who.
        name: String,
        /// Where they were removed.
        removed: u64,
        /// The last that they were told, or the position at which they could begin to follow.
        told: u64,
    },
    /// I10: somebody was served after their login had ended.
    ServedAfterRevocation {
        /// Who.
        name: String,
        /// What was served.
        what: String,
    },
    /// I11: a redacted text was given to somebody who asked afterwards.
    RedactedText {
        /// The message.
        message: MessageId,
        /// The position of the event.
        seq: u64,
    },
    /// I12: refused for good, and yet stored.
    RefusedButStored {
        /// The author's id.
        client_id: String,
        /// Where it is stored.
        seq: u64,
    },
    /// I8: it took too long after the last fault.
    SlowToConverge {
        /// What took long.
        what: String,
        /// How long, in milliseconds.
        took_ms: u128,
    },
    /// I13: in the end somebody is shown as what they are not.
    PresenceDiffers {
        /// Who.
        name: String,
        /// What is shown.
        shown: String,
    },
    /// I14: a text of another room.
    FromAnotherRoom {
        /// The position.
        seq: u64,
        /// The other room's canary.
        canary: String,
    },
    /// I14: a text of a room is where no text must be.
    Leaked {
        /// Where.
        place: String,
        /// What.
        text: String,
    },
    /// The history over HTTP has a message where the log has something else.
    ListedElsewhere {
        /// The position.
        seq: u64,
    },
    /// The history over HTTP shows another text or status than the log.
    ListedDifferently(MessageId),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The names of variants and fields are the sentence.
        fmt::Debug::fmt(self, f)
    }
}
