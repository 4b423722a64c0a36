//! Logins and refresh tokens.

use parlor_protocol::time::Timestamp;
use parlor_protocol::user::UserRef;

use super::Factory;
use super::world::World;
use crate::record::{NewSession, Rotated, Rotation};

const GRACE_MS: i64 = 30_000;

/// The exchange of token `presented` for `successor`.
fn exchange(world: &World, presented: u8, successor: u8) -> Rotation {
    let at = world.now();
    Rotation {
        presented: [presented; 32],
        successor: [successor; 32],
        at,
        grace_ms: GRACE_MS,
        idle_until: Timestamp::from_millis(at.as_millis() + 1_000_000),
    }
}

async fn log_in(world: &World, user: &UserRef, token: u8) -> NewSession {
    let session = world.new_session(user, token);
    assert!(world.store().create_session(session.clone()).await.unwrap().is_empty());
    session
}

/// Each token works once; its successor goes on.
pub async fn refresh_token_is_exchanged_for_its_successor(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let session = log_in(&world, &ada, 1).await;

    let first = exchange(&world, 1, 2);
    let Rotated::Fresh(record) = world.store().rotate_refresh_token(first.clone()).await.unwrap()
    else {
        panic!("a fresh token is refused");
    };
    let second = world.store().rotate_refresh_token(exchange(&world, 2, 3)).await.unwrap();
    let unknown = world.store().rotate_refresh_token(exchange(&world, 9, 10)).await.unwrap();

    assert_eq!((record.id, record.user, record.expires_at), (session.id, ada.id, first.idle_until));
    assert!(matches!(second, Rotated::Fresh(_)));
    assert_eq!(unknown, Rotated::Unknown);
}

/// A first answer that was lost is given again for a while, to any number of attempts.
pub async fn spent_token_gets_its_successor_again_within_the_grace(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    log_in(&world, &ada, 1).await;

    world.store().rotate_refresh_token(exchange(&world, 1, 2)).await.unwrap();
    world.advance(GRACE_MS / 2);
    let repeated = world.store().rotate_refresh_token(exchange(&world, 1, 2)).await.unwrap();
    let goes_on = world.store().rotate_refresh_token(exchange(&world, 2, 3)).await.unwrap();

    assert!(matches!(repeated, Rotated::Fresh(_)));
    assert!(matches!(goes_on, Rotated::Fresh(_)));
}

/// After the grace a spent token is a sign of theft: the login ends, also for its newest token.
pub async fn spent_token_after_the_grace_ends_the_login(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let session = log_in(&world, &ada, 1).await;

    world.store().rotate_refresh_token(exchange(&world, 1, 2)).await.unwrap();
    world.advance(GRACE_MS + 1);
    let theft = exchange(&world, 1, 2);
    let reused = world.store().rotate_refresh_token(theft.clone()).await.unwrap();

    let Rotated::Reused(record) = reused else { panic!("the reuse was not noticed") };
    assert_eq!((record.id, record.revoked_at), (session.id, Some(theft.at)));
    let newest = world.store().rotate_refresh_token(exchange(&world, 2, 3)).await.unwrap();
    assert_eq!(newest, Rotated::Ended);
}

/// One of many concurrent exchanges of the same token spends it; all get the same successor.
pub async fn concurrent_exchanges_spend_a_token_once(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    log_in(&world, &ada, 1).await;

    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (store, rotation) = (world.shared(), exchange(&world, 1, 2));
        tasks.spawn(async move { store.rotate_refresh_token(rotation).await.unwrap() });
    }
    let answers = tasks.join_all().await;

    assert!(answers.iter().all(|answer| matches!(answer, Rotated::Fresh(_))));
    let next = world.store().rotate_refresh_token(exchange(&world, 2, 3)).await.unwrap();
    assert!(matches!(next, Rotated::Fresh(_)));
}

/// Idle logins end, and no refresh reaches beyond the absolute end.
pub async fn login_ends_when_idle_and_at_its_absolute_end(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    log_in(&world, &ada, 1).await;
    let bounded =
        NewSession { absolute_until: world.later(500_000), ..world.new_session(&ada, 11) };
    world.store().create_session(bounded.clone()).await.unwrap();

    let rotated = world.store().rotate_refresh_token(exchange(&world, 11, 12)).await.unwrap();
    let Rotated::Fresh(record) = rotated else { panic!("a fresh token is refused") };
    world.advance(1_000_000);
    let idle = world.store().rotate_refresh_token(exchange(&world, 1, 2)).await.unwrap();

    assert_eq!(record.expires_at, bounded.absolute_until);
    assert_eq!(idle, Rotated::Ended);
    let open = world.store().list_sessions(Some(ada.id), world.now(), 10).await.unwrap();
    assert!(open.is_empty());
}

/// The oldest logins make room for a new one.
pub async fn oldest_logins_make_room_for_a_new_one(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let first = log_in(&world, &ada, 1).await;
    let second = log_in(&world, &ada, 2).await;
    let third = log_in(&world, &ada, 3).await;

    let fourth = NewSession { max_sessions: 2, ..world.new_session(&ada, 4) };
    let ended = world.store().create_session(fourth.clone()).await.unwrap();
    let repeated = world.store().create_session(fourth.clone()).await.unwrap();

    assert_eq!(ended, [first.id, second.id]);
    assert!(repeated.is_empty(), "the same login again ends no other");
    let open = world.store().list_sessions(Some(ada.id), world.now(), 10).await.unwrap();
    let open: Vec<_> = open.iter().map(|session| session.id).collect();
    assert_eq!(open, [fourth.id, third.id], "newest first");
}

/// Logging out ends one login or all others, once, and is told to who asks what ended.
pub async fn logout_ends_one_login_or_all_others(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let one = log_in(&world, &ada, 1).await;
    let two = log_in(&world, &ada, 2).await;
    let three = log_in(&world, &ada, 3).await;
    let of_bob = log_in(&world, &bob, 4).await;

    let (before, at) = (world.now(), world.now());
    assert!(store.revoke_session(one.id, at).await.unwrap());
    assert!(!store.revoke_session(one.id, world.now()).await.unwrap(), "it had ended");
    let since = world.now();
    let others = store.revoke_sessions_of(ada.id, Some(three.id), world.now()).await.unwrap();

    assert_eq!(others, [two.id]);
    assert_eq!(store.find_session(one.id).await.unwrap().unwrap().revoked_at, Some(at));
    assert_eq!(store.list_revoked_since(before).await.unwrap(), [one.id, two.id]);
    assert_eq!(store.list_revoked_since(since).await.unwrap(), [two.id]);
    let open = store.list_sessions(None, world.now(), 10).await.unwrap();
    let open: Vec<_> = open.iter().map(|session| session.id).collect();
    assert_eq!(open, [of_bob.id, three.id]);
    let refused = store.rotate_refresh_token(exchange(&world, 2, 20)).await.unwrap();
    assert_eq!(refused, Rotated::Ended);
}
