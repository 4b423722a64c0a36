//! The end of files: with their message, by time, and by the death of a node.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{
    PATIENCE, address, begin_part, create_upload, folder, open, say_with, tidy, two_nodes,
    until_objects,
};
use crate::{
    MACHINE,
    rest::Caller,
    stage::{Place, Stage},
    until,
};

pub(super) async fn file_ends_with_its_message_also_at_an_address_given_before(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = tidy(place).start().await;
    let (first, last) = two_nodes(&stage);
    let (ada, bob) = (Caller::register(first, "ada").await, Caller::register(last, "bob").await);
    let mut kept = Vec::new();
    for _ in 0..2 {
        let file = ada.upload("secret.txt", b"the secret plan").await;
        let message = say_with(&ada, "general", &[&file]).await.text("id");
        kept.push((message, address(&bob, "general", &file).await, file));
    }
    for (_, url, _) in &kept {
        assert_eq!(open(last, url).await.text().await.unwrap(), "the secret plan");
    }

    let (message, url, file) = &kept[0];
    let path = format!("/v1/rooms/general/messages/{message}");
    ada.call(Method::DELETE, &path, None).await.ok();
    for node in [first, last] {
        let answer = open(node, url).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        assert!(!answer.text().await.unwrap().contains("secret plan"));
    }
    let of_room = format!("/v1/rooms/general/attachments/{file}");
    bob.get(&of_room).await.expect_code("not_found");
    let history = bob.get("/v1/rooms/general/messages").await.ok().to_string();
    assert!(!history.contains(file.as_str()), "{history}");
    let export = bob.get("/v1/rooms/general/export?format=json").await.body.to_string();
    assert!(!export.contains(file.as_str()), "{export}");
    until_objects(&folder(&stage), 1).await;
    assert_eq!(open(first, &kept[1].1).await.status(), StatusCode::OK);

    let owned = json!({"name": "Own", "slug": "own", "kind": "public"});
    ada.post("/v1/rooms", owned).await.ok();
    let file = ada.upload("own.txt", b"own").await;
    say_with(&ada, "own", &[&file]).await.ok();
    let url = address(&ada, "own", &file).await;
    ada.call(Method::DELETE, "/v1/rooms/own", None).await.ok();
    assert_eq!(open(last, &url).await.status(), StatusCode::NOT_FOUND);
    until_objects(&folder(&stage), 1).await;
}

/// On whatever node the right ends, and on whatever node the address is opened.
pub(super) async fn address_ends_with_the_right_to_read(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (first, last) = two_nodes(&stage);
    let (ada, bob) = (Caller::register(first, "ada").await, Caller::register(last, "bob").await);
    let den = json!({"name": "Den", "slug": "den", "kind": "private"});
    ada.post("/v1/rooms", den).await.ok();
    let file = ada.upload("secret.txt", b"the secret plan").await;
    say_with(&ada, "den", &[&file]).await.ok();
    let hers = address(&ada, "den", &file).await;
    let member = "/v1/rooms/den/members/bob";
    for ends in ["kick", "leave", "ban"] {
        ada.put(member, json!({})).await.ok();
        let his = address(&bob, "den", &file).await;
        assert_eq!(open(first, &his).await.text().await.unwrap(), "the secret plan");
        let ended = match ends {
            "kick" => ada.call(Method::DELETE, member, None).await,
            "leave" => bob.call(Method::DELETE, member, None).await,
            _ => ada.put(member, json!({"ban": {}})).await,
        };
        assert!(ended.status.is_success(), "{ends}: {}", ended.body);
        for node in [last, first] {
            let answer = open(node, &his).await;
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{ends}");
            assert!(!answer.text().await.unwrap().contains("secret plan"));
            assert_eq!(open(node, &hers).await.status(), StatusCode::OK, "hers works");
        }
    }
}

pub(super) async fn what_is_for_a_time_ends(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = tidy(place)
        .env("PARLOR_FILES__UPLOAD_EXPIRE", "5s")
        .env("PARLOR_FILES__ADDRESS_EXPIRE", "1s")
        .start()
        .await;
    let ada = Caller::register(stage.addr(), "ada").await;
    let kept = ada.upload("kept.txt", b"kept").await;
    say_with(&ada, "general", &[&kept]).await.ok();
    let url = address(&ada, "general", &kept).await;
    let ready = ada.upload("ready.txt", b"ready").await;
    let started = create_upload(&ada, "started.txt", 10).await.text("id");
    ada.send_part(&started, 0, b"some").await.ok();

    let refused = || async { open(stage.addr(), &url).await.status() == StatusCode::FORBIDDEN };
    until("the address expires", PATIENCE, refused).await;
    until_objects(&folder(&stage), 1).await;
    for gone in [&ready, &started] {
        ada.get(&format!("/v1/uploads/{gone}")).await.expect_code("not_found");
    }
    say_with(&ada, "general", &[&ready]).await.expect_code("validation_failed");
    let expired = stage.counts(&["parlor_files_uploads_total", "expired"]).await;
    assert_eq!(expired.iter().sum::<u64>(), 2);
    ada.get(&format!("/v1/rooms/general/attachments/{kept}")).await.ok();
}

pub(super) async fn kill_leaves_nothing_half(place: Place) {
    let _shared = MACHINE.read().await;
    let mut stage = tidy(place).start().await;
    let (first, last) = two_nodes(&stage);
    let ada = Caller::register(first, "ada").await;
    let upload = create_upload(&ada, "numbers.bin", 200_000).await.text("id");
    let bytes = [vec![1; 50_000], vec![3; 150_000]].concat();
    ada.send_part(&upload, 0, &bytes[..50_000]).await.ok();
    let under_way = begin_part(first, &ada, &upload, (50_000, 150_000), &[2; 7_000]);

    match &mut stage {
        Stage::Alone(server) => server.kill().await,
        Stage::Cluster(cluster, _) => cluster.brokers[0].process.kill().await,
    }
    drop(under_way);
    stage.restart().await;

    let ada = Caller::log_in(last, "ada").await;
    let path = format!("/v1/uploads/{upload}");
    // Whole parts only: of the one that was under way there is nothing.
    assert_eq!(ada.get(&path).await.ok()["offset"], 50_000);
    ada.send_part(&upload, 50_000, &bytes[50_000..]).await.ok();
    say_with(&ada, "general", &[&upload]).await.ok();
    let got = open(first, &address(&ada, "general", &upload).await).await.bytes().await.unwrap();
    assert!(got == bytes, "other bytes than were sent");
    until_objects(&folder(&stage), 2).await;
    let other = create_upload(&ada, "other.bin", 10).await.text("id");
    ada.send_part(&other, 0, b"some").await.ok();
    ada.call(Method::DELETE, &format!("/v1/uploads/{other}"), None).await.ok();
    until_objects(&folder(&stage), 2).await;
}
