//! Password hashes: argon2id in PHC form, on a bounded number of threads.
//!
//! A hash needs tens of megabytes and tens of milliseconds. At most `concurrency` are made at the
//! same time and at most `queue` wait, for at most [`WAIT_MAX`]; beyond that callers are told to
//! come again. A caller that goes away leaves its place to the next, but a hash that has begun is
//! finished, so the bound on memory always holds.
//!
//! Each hash has a thread of its own. Starting one costs little beside the hash, and on Linux the
//! thread gives way to all others: people who log in do not hold up those who talk.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version, password_hash,
};
use tokio::sync::{Semaphore, oneshot};
use unicode_normalization::UnicodeNormalization as _;

use crate::password_rule::{Known, PasswordRefused, PasswordRule};
use crate::ticket;

#[cfg(test)]
mod tests;

/// Longest wait for a thread.
pub const WAIT_MAX: Duration = Duration::from_secs(2);

/// The name of threads that hash.
const THREAD: &str = "parlor-hash";

/// How far threads that hash give way: about a tenth of the share of another thread.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Most bytes of a password that is hashed or compared: 1,024 characters, the largest that settings
/// allow, with four bytes each.
const PASSWORD_BYTES_MAX: usize = 4_096;

/// The cost of a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashParams {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
}

