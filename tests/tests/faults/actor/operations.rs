//! The operations of an actor, each noted before it is asked for and when its outcome is known.

use std::{sync::Arc, time::Duration};

use parlor_client::{ClientError, Http, MessageQuery};
use parlor_protocol::{
    code::Code,
    command::{Command, Position, Since},
    frame::Frame,
    http::PutMemberRequest,
};
use parlor_testkit::{
    history::ReaderId,
    socket::{Failure, Incoming, Socket, publish},
};
use rand::Rng as _;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::{Actor, Operation, Own, PATIENCE};
use crate::{report::count, room::Room};

/// How long a message is sent again before its outcome counts as unknown.
const PERSISTENCE: Duration = Duration::from_secs(40);

impl Actor {
    pub(super) async fn act(&mut self) {
        let Some(operation) = self.habits.choose(&mut self.random) else { return };
        count(&self.room().counts.operations);
        match operation {
            Operation::Publish => self.publish("").await,
            Operation::CallBot => {
                count(&self.room().counts.calls);
                self.publish(" @guide").await;
            }
            Operation::StopBot => self.stop_bot().await,
            Operation::Edit => self.edit().await,
            Operation::Redact => self.redact().await,
            Operation::ReadBack => self.read_back().await,
            Operation::LookBack => self.look_back().await,
            Operation::Hop => self.hop(),
            Operation::LeaveAndJoin => self.leave().await,
            Operation::Kick => self.kick().await,
        }
    }

    fn text(&mut self, ending: &str) -> String {
        self.written += 1;
        format!("{} {} {}{ending}", self.user.name, self.written, self.room().canary)
    }

    /// Writes a message, again and again with the same id until its outcome is known.
    pub(super) async fn publish(&mut self, ending: &str) {
        let room = Arc::clone(self.room());
        let calls_bot = !ending.is_empty();
        let body = self.text(ending);
        let client_id = Uuid::from_u128(self.random.random()).to_string();
        room.history().wrote(&client_id, &body, calls_bot);
        self.note(&format!("writes {client_id} {body}"));
        let deadline = Instant::now() + PERSISTENCE;
        let mut may_be_written = false;
        while Instant::now() < deadline {
            if self.socket.is_none() && !self.connect().await {
                sleep(Duration::from_millis(self.random.random_range(50..250))).await;
                continue;
            }
            room.sent(&client_id);
            let socket = self.socket.as_mut().expect("connected");
            let command = publish(&room.id, &client_id, &body);
            let answer = socket.request_within(command, PATIENCE).await;
            self.read_for(Duration::ZERO).await;
            match answer {
                Ok(Frame::Ok(accepted)) => {
                    self.note(&format!("acknowledged {client_id} at {:?}", accepted.seq));
                    room.history().accepted(&client_id, &accepted);
                    count(&room.counts.acknowledged);
                    if let (Some(seq), Some(id)) = (accepted.seq, accepted.message) {
                        self.own.push(Own { client_id, id, seq, calls_bot });
                    }
                    return;
                }
                Ok(other) => panic!("{other:?} in answer to publish"),
                Err(Failure::Refused(refused)) if is_for_now(refused.code) => {
                    self.note(&format!("put off {client_id}: {refused:?}"));
                    count(&room.counts.put_off);
                    assert!(
                        refused.code != Code::Unavailable || refused.retry_after_ms.is_some(),
                        "{refused:?} does not say when to try again"
                    );
                    may_be_written = true;
                    let wait = refused.retry_after_ms.unwrap_or(100).min(1_000);
                    sleep(Duration::from_millis(wait)).await;
                }
                Err(Failure::Refused(refused)) => {
                    self.note(&format!("refused {client_id}: {refused:?}"));
                    count(&room.counts.failed);
                    if !may_be_written {
                        room.history().refused(&client_id);
                    }
                    if matches!(refused.code, Code::NotAMember | Code::Forbidden) {
                        self.is_member = false;
                        self.lost();
                    }
                    return;
                }
                Err(Failure::Ended(ended)) => {
                    self.note(&format!("not known {client_id}: {ended:?}"));
                    may_be_written = true;
                    self.hop();
                }
            }
        }
        self.note(&format!("gives up {client_id}"));
        count(&room.counts.unknown);
    }

    /// Returns calls by way of any node.
    fn any_node(&mut self) -> Http {
        let node = self.random.random_range(0..self.nodes.len());
        self.user.through(self.nodes[node]).http
    }

    async fn stop_bot(&mut self) {
        let Some(message) = self.streaming.last().copied() else { return };
        count(&self.room().counts.stops);
        self.note(&format!("stops {message}"));
        let room = self.room().id.clone();
        let http = self.any_node();
        self.meanwhile(http.cancel_reply(&room, message)).await.map(drop).ok();
    }

    async fn edit(&mut self) {
        let Some(place) = self.some_own() else { return };
        let (id, body) = (self.own[place].id, self.text(" edited"));
        let room = Arc::clone(self.room());
        room.history().edits(id, &body);
        self.note(&format!("edits {id} {body}"));
        let http = self.any_node();
        if let Ok(Ok(_)) = self.meanwhile(http.edit_message(&room.id, id, &body)).await {
            self.note(&format!("edited {id}"));
            room.history().edited(id, &body);
            count(&room.counts.edited);
        }
    }

