//! Jobs: queued with their trigger, claimed with a lease, ended once.

use std::time::Duration;

use parlor_domain::permission::Refused;
use parlor_protocol::event::{EventBody, MessageCompleted};
use parlor_protocol::http::Trigger;
use parlor_protocol::id::{JobId, MessageId, RoomId};
use parlor_protocol::message::{Message, MessageStatus};
use parlor_protocol::room::RoomKind;
use parlor_protocol::user::UserRef;
use uuid::Uuid;

use super::world::{LEASE, World, complete, start, text};
use super::{Factory, MAX_HOPS};
use crate::append::{AppendRefused, Appended, Intent, NewMessage};
use crate::record::{BegunReply, BotRecord, CancelOutcome, Checkpoint, ClaimedJob, Lease};

/// Ada, the bot that is called by every message, and their room.
async fn one_bot(world: &World) -> (UserRef, UserRef, RoomId) {
    let ada = world.user("ada").await;
    let guide = world.bot("guide", Trigger::Always).await;
    let room = world.public(&ada, &[&guide]).await;
    (ada, guide, room)
}

fn new_reply() -> MessageId {
    MessageId(Uuid::new_v4())
}

fn completed(body: &EventBody) -> &MessageCompleted {
    match body {
        EventBody::MessageCompleted(completed) => completed,
        other => panic!("not the end of a reply: {other:?}"),
    }
}

/// Ends a claimed job with a text.
async fn reply(world: &World, job: &ClaimedJob, bot: &UserRef, body: &str) -> MessageId {
    let message = new_reply();
    let end = complete(job.id, job.generation, message, MessageStatus::Completed, body);
    world.add(job.room, bot, end).await;
    message
}

/// The replies and the number of their endings in the log.
async fn replies_and_endings(world: &World, room: RoomId) -> (Vec<Message>, usize) {
    let replies = world.messages(room).await.into_iter().filter(|message| message.bot.is_some());
    let endings = world.events(room).await;
    let endings = endings.iter().filter(|event| event.body.kind() == "message.completed");
    (replies.collect(), endings.count())
}

/// Each bot that is called gets one job, and the positions count the queue of the room.
pub async fn message_queues_one_job_for_each_bot_that_it_calls(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let guide = world.bot("guide", Trigger::Mention).await;
    let other = world.bot("other", Trigger::Mention).await;
    let absent = world.bot("absent", Trigger::Always).await;
    let room = world.public(&ada, &[&guide, &other]).await;

    let (_, none) = world.say(room, &ada, "hello all").await;
    let (_, both) = world.say(room, &ada, "hello @guide and @other and @absent").await;
    let (_, third) = world.say(room, &ada, "again @guide").await;

    assert!(none.is_empty());
    let called = |jobs: &[crate::append::QueuedJob]| -> Vec<_> {
        jobs.iter().map(|job| (job.bot.id, job.position)).collect()
    };
    assert_eq!(called(&both), [(guide.id, 1), (other.id, 2)]);
    assert_eq!(called(&third), [(guide.id, 3)]);
    assert!(!called(&both).iter().any(|(bot, _)| *bot == absent.id));
    assert_eq!(world.store().count_jobs().await.unwrap(), (3, 0));
}

/// A claim brings all that a worker needs, and is the only one.
pub async fn job_is_claimed_once_with_all_that_it_needs(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let (ada, guide, room) = one_bot(&world).await;
    let (trigger, jobs) = world.say(room, &ada, "hello").await;

    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = world.shared();
        tasks.spawn(async move { store.claim_job(Uuid::new_v4(), LEASE, &[]).await.unwrap() });
    }
    let claims: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();

    assert_eq!(claims.len(), 1);
    let claim = &claims[0];
    assert_eq!((claim.id, claim.room, claim.trigger.id), (jobs[0].job, room, trigger));
    assert_eq!((claim.generation, claim.attempt), (1, 1));
    assert_eq!((&claim.bot.user, claim.bot.trigger), (&guide, Trigger::Always));
    assert_eq!((claim.begun.clone(), claim.cancel_requested), (None, false));
    assert_eq!(world.store().count_jobs().await.unwrap(), (0, 1));
}

