//! Intents: everything that adds to a room's log, and what came of it.

use parlor_domain::permission::Refused;
use parlor_protocol::event::Event;
use parlor_protocol::http::PatchRoomSettings;
use parlor_protocol::id::{FileId, JobId, MessageId, RoomId, UserId};
use parlor_protocol::message::{MessageStatus, ReplyError, Usage};
use parlor_protocol::room::Role;
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::UserRef;

/// One wish to add to a room's log.
#[derive(Debug, Clone)]
pub struct Append {
    /// The room.
    pub room: RoomId,
    /// Who wishes it.
    pub actor: UserId,
    /// When, by the caller's clock; becomes the event's time.
    pub at: Timestamp,
    /// What.
    pub intent: Intent,
}

/// What is wished. Each is checked against the room's state in the transaction that carries it out.
#[derive(Debug, Clone)]
pub enum Intent {
    /// Writes a message and queues a job for each bot that it calls.
    Publish(NewMessage),
    /// Writes what the author does (`/me`): a message like any other, with a mark.
    Emote(NewMessage),
    /// Writes what a program says for a member who asked it: the actor asked, the program's
    /// integration is the sender. Both must be allowed to write.
    Answer {
        /// The integration.
        speaker: UserId,
        /// The message.
        message: NewMessage,
    },
    /// Changes the text of one's own message.
    Edit {
        /// The message.
        message: MessageId,
        /// The new text, checked.
        body: String,
    },
    /// Removes the text of a message, here and in every stored event.
    Redact {
        /// The message.
        message: MessageId,
    },
    /// Adds or removes a reaction.
    React {
        /// The message.
        message: MessageId,
        /// The emoji, checked.
        emoji: String,
        /// Whether it is added.
        add: bool,
    },
    /// Pins a message, or unpins it.
    Pin {
        /// The message.
        message: MessageId,
        /// Whether it is pinned.
        pin: bool,
    },
    /// Becomes a member: of a public room, or by an invite code.
    Join {
        /// The invite code.
        invite: Option<String>,
    },
    /// Brings someone in.
    Invite {
        /// Whom.
        user: UserId,
    },
    /// Ends one's own membership. The last owner of a room with other members may not leave.
    Leave,
    /// Ends the membership of an erased user. If they were the last owner, the moderator who has been
    /// there longest becomes owner, or else the member.
    Depart,
    /// Tells the room that the actor, a member, is called differently.
    TellName,
    /// Removes the text of a message of an erased user.
    EraseMessage {
        /// The message.
        message: MessageId,
    },
    /// Ends another's membership.
    Kick {
        /// Whose.
        user: UserId,
        /// Why, checked.
        reason: Option<String>,
    },
    /// Ends a membership and keeps the user out; with a time that has passed, lets them in again.
    Ban {
        /// Whom.
        user: UserId,
        /// Until when; `None`: until lifted.
        until: Option<Timestamp>,
        /// Why, checked. Of no ban that is lifted.
        reason: Option<String>,
    },
    /// Takes the right to write away; with a time that has passed, gives it back.
    Mute {
        /// Whose.
        user: UserId,
        /// Until when; `None`: until lifted.
        until: Option<Timestamp>,
        /// Why, checked. Of no mute that is lifted.
        reason: Option<String>,
    },
    /// Gives a role.
    SetRole {
        /// To whom.
        user: UserId,
        /// Which.
        role: Role,
    },
    /// Makes another member, who must be a person, owner in the place of the actor, who becomes a
    /// moderator.
    Transfer {
        /// The new owner.
        user: UserId,
    },
    /// Changes name, topic, settings or whether the room is archived; what is `None` stays.
    Update {
        /// The name, checked.
        name: Option<String>,
        /// The topic, checked.
        topic: Option<String>,
        /// Whether it is closed for new messages.
        archived: Option<bool>,
        /// Who may do what, checked.
        settings: Option<PatchRoomSettings>,
    },
    /// Removes everything before this event, also what bots remember.
    ResetHistory,
    /// Begins the reply of a claimed job, or takes it over: the same message, a higher turn.
    StartReply {
        /// The job.
        job: JobId,
        /// The generation of the claim.
        generation: u32,
        /// The id of the reply; used when this is the first turn.
        message: MessageId,
        /// The provider.
        provider: String,
        /// The model.
        model: String,
    },
    /// Ends the reply of a claimed job; begins it too when nothing had begun.
    CompleteReply {
        /// The job.
        job: JobId,
        /// The generation of the claim.
        generation: u32,
        /// The id of the reply; used when it had not begun.
        message: MessageId,
        /// How it ended.
        end: ReplyEnd,
    },
}

