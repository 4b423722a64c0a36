//! What each command does.

use std::rc::Rc;
use std::sync::Arc;

use parlor_bus::Control;
use parlor_cluster::RateLimiter;
use parlor_domain::body::{check_body, check_caption};
use parlor_domain::naming::check_client_id;
use parlor_domain::permission::{Action as Deed, authorize};
use parlor_protocol::close::CloseCode;
use parlor_protocol::code::Code;
use parlor_protocol::command::{ClientStatus, Command, Deltas};
use parlor_protocol::frame::{Accepted, Frame};
use parlor_protocol::http::Scope;
use parlor_protocol::id::{FileId, MessageId, RoomId, RoomRef, UserId};
use parlor_protocol::signal::{App, Receipt, SignalBody, SignalFamily, Typing};
use parlor_store::record::CancelOutcome;
use parlor_store::{Append, Appended, Intent, NewMessage};

use super::context::{Context, Work, log_in};
use super::slash::{Wanted, is_away, slash};
use crate::committer::Pending;
use crate::files::check_attachments;
use crate::node::{Caller, Node};
use crate::rate::RateLimits;
use crate::refusal::{Outcome, Refusal};
use crate::shard::conn::{CloseReason, Conn};
use crate::shard::intents::Intents;

/// How deep lists and objects may lie in each other in the data of a signal: its frame is deeper, and
/// readers of either encoding have a limit, often 128.
const SIGNAL_DEPTH: usize = 64;

/// How the work on a command goes on.
pub(super) enum Action {
    /// Beside others; the order was fixed when it was queued.
    Commit(Work),
    /// Before the next frame is read.
    Serial(Work),
    /// It is done; this is the answer.
    Answer(Frame),
    /// It is done, and there is nothing to say.
    Done,
}

/// Begins the work on a command.
pub(super) fn execute(context: &mut Context, command: Command) -> Action {
    let op = command.op();
    if let Err(refusal) = check_scope(context, &command) {
        context.count(op, refusal.code.as_str());
        return refused(command.id().map(str::to_owned), refusal);
    }
    if is_done_by_people(&command) {
        context.note_activity();
    }
    let action = match command {
        Command::Ping {} => Action::Answer(Frame::Pong {}),
        Command::Hello { token, deltas, intents, .. } => {
            hello(context, token, deltas, intents.as_deref())
        }
        Command::Subscribe { id, room, since } => {
            if let Err(refusal) = charge(context, "subscribe", |rate| &rate.subscribe) {
                return refused(id, refusal);
            }
            let (shard, conn) = (Rc::clone(&context.shard), Rc::clone(&context.conn));
            Action::Serial(Box::pin(async move {
                let outcome = shard.subscribe(&conn, &room, since.as_ref(), id.clone()).await;
                outcome.err().map(|refusal| refusal.into_frame(id))
            }))
        }
        Command::Unsubscribe { id, room } => {
            if let Some(room) = followed(&context.conn, &room) {
                context.conn.rooms.borrow_mut().remove(&room);
                context.shard.detach(room, context.conn.id);
            }
            Action::Answer(accepted(id))
        }
        Command::Publish { id, room, client_id, body, reply_to, thread, attachments } => {
            publish(context, id, room, Draft { client_id, body, reply_to, thread, attachments })
        }
        Command::Typing { id, room, on } => signal(context, id, room, Sent::Typing(on)),
        Command::Presence { id, status } => presence(context, id, status == ClientStatus::Idle),
        Command::Signal { id, room, data } => signal(context, id, room, Sent::App(data)),
        Command::Read { id, room, seq } => read(context, id, room, seq),
        Command::Cancel { id, room, message } => cancel(context, id, room, message),
        Command::Slash { id, room, text, client_id } => {
            slash(context, id, Wanted { room, text, client_id })
        }
        Command::Refresh { id, token } => refresh(context, id, token),
    };
    let outcome = match &action {
        Action::Answer(Frame::Error(refused)) => refused.code.as_str(),
        _ => "taken",
    };
    context.count(op, outcome);
    action
}

/// A personal access token allows commands as it allows calls.
fn check_scope(context: &Context, command: &Command) -> Outcome<()> {
    let scope = match command {
        Command::Subscribe { .. } | Command::Unsubscribe { .. } => Scope::Read,
        Command::Publish { .. }
        | Command::Typing { .. }
        | Command::Presence { .. }
        | Command::Signal { .. }
        | Command::Read { .. }
        | Command::Cancel { .. }
        | Command::Slash { .. } => Scope::Write,
        Command::Hello { .. } | Command::Refresh { .. } | Command::Ping {} => return Ok(()),
    };
    let caller = context.conn.caller.borrow();
    caller.as_ref().map_or(Ok(()), |caller| caller.check_scope(scope))
}

