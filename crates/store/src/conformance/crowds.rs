//! Members of a room that may be large.

use parlor_protocol::id::UserId;
use parlor_protocol::room::Role;

use super::Factory;
use super::world::World;
use crate::append::Intent;
use crate::record::{MemberFilter, MemberRecord, ProfileChange};

fn ids(members: &[MemberRecord]) -> Vec<UserId> {
    members.iter().map(|member| member.user.id).collect()
}

/// Members are found by the beginning of their names, by role and by id, in pages.
pub async fn members_are_found_by_name_by_role_and_by_id(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let [zoe, ada, adam, bob, eve] = [
        world.user("zoe").await,
        world.user("ada").await,
        world.user("adam").await,
        world.user("bob").await,
        world.user("eve").await,
    ];
    let room = world.public(&zoe, &[&ada, &adam, &bob]).await;
    world.add(room, &zoe, Intent::SetRole { user: adam.id, role: Role::Moderator }).await;
    let store = world.store();
    let list = async |role, prefix: &str, after, limit| {
        let filter = MemberFilter { role, prefix: prefix.to_owned() };
        ids(&store.list_members_by(room, &filter, after, limit).await.unwrap())
    };

    assert_eq!(list(None, "", None, 10).await, [ada.id, adam.id, bob.id, zoe.id]);
    assert_eq!(list(None, "", Some("Ada"), 2).await, [adam.id, bob.id]);
    assert_eq!(list(None, "AD", None, 10).await, [ada.id, adam.id]);
    assert_eq!(list(None, "ad", Some("ada"), 10).await, [adam.id]);
    assert_eq!(list(None, "e", None, 10).await, [], "not a member");
    assert_eq!(list(Some(Role::Owner), "", None, 10).await, [zoe.id]);
    assert_eq!(list(Some(Role::Moderator), "a", None, 10).await, [adam.id]);
    assert_eq!(list(Some(Role::Member), "", None, 1).await, [ada.id]);
    let found = store.find_members(room, &[eve.id, zoe.id, ada.id]).await.unwrap();
    let found: Vec<_> =
        found.iter().map(|found| found.as_ref().map(|m| (m.user.id, m.role))).collect();
    let expected = [None, Some((zoe.id, Role::Owner)), Some((ada.id, Role::Member))];
    assert_eq!(found, expected);
    assert_eq!(store.count_members(room).await.unwrap(), Some(4));
    let nowhere = parlor_protocol::id::RoomId(uuid::Uuid::nil());
    assert_eq!(store.count_members(nowhere).await.unwrap(), None);
}

/// A member who has another name is listed by it at once.
pub async fn renamed_member_is_listed_by_the_new_name(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let room = world.public(&ada, &[&bob]).await;
    let change = ProfileChange { username: Some("aaron".to_owned()), ..ProfileChange::default() };
    world.store().update_profile(bob.id, change).await.unwrap().unwrap().unwrap();
    let all = MemberFilter::default();
    let listed = world.store().list_members_by(room, &all, None, 10).await.unwrap();
    assert_eq!(ids(&listed), [bob.id, ada.id]);
    let old = MemberFilter { prefix: "bo".to_owned(), ..all };
    assert!(world.store().list_members_by(room, &old, None, 10).await.unwrap().is_empty());
}

/// Pages by id hold everybody once, whatever happens to their names in between.
pub async fn renamed_member_is_listed_once_by_id(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let (ada, bob, zoe) =
        (world.user("ada").await, world.user("bob").await, world.user("zoe").await);
    let room = world.public(&ada, &[&bob, &zoe]).await;
    let mut expected = [ada.id, bob.id, zoe.id];
    expected.sort_unstable();
    let mut listed = Vec::new();
    loop {
        let after = listed.last().copied();
        let page = world.store().list_members_by_id(room, after, 1).await.unwrap();
        let Some(member) = page.first() else { break };
        listed.push(member.user.id);
        // To the other end of the list of names, where the next page might find it again.
        for (who, name) in [(zoe.id, "abe"), (ada.id, "zed")] {
            let username = Some(format!("{name}{}", listed.len()));
            let change = ProfileChange { username, ..ProfileChange::default() };
            world.store().update_profile(who, change).await.unwrap().unwrap().unwrap();
        }
    }
    assert_eq!(listed, expected);
    let elsewhere = world.public(&bob, &[]).await;
    let listed = world.store().list_members_by_id(elsewhere, None, 10).await.unwrap();
    assert_eq!(ids(&listed), [bob.id]);
}
