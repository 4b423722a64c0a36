//! Who may do what in a room, also when many try at once on many nodes.

use std::collections::BTreeSet;
use std::time::Duration;

use parlor_client::ClientError;
use parlor_protocol::{
    code::Code,
    command::Command,
    event::EventBody,
    frame::{Frame, Refused},
    http::{
        CreateInviteRequest, CreateRoomRequest, PatchRoomRequest, PatchRoomSettings,
        PutMemberRequest, Restriction,
    },
    room::{Role, Room, RoomKind},
    signal::SignalBody,
    time::Timestamp,
};
use parlor_testkit::{
    process::{User, draft},
    socket::{Failure, Socket},
};
use tokio::{task::JoinSet, time::timeout};

use crate::{
    MACHINE,
    stage::{Place, in_both_places},
};

in_both_places! {
    slow_mode_holds_on_every_node_and_says_how_long,
    room_that_takes_no_signals_takes_none_at_once,
    announcements_are_written_by_those_who_may,
    direct_room_is_one_however_often_and_from_both_sides_it_is_opened,
    ownership_goes_over_and_moderators_act_on_members_only,
    last_use_of_a_link_admits_one,
    bans_and_mutes_end_by_themselves,
    private_room_is_not_there_for_strangers,
}

const PATIENCE: Duration = Duration::from_secs(20);

fn rules(settings: PatchRoomSettings) -> PatchRoomRequest {
    PatchRoomRequest { settings: Some(settings), ..PatchRoomRequest::default() }
}

fn slow(seconds: u32) -> PatchRoomRequest {
    rules(PatchRoomSettings { slow_mode_seconds: Some(seconds), ..Default::default() })
}

fn code(error: &ClientError) -> Option<Code> {
    match error {
        ClientError::Problem(problem) => Some(problem.code),
        _ => None,
    }
}

#[track_caller]
fn assert_code<T: std::fmt::Debug>(outcome: Result<T, ClientError>, expected: Code) {
    match outcome {
        Err(error) => assert_eq!(code(&error), Some(expected), "{error:?}"),
        Ok(done) => panic!("not refused: {done:?}"),
    }
}

async fn private_room(owner: &User, slug: &str) -> Room {
    let request = CreateRoomRequest {
        name: slug.to_owned(),
        slug: Some(slug.to_owned()),
        kind: RoomKind::Private,
        topic: None,
        members: Vec::new(),
        bots: Vec::new(),
        client_id: None,
    };
    owner.http.create_room(&request).await.unwrap()
}

fn role(role: Role) -> PutMemberRequest {
    PutMemberRequest { role: Some(role), ..PutMemberRequest::default() }
}

async fn slow_mode_holds_on_every_node_and_says_how_long(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (ada, bob) = (stage.register("ada").await, stage.register("bob").await);
    ada.create_room("calm", &[]).await;
    bob.join("calm").await;
    let room = ada.http.patch_room("calm", &slow(600)).await.unwrap();
    assert_eq!(room.settings.slow_mode_seconds, 600);

    let mut sockets = Vec::new();
    for _ in 0..3 {
        let mut socket = bob.socket().await;
        socket.subscribe("calm", None).await.unwrap();
        sockets.push(socket);
    }
    let mut attempts = JoinSet::new();
    for (number, mut socket) in sockets.into_iter().enumerate() {
        attempts.spawn(async move {
            let answer = socket.publish("calm", &format!("s{number}"), "hi").await;
            (format!("s{number}"), answer.map(|ok| ok.seq))
        });
    }
    let answers = attempts.join_all().await;
    let (written, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|(_, answer)| answer.is_ok());

    assert_eq!((written.len(), refused.len()), (1, 2), "one of them is first");
    for (_, answer) in refused {
        let Err(Failure::Refused(Refused { code, retry_after_ms, .. })) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(code, Code::RateLimited);
        assert!(retry_after_ms.is_some_and(|ms| (500_000..=600_000).contains(&ms)));
    }
    // Whichever node is asked: the first answer again, and the time to wait for anything new.
    let (client_id, seq) = (&written[0].0, written[0].1.as_ref().unwrap().unwrap());
    for _ in 0..3 {
        let again = bob.http.publish("calm", &draft("hi", Some(client_id))).await.unwrap();
        assert_eq!(again.seq, seq);
        let Err(ClientError::Problem(problem)) =
            bob.http.publish("calm", &draft("more", None)).await
        else {
            panic!("not refused")
        };
        assert_eq!((problem.code, problem.status), (Code::RateLimited, 429));
        assert!(problem.retry_after_ms.is_some_and(|ms| ms > 500_000), "{problem:?}");
    }
    ada.say("calm", "one").await;
    ada.say("calm", "who keeps order need not wait").await;
    ada.http.patch_room("calm", &slow(0)).await.unwrap();
    bob.say("calm", "nor does anyone now").await;
    assert_code(ada.http.patch_room("calm", &slow(21_601)).await, Code::ValidationFailed);
}