/// A reply is one message with one beginning and one end.
pub async fn reply_begins_once_and_ends_once(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let (ada, guide, room) = one_bot(&world).await;
    let trigger = world.said(room, &ada, "hello").await;
    let job = world.claim().await.unwrap();
    let message = new_reply();

    let begun = world.add(room, &guide, start(job.id, 1, message)).await;
    let again = world.append(room, &guide, start(job.id, 1, new_reply())).await.unwrap();
    let ended = world
        .add(room, &guide, complete(job.id, 1, new_reply(), MessageStatus::Completed, "hi Ada"))
        .await;
    let repeated = complete(job.id, 1, message, MessageStatus::Completed, "hi Ada");
    let repeated = world.append(room, &guide, repeated).await.unwrap();
    let twice = complete(job.id, 1, message, MessageStatus::Completed, "hi again");
    let twice = world.append(room, &guide, twice).await;

    let EventBody::MessageCreated(created) = &begun[0].body else { panic!("not a reply") };
    assert_eq!((created.id, created.status), (message, MessageStatus::Streaming));
    let bot = created.bot.as_ref().unwrap();
    assert_eq!(
        (bot.trigger, bot.provider.as_str(), bot.model.as_str()),
        (trigger, "demo", "demo-1")
    );
    assert!(matches!(again, Appended::Repeat { event } if event.seq == begun[0].seq));
    assert_eq!(completed(&ended[0].body).message, message, "the id of the beginning counts");
    assert_eq!(repeated, Appended::Repeat { event: ended[0].clone() }, "the answer was lost");
    assert_eq!(twice, Err(AppendRefused::StaleGeneration));
    let stored = world.message(room, message).await;
    assert_eq!((stored.body.as_str(), stored.status), ("hi Ada", MessageStatus::Completed));
    assert_eq!(stored.usage.unwrap().prompt_tokens, 7);
    assert_eq!(stored.seq, begun[0].seq);
    assert_eq!(world.store().list_replies(room, trigger).await.unwrap(), [stored]);
    assert_eq!(world.store().count_jobs().await.unwrap(), (0, 0));
    assert!(world.claim().await.is_none());
}

/// A reply that ends without having begun has both events, in order.
pub async fn reply_that_had_not_begun_begins_and_ends_at_once(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let (ada, guide, room) = one_bot(&world).await;
    world.said(room, &ada, "hello").await;
    let job = world.claim().await.unwrap();
    let message = new_reply();
    let mut end = complete(job.id, 1, message, MessageStatus::Failed, "");
    if let Intent::CompleteReply { end, .. } = &mut end {
        end.error = Some(parlor_protocol::message::ReplyError {
            code: parlor_protocol::code::Code::ProviderUnavailable,
            detail: "the model does not answer".to_owned(),
        });
    }

    let events = world.add(room, &guide, end).await;

    let kinds: Vec<_> = events.iter().map(|event| event.body.kind()).collect();
    assert_eq!(kinds, ["message.created", "message.completed"]);
    let EventBody::MessageCreated(created) = &events[0].body else { panic!("not a reply") };
    assert_eq!((created.status, created.body.as_str()), (MessageStatus::Streaming, ""));
    let stored = world.message(room, message).await;
    assert_eq!(stored.status, MessageStatus::Failed);
    assert_eq!(stored.error, completed(&events[1].body).error.clone());
    assert_eq!(world.store().list_streaming(room).await.unwrap(), []);
}

