//! Searches: what is found, by whom, in which order, and that it is right at once.

use std::collections::BTreeSet;
use std::time::Duration;

use parlor_domain::search::Query;
use parlor_protocol::http::Trigger;
use parlor_protocol::id::MessageId;
use parlor_protocol::message::MessageStatus;
use parlor_protocol::room::{Role, RoomKind};
use parlor_protocol::user::UserRef;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use uuid::Uuid;

use super::Factory;
use super::world::{World, complete, start, text};
use crate::append::{Append, Intent};
use crate::search::{SearchHit, SearchPage, SearchRequest, SearchWindow, WINDOW};

/// Longer than a test takes.
const TIME: Duration = Duration::from_mins(1);

fn request(user: &UserRef, query: &str) -> SearchRequest {
    SearchRequest {
        user: user.id,
        query: Query::parse(query).unwrap(),
        from: None,
        room: None,
        window: None,
        limit: 50,
        time: TIME,
    }
}

/// Reads all pages.
async fn pages(world: &World, mut request: SearchRequest) -> Vec<SearchHit> {
    let mut hits = Vec::new();
    loop {
        let page = world.store().search(request.clone()).await.unwrap();
        assert!(page.hits.len() <= request.limit);
        hits.extend(page.hits);
        match page.next {
            Some(next) => request.window = Some(next),
            None => return hits,
        }
    }
}

/// Returns the texts that are found, best first.
async fn find(world: &World, user: &UserRef, query: &str) -> Vec<String> {
    let hits = pages(world, request(user, query)).await;
    hits.into_iter().map(|hit| hit.message.body).collect()
}

/// Words are found in any case, with and without accents, and in order of how well they fit.
pub async fn words_are_found_whatever_their_case_and_accents(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;
    let long = format!("a crème brûlée {}", "and more ".repeat(30));
    let texts = [
        long.as_str(),
        "Crème BRÛLÉE!",
        "ПРИВЕТ, мир",
        "ΟΔΟΣ",
        "今日は天気がいい",
        "snake_case and kebab-case",
        "🎉done🎉",
        "it's 50% off",
        "ÆSIR ØsTgaard ŁÓDŹ sTRAẞE",
        "мОСКВА Ереван ԵՐԵՒԱՆ",
    ];
    for text in texts {
        world.said(room, &ada, text).await;
    }

    assert_eq!(find(&world, &ada, "creme brulee").await, ["Crème BRÛLÉE!", &long]);
    assert_eq!(find(&world, &ada, "CRÈME").await, ["Crème BRÛLÉE!", &long]);
    assert_eq!(find(&world, &ada, "привет").await, ["ПРИВЕТ, мир"]);
    assert_eq!(find(&world, &ada, "οδός").await, ["ΟΔΟΣ"]);
    for query in ["æsir", "ØSTGAARD", "łodz", "łódź", "straße", "øst*"] {
        assert_eq!(find(&world, &ada, query).await, ["ÆSIR ØsTgaard ŁÓDŹ sTRAẞE"], "{query}");
    }
    for query in ["Москва", "МОСКВА", "ерев*", "երեւան"] {
        assert_eq!(find(&world, &ada, query).await, ["мОСКВА Ереван ԵՐԵՒԱՆ"], "{query}");
    }
    assert_eq!(find(&world, &ada, "天気").await, ["今日は天気がいい"]);
    assert_eq!(find(&world, &ada, "case").await, ["snake_case and kebab-case"]);
    assert_eq!(find(&world, &ada, "\"kebab case\"").await, ["snake_case and kebab-case"]);
    assert_eq!(find(&world, &ada, "done").await, ["🎉done🎉"]);
    assert_eq!(find(&world, &ada, "it's").await, ["it's 50% off"]);
    assert!(find(&world, &ada, "\"case snake\"").await.is_empty());
    assert_eq!(find(&world, &ada, "keb* -done").await, ["snake_case and kebab-case"]);
    assert!(find(&world, &ada, "snake -keb*").await.is_empty());
    assert!(find(&world, &ada, "nowhere").await.is_empty());

    let hits = pages(&world, request(&ada, "off")).await;
    assert_eq!((hits[0].found.spans[0].start, hits[0].found.spans[0].end), (9, 12));
    assert_eq!(hits[0].message, world.message(room, hits[0].message.id).await);
}

