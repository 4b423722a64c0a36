//! Ends a service whose test process was killed.
//!
//! A guardian is a shell that waits for the end of a pipe that only the test process holds. When
//! the test process is gone, however that happened, the shell ends the service and removes its
//! folder.

use std::{
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::Signal;

const SCRIPT: &str = r#"
read -r line
kill -CONT "$1" && kill -"$2" "$1"
sleep 3
kill -KILL "$1"
rm -rf "$3"
"#;

/// Watches over one process until it is dropped.
#[derive(Debug)]
pub(super) struct Guardian(Child);

impl Guardian {
    pub(super) fn of(pid: u32, quit: Signal, folder: &Path) -> Self {
        let mut command = Command::new("sh");
        command
            .args(["-c", SCRIPT, "guardian", &pid.to_string(), &quit.as_raw().to_string()])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // What ends the tests' process group must not end their guardians.
            .process_group(0);
        Self(command.spawn().unwrap_or_else(|error| panic!("sh cannot be started: {error}")))
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        // Before its pipe closes, so that it does nothing.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
