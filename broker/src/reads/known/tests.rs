use parlor_protocol::room::Role;
use parlor_protocol::user::{ServerRole, UserKind, Visibility};
use parlor_store::SqliteStore;
use uuid::Uuid;

use super::*;

const MOST: usize = 3;

fn known() -> Known {
    let metrics = crate::metrics::Metrics::new(prometheus::Registry::new()).unwrap();
    Known::new(MOST, metrics.reads.cache)
}

fn user(n: u128) -> Arc<KnownUser> {
    let user = User {
        id: UserId(Uuid::from_u128(n)),
        username: format!("u{n}"),
        display_name: "U".to_owned(),
        kind: UserKind::User,
        bio: String::new(),
        visibility: Visibility::Public,
        role: ServerRole::User,
        email: None,
        avatar: None,
        created_at: Timestamp::from_millis(0),
    };
    Arc::new(KnownUser { user, active: true })
}

fn access(n: u128, slug: &str) -> Access {
    let room = KnownRoom {
        id: RoomId(Uuid::from_u128(n)),
        slug: slug.to_owned(),
        name: slug.to_owned(),
        kind: RoomKind::Public,
        topic: String::new(),
        archived: false,
        created_at: Timestamp::from_millis(0),
        settings: RoomSettings::default(),
    };
    let membership = Some(Membership { role: Role::Member, muted_until: None });
    Access { room: Arc::new(room), membership }
}

/// What the store tells of changes: its own pages, since nobody else can make one.
async fn told(changes: Vec<Change>) -> ChangePage {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(parlor_store::SqliteOptions::new(folder.path())).unwrap();
    let page = parlor_store::Changes::read_changes(&store, None).await.unwrap();
    parlor_store::Operations::close(&store).await;
    ChangePage { everything: false, changes, ..page }
}

#[tokio::test]
async fn answer_that_was_on_its_way_when_something_changed_is_not_remembered() {
    let known = known();
    let (ada, tea) = (user(1), access(1, "tea"));
    let (id, room) = (ada.user.id, tea.room.id);
    for change in [Change::User(id), Change::Room(room), Change::Members(room)] {
        let asked = known.moment();
        known.hear(&told(vec![change, Change::Member(room, id)]).await);
        known.learn_user(asked, &ada);
        known.learn_access(asked, id, &tea);
        // Others may share a place with it.
        assert!(change != Change::User(id) || known.user(id).is_none());
        assert_eq!(known.access(&room.into(), id), None, "{change:?}");
        known.forget_all();
    }
    let asked = known.moment();
    known.forget_all();
    known.learn_user(asked, &ada);
    known.learn_access(asked, id, &tea);
    assert_eq!((known.user(id), known.access(&room.into(), id)), (None, None));

    // Asked after it was told: this is the new one.
    let asked = known.moment();
    known.learn_user(asked, &ada);
    known.learn_access(asked, id, &tea);
    assert_eq!(known.user(id), Some(ada));
    assert_eq!(known.access(&room.into(), id).as_ref(), Some(&tea));
    assert_eq!(known.access(&RoomRef::from("tea"), id), Some(tea));
}

#[tokio::test]
async fn what_was_changed_is_forgotten_and_the_rest_is_not() {
    let known = known();
    let asked = known.moment();
    let (one, two) = (access(1, "one"), access(2, "two"));
    let (ada, bob) = (user(1), user(2));
    for access in [&one, &two] {
        known.learn_access(asked, ada.user.id, access);
    }
    known.learn_access(asked, bob.user.id, &one);
    for user in [&ada, &bob] {
        known.learn_user(asked, user);
    }
    let there = |user: &KnownUser, access: &Access| {
        known.access(&access.room.id.into(), user.user.id).is_some()
    };

    known.hear(&told(vec![Change::Member(one.room.id, bob.user.id)]).await);
    assert_eq!([there(&ada, &one), there(&bob, &one), there(&ada, &two)], [true, false, true]);
    known.hear(&told(vec![Change::Members(one.room.id)]).await);
    assert_eq!([there(&ada, &one), there(&ada, &two)], [false, true]);
    known.hear(&told(vec![Change::Room(two.room.id)]).await);
    assert!(!there(&ada, &two));
    assert!(known.access(&RoomRef::from("two"), ada.user.id).is_none());
    known.hear(&told(vec![Change::User(bob.user.id)]).await);
    assert_eq!((known.user(ada.user.id), known.user(bob.user.id)), (Some(ada), None));
}

#[test]
fn memory_is_bounded() {
    let known = known();
    let asked = known.moment();
    for n in 0..10 {
        known.learn_user(asked, &user(n));
        known.learn_access(asked, UserId(Uuid::from_u128(n)), &access(n, &format!("r{n}")));
    }
    let held = known.held();
    let sizes = [held.users.len(), held.rooms.len(), held.slugs.len(), held.members.len()];
    assert_eq!(sizes, [MOST; 4]);
    drop(held);
    assert!(known.user(UserId(Uuid::from_u128(0))).is_none());
    assert!(known.user(UserId(Uuid::from_u128(9))).is_some());
    let entries = known.metrics.entries.with_label_values(&["members"]).get();
    assert_eq!(entries, i64::try_from(MOST).unwrap());
}

#[test]
fn name_of_a_room_that_is_gone_may_be_that_of_another() {
    let known = known();
    let ada = UserId(Uuid::from_u128(1));
    let (before, after) = (access(1, "tea"), access(2, "tea"));
    known.learn_access(known.moment(), ada, &before);
    known.learn_access(known.moment(), ada, &after);
    assert_eq!(known.access(&RoomRef::from("tea"), ada), Some(after));
    assert_eq!(known.access(&before.room.id.into(), ada), None);
}