/// Filters choose by author, room and time.
pub async fn filters_choose_by_author_room_and_time(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let one = world.public(&ada, &[&bob]).await;
    let two = world.public(&ada, &[&bob]).await;
    world.said(one, &ada, "tea one").await;
    world.said(two, &bob, "tea two").await;
    let between = world.advance(60_000);
    world.said(one, &bob, "tea three").await;

    let all = find(&world, &ada, "tea").await;
    assert_eq!(all, ["tea three", "tea two", "tea one"], "the newest of equals comes first");
    let bodies = async |request: SearchRequest| -> Vec<String> {
        pages(&world, request).await.into_iter().map(|hit| hit.message.body).collect()
    };
    let by_bob = SearchRequest { from: Some(bob.id), ..request(&ada, "") };
    assert_eq!(bodies(by_bob).await, ["tea three", "tea two"]);
    let in_two = SearchRequest { room: Some(two), ..request(&ada, "tea") };
    assert_eq!(bodies(in_two).await, ["tea two"]);
    let both = SearchRequest { room: Some(one), from: Some(bob.id), ..request(&ada, "") };
    assert_eq!(bodies(both).await, ["tea three"]);
    let mut early = request(&ada, "tea");
    early.query.before = Some(between);
    assert_eq!(bodies(early).await, ["tea two", "tea one"]);
    let mut late = request(&ada, "tea");
    late.query.since = Some(between);
    assert_eq!(bodies(late).await, ["tea three"]);
}

/// Only members find what is in a room, from when they join until they leave.
pub async fn only_members_find_what_is_in_a_room(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let open = world.public(&ada, &[]).await;
    let closed = world.room(RoomKind::Private, &ada, &[&bob]).await;
    world.said(open, &ada, "tea in the open").await;
    world.said(closed, &ada, "tea in secret").await;

    assert_eq!(find(&world, &bob, "tea").await, ["tea in secret"]);
    world.add(open, &bob, Intent::Join { invite: None }).await;
    assert_eq!(find(&world, &bob, "tea").await.len(), 2);
    world.add(closed, &bob, Intent::Leave).await;
    assert_eq!(find(&world, &bob, "tea").await, ["tea in the open"]);
    let hidden = SearchRequest { room: Some(closed), ..request(&bob, "tea") };
    assert!(pages(&world, hidden).await.is_empty());
    world.add(open, &ada, Intent::Ban { user: bob.id, until: None, reason: None }).await;
    assert!(find(&world, &bob, "tea").await.is_empty());
    world.store().delete_room(open, ada.id, world.now()).await.unwrap().unwrap();
    assert_eq!(find(&world, &ada, "tea").await, ["tea in secret"]);
    world.add(closed, &ada, Intent::ResetHistory).await;
    assert!(find(&world, &ada, "tea").await.is_empty());
    world.said(closed, &ada, "fresh tea").await;
    assert_eq!(find(&world, &ada, "tea").await, ["fresh tea"]);
}

/// Edits and redactions count at once, and nothing of the old words stays in the index.
pub async fn changed_text_is_found_as_it_is_now(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;
    let message = world.said(room, &ada, "a zebraword here").await;
    for n in 0..40 {
        world.said(room, &ada, &format!("filler number{n} here")).await;
    }

    world.add(room, &ada, Intent::Edit { message, body: "now an okapiword".to_owned() }).await;
    assert!(find(&world, &ada, "zebraword").await.is_empty());
    assert_eq!(find(&world, &ada, "okapiword").await, ["now an okapiword"]);
    world.add(room, &ada, Intent::Redact { message }).await;
    assert!(find(&world, &ada, "okapiword").await.is_empty());
    let all = SearchRequest { room: Some(room), ..request(&ada, "") };
    assert_eq!(pages(&world, all).await.len(), 40, "a removed message is found by no filter");

    let remains = world.remains().await;
    let holds = |word: &[u8]| remains.windows(word.len()).any(|bytes| bytes == word);
    assert!(holds(b"number7"), "the search finds what is there");
    for word in [b"okapiword".as_slice(), b"zebraword", b"okapi", b"zebra"] {
        // The log keeps what an edit replaced only until the message is redacted.
        assert!(!holds(word), "{:?} is still stored", String::from_utf8_lossy(word));
    }
}

