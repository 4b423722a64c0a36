//! Why someone was removed, banned or muted: who is told, and for how long.

use parlor_protocol::http::RunCommandRequest;
use parlor_testkit::socket::Failure;

use super::lines::Terminal;
use super::*;

#[track_caller]
fn detail<T: std::fmt::Debug>(refused: Result<T, ClientError>) -> String {
    match refused {
        Err(ClientError::Problem(problem)) => problem.detail,
        other => panic!("{other:?}"),
    }
}

/// Reads until a membership changes or ends.
async fn until_changed(socket: &mut Socket) -> MemberChange {
    loop {
        if let Frame::Event(event) = socket.next_frame().await
            && let EventBody::MemberRoleChanged(change) | EventBody::MemberLeft(change) = event.body
        {
            return change;
        }
    }
}

pub(super) async fn reasons_reach_whom_they_concern_and_go_when_they_do(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (ada, bob) = (stage.register("ada").await, stage.register("bob").await);
    ada.create_room("hall", &[]).await;
    bob.join("hall").await;
    let mut his = bob.socket().await;
    his.subscribe("hall", None).await.unwrap();

    let mute = Restriction { until: None, reason: Some(" shouting at night ".to_owned()) };
    let mute = PutMemberRequest { mute: Some(mute), ..PutMemberRequest::default() };
    ada.http.put_member("hall", "bob", &mute).await.unwrap();
    let change = until_changed(&mut his).await;
    assert_eq!(change.reason_text.as_deref(), Some("shouting at night"));
    let told = " The reason given: \"shouting at night\".";
    let why = detail(bob.http.publish("hall", &draft("hush", None)).await);
    assert!(why.ends_with(told), "{why}");
    match his.publish("hall", "c1", "hush").await {
        Err(Failure::Refused(refused)) => assert!(refused.detail.ends_with(told), "{refused:?}"),
        other => panic!("{other:?}"),
    }
    let members = ada.http.members("hall", None).await.unwrap().items;
    let reasons: Vec<_> = members.iter().map(|member| member.mute_reason.as_deref()).collect();
    assert_eq!(reasons, [None, Some("shouting at night")]);

    let kick = RunCommandRequest { text: "/kick @bob still loud".to_owned(), client_id: None };
    ada.http.run_command("hall", &kick).await.unwrap();
    let change = until_changed(&mut his).await;
    assert_eq!(change.reason, Some(LeaveReason::Kicked));
    assert_eq!(change.reason_text.as_deref(), Some("still loud"));
    bob.join("hall").await;

    let terminal = Terminal::new(&stage, PASSWORD);
    terminal.ok("login ada").await;
    terminal.ok("rooms kick hall bob --reason noise").await;
    terminal.ok("rooms ban hall bob --for 1h --reason spamming").await;
    let bans = terminal.ok("rooms bans hall").await;
    assert!(bans.contains("bob") && bans.contains("spamming"), "{bans}");
    let why = detail(bob.http.put_member("hall", "me", &PutMemberRequest::default()).await);
    assert!(why.ends_with(" The reason given: \"spamming\"."), "{why}");
    let said = ["shouting at night", "still loud", "noise"];
    let log = async || serde_json::to_string(&ada.log("hall").await).unwrap();
    let before = log().await;
    assert!(said.iter().all(|text| before.contains(text)), "{before}");

    let erase = EraseRequest { password: PASSWORD.to_owned(), messages: ErasedMessages::Keep };
    bob.http.delete_me(&erase).await.unwrap();

    until("nothing tells why he was put out", PATIENCE, || async {
        let after = log().await;
        !said.iter().any(|text| after.contains(text))
    })
    .await;
    assert!(ada.http.bans("hall", None).await.unwrap().items.is_empty());
}