async fn next_signal(socket: &mut Socket) -> Option<serde_json::Value> {
    let next = async {
        loop {
            if let Frame::Signal(signal) = socket.next_frame().await
                && let SignalBody::App(app) = signal.body
            {
                return app.data;
            }
        }
    };
    timeout(PATIENCE, next).await.ok()
}

async fn room_that_takes_no_signals_takes_none_at_once(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (ada, bob) = (stage.register("ada").await, stage.register("bob").await);
    ada.create_room("quiet", &[]).await;
    bob.join("quiet").await;
    let (mut hers, mut his) = (ada.socket().await, bob.socket().await);
    hers.subscribe("quiet", None).await.unwrap();
    his.subscribe("quiet", None).await.unwrap();
    let signal = |n: u32| Command::Signal {
        id: None,
        room: "quiet".into(),
        data: serde_json::json!({ "n": n }),
    };
    his.request(signal(1)).await.unwrap();
    assert_eq!(next_signal(&mut hers).await, Some(serde_json::json!({"n": 1})));

    let off = PatchRoomSettings { signals: Some(false), ..Default::default() };
    ada.http.patch_room("quiet", &rules(off)).await.unwrap();
    // Once the connection was told, its node knows.
    loop {
        if let Frame::Event(event) = his.next_frame().await
            && let EventBody::RoomUpdated(state) = event.body
        {
            assert!(!state.settings.signals);
            break;
        }
    }
    let refused = his.request(signal(2)).await.unwrap_err();

    assert_eq!(refused.code(), Some(Code::Forbidden));
    let on = PatchRoomSettings { signals: Some(true), ..Default::default() };
    ada.http.patch_room("quiet", &rules(on)).await.unwrap();
    his.request(signal(3)).await.unwrap();
    assert_eq!(next_signal(&mut hers).await, Some(serde_json::json!({"n": 3})));
}

async fn announcements_are_written_by_those_who_may(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (ada, bob) = (stage.register("ada").await, stage.register("bob").await);
    ada.create_room("news", &["guide"]).await;
    bob.join("news").await;
    let news = PatchRoomSettings {
        post: Some(Role::Moderator),
        call_bots: Some(Role::Owner),
        stop_bots: Some(Role::Owner),
        ..Default::default()
    };
    assert_code(bob.http.patch_room("news", &rules(news)).await, Code::Forbidden);
    ada.http.patch_room("news", &rules(news)).await.unwrap();

    assert_code(bob.http.publish("news", &draft("no", None)).await, Code::Forbidden);
    let mut socket = bob.socket().await;
    socket.subscribe("news", None).await.unwrap();
    let refused = socket.publish("news", "c1", "no").await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::Forbidden));
    ada.http.put_member("news", "bob", &role(Role::Moderator)).await.unwrap();
    bob.say("news", "@guide a moderator writes, and calls nobody").await;
    let last = ada.say("news", "the end").await;

    let history = ada.history("news").await;
    assert_eq!(history.len(), 2, "no bot has answered: {history:?}");
    assert_eq!(history.last().map(|message| message.id), Some(last.id));
    assert_code(bob.http.cancel_reply("news", last.id).await, Code::Forbidden);
    let room = bob.http.room("news").await.unwrap();
    assert_eq!((room.settings.post, room.settings.call_bots), (Role::Moderator, Role::Owner));
}

