//! What a process writes, kept up to a bound.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Child,
    sync::watch,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Bytes of each stream that are kept; the rest is read and counted.
const KEPT_MAX: usize = 32 << 20;
/// Bytes that are shown when something went wrong.
const TAIL: usize = 4_000;
/// What the server says once it can be reached.
const LISTENING: &str = "listening on http://";

#[derive(Debug, Default)]
struct Text {
    bytes: Vec<u8>,
    dropped: usize,
}

/// What one process wrote so far.
#[derive(Debug)]
pub(super) struct Capture {
    stdout: watch::Receiver<Text>,
    stderr: Arc<Mutex<Text>>,
    tasks: TaskTracker,
    close: CancellationToken,
}

impl Capture {
    /// Reads both streams of a child to their ends, or until they are closed.
    pub(super) fn of(child: &mut Child) -> Self {
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (said, stdout) = watch::channel(Text::default());
        let stderr = Arc::new(Mutex::new(Text::default()));
        let logged = Arc::clone(&stderr);
        let (tasks, close) = (TaskTracker::new(), CancellationToken::new());
        let until_closed = || close.clone();
        tasks.spawn(until_closed().run_until_cancelled_owned(read(out, move |bytes| {
            said.send_modify(|text| text.add(bytes));
        })));
        tasks.spawn(until_closed().run_until_cancelled_owned(read(err, move |bytes| {
            logged.lock().unwrap().add(bytes);
        })));
        Self { stdout, stderr, tasks, close }
    }

    /// Closes both streams, so that the process cannot write any more.
    pub(super) async fn close(&self) {
        self.close.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Returns where the process listens, once it says so; nothing when it ends without.
    pub(super) async fn address(&self) -> Option<SocketAddr> {
        let mut stdout = self.stdout.clone();
        let text = stdout.wait_for(|text| text.listening().is_some()).await;
        text.ok().and_then(|text| text.listening())
    }

    /// Returns everything that was written to standard error.
    pub(super) fn log(&self) -> String {
        let text = self.stderr.lock().unwrap();
        assert_eq!(text.dropped, 0, "the server wrote more than {KEPT_MAX} bytes of log");
        String::from_utf8_lossy(&text.bytes).into_owned()
    }

    /// Tells whether a thread of the process has panicked.
    pub(super) fn has_panicked(&self) -> bool {
        let text = self.stderr.lock().unwrap();
        String::from_utf8_lossy(&text.bytes).contains("panicked at")
    }

    /// Returns the last lines of what was written, for a failed test.
    pub(super) fn tail(&self) -> String {
        let text = self.stderr.lock().unwrap();
        let start = text.bytes.len().saturating_sub(TAIL);
        let end = text.bytes.get(start..).unwrap_or_default();
        let said = String::from_utf8_lossy(&self.stdout.borrow().bytes).into_owned();
        format!("{said}{}", String::from_utf8_lossy(end))
    }

    /// Puts what an earlier process wrote before this.
    pub(super) fn prepend(&self, earlier: &Self) {
        let before = earlier.stderr.lock().unwrap();
        let mut now = self.stderr.lock().unwrap();
        let rest = std::mem::take(&mut now.bytes);
        now.add(&before.bytes);
        now.add(&rest);
        now.dropped += before.dropped;
    }
}

impl Text {
    fn add(&mut self, bytes: &[u8]) {
        let room = KEPT_MAX.saturating_sub(self.bytes.len()).min(bytes.len());
        let (kept, dropped) = bytes.split_at(room);
        self.bytes.extend_from_slice(kept);
        self.dropped += dropped.len();
    }

    fn listening(&self) -> Option<SocketAddr> {
        let text = String::from_utf8_lossy(&self.bytes);
        let line = text.split_inclusive('\n').find_map(|line| line.strip_prefix(LISTENING))?;
        line.strip_suffix('\n')?.parse().ok()
    }
}

async fn read(mut from: impl AsyncRead + Unpin, mut take: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 16 * 1024];
    // An error means that the process is gone.
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        take(buffer.get(..count).unwrap_or_default());
    }
}
