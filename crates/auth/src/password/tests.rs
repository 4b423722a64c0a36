use super::*;

/// The smallest cost that argon2 allows, so that tests are quick.
const CHEAP: HashParams = HashParams { memory_kib: 8, iterations: 1, parallelism: 1 };

fn hasher() -> PasswordHasher {
    PasswordHasher::new(CHEAP, 2, 8).unwrap()
}

#[tokio::test]
async fn only_the_right_password_is_accepted() {
    let hasher = hasher();
    let stored = hasher.hash("correct horse").await.unwrap();

    assert_eq!(hasher.verify("correct horse", Some(&stored)).await, Ok(true));
    assert_eq!(hasher.verify("Correct horse", Some(&stored)).await, Ok(false));
    assert_eq!(hasher.verify("", Some(&stored)).await, Ok(false));
    assert!(stored.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{stored}");
}

#[tokio::test]
async fn same_password_is_hashed_differently_each_time() {
    let hasher = hasher();

    assert_ne!(hasher.hash("correct horse").await, hasher.hash("correct horse").await);
}

#[tokio::test]
async fn password_is_the_same_from_every_keyboard() {
    let hasher = hasher();
    let stored = hasher.hash("Zu\u{0308}rich").await.unwrap();

    assert_eq!(hasher.verify("Zürich", Some(&stored)).await, Ok(true));
}

#[tokio::test]
async fn new_password_is_checked_before_it_is_hashed() {
    let hasher = hasher();
    let known = || Known { username: "adalovelace".to_owned(), ..Known::default() };
    let hash = |password| hasher.hash_new(password, PasswordRule::default(), known());

    let stored = hash("correct-horse-battery").await.unwrap();

    assert_eq!(hasher.verify("correct-horse-battery", Some(&stored)).await, Ok(true));
    for password in ["short", "adalovelace", &"a".repeat(PASSWORD_BYTES_MAX + 1)] {
        assert!(matches!(hash(password).await, Err(NewPasswordError::Refused(_))), "{password}");
    }
}

#[tokio::test]
async fn unknown_user_is_refused_after_the_same_work() {
    let hasher = hasher();

    assert_eq!(hasher.verify("anything", None).await, Ok(false));
    assert_eq!(
        Params::try_from(&PasswordHash::new(&hasher.shared.dummy).unwrap()).unwrap().m_cost(),
        8
    );
}

#[tokio::test]
async fn absurdly_long_password_is_refused_without_hashing_it() {
    let hasher = hasher();
    let long = "a".repeat(PASSWORD_BYTES_MAX + 1);

    assert_eq!(hasher.verify(&long, None).await, Ok(false));
    assert_eq!(hasher.hash(&long).await, Err(HashError::Failed));
}

#[tokio::test]
async fn hash_of_other_parameters_still_works_and_asks_to_be_replaced() {
    let old = hasher();
    let new = PasswordHasher::new(HashParams { iterations: 2, ..CHEAP }, 1, 1).unwrap();
    let stored = old.hash("correct horse").await.unwrap();

    assert_eq!(new.verify("correct horse", Some(&stored)).await, Ok(true));
    assert!(new.needs_rehash(&stored));
    assert!(!old.needs_rehash(&stored));
    assert!(new.needs_rehash("$2b$12$abcdefghijklmnopqrstuv"));
}

#[tokio::test]
async fn damaged_hash_is_an_error_and_not_a_wrong_password() {
    let hasher = hasher();

    assert_eq!(hasher.verify("correct horse", Some("plain text")).await, Err(HashError::Failed));
    let foreign =
        "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E";
    assert_eq!(hasher.verify("correct horse", Some(foreign)).await, Err(HashError::Failed));
}

#[tokio::test]
async fn more_than_the_queue_holds_is_refused_at_once() {
    let hasher = PasswordHasher::new(CHEAP, 1, 1).unwrap();
    let thread = Arc::clone(&hasher.shared.threads).acquire_owned().await.unwrap();
    let _running = hasher.shared.places.acquire().await.unwrap();
    let waiting = hasher.hash("first in the queue");
    let mut waiting = Box::pin(waiting);
    assert!(futures_util::poll!(&mut waiting).is_pending());

    assert!(hasher.is_full());
    assert_eq!(hasher.hash("no place left").await, Err(HashError::Busy));

    drop(thread);
    assert!(waiting.await.is_ok());
    assert!(!hasher.is_full());
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_limit() {
    let hasher = PasswordHasher::new(CHEAP, 1, 4).unwrap();
    let _thread = Arc::clone(&hasher.shared.threads).acquire_owned().await.unwrap();
    let started = tokio::time::Instant::now();

    assert_eq!(hasher.verify("correct horse", None).await, Err(HashError::Busy));
    assert_eq!(started.elapsed(), WAIT_MAX);
}

#[tokio::test]
async fn caller_who_leaves_makes_room_for_the_next() {
    let hasher = PasswordHasher::new(CHEAP, 1, 0).unwrap();
    let thread = Arc::clone(&hasher.shared.threads).acquire_owned().await.unwrap();
    let mut leaving = Box::pin(hasher.hash("leaves while waiting"));
    assert!(futures_util::poll!(&mut leaving).is_pending());
    drop(leaving);
    drop(thread);

    assert!(hasher.hash("comes next").await.is_ok());
}

#[test]
fn impossible_parameters_are_refused() {
    let none = HashParams { memory_kib: 0, ..CHEAP };

    assert_eq!(PasswordHasher::new(none, 1, 1).err(), Some(HashError::Failed));
}

#[tokio::test]
async fn no_more_are_hashed_at_once_than_allowed() {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    let hasher = PasswordHasher::new(CHEAP, 2, 18).unwrap();
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    // Each waits for another: two do run at once.
    let pairs = Arc::new(Barrier::new(2));
    let work = || {
        let (running, most, pairs) = (Arc::clone(&running), Arc::clone(&most), Arc::clone(&pairs));
        hasher.run(move |_| {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            pairs.wait();
            running.fetch_sub(1, Ordering::SeqCst);
        })
    };
    let all = futures_util::future::join_all((0..20).map(|_| work()));

    assert_eq!(all.await, [Ok(()); 20]);
    assert_eq!(most.load(Ordering::SeqCst), 2);
    assert_eq!((hasher.running(), hasher.waiting()), (0, 0));
}

#[tokio::test]
async fn half_of_the_cores_hash_unless_told_otherwise() {
    let cores = std::thread::available_parallelism().unwrap().get();
    let hasher = PasswordHasher::new(CHEAP, 0, 1).unwrap();
    assert_eq!(hasher.shared.concurrency, (cores / 2).max(1));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn thread_that_hashes_gives_way_to_all_others() {
    let own = || rustix::process::getpriority_process(None).unwrap();
    let before = own();
    let hashing = hasher().run(move |_| own()).await.unwrap();

    assert_eq!(hashing, (before + NICENESS).min(19));
    assert_eq!(own(), before, "the others are as they were");
}

#[tokio::test]
async fn hash_that_panics_is_a_failure_and_gives_its_thread_back() {
    let hasher = PasswordHasher::new(CHEAP, 1, 0).unwrap();

    assert_eq!(hasher.run(|_| panic!("as planned")).await, Err::<(), _>(HashError::Failed));
    assert!(hasher.hash("comes next").await.is_ok());
}