async fn direct_room_is_one_however_often_and_from_both_sides_it_is_opened(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let users = [stage.register("ada").await, stage.register("bob").await];
    let open = |from: usize, with: Vec<&str>| {
        let http = users[from].http.clone();
        let members = with.into_iter().map(str::to_owned).collect();
        let request = CreateRoomRequest {
            name: "us".to_owned(),
            slug: None,
            kind: RoomKind::Direct,
            topic: None,
            members,
            bots: Vec::new(),
            client_id: None,
        };
        async move { http.create_room(&request).await.unwrap().id }
    };
    let mut attempts = JoinSet::new();
    for number in 0..12 {
        let side = number % 2;
        attempts.spawn(open(side, vec![["bob", "ada"][side]]));
    }
    let rooms: BTreeSet<_> = attempts.join_all().await.into_iter().collect();
    let own: BTreeSet<_> =
        [open(0, vec!["ada"]).await, open(0, vec!["ada"]).await].into_iter().collect();

    assert_eq!(rooms.len(), 1, "{rooms:?}");
    assert_eq!(own.len(), 1, "a room for notes is one as well");
    assert!(rooms.is_disjoint(&own));
    let room = rooms.first().unwrap().to_string();
    assert_eq!(users[1].http.room(&room).await.unwrap().participants[0].username, "ada");
    users[0].say(&room, "hello").await;
    assert_code(users[1].http.patch_room(&room, &slow(5)).await, Code::Forbidden);
    assert_code(users[1].http.delete_member(&room, "bob").await, Code::Forbidden);
    let deleted = users[0].http.delete_my_rooms(None).await.unwrap();
    assert!(deleted.contains(own.first().unwrap()), "delete all mine: {deleted:?}");
}

async fn ownership_goes_over_and_moderators_act_on_members_only(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (ada, bob) = (stage.register("ada").await, stage.register("bob").await);
    let (carol, dave) = (stage.register("carol").await, stage.register("dave").await);
    ada.create_room("club", &[]).await;
    for user in [&bob, &carol, &dave] {
        user.join("club").await;
    }
    assert_code(ada.http.delete_member("club", "ada").await, Code::Conflict);
    assert_code(bob.http.transfer_room("club", "carol").await, Code::Forbidden);
    let seen = ada.http.transfer_room("club", "bob").await.unwrap();
    assert_eq!(seen.role, Some(Role::Moderator));
    bob.http.put_member("club", "carol", &role(Role::Moderator)).await.unwrap();

    // Ada and Carol are moderators, Bob is the owner, Dave a member.
    let mute = PutMemberRequest { mute: Some(Restriction::default()), ..Default::default() };
    let ban = PutMemberRequest { ban: Some(Restriction::default()), ..Default::default() };
    for target in ["bob", "carol"] {
        assert_code(ada.http.put_member("club", target, &mute).await, Code::Forbidden);
        assert_code(ada.http.put_member("club", target, &ban).await, Code::Forbidden);
        assert_code(ada.http.delete_member("club", target).await, Code::Forbidden);
        assert_code(
            ada.http.put_member("club", target, &role(Role::Member)).await,
            Code::Forbidden,
        );
    }
    ada.http.put_member("club", "dave", &ban).await.unwrap();
    bob.http.put_member("club", "carol", &role(Role::Owner)).await.unwrap();
    bob.http.delete_member("club", "bob").await.unwrap();
    let log = carol.log("club").await;
    let changes = log.iter().filter_map(|event| match &event.body {
        EventBody::MemberRoleChanged(change) => Some((change.user.username.as_str(), change.role)),
        _ => None,
    });
    let changes: Vec<_> = changes.collect();
    assert_eq!(
        changes,
        [
            ("bob", Role::Owner),
            ("ada", Role::Moderator),
            ("carol", Role::Moderator),
            ("carol", Role::Owner),
        ]
    );
    assert_code(carol.http.delete_member("club", "carol").await, Code::Conflict);
}

async fn last_use_of_a_link_admits_one(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let ada = stage.register("ada").await;
    private_room(&ada, "den").await;
    let once = CreateInviteRequest { max_uses: Some(1), ..Default::default() };
    let invite = ada.http.create_invite("den", &once).await.unwrap();
    let listed = ada.http.invites("den", None).await.unwrap().items;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].creator.as_ref().map(|user| user.id), Some(ada.id));
    let mut guests = Vec::new();
    for number in 0..6 {
        guests.push(stage.register(&format!("guest{number}")).await);
    }

    let mut attempts = JoinSet::new();
    for guest in guests.clone() {
        let request = PutMemberRequest { invite: Some(invite.code.clone()), ..Default::default() };
        attempts.spawn(async move { guest.http.put_member("den", &guest.name, &request).await });
    }
    let admitted = attempts.join_all().await.into_iter().flatten().count();

    assert_eq!(admitted, 1);
    assert_eq!(ada.http.room("den").await.unwrap().members, 2);
    assert!(ada.http.invites("den", None).await.unwrap().items.is_empty(), "it is used up");
    let revoked = ada.http.create_invite("den", &once).await.unwrap();
    ada.http.revoke_invite("den", &revoked.code).await.unwrap();
    assert_code(ada.http.revoke_invite("den", &revoked.code).await, Code::NotFound);
    assert_code(ada.http.invite(&revoked.code).await, Code::NotFound);
}

