//! What the tests of the clients for other languages share: they are programs of their own, and
//! write while something breaks.

use std::{collections::HashSet, process::Output, time::Duration};

use parlor_protocol::message::Message;
use tokio::{process::Child, time::timeout};

use crate::soak_factor;

/// How many messages are written at least while something breaks.
pub(crate) const MESSAGES: usize = 300;
/// How long a file of tests may take, on a machine that does other things, too.
pub(crate) const PATIENCE: Duration = Duration::from_mins(4);

/// Waits until a file of tests has ended, and fails as it did.
pub(crate) async fn finish(running: Child) {
    let patience = PATIENCE * u32::try_from(soak_factor()).unwrap();
    let output = timeout(patience, running.wait_with_output()).await;
    let Output { status, stdout, stderr } = output.expect("the tests end").unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{status}\n{stdout}\n{stderr}");
}

/// Checks that each message of a file of tests is there once.
pub(crate) fn check_history(history: &[Message]) {
    let bodies: HashSet<&str> = history.iter().map(|message| message.body.as_str()).collect();
    assert_eq!(bodies.len(), history.len(), "a message is there twice");
    let least = MESSAGES * soak_factor();
    assert!(bodies.len() > least, "{} of more than {least}", bodies.len());
    assert_eq!(history.last().unwrap().body, "the end");
}
