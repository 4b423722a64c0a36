//! People find what they may read now, on whichever node they ask.

use parlor_client::SearchQuery;
use parlor_protocol::http::{CreateRoomRequest, PutMemberRequest, Restriction, SearchResult};
use parlor_protocol::room::RoomKind;
use parlor_testkit::process::User;

use crate::stage::{Place, in_both_places};

in_both_places!(
    what_was_said_is_found_as_it_is_now_by_those_who_may_read_it,
    pages_of_a_search_hold_each_answer_once,
);

async fn search(user: &User, text: &str) -> Vec<SearchResult> {
    let query = SearchQuery { text: text.to_owned(), ..SearchQuery::default() };
    user.http.search(&query).await.unwrap().items
}

async fn found(user: &User, text: &str) -> Vec<String> {
    search(user, text).await.into_iter().map(|result| result.message.body).collect()
}

async fn what_was_said_is_found_as_it_is_now_by_those_who_may_read_it(place: Place) {
    let stage = place.start().await;
    let (ada, bob) = (stage.register("ada").await, stage.register("bob").await);
    let request = CreateRoomRequest {
        name: "Den".to_owned(),
        slug: Some("den".to_owned()),
        kind: RoomKind::Private,
        topic: None,
        members: vec!["bob".to_owned()],
        bots: Vec::new(),
        client_id: None,
    };
    ada.http.create_room(&request).await.unwrap();
    let secret = ada.say("den", "the Zébra is in the cellar").await;
    ada.say("general", "no animals here").await;

    let results = search(&bob, "zebra from:ada in:den").await;
    assert_eq!(results.len(), 1);
    assert_eq!((&*results[0].room.slug, results[0].message.id), ("den", secret.id));
    let place = results[0].highlights[0];
    let chars = results[0].message.body.chars();
    let marked: String =
        chars.skip(place.start as usize).take((place.end - place.start) as usize).collect();
    assert_eq!(marked, "Zébra");
    assert!(results[0].snippet.text.contains("Zébra"));
    let eve = stage.register("eve").await;
    assert!(found(&eve, "zebra").await.is_empty(), "a stranger finds nothing");
    assert!(found(&eve, "zebra in:den").await.is_empty());

    ada.http.edit_message("den", secret.id, "the okapi is in the cellar").await.unwrap();
    assert!(found(&bob, "zebra").await.is_empty());
    assert_eq!(found(&bob, "oka* cellar").await, ["the okapi is in the cellar"]);
    ada.http.redact_message("den", secret.id).await.unwrap();
    assert!(found(&bob, "okapi").await.is_empty());

    ada.say("den", "a second zebra").await;
    assert_eq!(found(&bob, "zebra").await.len(), 1);
    let ban = PutMemberRequest { ban: Some(Restriction::default()), ..PutMemberRequest::default() };
    ada.http.put_member("den", "bob", &ban).await.unwrap();
    assert!(found(&bob, "zebra").await.is_empty(), "who was banned finds nothing");
    ada.http.reset_history("den").await.unwrap();
    assert!(found(&ada, "zebra").await.is_empty());
    ada.say("den", "a third zebra").await;
    assert_eq!(found(&ada, "zebra").await, ["a third zebra"]);
    ada.http.delete_room("den").await.unwrap();
    assert!(found(&ada, "zebra").await.is_empty());
}

async fn pages_of_a_search_hold_each_answer_once(place: Place) {
    let stage = place.start().await;
    let ada = stage.register("ada").await;
    ada.create_room("tea", &[]).await;
    for n in 0..25 {
        ada.say("tea", &format!("cup {n} of tea")).await;
    }

    let mut query =
        SearchQuery { text: "tea".to_owned(), limit: Some(10), ..SearchQuery::default() };
    let mut all = Vec::new();
    loop {
        let page = ada.http.search(&query).await.unwrap();
        all.extend(page.items.into_iter().map(|result| result.message.body));
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    // All are as good as each other: the newest first.
    let wanted: Vec<String> = (0..25).rev().map(|n| format!("cup {n} of tea")).collect();
    assert_eq!(all, wanted);
}