/// The smallest cost that OWASP recommends for argon2id.
impl Default for HashParams {
    fn default() -> Self {
        Self { memory_kib: 19_456, iterations: 2, parallelism: 1 }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Too many others are waiting; trying again in a few seconds can succeed.
    #[error("too many passwords are being checked")]
    Busy,
    /// The stored hash, the parameters or the machine's memory do not allow it.
    #[error("cannot hash the password")]
    Failed,
}

/// Why a new password has no hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NewPasswordError {
    /// It is too short, too long or too easy to guess.
    #[error("the password was refused")]
    Refused(#[source] PasswordRefused),
    /// There is no answer.
    #[error(transparent)]
    Hash(#[from] HashError),
}

/// Makes and compares password hashes. Clones share one bound.
#[derive(Clone)]
pub struct PasswordHasher {
    shared: Arc<Shared>,
}

struct Shared {
    argon2: Argon2<'static>,
    /// A hash that no password has, for users that do not exist.
    dummy: String,
    threads: Arc<Semaphore>,
    places: Semaphore,
    concurrency: usize,
    queue: usize,
}

impl PasswordHasher {
    /// Creates a hasher with so many threads (0: one for every two cores) and so many waiting
    /// places.
    ///
    /// Makes one hash, so it takes as long as a login.
    pub fn new(params: HashParams, concurrency: usize, queue: usize) -> Result<Self, HashError> {
        let HashParams { memory_kib, iterations, parallelism } = params;
        let params = Params::new(memory_kib, iterations, parallelism, None);
        let params = params.map_err(|_| HashError::Failed)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let dummy = hash(&argon2, &ticket::random())?;
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let concurrency = if concurrency == 0 { (cores() / 2).max(1) } else { concurrency };
        let shared = Shared {
            argon2,
            dummy,
            threads: Arc::new(Semaphore::new(concurrency)),
            places: Semaphore::new(concurrency + queue),
            concurrency,
            queue,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Returns how many hashes are being made.
    pub fn running(&self) -> usize {
        self.shared.concurrency.saturating_sub(self.shared.threads.available_permits())
    }

    /// Tells whether a caller would be told to come again, before anything is done for them.
    pub fn is_full(&self) -> bool {
        self.shared.places.available_permits() == 0
    }

    /// Returns how many callers wait for a hash or have one made.
    pub fn waiting(&self) -> usize {
        let Shared { places, concurrency, queue, .. } = &*self.shared;
        (concurrency + queue).saturating_sub(places.available_permits())
    }

    /// Returns the hash of a password in PHC form.
    pub async fn hash(&self, password: &str) -> Result<String, HashError> {
        let password = normalized(password).ok_or(HashError::Failed)?;
        self.run(move |shared| hash(&shared.argon2, &password)).await?
    }

    /// Checks a new password against the rule and returns its hash. Both are costly.
    pub async fn hash_new(
        &self,
        password: &str,
        rule: PasswordRule,
        known: Known,
    ) -> Result<String, NewPasswordError> {
        let too_long = PasswordRefused::TooLong { max: rule.max };
        let password = normalized(password).ok_or(NewPasswordError::Refused(too_long))?;
        self.run(move |shared| {
            rule.check(&password, &known).map_err(NewPasswordError::Refused)?;
            Ok(hash(&shared.argon2, &password)?)
        })
        .await?
    }

    /// Returns whether the password is the one that was hashed.
    ///
    /// Without a stored hash the answer is no, after the same time: nobody can tell a wrong password
    /// from an unknown user.
    pub async fn verify(&self, password: &str, stored: Option<&str>) -> Result<bool, HashError> {
        // Nobody has such a password, so there is nothing to tell by the time.
        let Some(password) = normalized(password) else { return Ok(false) };
        let known = stored.is_some();
        let stored = stored.unwrap_or(&self.shared.dummy).to_owned();
        let same = self.run(move |shared| verify(&shared.argon2, &password, &stored)).await??;
        Ok(known && same)
    }

    /// Returns whether a stored hash was made with other parameters than those of today. Then the
    /// next login, which knows the password, should replace it.
    pub fn needs_rehash(&self, stored: &str) -> bool {
        let Ok(parsed) = PasswordHash::new(stored) else { return true };
        let params = self.shared.argon2.params();
        parsed.algorithm != Algorithm::Argon2id.ident()
            || parsed.version != Some(Version::V0x13.into())
            || Params::try_from(&parsed).is_ok_and(|stored| {
                (stored.m_cost(), stored.t_cost(), stored.p_cost())
                    != (params.m_cost(), params.t_cost(), params.p_cost())
            })
    }

    /// Runs costly work within the bound.
    ///
    /// # Cancel safety
    ///
    /// Dropping it gives the place in the queue free. Work that has begun is finished.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let _place = self.shared.places.try_acquire().map_err(|_| HashError::Busy)?;
        let thread = Arc::clone(&self.shared.threads).acquire_owned();
        let thread = tokio::time::timeout(WAIT_MAX, thread).await;
        let Ok(Ok(thread)) = thread else { return Err(HashError::Busy) };
        let shared = Arc::clone(&self.shared);
        let (sender, done) = oneshot::channel();
        let work = move || {
            give_way();
            let done = work(&shared);
            // Held by the thread and not by the caller, who may be gone.
            drop(thread);
            drop(sender.send(done));
        };
        let started = std::thread::Builder::new().name(THREAD.to_owned()).spawn(work);
        // Without a thread there is no room for one at the moment.
        started.map_err(|_| HashError::Busy)?;
        done.await.map_err(|_| HashError::Failed)
    }
}

/// Lets all other threads go first. What the system does not allow is done without.
#[cfg(target_os = "linux")]
fn give_way() {
    // Despite its name it is about the calling thread only.
    rustix::process::nice(NICENESS).ok();
}

/// Elsewhere the priority is that of the whole process.
#[cfg(not(target_os = "linux"))]
fn give_way() {}

impl fmt::Debug for PasswordHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordHasher")
            .field("params", self.shared.argon2.params())
            .finish_non_exhaustive()
    }
}

/// NFC, so that a password is the same on every keyboard; nothing when it is absurdly long.
fn normalized(password: &str) -> Option<String> {
    (password.len() <= PASSWORD_BYTES_MAX).then(|| password.nfc().collect())
}

fn hash(argon2: &Argon2<'_>, password: &str) -> Result<String, HashError> {
    let hash: PasswordHash =
        argon2.hash_password(password.as_bytes()).map_err(|_| HashError::Failed)?;
    Ok(hash.to_string())
}

fn verify(argon2: &Argon2<'_>, password: &str, stored: &str) -> Result<bool, HashError> {
    let stored = PasswordHash::new(stored).map_err(|_| HashError::Failed)?;
    match argon2.verify_password(password.as_bytes(), &stored) {
        Ok(()) => Ok(true),
        Err(password_hash::Error::PasswordInvalid) => Ok(false),
        Err(_) => Err(HashError::Failed),
    }
}
