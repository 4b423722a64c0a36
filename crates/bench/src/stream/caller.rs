//! The one who calls the bots: each again as soon as its reply is complete.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parlor_protocol::event::EventBody;
use parlor_protocol::frame::Frame;
use parlor_protocol::id::MessageId;
use parlor_protocol::message::MessageStatus;
use tokio::sync::watch;

use super::Shared;
use crate::accounts::Seat;
use crate::link::{Link, gone};
use crate::target::BenchError;

/// Calls bots.
#[derive(Debug)]
pub(super) struct Caller {
    shared: Arc<Shared>,
    bots: Arc<[String]>,
    /// The bot of each reply that is being written.
    writing: HashMap<MessageId, String>,
    /// Bots whose reply is complete, and whose next call is due.
    idle: Vec<String>,
    failure: Option<String>,
    is_connected: bool,
}

impl Caller {
    pub(super) fn new(shared: Arc<Shared>, bots: Arc<[String]>) -> Self {
        let idle = bots.to_vec();
        Self { shared, bots, writing: HashMap::new(), idle, failure: None, is_connected: false }
    }

    /// Calls until it is told to stop, and waits for the last replies.
    pub(super) async fn run(
        mut self,
        authority: &str,
        seat: &Seat,
        mut calling: watch::Receiver<bool>,
    ) -> Result<(), BenchError> {
        let mut link = Link::open_patiently(authority, &seat.person.token).await.map_err(gone)?;
        link.push(&format!(r#"{{"op":"subscribe","room":"{}"}}"#, seat.room));
        let mut has_called = false;
        loop {
            let is_calling = *calling.borrow_and_update();
            if is_calling && self.is_connected {
                has_called = true;
                for bot in self.idle.drain(..) {
                    let room = seat.room;
                    link.push(&format!(
                        r#"{{"op":"publish","room":"{room}","body":"@{bot} write"}}"#
                    ));
                }
            }
            if has_called && !is_calling && self.idle.len() == self.bots.len() {
                // Nobody owes a reply any more; the readers may still be hearing the last.
                self.shared.connected.fetch_sub(1, Ordering::Relaxed);
                while calling.changed().await.is_ok() {}
                return Ok(());
            }
            tokio::select! {
                biased;
                heard = link.receive(|text| self.hear(text)) => heard.map_err(gone)?,
                changed = calling.changed() => if changed.is_err() {
                    return Ok(());
                },
            }
            if let Some(why) = self.failure.take() {
                return Err(BenchError::Command(why));
            }
        }
    }

    fn hear(&mut self, text: &[u8]) {
        if text.starts_with(br#"{"op":"signal""#) {
            return;
        }
        match serde_json::from_slice(text) {
            Ok(Frame::Subscribed(_)) if !self.is_connected => {
                self.is_connected = true;
                self.shared.connected.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Frame::Error(refused)) => self.failure = Some(refused.detail),
            Ok(Frame::Event(event)) => self.follow(event.body),
            _ => {}
        }
    }

    fn follow(&mut self, body: EventBody) {
        match body {
            EventBody::MessageCreated(message) if message.status == MessageStatus::Streaming => {
                self.writing.insert(message.id, message.sender.username);
            }
            EventBody::MessageCompleted(completed) => {
                let Some(bot) = self.writing.remove(&completed.message) else { return };
                if completed.status == MessageStatus::Completed {
                    self.shared.replies.fetch_add(1, Ordering::Relaxed);
                    self.idle.push(bot);
                } else {
                    let status = completed.status.as_str();
                    self.failure = Some(format!("the reply of a bot is {status}"));
                }
            }
            _ => {}
        }
    }
}
