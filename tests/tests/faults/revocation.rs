//! Whoever is logged out, removed or locked out is so on every node, with Redis and NATS gone.

use std::time::Duration;

use parlor_protocol::{
    close::CloseCode,
    code::Code,
    event::EventBody,
    frame::Frame,
    http::{PatchUserRequest, PutMemberRequest, Restriction},
};
use parlor_testkit::{
    cluster::Cluster,
    fake_llm::FakeLlm,
    process::User,
    socket::{Failure, Incoming, Socket},
};
use tokio::time::Instant;

use crate::{MACHINE, soak, stage};

/// Every node knows so long after the answer. A soak has the machine for itself.
fn known() -> Duration {
    Duration::from_secs(if soak().is_some() { 1 } else { 5 })
}

/// Opens a connection to every broker that follows the room.
async fn follow_everywhere(cluster: &Cluster, user: &User) -> Vec<Socket> {
    let mut sockets = Vec::new();
    for addr in cluster.addrs() {
        let mut socket = user.through(addr).socket().await;
        socket.subscribe("den", None).await.unwrap();
        sockets.push(socket);
    }
    sockets
}

/// Reads until the server says that the login has ended.
async fn is_closed(socket: &mut Socket, answered_at: Instant) {
    loop {
        match socket.next_before(answered_at + known()).await {
            Some(Incoming::Frame(_)) => {}
            Some(Incoming::Ended(ended)) => {
                assert_eq!(ended.code(), Some(CloseCode::SessionRevoked.as_u16()), "{ended:?}");
                return;
            }
            None => panic!("the connection is still open {:?} after the answer", known()),
        }
    }
}

/// Reads until the event that says that this user is out.
async fn is_out(socket: &mut Socket, name: &str, answered_at: Instant) {
    loop {
        match socket.next_before(answered_at + known()).await {
            Some(Incoming::Frame(frame)) => {
                if let Frame::Event(event) = *frame
                    && let EventBody::MemberLeft(change) = event.body
                    && change.user.username == name
                {
                    return;
                }
            }
            Some(Incoming::Ended(ended)) => panic!("the connection ended: {ended:?}"),
            None => panic!("{name} is not out {:?} after the answer", known()),
        }
    }
}

/// Makes sure that an open connection neither writes nor is told anything.
async fn is_deaf_and_dumb(mut socket: Socket, name: &str) {
    let written = socket.publish("den", &format!("late-{name}"), "let me in").await;
    let Err(Failure::Refused(refused)) = written else { panic!("{name} wrote: {written:?}") };
    assert!(matches!(refused.code, Code::NotAMember | Code::Forbidden), "{refused:?}");
    // What came before the answer is kept, so this reads all of it.
    let deadline = Instant::now() + Duration::from_millis(700);
    while let Some(incoming) = socket.next_before(deadline).await {
        let is_told =
            matches!(&incoming, Incoming::Frame(frame) if matches!(**frame, Frame::Event(_)));
        assert!(!is_told, "{name} was told {incoming:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_logins_and_removals_reach_every_node_within_a_second_without_redis_and_nats() {
    let _alone = MACHINE.lock().await;
    let llm = FakeLlm::start().await;
    let cluster = stage::builder(&llm).workers(0).start().await;
    let owner = cluster.register("owner").await;
    let admin = cluster.admin().await;
    owner.create_room("den", &[]).await;
    let mut people = Vec::new();
    for name in ["logged-out", "locked-out", "kicked", "banned"] {
        let user = cluster.register(name).await;
        user.join("den").await;
        let sockets = follow_everywhere(&cluster, &user).await;
        people.push((user, sockets));
    }
    cluster.redis.kill().await;
    cluster.nats.kill().await;
    let [logged_out, locked_out, kicked, banned] = &mut people[..] else { unreachable!() };

    logged_out.0.http.log_out(true).await.unwrap();
    let answered_at = Instant::now();
    for socket in &mut logged_out.1 {
        is_closed(socket, answered_at).await;
    }
    let lock = PatchUserRequest { active: Some(false), role: None };
    admin.http.patch_user("locked-out", &lock).await.unwrap();
    let answered_at = Instant::now();
    for socket in &mut locked_out.1 {
        is_closed(socket, answered_at).await;
    }
    owner.http.delete_member("den", "kicked").await.unwrap();
    let answered_at = Instant::now();
    for socket in &mut kicked.1 {
        is_out(socket, "kicked", answered_at).await;
    }
    let ban = Some(Restriction::default());
    let request = PutMemberRequest { ban, ..PutMemberRequest::default() };
    owner.http.put_member("den", "banned", &request).await.unwrap();
    let answered_at = Instant::now();
    for socket in &mut banned.1 {
        is_out(socket, "banned", answered_at).await;
    }

    for number in 0..5 {
        owner.say("den", &format!("secret {number}")).await;
    }
    for (user, sockets) in people.split_off(2) {
        for socket in sockets {
            is_deaf_and_dumb(socket, &user.name).await;
        }
    }
}
