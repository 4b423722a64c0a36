//! Bugs that tests plant, to show that what checks the promises sees when one is broken. Only built
//! with the feature `planted-bugs`, which nothing that is released has.

use std::sync::{
    OnceLock,
    atomic::{AtomicUsize, Ordering},
};

/// Every so many times a bug shows that shows now and then.
const RARITY: usize = 20;

/// Tells whether this process has the bug. `PARLOR_PLANTED_BUG` names it.
pub fn is(bug: &str) -> bool {
    static PLANTED: OnceLock<Option<String>> = OnceLock::new();
    let planted = PLANTED.get_or_init(|| {
        std::env::var_os("PARLOR_PLANTED_BUG").map(|name| name.to_string_lossy().into_owned())
    });
    planted.as_deref() == Some(bug)
}

/// Tells whether this process has the bug and it shows this time.
pub fn shows(bug: &str) -> bool {
    static TIMES: AtomicUsize = AtomicUsize::new(1);
    is(bug) && TIMES.fetch_add(1, Ordering::Relaxed).is_multiple_of(RARITY)
}