/// A message to write.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Its id, made by the caller.
    pub id: MessageId,
    /// The author's own id: the same one in the same room is one message.
    pub client_id: Option<String>,
    /// The text, checked.
    pub body: String,
    /// The message it answers; must be in the same room.
    pub reply_to: Option<MessageId>,
    /// A message of the thread that it belongs to; must be in the same room. What is kept is the root
    /// of that thread. Without it, an answer to a message of a thread belongs to that thread.
    pub thread: Option<MessageId>,
    /// The author's finished uploads that belong to it, each once.
    pub attachments: Vec<FileId>,
}

/// How a reply ended.
#[derive(Debug, Clone)]
pub struct ReplyEnd {
    /// Completed, cancelled, failed or interrupted.
    pub status: MessageStatus,
    /// The whole text.
    pub body: String,
    /// What it cost.
    pub usage: Usage,
    /// Why it failed.
    pub error: Option<ReplyError>,
    /// The provider that answered.
    pub provider: String,
    /// The model that answered.
    pub model: String,
}

/// What came of an intent.
#[derive(Debug, Clone, PartialEq)]
pub enum Appended {
    /// An event was added.
    New {
        /// The event, to be told to the room. Ending a reply that had not begun adds two.
        events: Vec<Event>,
        /// The bots that were called.
        jobs: Vec<QueuedJob>,
    },
    /// The same had been done before; this is the first answer: `message.created`, or
    /// `message.completed` for the end of a reply.
    Repeat {
        /// The event of the first time, with the message as it is now.
        event: Event,
    },
    /// Nothing was added to the log: it was so already, or it is nothing that the log tells, such as
    /// the ban of someone who is not a member, or its end.
    Unchanged,
}

/// A bot that was called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedJob {
    /// The duty.
    pub job: JobId,
    /// The bot.
    pub bot: UserRef,
    /// How many jobs of the same room come first, plus one.
    pub position: u32,
}

/// Why an intent was not carried out. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendRefused {
    /// There is no such room, or the actor may not know of it.
    #[error("there is no such room")]
    NoSuchRoom,
    /// The rules of the room do not allow it.
    #[error(transparent)]
    Rule(Refused),
    /// There is no such message in this room.
    #[error("there is no such message")]
    NoSuchMessage,
    /// The message was redacted, or is not one that can be changed so.
    #[error("this message cannot be changed")]
    NotChangeable,
    /// There is no such user, or not in this room.
    #[error("there is no such user")]
    NoSuchUser,
    /// The integration that was to speak was removed, or nobody who keeps order vouches for it.
    #[error("the program is gone")]
    NoSuchSpeaker,
    /// The user is banned from the room.
    #[error("banned from this room")]
    Banned {
        /// Until when; `None`: until lifted.
        until: Option<Timestamp>,
        /// Why, if that was told and the actor is who is banned.
        reason: Option<String>,
    },
    /// The invite code of this room is spent or expired. A code that is not of the room is
    /// [`AppendRefused::NoSuchRoom`] where the room is not public.
    #[error("the invite is not valid")]
    InvalidInvite,
    /// The room has as many members as it may have.
    #[error("the room is full")]
    RoomFull,
    /// Only a person can own a room, and nobody gives it to themselves.
    #[error("this member cannot own the room")]
    NotAnOwner,
    /// No other person is in the room: it is to be removed.
    #[error("nobody else is in the room")]
    Deserted,
    /// The room would have no owner.
    #[error("a room needs an owner: make someone else owner first")]
    LastOwner,
    /// The message has as many different reactions as it may have.
    #[error("the message has too many different reactions")]
    TooManyReactions,
    /// The room has as many pinned messages as it may have.
    #[error("the room has too many pinned messages")]
    TooManyPins,
    /// One of the files is not an upload of the author that is finished and that no message has.
    #[error("there is no such upload")]
    NoSuchUpload,
    /// There is something in it that the store cannot hold, such as a text with a zero byte.
    #[error("this cannot be stored")]
    NotStorable,
    /// Another worker holds the job now, or it has ended: drop the work.
    #[error("the job belongs to another turn")]
    StaleGeneration,
}