/// When a lease ends another worker takes over the same message; nothing that the first one does
/// counts any more.
pub async fn worker_that_lost_its_lease_can_write_nothing(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let (ada, guide, room) = one_bot(&world).await;
    world.said(room, &ada, "hello").await;
    let zombie = world.claim().await.unwrap();
    let message = new_reply();
    world.add(room, &guide, start(zombie.id, 1, message)).await;
    let so_far = "so far".to_owned();
    let held = store.checkpoint_reply(zombie.id, 1, 4, so_far, LEASE).await.unwrap();
    assert_eq!(held, Lease::Held { cancel_requested: false });
    assert!(world.claim().await.is_none(), "the lease holds");

    store.renew_lease(zombie.id, 1, Duration::ZERO).await.unwrap();
    let heir = world.claim().await.unwrap();

    assert_eq!((heir.id, heir.generation, heir.attempt), (zombie.id, 2, 2));
    let begun = BegunReply { message, text: "so far".to_owned() };
    assert_eq!(heir.begun, Some(begun));
    assert_eq!(store.renew_lease(zombie.id, 1, LEASE).await.unwrap(), Lease::Lost);
    let late = store.checkpoint_reply(zombie.id, 1, 5, "zombie".to_owned(), LEASE).await.unwrap();
    assert_eq!(late, Lease::Lost);
    store.release_job(zombie.id, 1, Duration::ZERO).await.unwrap();
    let stale = Err(AppendRefused::StaleGeneration);
    assert_eq!(world.append(room, &guide, start(zombie.id, 1, message)).await, stale);
    let end = complete(zombie.id, 1, message, MessageStatus::Completed, "zombie");
    assert_eq!(world.append(room, &guide, end).await, stale);

    let taken = world.append(room, &guide, start(heir.id, 2, new_reply())).await.unwrap();
    assert!(matches!(taken, Appended::Repeat { .. }), "the same message goes on");
    let streaming = store.list_streaming(room).await.unwrap();
    let anew = Checkpoint { message, turn: 2, chunk: 0, text: String::new() };
    assert_eq!(streaming, [anew], "a new turn begins its text anew");
    world.add(room, &guide, complete(heir.id, 2, message, MessageStatus::Completed, "heir")).await;
    let end = complete(zombie.id, 1, message, MessageStatus::Completed, "zombie");
    assert_eq!(world.append(room, &guide, end).await, stale);
    let (replies, endings) = replies_and_endings(&world, room).await;
    assert_eq!((replies.len(), replies[0].body.as_str(), endings), (1, "heir", 1));
}

/// A prolonged lease holds longer; one that is given back is due when it says.
pub async fn lease_is_prolonged_and_given_back(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let (ada, _, room) = one_bot(&world).await;
    world.said(room, &ada, "hello").await;
    let job = world.claim_for(Duration::ZERO).await.unwrap();

    let held = store.renew_lease(job.id, 1, LEASE).await.unwrap();
    assert_eq!(held, Lease::Held { cancel_requested: false });
    assert!(world.claim().await.is_none());
    store.release_job(job.id, 1, LEASE).await.unwrap();
    assert!(world.claim().await.is_none(), "not due yet");
    assert_eq!(store.count_jobs().await.unwrap(), (1, 0));
    assert_eq!(store.renew_lease(job.id, 1, LEASE).await.unwrap(), Lease::Lost);
    world.said(room, &ada, "hello again").await;
    let job = world.claim().await.unwrap();
    store.release_job(job.id, 1, Duration::ZERO).await.unwrap();
    assert_eq!(world.claim().await.unwrap().generation, 2);
    assert_eq!(store.release_all_leases().await.unwrap(), 1);
    assert_eq!(world.claim().await.unwrap().generation, 3);
    let unknown = store.renew_lease(JobId(Uuid::new_v4()), 1, LEASE).await.unwrap();
    assert_eq!(unknown, Lease::Lost);
}

/// A worker that is stopped on purpose costs the reply no attempt, however often it happens; one that
/// fails does.
pub async fn claim_that_was_handed_over_is_no_attempt(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let (ada, guide, room) = one_bot(&world).await;
    world.said(room, &ada, "hello").await;
    let message = new_reply();

    for generation in 1..=5 {
        let job = world.claim().await.unwrap();
        assert_eq!((job.generation, job.attempt), (generation, 1));
        world.append(room, &guide, start(job.id, generation, message)).await.unwrap();
        store.hand_over_job(job.id, generation - 1).await.unwrap();
        assert!(world.claim().await.is_none(), "a stale claim gives nothing away");
        store.hand_over_job(job.id, generation).await.unwrap();
        assert_eq!(store.renew_lease(job.id, generation, LEASE).await.unwrap(), Lease::Lost);
    }
    let failed = world.claim().await.unwrap();
    store.release_job(failed.id, failed.generation, Duration::ZERO).await.unwrap();
    let next = world.claim().await.unwrap();

    assert_eq!((next.generation, next.attempt), (7, 2));
    assert_eq!(next.begun.unwrap().message, message);
}