    async fn redact(&mut self) {
        let Some(place) = self.some_own() else { return };
        let own = self.own.swap_remove(place);
        let room = Arc::clone(self.room());
        room.history().redacts(own.id);
        self.note(&format!("redacts {}", own.id));
        let http = self.any_node();
        if let Ok(Ok(())) = self.meanwhile(http.redact_message(&room.id, own.id)).await {
            self.note(&format!("redacted {}", own.id));
            room.history().redacted(own.id);
            count(&room.counts.redacted);
        }
    }

    /// Reads an acknowledged message from any node.
    async fn read_back(&mut self) {
        let Some(own) = self.own.last() else { return };
        let (client_id, after) = (own.client_id.clone(), own.seq - 1);
        let room = Arc::clone(self.room());
        let http = self.any_node();
        let query = MessageQuery { after: Some(after), limit: Some(1), ..MessageQuery::default() };
        if let Ok(Ok(page)) = self.meanwhile(http.messages(&room.id, &query)).await {
            room.history().read_back(&client_id, page.items.first());
            count(&room.counts.read_back);
        }
    }

    /// Follows the room from an earlier position on another connection, as a client does that was
    /// away for longer.
    async fn look_back(&mut self) {
        let room = Arc::clone(self.room());
        let position = room.history().position(self.place.reader).unwrap_or(0);
        let Some(epoch) = self.epoch.clone() else { return };
        let seq = position.saturating_sub(self.random.random_range(1..80));
        let node = self.nodes[self.random.random_range(0..self.nodes.len())];
        let user = self.user.clone();
        let looked = self.meanwhile(async {
            let token = user.through(node).token().await;
            let mut socket = Socket::open_within(node, &token, PATIENCE).await.ok()?;
            let reader = room.history().member(&user.name);
            let since = Some(Since::Position(Position { epoch, seq }));
            let command = Command::Subscribe { id: None, room: room.slug.as_str().into(), since };
            room.history().subscribing(reader);
            let answer = socket.request_within(command, PATIENCE).await;
            if let Ok(Frame::Subscribed(subscribed)) = answer {
                room.history().subscribed(reader, Some(seq), &subscribed);
                read_to(&mut socket, &room, reader, subscribed.seq).await;
            }
            room.history().left(reader);
            Some(())
        });
        looked.await.map(drop).ok();
    }

    async fn leave(&mut self) {
        let room = Arc::clone(self.room());
        let (http, name) = (self.any_node(), self.user.name.clone());
        self.note("leaves");
        let left = self.meanwhile(http.delete_member(&room.id, &name)).await;
        self.note(&format!("left: {left:?}"));
        if let Ok(Ok(())) = left {
            // What comes now is not for those who left.
            self.read_for(Duration::from_millis(200)).await;
            self.is_member = false;
            self.lost();
            count(&room.counts.moved);
        }
    }

    /// Tries once to become a member, which it may be already.
    pub(super) async fn join(&mut self) -> bool {
        let room = Arc::clone(self.room());
        let (http, name) = (self.any_node(), self.user.name.clone());
        let request = PutMemberRequest::default();
        let joining = http.put_member(&room.id, &name, &request);
        let joined = timeout(PATIENCE, joining).await;
        self.note(&format!("joined: {joined:?}"));
        self.is_member = matches!(joined, Ok(Ok(())));
        self.is_member
    }

    async fn kick(&mut self) {
        if self.others.is_empty() {
            return;
        }
        let other = self.others[self.random.random_range(0..self.others.len())].clone();
        let room = Arc::clone(self.room());
        let http = self.any_node();
        self.note(&format!("kicks {other}"));
        let kicked: Result<Result<(), ClientError>, _> =
            self.meanwhile(http.delete_member(&room.id, &other)).await;
        self.note(&format!("kicked {other}: {kicked:?}"));
    }

    /// Returns the place of a message that calls no bot.
    fn some_own(&mut self) -> Option<usize> {
        if self.own.is_empty() {
            return None;
        }
        let place = self.random.random_range(0..self.own.len());
        (!self.own[place].calls_bot).then_some(place)
    }
}

/// Reads until a position has been reached, or nothing more comes.
async fn read_to(socket: &mut Socket, room: &Room, reader: ReaderId, seq: u64) {
    while room.history().position(reader).is_some_and(|position| position < seq) {
        let deadline = Instant::now() + Duration::from_secs(1);
        match socket.next_before(deadline).await {
            Some(Incoming::Frame(frame)) => {
                if let Frame::Event(event) = *frame {
                    room.history().event(reader, &event);
                }
            }
            _ => return,
        }
    }
}

/// Tells whether the same message may be accepted later. A fault of the server may leave its outcome
/// open, so it counts as such.
fn is_for_now(code: Code) -> bool {
    code.is_retryable() || code == Code::Internal
}
