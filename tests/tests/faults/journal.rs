//! What happened, one line each, kept when the test fails.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use crate::tell;

/// A file that is removed when its test succeeds.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    begun: Instant,
    file: Mutex<BufWriter<File>>,
    held: AtomicBool,
}

impl Journal {
    pub(crate) fn new(name: &str) -> Self {
        // Beside the build, which is where cargo keeps what tests leave behind.
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("histories");
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{name}.log"));
        let file = Mutex::new(BufWriter::new(File::create(&path).unwrap()));
        Self { path, begun: Instant::now(), file, held: AtomicBool::new(false) }
    }

    /// Adds a line.
    pub(crate) fn note(&self, who: &str, what: &str) {
        let at = self.begun.elapsed().as_secs_f64();
        writeln!(self.file.lock().unwrap(), "{at:10.4} {who}: {what}").unwrap();
    }

    /// Keeps something longer beside the file.
    pub(crate) fn keep(&self, name: &str, text: &str) {
        let name = name.replace(' ', "-");
        let path = self.path.with_extension(format!("{name}.log"));
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn has_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    /// Says that every promise was kept, so that nobody needs the file.
    pub(crate) fn held(&self) {
        self.held.store(true, Ordering::Relaxed);
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if self.held.load(Ordering::Relaxed) {
            std::fs::remove_file(&self.path).ok();
        } else {
            tell(&format!("the history is in {}", self.path.display()));
        }
    }
}