/// What counts is the job that could have been claimed for the longest time.
pub async fn longest_wait_is_that_of_a_job_that_is_due(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let (ada, _, room) = one_bot(&world).await;
    assert_eq!(store.find_longest_wait().await.unwrap(), None);

    world.said(room, &ada, "hello").await;
    assert!(store.find_longest_wait().await.unwrap().is_some());
    let job = world.claim().await.unwrap();
    assert_eq!(store.find_longest_wait().await.unwrap(), None, "it is held");
    store.release_job(job.id, 1, LEASE).await.unwrap();
    assert_eq!(store.find_longest_wait().await.unwrap(), None, "it is due later");
    world.said(room, &ada, "hello again").await;
    let job = world.claim_for(Duration::ZERO).await.unwrap();
    assert_eq!(job.generation, 1);
    let waited = store.find_longest_wait().await.unwrap();
    assert!(waited.is_some_and(|waited| waited < LEASE), "its lease has ended: {waited:?}");
}

/// A bot answers one message of a room after the other, oldest first; rooms do not wait for each
/// other.
pub async fn bot_works_at_one_message_of_a_room_at_a_time(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let (ada, guide, room) = one_bot(&world).await;
    let other = world.public(&ada, &[&guide]).await;
    let one = world.said(room, &ada, "one").await;
    let two = world.said(room, &ada, "two").await;
    let elsewhere = world.said(other, &ada, "elsewhere").await;

    let first = world.claim().await.unwrap();
    let second = world.claim().await.unwrap();
    assert_eq!((first.trigger.id, second.trigger.id), (one, elsewhere));
    assert!(world.claim().await.is_none(), "the bot is busy in both rooms");
    reply(&world, &first, &guide, "done").await;
    assert_eq!(world.claim().await.unwrap().trigger.id, two);
}

/// Of the jobs that are due, one of the room with the fewest held ones is next: a busy room does not
/// keep the others waiting.
pub async fn rooms_take_turns(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let (ada, guide, room) = one_bot(&world).await;
    let critic = world.bot("critic", Trigger::Always).await;
    let third = world.bot("third", Trigger::Always).await;
    for bot in [&critic, &third] {
        world.add(room, &ada, Intent::Invite { user: bot.id }).await;
    }
    let other = world.public(&ada, &[&guide]).await;
    world.said(room, &ada, "three are called").await;
    world.said(other, &ada, "one is called").await;

    let mut rooms = Vec::new();
    while let Some(job) = world.claim().await {
        rooms.push(job.room);
    }

    assert_eq!(rooms, [room, other, room, room]);
}

/// Jobs of a provider that is busy are passed over, unless they only have to be ended.
pub async fn job_of_a_busy_provider_is_passed_over(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let (ada, _, room) = one_bot(&world).await;
    let (user, record) = world.new_bot("plain", Trigger::Always);
    let record = BotRecord { provider: None, ..record };
    let plain = world.store().create_bot(user, record).await.unwrap().unwrap().user;
    let other = world.public(&ada, &[&plain]).await;
    let first = world.said(room, &ada, "one").await;
    world.said(other, &ada, "two").await;
    let claim = |busy: &[&str]| {
        let busy: Vec<String> = busy.iter().map(|name| (*name).to_owned()).collect();
        let store = world.shared();
        async move { store.claim_job(Uuid::new_v4(), LEASE, &busy).await.unwrap() }
    };

    assert_eq!(claim(&["demo", ""]).await, None);
    assert_eq!(claim(&["demo", "elsewhere"]).await.unwrap().room, other);
    assert_eq!(claim(&["demo"]).await, None);
    world.store().cancel_reply(room, first, ada.id, world.now()).await.unwrap().unwrap();
    let stopped = claim(&["demo"]).await.unwrap();
    assert!(stopped.room == room && stopped.cancel_requested);
}

