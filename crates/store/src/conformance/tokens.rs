//! Personal access tokens.

use parlor_protocol::http::{Scope, Scopes};
use parlor_protocol::id::{SessionId, TokenId};
use parlor_protocol::user::UserRef;
use uuid::Uuid;

use super::Factory;
use super::world::World;
use crate::contract::Store;
use crate::record::{NewToken, TokenConflict, TokenRecord};

/// Longer than a test lasts.
const LIFE: i64 = 1_000_000;

fn new_token(world: &World, user: &UserRef, hash: u8) -> NewToken {
    NewToken {
        id: TokenId(Uuid::new_v4()),
        user: user.id,
        name: format!("script {hash}"),
        scopes: scopes(),
        prefix: "parlor_pat_abc".to_owned(),
        hash: [hash; 32],
        at: world.now(),
        expires_at: world.later(LIFE),
        max_tokens: 3,
    }
}

async fn find(store: &dyn Store, hash: u8) -> Option<TokenRecord> {
    let mut found = store.find_tokens(&[[hash; 32], [99; 32]]).await.unwrap();
    assert_eq!((found.len(), found.pop()), (2, Some(None)), "one answer for each");
    found.pop().flatten()
}

fn scopes() -> Scopes {
    [Scope::Read, Scope::Bots].into_iter().collect()
}

/// A token is found by its hash with all that it says, until it is ended, by its owner only.
pub async fn token_works_until_its_owner_ends_it(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let (ada, eve) = (world.user("ada").await, world.user("eve").await);
    let token = new_token(&world, &ada, 1);

    let made = store.create_token(token.clone()).await.unwrap().unwrap();
    let repeated = store.create_token(token.clone()).await.unwrap().unwrap();
    let found = find(store, 1).await.unwrap();

    assert_eq!((&made, &made), (&repeated, &found));
    assert_eq!((found.id, found.user, found.scopes), (token.id, ada.id, scopes()));
    assert_eq!((found.name.as_str(), found.last_used_at), ("script 1", None));
    assert!(find(store, 2).await.is_none());
    assert!(!store.revoke_token(eve.id, token.id, world.now()).await.unwrap());
    let before = world.now();
    assert!(store.revoke_token(ada.id, token.id, world.now()).await.unwrap());
    assert!(!store.revoke_token(ada.id, token.id, world.now()).await.unwrap());
    assert!(find(store, 1).await.is_none());
    let ended = store.list_revoked_since(before).await.unwrap();
    assert_eq!(ended, [SessionId(token.id.0)], "other nodes hear of it as of a login");
}

/// Nobody has more tokens than they may; those that have ended do not count.
pub async fn number_of_tokens_is_bounded(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let mut ids = Vec::new();
    for hash in 1..=3 {
        let token = new_token(&world, &ada, hash);
        ids.push(token.id);
        store.create_token(token).await.unwrap().unwrap();
    }

    let fourth = store.create_token(new_token(&world, &ada, 4)).await.unwrap();
    assert_eq!(fourth, Err(TokenConflict::TooMany));
    assert!(store.revoke_token(ada.id, ids[0], world.now()).await.unwrap());
    store.create_token(new_token(&world, &ada, 5)).await.unwrap().unwrap();

    let listed = store.list_tokens(ada.id, world.now()).await.unwrap();
    let names: Vec<_> = listed.iter().map(|token| token.name.as_str()).collect();
    assert_eq!(names, ["script 5", "script 3", "script 2"], "newest first");
    world.advance(2 * LIFE);
    assert!(store.list_tokens(ada.id, world.now()).await.unwrap().is_empty());
    store.create_token(new_token(&world, &ada, 6)).await.unwrap().unwrap();
}

/// Whatever ends all logins of a user ends the tokens, also when the user comes back.
pub async fn tokens_end_with_all_logins(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let login = world.new_session(&ada, 1);
    store.create_session(login.clone()).await.unwrap();
    let one = new_token(&world, &ada, 1);
    store.create_token(one.clone()).await.unwrap().unwrap();

    let ended = store.revoke_sessions_of(ada.id, Some(login.id), world.now()).await.unwrap();
    assert_eq!(ended, [SessionId(one.id.0)]);

    store.create_token(new_token(&world, &ada, 2)).await.unwrap().unwrap();
    store.set_user_access(ada.id, Some(false), None, world.now()).await.unwrap().unwrap().unwrap();
    let refused = store.create_token(new_token(&world, &ada, 3)).await.unwrap();
    assert_eq!(refused, Err(TokenConflict::NoSuchUser));
    store.set_user_access(ada.id, Some(true), None, world.now()).await.unwrap().unwrap().unwrap();
    assert!(find(store, 2).await.is_none());
}

/// The time of the last use only moves forward.
pub async fn last_use_of_a_token_never_moves_back(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let token = new_token(&world, &ada, 1);
    store.create_token(token.clone()).await.unwrap().unwrap();

    let (early, late) = (world.now(), world.now());
    store.touch_token(token.id, late).await.unwrap();
    store.touch_token(token.id, early).await.unwrap();

    let found = find(store, 1).await.unwrap();
    assert_eq!(found.last_used_at, Some(late));
}