/// Tells whether a command is a sign that somebody is there. Clients that come back by themselves
/// log in, follow rooms and refresh tokens by themselves, too.
fn is_done_by_people(command: &Command) -> bool {
    match command {
        Command::Slash { text, .. } => !is_away(text),
        Command::Publish { .. }
        | Command::Typing { on: true, .. }
        | Command::Signal { .. }
        | Command::Read { .. }
        | Command::Cancel { .. } => true,
        Command::Hello { .. }
        | Command::Subscribe { .. }
        | Command::Unsubscribe { .. }
        | Command::Typing { on: false, .. }
        | Command::Presence { .. }
        | Command::Refresh { .. }
        | Command::Ping {} => false,
    }
}

fn accepted(re: Option<String>) -> Frame {
    Frame::Ok(Accepted { re, seq: None, message: None, duplicate: false, answer: None })
}

pub(super) fn refused(id: Option<String>, refusal: Refusal) -> Action {
    Action::Answer(refusal.into_frame(id))
}

/// Takes one from a budget of the user, over all connections.
pub(super) fn charge(
    context: &Context,
    action: &str,
    of: impl FnOnce(&RateLimits) -> &RateLimiter<UserId>,
) -> Outcome<()> {
    let node = &context.shard.node;
    let caller = context.conn.caller.borrow();
    let Some(caller) = caller.as_ref() else { return Ok(()) };
    of(&node.rate).check(&caller.user.id).map_err(|limited| {
        node.metrics.auth.rate_limited.with_label_values(&[action]).inc();
        limited.into()
    })
}

/// Returns the room's id if this connection follows it.
fn followed(conn: &Conn, room: &RoomRef) -> Option<RoomId> {
    let rooms = conn.rooms.borrow();
    match room.id() {
        Some(id) => rooms.contains_key(&id).then_some(id),
        None => rooms.iter().find(|(_, sub)| sub.slug == room.0).map(|(id, _)| *id),
    }
}

fn hello(
    context: &Context,
    token: String,
    deltas: Option<Deltas>,
    intents: Option<&[SignalFamily]>,
) -> Action {
    if context.conn.caller.borrow().is_some() {
        let detail = "The connection is authenticated already; use `refresh` for a new token.";
        return refused(None, Refusal::new(Code::BadRequest, detail));
    }
    let (shard, conn) = (Rc::clone(&context.shard), Rc::clone(&context.conn));
    let mut options = conn.options.get();
    options.deltas = deltas.unwrap_or(options.deltas);
    match intents.map(Intents::new).transpose() {
        Ok(intents) => options.intents = intents.unwrap_or(options.intents),
        Err(refusal) => return refused(None, refusal),
    }
    conn.options.set(options);
    let places = Rc::clone(&context.places);
    Action::Serial(Box::pin(async move {
        match shard.node.authenticate(&token).await {
            Ok(caller) => log_in(&shard, &conn, &places, caller).await,
            Err(refusal) => {
                let code = match refusal.code {
                    Code::TokenExpired => CloseCode::TokenExpired,
                    Code::Unavailable => CloseCode::Overloaded,
                    _ => CloseCode::Unauthenticated,
                };
                conn.send(&refusal.into_frame(None));
                conn.close(CloseReason::Contract(code));
            }
        }
        None
    }))
}

struct Draft {
    client_id: Option<String>,
    body: String,
    reply_to: Option<MessageId>,
    thread: Option<MessageId>,
    attachments: Vec<FileId>,
}

