use parlor_protocol::id::RoomRef;
use parlor_runtime::SystemClock;
use parlor_store::sqlite::{SqliteOptions, SqliteStore};
use parlor_store::{Bots as _, Log as _, Rooms as _, Sessions as _};

use super::*;

const SECRET: &[u8] = &[7; 32];

async fn seeded(shape: Shape, bots: usize) -> (tempfile::TempDir, SqliteStore, Crowd) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(SqliteOptions::new(folder.path())).unwrap();
    let tokens = AccessTokens::new(SECRET, None).unwrap();
    let wanted = Seed { run: "test".to_owned(), shape, password_hash: None, bots };
    let crowd = seed(&store, &SystemClock, &tokens, &wanted).await.unwrap();
    (folder, store, crowd)
}

#[tokio::test]
async fn everyone_is_logged_in_and_a_member_of_their_room() {
    let shape = Shape { rooms: 3, members: 4 };
    let (_folder, store, crowd) = seeded(shape, 0).await;
    let tokens = AccessTokens::new(SECRET, None).unwrap();

    assert_eq!((crowd.people.len(), crowd.rooms.len()), (12, 3));
    let mut users = std::collections::HashSet::new();
    for seat in crowd.seats() {
        let access = tokens.verify(&seat.person.token, SystemClock.now()).unwrap();
        users.insert(access.user);
        let session = store.find_session(access.session).await.unwrap().unwrap();
        assert_eq!((session.user, session.revoked_at), (access.user, None));
        let room = RoomRef::from(seat.room);
        let access = store.find_room(&room, access.user).await.unwrap().unwrap();
        assert!(access.membership.is_some(), "connection of {:?}", seat.person);
    }
    assert_eq!(users.len(), 12, "one user for each connection");
    assert_eq!(crowd.writer(2).person.username, crowd.seat(8).person.username);
}

#[tokio::test]
async fn bots_are_members_of_every_room() {
    let (_folder, store, crowd) = seeded(Shape { rooms: 2, members: 1 }, 2).await;

    for room in &crowd.rooms {
        let bots = store.list_room_bots(*room).await.unwrap();
        let names: Vec<_> = bots.into_iter().map(|bot| bot.user.username).collect();
        assert_eq!(names, crowd.bots);
    }
}

#[tokio::test]
async fn a_room_of_thousands_is_written_as_one() {
    let (_folder, store, crowd) = seeded(Shape { rooms: 1, members: 2_000 }, 0).await;

    let head = store.find_head(crowd.rooms[0]).await.unwrap().unwrap();
    assert_eq!(head.seq, 2_001, "the room and each of its members");
    let writes = store.write_counts();
    assert!(writes.commits < 100, "{writes:?}");
}

#[test]
fn few_users_share_the_connections_of_all_rooms() {
    let person = |name: &str| Person { username: name.to_owned(), token: "".into() };
    let room = |number| RoomId(uuid::Uuid::from_u128(number));
    let crowd = Crowd {
        origin: Origin::Http,
        shape: Shape { rooms: 2, members: 3 },
        people: vec![person("ada"), person("ben")],
        rooms: vec![room(1), room(2)],
        bots: Vec::new(),
    };

    let seats: Vec<_> =
        crowd.seats().into_iter().map(|seat| (seat.person.username, seat.room)).collect();
    let expected = [("ada", 1), ("ben", 1), ("ada", 1), ("ben", 2), ("ada", 2), ("ben", 2)];
    let expected = expected.map(|(name, number)| (name.to_owned(), room(number)));
    assert_eq!(seats, expected);
}