/// A bot's reply is found once it is complete.
pub async fn reply_is_found_once_it_has_ended(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let guide = world.bot("guide", Trigger::Always).await;
    let room = world.public(&ada, &[&guide]).await;
    world.said(room, &ada, "question").await;
    let job = world.claim().await.unwrap();
    let reply = MessageId(Uuid::new_v4());
    world.add(room, &guide, start(job.id, 1, reply)).await;
    let text = "an answerword".to_owned();
    world.store().checkpoint_reply(job.id, 1, 1, text.clone(), TIME).await.unwrap();
    assert!(find(&world, &ada, "answerword").await.is_empty());
    let by_bot = SearchRequest { from: Some(guide.id), ..request(&ada, "") };
    assert!(pages(&world, by_bot).await.is_empty());

    world.add(room, &guide, complete(job.id, 1, reply, MessageStatus::Completed, &text)).await;
    assert_eq!(find(&world, &ada, "answerword").await, ["an answerword"]);
    world.add(room, &ada, Intent::Redact { message: reply }).await;
    assert!(find(&world, &ada, "answerword").await.is_empty());
}

/// Pages hold each answer once, in one order, also when messages come and go in between.
pub async fn pages_hold_each_answer_once(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;
    // More than a window, with texts of different worth.
    let many = WINDOW + 150;
    let mut batch: Vec<Append> = Vec::new();
    for n in 0..many {
        let body = format!("tea {n}{}", " and cake".repeat(n % 7));
        batch.push(world.wish(room, &ada, Intent::Publish(text(&body))));
    }
    let ids: Vec<MessageId> = batch
        .iter()
        .filter_map(|append| match &append.intent {
            Intent::Publish(message) => Some(message.id),
            _ => None,
        })
        .collect();
    for part in batch.chunks(200) {
        world.store().append(part.to_vec()).await.unwrap();
    }

    let mut request = SearchRequest { limit: 190, ..request(&ada, "tea") };
    let SearchPage { hits, next } = world.store().search(request.clone()).await.unwrap();
    let mut seen: Vec<SearchHit> = hits;
    assert_eq!(seen.len(), 190);
    // New ones come, and one that was not read yet goes.
    world.said(room, &ada, "tea tea tea").await;
    let gone = ids.iter().find(|id| seen.iter().all(|hit| hit.message.id != **id)).unwrap();
    world.add(room, &ada, Intent::Redact { message: *gone }).await;
    request.window = next;
    seen.extend(pages(&world, request).await);

    let found: BTreeSet<MessageId> = seen.iter().map(|hit| hit.message.id).collect();
    assert_eq!(found.len(), seen.len(), "an answer came twice");
    let wanted: BTreeSet<MessageId> = ids.iter().copied().filter(|id| id != gone).collect();
    assert_eq!(found, wanted);
    let scores: Vec<u32> = seen.iter().map(|hit| hit.found.score).collect();
    assert!(scores[..WINDOW].is_sorted_by(|a, b| a >= b), "a window is in order");
}

/// A search whose time is over returns what it has found and leads on to the rest.
pub async fn search_without_time_leads_on(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;
    for part in 0..2 {
        let texts = (0..150).map(|n| text(&format!("tea {part} {n}")));
        let batch: Vec<Append> =
            texts.map(|text| world.wish(room, &ada, Intent::Publish(text))).collect();
        world.store().append(batch).await.unwrap();
    }

    let hurried = SearchRequest { time: Duration::ZERO, limit: 200, ..request(&ada, "tea") };
    let first = world.store().search(hurried.clone()).await.unwrap();
    assert!((1..200).contains(&first.hits.len()), "{}", first.hits.len());
    assert_eq!(pages(&world, hurried).await.len(), 300);
}

/// A window that is too long to be read again, because someone made it up or the store is busier than
/// before, takes more pages and loses no answer.
pub async fn window_that_takes_too_long_loses_nothing(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;
    for part in 0..4 {
        let texts = (0..200).map(|n| text(&format!("tea {part} {n}{}", " cake".repeat(n % 5))));
        let batch: Vec<Append> =
            texts.map(|text| world.wish(room, &ada, Intent::Publish(text))).collect();
        world.store().append(batch).await.unwrap();
    }
    let everything = SearchWindow { high: i64::MAX, low: Some(0), after: None };
    for limit in [30, 200] {
        let hurried = SearchRequest {
            time: Duration::ZERO,
            limit,
            window: Some(everything),
            ..request(&ada, "tea")
        };
        let first = world.store().search(hurried.clone()).await.unwrap();
        assert!(first.hits.len() <= 64, "{} were looked at", first.hits.len());
        let found: Vec<String> =
            pages(&world, hurried).await.into_iter().map(|hit| hit.message.body).collect();
        let different: BTreeSet<&String> = found.iter().collect();
        assert_eq!((found.len(), different.len()), (800, 800));
    }
}