fn publish(context: &Context, id: Option<String>, room: RoomRef, draft: Draft) -> Action {
    let Some(caller) = context.caller() else { return Action::Done };
    let node = &context.shard.node;
    let check = if draft.attachments.is_empty() { check_body } else { check_caption };
    let checked = check_attachments(&node.config.files, &draft.attachments)
        .and_then(|()| Ok(check(&draft.body, node.config.limits.body.get())?));
    let client_id = draft.client_id.as_deref().map_or(Ok(()), check_client_id);
    let checked = checked.and_then(|body| {
        client_id.map_err(|refused| Refusal::name("client_id", refused)).map(|()| body)
    });
    let body = match checked {
        Ok(body) => body,
        Err(refusal) => return refused(id, refusal),
    };
    let message = NewMessage {
        id: MessageId(node.clock.new_id()),
        client_id: draft.client_id,
        body,
        reply_to: draft.reply_to,
        thread: draft.thread,
        attachments: draft.attachments,
    };
    let address = context.address;
    let node = Arc::clone(node);
    // The budget of a room is for those who are in it.
    let inside = followed(&context.conn, &room)
        .or_else(|| room.id().filter(|room| node.lookups.was_member(*room, caller.user.id)));
    if let Some(room) = inside {
        return match enqueue(&node, &caller, address, room, message) {
            Ok(pending) => {
                context.shard.end_typing(room, &caller.user);
                Action::Commit(Box::pin(async move {
                    let outcome = pending.wait().await;
                    if outcome.is_err() {
                        // Perhaps they are no member any more; then the room pays for no more of it.
                        node.lookups.forget_member(room, caller.user.id);
                    }
                    Some(conclude(outcome, id))
                }))
            }
            Err(refusal) => refused(id, refusal),
        };
    }
    Action::Serial(Box::pin(async move {
        let outcome = async {
            let room = authorized(&node, &room, &caller, Deed::Read).await?;
            enqueue(&node, &caller, address, room, message)?.wait().await
        };
        Some(conclude(outcome.await, id))
    }))
}

fn enqueue(
    node: &Node,
    caller: &Caller,
    address: crate::rate::AddressKey,
    room: RoomId,
    message: NewMessage,
) -> Outcome<Pending> {
    if let Err(refusal) = node.rate.check_publish(caller.user.id, address, room) {
        node.metrics.auth.rate_limited.with_label_values(&["publish"]).inc();
        return Err(refusal);
    }
    #[cfg(feature = "planted-bugs")]
    if parlor_domain::planted::shows("text-in-log") {
        tracing::info!(body = message.body, "a message");
    }
    let intent = Intent::Publish(message);
    node.committer.enqueue(Append { room, actor: caller.user.id, at: node.now(), intent })
}

fn conclude(outcome: Outcome<Appended>, re: Option<String>) -> Frame {
    let (event, duplicate) = match outcome {
        Ok(Appended::New { mut events, .. }) if !events.is_empty() => (events.remove(0), false),
        #[cfg(feature = "planted-bugs")]
        Ok(Appended::Repeat { mut event })
            if parlor_domain::planted::is("repeat-answered-elsewhere") =>
        {
            event.seq += 1;
            (event, true)
        }
        Ok(Appended::Repeat { event }) => (event, true),
        Ok(_) => return accepted(re),
        Err(refusal) => return refusal.into_frame(re),
    };
    let (seq, message) = (Some(event.seq), event.body.message());
    Frame::Ok(Accepted { re, seq, message, duplicate, answer: None })
}

/// Takes down whether somebody is in front of the client.
pub(super) fn presence(context: &mut Context, id: Option<String>, idle: bool) -> Action {
    let Some(caller) = context.caller() else { return Action::Done };
    let node = Arc::clone(&context.shard.node);
    if let Err(refusal) = charge(context, "signal", |rate| &rate.signal) {
        return refused(id, refusal);
    }
    if !idle && !context.idle {
        context.note_activity();
    }
    let is_news = std::mem::replace(&mut context.idle, idle) != idle;
    Action::Serial(Box::pin(async move {
        if is_news {
            let told = node.presence.set_idle(caller.user.id, idle, node.now()).await;
            node.announce_presence(told, &caller.user);
        }
        id.map(|id| accepted(Some(id)))
    }))
}

/// What a client tells the others in a room.
enum Sent {
    Typing(bool),
    App(serde_json::Value),
}