/// Whoever waits can be told their place: those that are held come first.
pub async fn waiting_jobs_are_listed_with_their_places(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let (ada, guide, room) = one_bot(&world).await;
    let other = world.public(&ada, &[&guide]).await;
    let mut jobs = Vec::new();
    for body in ["one", "two", "three", "four"] {
        jobs.push(world.say(room, &ada, body).await.1.remove(0));
    }
    world.said(other, &ada, "elsewhere").await;
    let held = world.claim().await.unwrap();
    assert_eq!(held.id, jobs[0].job);

    let waiting = world.store().list_waiting(room, 2).await.unwrap();
    assert_eq!(waiting, jobs[1..3]);
    world.store().renew_lease(held.id, 1, Duration::ZERO).await.unwrap();
    let all = world.store().list_waiting(room, 10).await.unwrap();
    assert_eq!(all, jobs, "a lease that has ended holds nothing");
}

/// Any member who may write stops a reply, by the reply or by the message that called.
pub async fn reply_is_stopped_by_either_of_its_names(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let (ada, guide, room) = one_bot(&world).await;
    let bob = world.user("bob").await;
    let eve = world.user("eve").await;
    world.add(room, &bob, Intent::Join { invite: None }).await;
    let trigger = world.said(room, &ada, "hello").await;
    let waiting = world.said(room, &ada, "and then").await;
    let job = world.claim().await.unwrap();
    let message = new_reply();
    world.add(room, &guide, start(job.id, 1, message)).await;

    let by_stranger = store.cancel_reply(room, message, eve.id, world.now()).await.unwrap();
    assert_eq!(by_stranger, Err(AppendRefused::Rule(Refused::NotAMember)));
    let asked = store.cancel_reply(room, message, bob.id, world.now()).await.unwrap();
    assert_eq!(asked, Ok(CancelOutcome::Requested(job.id)));
    let held = store.renew_lease(job.id, 1, LEASE).await.unwrap();
    assert_eq!(held, Lease::Held { cancel_requested: true });
    let by_trigger = store.cancel_reply(room, trigger, bob.id, world.now()).await.unwrap();
    assert_eq!(by_trigger, Ok(CancelOutcome::Requested(job.id)));
    let end = complete(job.id, 1, message, MessageStatus::Cancelled, "so far");
    world.add(room, &guide, end).await;
    let ended = store.cancel_reply(room, message, bob.id, world.now()).await.unwrap();
    assert_eq!(ended, Ok(CancelOutcome::Ended));

    let queued = store.cancel_reply(room, waiting, ada.id, world.now()).await.unwrap();
    let claimed = world.claim().await.unwrap();
    assert_eq!(queued, Ok(CancelOutcome::Requested(claimed.id)));
    assert!(claimed.cancel_requested, "the worker ends it as cancelled");
    let unrelated = store.cancel_reply(room, new_reply(), ada.id, world.now()).await.unwrap();
    assert_eq!(unrelated, Err(AppendRefused::NoSuchMessage));
}

/// A job that waits for its next attempt is due at once when someone stops it.
pub async fn stopped_job_does_not_wait_for_its_next_attempt(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let (ada, _, room) = one_bot(&world).await;
    let trigger = world.said(room, &ada, "hello").await;
    let job = world.claim().await.unwrap();
    world.store().release_job(job.id, 1, LEASE).await.unwrap();

    let asked = world.store().cancel_reply(room, trigger, ada.id, world.now()).await.unwrap();

    assert_eq!(asked, Ok(CancelOutcome::Requested(job.id)));
    assert!(world.claim().await.unwrap().cancel_requested);
}

/// Checkpoints are what those see who come in the middle of a reply.
pub async fn checkpoint_is_seen_by_those_who_come_later(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let (ada, guide, room) = one_bot(&world).await;
    world.said(room, &ada, "hello").await;
    let job = world.claim().await.unwrap();
    let message = new_reply();
    assert!(store.list_streaming(room).await.unwrap().is_empty());

    world.add(room, &guide, start(job.id, 1, message)).await;
    store.checkpoint_reply(job.id, 1, 8, "so far".to_owned(), LEASE).await.unwrap();

    let seen = Checkpoint { message, turn: 1, chunk: 8, text: "so far".to_owned() };
    assert_eq!(store.list_streaming(room).await.unwrap(), [seen]);
    world
        .add(room, &guide, complete(job.id, 1, message, MessageStatus::Interrupted, "so far"))
        .await;
    assert!(store.list_streaming(room).await.unwrap().is_empty());
}

