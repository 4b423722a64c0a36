use futures_util::FutureExt;
use tokio::time::sleep;

use super::*;
use crate::Usage;

fn after(wait: u64, chunk: ChatChunk) -> (Duration, Result<ChatChunk, ProviderError>) {
    (Duration::from_secs(wait), Ok(chunk))
}

fn text(text: &str) -> ChatChunk {
    ChatChunk::Text(text.to_owned())
}

fn finished() -> ChatChunk {
    ChatChunk::Finished { usage: Usage::default(), reason: FinishReason::Stop }
}

fn progress(percent: Option<u8>) -> ChatChunk {
    ChatChunk::Progress { detail: "working".to_owned(), percent }
}

async fn run(
    steps: Vec<(Duration, Result<ChatChunk, ProviderError>)>,
) -> Vec<Result<ChatChunk, ProviderError>> {
    let inner = stream::iter(steps).then(|(wait, item)| sleep(wait).map(move |()| item));
    limited(Box::pin(inner), TimeLimits::default(), 7).collect().await
}

fn timed_out(stage: TimeoutStage) -> Result<ChatChunk, ProviderError> {
    Err(ProviderError::TimedOut { stage })
}

#[tokio::test(start_paused = true)]
async fn first_token_has_its_own_limit() {
    let in_time = run(vec![after(59, text("a")), after(0, finished())]).await;
    let late = run(vec![after(61, text("a")), after(0, finished())]).await;

    assert_eq!(in_time, [Ok(text("a")), Ok(finished())]);
    assert_eq!(late, [timed_out(TimeoutStage::FirstToken)]);
}

#[tokio::test(start_paused = true)]
async fn a_pause_in_the_middle_ends_the_reply_after_the_text_so_far() {
    let items = run(vec![after(0, text("a")), after(31, text("b"))]).await;

    assert_eq!(items, [Ok(text("a")), timed_out(TimeoutStage::BetweenTokens)]);
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_never_pauses_ends_at_the_total_limit() {
    let items = run((0..100).map(|_| after(21, text("a"))).collect()).await;

    assert_eq!(items.len(), 15);
    assert_eq!(items.last(), Some(&timed_out(TimeoutStage::Total)));
}

#[tokio::test(start_paused = true)]
async fn a_download_may_take_longer_than_a_reply() {
    let mut steps: Vec<_> = (0..20).map(|n| after(50, progress(Some(n * 5)))).collect();
    steps.extend([after(50, text("a")), after(0, finished())]);

    let items = run(steps).await;

    assert_eq!(items.last(), Some(&Ok(finished())));
}

#[tokio::test(start_paused = true)]
async fn thinking_postpones_the_first_token_but_not_the_end() {
    let items = run((0..100).map(|_| after(40, progress(None))).collect()).await;

    assert_eq!(items, [Ok(progress(None)), timed_out(TimeoutStage::Total)]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_an_ending_is_truncated() {
    assert_eq!(run(vec![]).await, [Err(ProviderError::Truncated)]);
    assert_eq!(
        run(vec![after(0, text("a"))]).await,
        [Ok(text("a")), Err(ProviderError::Truncated)]
    );
}

#[tokio::test(start_paused = true)]
async fn empty_text_is_left_out() {
    let items = run(vec![after(0, text("")), after(0, finished())]).await;

    assert_eq!(items, [Ok(finished())]);
}

#[tokio::test(start_paused = true)]
async fn too_much_text_is_cut_at_a_character_and_finished() {
    let piece = "€".repeat(1000);

    let items = run((0..200).map(|_| after(0, text(&piece))).collect()).await;

    let total: usize = items
        .iter()
        .map(|item| match item {
            Ok(ChatChunk::Text(text)) => text.len(),
            _ => 0,
        })
        .sum();
    assert_eq!(total, MAX_TEXT_BYTES / 3 * 3);
    let Some(Ok(ChatChunk::Finished { usage, reason })) = items.last() else {
        panic!("no ending");
    };
    assert_eq!(*reason, FinishReason::Length);
    assert!(usage.estimated);
    assert_eq!(usage.prompt_tokens, 7);
}

#[tokio::test(start_paused = true)]
async fn text_of_exactly_the_bound_is_not_cut() {
    let all = "a".repeat(MAX_TEXT_BYTES);

    let items = run(vec![after(0, text(&all)), after(0, finished())]).await;

    assert_eq!(items, [Ok(text(&all)), Ok(finished())]);
}

#[tokio::test(start_paused = true)]
async fn text_after_the_bound_was_reached_exactly_finishes_the_reply() {
    let all = "a".repeat(MAX_TEXT_BYTES);

    let items = run(vec![after(0, text(&all)), after(0, text("b")), after(0, finished())]).await;

    assert_eq!(items.len(), 2);
    assert!(matches!(items[1], Ok(ChatChunk::Finished { reason: FinishReason::Length, .. })));
}