fn signal(context: &Context, id: Option<String>, room: RoomRef, sent: Sent) -> Action {
    let Some(caller) = context.caller() else { return Action::Done };
    let node = Arc::clone(&context.shard.node);
    let user = caller.user.clone();
    let deed = match sent {
        Sent::Typing(_) => Deed::Post,
        Sent::App(_) => Deed::Signal,
    };
    let body = match sent {
        Sent::Typing(on) => {
            // Too much typing is not worth an answer.
            if node.rate.typing.check(&user.id).is_err() {
                return Action::Done;
            }
            SignalBody::Typing(Typing { user, on })
        }
        Sent::App(data) => {
            if let Err(limited) = node.rate.signal.check(&user.id) {
                node.metrics.auth.rate_limited.with_label_values(&["signal"]).inc();
                return refused(id, limited.into());
            }
            if is_deeper_than(&data, SIGNAL_DEPTH) {
                let detail = format!("The data of a signal may be nested {SIGNAL_DEPTH} deep.");
                return refused(id, Refusal::new(Code::BadRequest, detail));
            }
            let max = node.config.limits.signal.get();
            if serde_json::to_vec(&data).map_or(usize::MAX, |json| json.len()) > max {
                let detail = format!("The data of a signal may have at most {max} bytes.");
                return refused(id, Refusal::new(Code::PayloadTooLarge, detail));
            }
            SignalBody::App(App { user, data })
        }
    };
    let shard = Rc::clone(&context.shard);
    let allowed = followed(&context.conn, &room)
        .filter(|room| shard.may(*room, context.conn.id, deed) == Some(true));
    if let Some(room) = allowed {
        shard.send_signal(room, body);
        return id.map_or(Action::Done, |id| Action::Answer(accepted(Some(id))));
    }
    Action::Serial(Box::pin(async move {
        match authorized(&node, &room, &caller, deed).await {
            Ok(room) => {
                shard.send_signal(room, body);
                id.map(|id| accepted(Some(id)))
            }
            Err(refusal) => Some(refusal.into_frame(id)),
        }
    }))
}

/// Tells whether lists and objects lie deeper in each other.
fn is_deeper_than(value: &serde_json::Value, depth: usize) -> bool {
    let below = |value| depth == 0 || is_deeper_than(value, depth - 1);
    match value {
        serde_json::Value::Array(items) => items.iter().any(below) || depth == 0,
        serde_json::Value::Object(fields) => fields.values().any(below) || depth == 0,
        _ => false,
    }
}

/// Finds a room in which the caller may do something.
async fn authorized(node: &Node, room: &RoomRef, caller: &Caller, deed: Deed) -> Outcome<RoomId> {
    let access = node.find_room(room, caller.user.id).await?;
    authorize(access.room.facts(), access.membership, deed, node.now())?;
    Ok(access.room.id)
}

fn read(context: &Context, id: Option<String>, room: RoomRef, seq: u64) -> Action {
    let Some(caller) = context.caller() else { return Action::Done };
    if let Err(refusal) = charge(context, "read", |rate| &rate.read) {
        return refused(id, refusal);
    }
    let shard = Rc::clone(&context.shard);
    let node = Arc::clone(&shard.node);
    Action::Serial(Box::pin(async move {
        let outcome = async {
            let room = authorized(&node, &room, &caller, Deed::Read).await?;
            if let Some(seq) = node.store.set_read_marker(room, caller.user.id, seq).await? {
                let body = SignalBody::Receipt(Receipt { user: caller.user.clone(), seq });
                shard.send_signal(room, body);
            }
            Ok(())
        };
        match outcome.await {
            Ok(()) => id.map(|id| accepted(Some(id))),
            Err(refusal) => Refusal::into_frame(refusal, id).into(),
        }
    }))
}

fn cancel(context: &Context, id: Option<String>, room: RoomRef, message: MessageId) -> Action {
    let Some(caller) = context.caller() else { return Action::Done };
    let node = Arc::clone(&context.shard.node);
    Action::Serial(Box::pin(async move {
        let outcome = async {
            let room = node.find_room(&room, caller.user.id).await?.room.id;
            let now = node.now();
            let cancelled = node.store.cancel_reply(room, message, caller.user.id, now).await??;
            if let CancelOutcome::Requested(job) = cancelled {
                node.bus.publish_control(Control::CancelReply(job));
            }
            Ok::<_, Refusal>(())
        };
        let frame = match outcome.await {
            Ok(()) => {
                let message = Some(message);
                Frame::Ok(Accepted { re: id, seq: None, message, duplicate: false, answer: None })
            }
            Err(refusal) => refusal.into_frame(id),
        };
        Some(frame)
    }))
}

fn refresh(context: &Context, id: Option<String>, token: String) -> Action {
    let Some(caller) = context.caller() else { return Action::Done };
    let (node, conn) = (Arc::clone(&context.shard.node), Rc::clone(&context.conn));
    Action::Serial(Box::pin(async move {
        let frame = match node.authenticate(&token).await {
            Ok(fresh) if fresh.session == caller.session => {
                *conn.caller.borrow_mut() = Some(fresh);
                accepted(id)
            }
            Ok(_) => {
                let detail = "The token belongs to another login; open a new connection for it.";
                Refusal::new(Code::Forbidden, detail).into_frame(id)
            }
            Err(refusal) => refusal.into_frame(id),
        };
        Some(frame)
    }))
}