/// A bot's final words call other bots, in the same unit, until the chain is long enough.
pub async fn bots_call_each_other_until_the_chain_is_long_enough(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let one = world.bot("one", Trigger::Mention).await;
    let two = world.bot("two", Trigger::Mention).await;
    let room = world.public(&ada, &[&one, &two]).await;
    world.said(room, &ada, "go @one").await;

    let mut n_replies = 0;
    while let Some(job) = world.claim().await {
        let (bot, other) = if job.bot.user.id == one.id { (&one, "two") } else { (&two, "one") };
        reply(&world, &job, bot, &format!("your turn, @{other}")).await;
        n_replies += 1;
        assert!(n_replies < 100, "they talk for ever");
    }

    assert_eq!(n_replies, MAX_HOPS);
    let (_, jobs) = world.say(room, &ada, "again @one").await;
    assert_eq!(jobs.len(), 1, "a person begins a new chain");
    let job = world.claim().await.unwrap();
    let end = complete(job.id, 1, new_reply(), MessageStatus::Cancelled, "your turn, @two");
    world.add(room, &one, end).await;
    assert!(world.claim().await.is_none(), "what was cut short calls nobody");
}

/// An answer to a bot calls it, and in a direct room every message does.
pub async fn answer_and_direct_room_call_a_bot(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let guide = world.bot("guide", Trigger::Mention).await;
    let room = world.public(&ada, &[&guide]).await;
    world.said(room, &ada, "@guide").await;
    let job = world.claim().await.unwrap();
    let said = reply(&world, &job, &guide, "yes?").await;

    let answer = NewMessage { reply_to: Some(said), ..text("and then?") };
    let answered = world.append(room, &ada, Intent::Publish(answer)).await.unwrap();
    let direct = world.room(RoomKind::Direct, &ada, &[&guide]).await;
    let (_, jobs) = world.say(direct, &ada, "hello").await;

    assert!(matches!(answered, Appended::New { jobs, .. } if jobs.len() == 1));
    assert_eq!(jobs.len(), 1);
}

/// A job is for its own bot, in its own room.
pub async fn job_of_another_bot_or_room_is_refused(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let (ada, guide, room) = one_bot(&world).await;
    let other_bot = world.bot("other", Trigger::Mention).await;
    world.add(room, &ada, Intent::Invite { user: other_bot.id }).await;
    let other_room = world.public(&ada, &[&guide]).await;
    world.said(room, &ada, "hello").await;
    let job = world.claim().await.unwrap();
    let seq = world.seq(room).await;

    for (room, actor) in [(room, &other_bot), (room, &ada), (other_room, &guide)] {
        let refused = world.append(room, actor, start(job.id, 1, new_reply())).await;
        assert_eq!(refused, Err(AppendRefused::StaleGeneration));
    }
    assert_eq!(world.seq(room).await, seq);
}

/// Whoever redacts a message stops the replies to it.
pub async fn redaction_stops_the_replies_to_it(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let (ada, guide, room) = one_bot(&world).await;
    let running = world.said(room, &ada, "one").await;
    let queued = world.said(room, &ada, "two").await;
    let job = world.claim().await.unwrap();
    let message = new_reply();
    world.add(room, &guide, start(job.id, 1, message)).await;

    let growing = world.append(room, &ada, Intent::Redact { message }).await;
    world.add(room, &ada, Intent::Redact { message: running }).await;
    world.add(room, &ada, Intent::Redact { message: queued }).await;

    assert_eq!(growing, Err(AppendRefused::NotChangeable), "a reply is stopped first");
    let held = world.store().renew_lease(job.id, 1, LEASE).await.unwrap();
    assert_eq!(held, Lease::Held { cancel_requested: true });
    world.add(room, &guide, complete(job.id, 1, message, MessageStatus::Cancelled, "")).await;
    let next = world.claim().await.unwrap();
    assert!(next.cancel_requested && next.trigger.body.is_empty());
    reply(&world, &next, &guide, "").await;
    let (replies, endings) = replies_and_endings(&world, room).await;
    assert_eq!((replies.len(), endings), (2, 2));
}