async fn bans_and_mutes_end_by_themselves(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (ada, bob) = (stage.register("ada").await, stage.register("bob").await);
    let room = ada.create_room("hall", &[]).await;
    bob.join("hall").await;
    let soon = |ms: i64| Restriction {
        until: Some(Timestamp::from_millis(room.created_at.as_millis() + ms)),
        reason: None,
    };
    let lasting = PutMemberRequest { ban: Some(soon(3_600_000)), ..Default::default() };
    let passed = PutMemberRequest { ban: Some(soon(0)), ..Default::default() };
    ada.http.put_member("hall", "bob", &lasting).await.unwrap();

    let bans = ada.http.bans("hall", None).await.unwrap().items;
    assert_eq!(bans.len(), 1);
    assert_eq!((bans[0].user.id, bans[0].until), (bob.id, soon(3_600_000).until));
    assert_eq!(bans[0].by.as_ref().map(|user| user.id), Some(ada.id));
    assert_code(
        bob.http.put_member("hall", "bob", &PutMemberRequest::default()).await,
        Code::Forbidden,
    );
    assert_code(bob.http.bans("hall", None).await, Code::NotAMember);
    ada.http.put_member("hall", "bob", &passed).await.unwrap();
    assert!(ada.http.bans("hall", None).await.unwrap().items.is_empty());
    bob.join("hall").await;

    // A mute that ends in a moment: the first write after it succeeds, with nothing done for it.
    let mute = PutMemberRequest { mute: Some(Restriction::default()), ..Default::default() };
    ada.http.put_member("hall", "bob", &mute).await.unwrap();
    assert_code(bob.http.publish("hall", &draft("no", None)).await, Code::Forbidden);
    let said = ada.say("hall", "what time is it?").await;
    let until = Timestamp::from_millis(said.created_at.as_millis() + 1_500);
    let restriction = Restriction { until: Some(until), reason: None };
    let mute = PutMemberRequest { mute: Some(restriction), ..Default::default() };
    ada.http.put_member("hall", "bob", &mute).await.unwrap();
    crate::until("the mute has ended", PATIENCE, || async {
        bob.http.publish("hall", &draft("at last", None)).await.is_ok()
    })
    .await;
    let written = bob.history("hall").await.pop().unwrap();
    assert!(written.created_at >= until, "not a moment before its end");
}

async fn private_room_is_not_there_for_strangers(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (ada, eve) = (stage.register("ada").await, stage.register("eve").await);
    let room = private_room(&ada, "secret").await.id.to_string();
    let said = ada.say("secret", "hush").await;
    let http = &eve.http;
    for room in ["secret", room.as_str()] {
        assert_code(http.room(room).await, Code::NotFound);
        assert_code(http.patch_room(room, &slow(1)).await, Code::NotFound);
        assert_code(http.transfer_room(room, "eve").await, Code::NotFound);
        assert_code(http.bans(room, None).await, Code::NotFound);
        assert_code(http.invites(room, None).await, Code::NotFound);
        assert_code(http.revoke_invite(room, "x").await, Code::NotFound);
        assert_code(http.members(room, None).await, Code::NotFound);
        assert_code(http.delete_room(room).await, Code::NotFound);
        assert_code(http.delete_member(room, "ada").await, Code::NotFound);
        assert_code(http.put_member(room, "ada", &role(Role::Member)).await, Code::NotFound);
        assert_code(http.publish(room, &draft("hi", None)).await, Code::NotFound);
        assert_code(http.cancel_reply(room, said.id).await, Code::NotFound);
        assert_code(
            http.create_invite(room, &CreateInviteRequest::default()).await,
            Code::NotFound,
        );
    }
}