/// A search that chooses by author, time or files gets on, however many messages it has to pass over
/// and however little time it has, from page to page.
pub async fn search_that_finds_nothing_for_long_gets_on(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let room = world.public(&ada, &[&bob]).await;
    let oldest = world.said(room, &bob, "tea of old").await;
    let until = world.advance(60_000);
    for part in 0..6 {
        let texts = (0..200).map(|n| text(&format!("tea {part} {n}")));
        let batch: Vec<Append> =
            texts.map(|text| world.wish(room, &ada, Intent::Publish(text))).collect();
        world.store().append(batch).await.unwrap();
    }

    let hurried = |query| SearchRequest { time: Duration::ZERO, ..request(&bob, query) };
    assert!(pages(&world, hurried("tea has:attachment")).await.is_empty());
    assert!(pages(&world, hurried("has:attachment")).await.is_empty());
    let by_bob = SearchRequest { from: Some(bob.id), ..hurried("tea") };
    let in_room = SearchRequest { room: Some(room), ..hurried("old") };
    for wanted in [by_bob, in_room] {
        let found = pages(&world, wanted).await;
        assert_eq!(found.iter().map(|hit| hit.message.id).collect::<Vec<_>>(), [oldest]);
    }
    let mut early = hurried("t*");
    early.query.before = Some(until);
    assert_eq!(pages(&world, early.clone()).await.len(), 1);
    // Also where the search began with a window that others have filled.
    early.window = Some(SearchWindow { high: i64::MAX, low: Some(0), after: None });
    assert_eq!(pages(&world, early).await.len(), 1);
}

/// Whatever is typed gets an answer, and the words of any text find it.
pub async fn no_query_is_too_odd(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;
    let mut runner = TestRunner::deterministic();
    let odd = [
        "\"",
        "'",
        "a AND b OR NOT (c",
        "NEAR(a b)",
        "words:x",
        "x^2 + *",
        "a' & 'b",
        "<->",
        "!!",
        "a:*b",
        "\\",
        "%_",
        "-\"",
        "{a b}",
        "col : \"x\"",
        "*",
    ];
    for query in odd {
        find(&world, &ada, query).await;
    }
    for _ in 0..48 {
        let body = "[a-zA-Z0-9 .,!?'\"()*:%_\\-äßñЖ中文かながعرب🎉\u{301}\u{200d}]{1,40}"
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let words: Vec<String> =
            parlor_domain::search::words(&body).into_iter().map(|word| word.text).collect();
        world.said(room, &ada, &body).await;
        let few: Vec<String> = words.into_iter().take(8).collect();
        if few.is_empty() {
            continue;
        }
        let found = find(&world, &ada, &few.join(" ")).await;
        assert!(found.contains(&body), "{body:?} is not found by {few:?}: {found:?}");
    }
}

/// The longest text there can be, of words that are all different and grow in lower case, is kept and
/// found by the first of them.
pub async fn text_of_very_many_words_is_kept_and_found(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;
    // The first of them are the last in the order of an index.
    let word = |n: usize| format!("{}{:04}", "Ⱥ".repeat(60), 9_999 - n);
    let mut body = String::new();
    for n in 0..8_388 {
        body.push_str(&word(n));
        body.push(' ');
    }
    assert!((1_040_000..=1 << 20).contains(&body.len()), "{}", body.len());
    let message = world.said(room, &ada, &body).await;

    // Each has 184 bytes in lower case, so 5,434 of them count.
    for n in [0, 100, 3_000, 5_433] {
        assert_eq!(find_ids(&world, &ada, &word(n)).await, [message], "word {n}");
    }
    for n in [5_434, 8_387] {
        assert!(find_ids(&world, &ada, &word(n)).await.is_empty(), "word {n}");
    }
    world.add(room, &ada, Intent::Redact { message }).await;
    assert!(find_ids(&world, &ada, &word(0)).await.is_empty());
}

async fn find_ids(world: &World, user: &UserRef, query: &str) -> Vec<MessageId> {
    let hits = pages(world, request(user, query)).await;
    hits.into_iter().map(|hit| hit.message.id).collect()
}

/// A moderator who changes roles and a mute do not hide a room from search.
pub async fn muted_member_still_finds(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let room = world.public(&ada, &[&bob]).await;
    world.said(room, &ada, "tea").await;
    world.add(room, &ada, Intent::Mute { user: bob.id, until: None, reason: None }).await;
    world.add(room, &ada, Intent::SetRole { user: bob.id, role: Role::Moderator }).await;
    assert_eq!(find(&world, &bob, "tea").await, ["tea"]);
}
