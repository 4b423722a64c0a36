use super::*;

async fn decode(pieces: &[&str]) -> Vec<Result<ChatChunk, ProviderError>> {
    let pieces: Vec<_> = pieces.iter().map(|piece| Ok((*piece).to_owned().into())).collect();
    stream(stream::iter(pieces).boxed(), 7).collect().await
}

#[expect(clippy::unnecessary_wraps, reason = "compared with the items of a reply")]
fn text(text: &str) -> Result<ChatChunk, ProviderError> {
    Ok(ChatChunk::Text(text.to_owned()))
}

#[expect(clippy::unnecessary_wraps, reason = "compared with the items of a reply")]
fn finished(usage: Usage, reason: FinishReason) -> Result<ChatChunk, ProviderError> {
    Ok(ChatChunk::Finished { usage, reason })
}

const REPORTED: Usage = Usage { prompt_tokens: 3, completion_tokens: 5, estimated: false };
const ESTIMATED: Usage = Usage { prompt_tokens: 7, completion_tokens: 1, estimated: true };

const HI: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
const STOP: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":5}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

#[tokio::test]
async fn text_usage_and_end_come_in_order() {
    let items = decode(&[HI, STOP, USAGE, DONE]).await;

    assert_eq!(items, [text("hi"), finished(REPORTED, FinishReason::Stop)]);
}

#[tokio::test]
async fn usage_in_the_way_of_groq_counts() {
    let last = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}],\"x_groq\":\
                {\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":5,\"total_time\":0.1}}}\n\n";

    let items = decode(&[HI, last, DONE]).await;

    assert_eq!(items, [text("hi"), finished(REPORTED, FinishReason::Length)]);
}

#[tokio::test]
async fn absent_usage_is_estimated_and_marked() {
    assert_eq!(
        decode(&[HI, STOP, DONE]).await,
        [text("hi"), finished(ESTIMATED, FinishReason::Stop)]
    );
    let null = HI.replace("}]}", "}],\"usage\":null}");
    assert_eq!(
        decode(&[&null, STOP, DONE]).await,
        [text("hi"), finished(ESTIMATED, FinishReason::Stop)]
    );
}

#[tokio::test]
async fn either_a_finish_reason_or_done_completes_the_reply() {
    let expected = [text("hi"), finished(ESTIMATED, FinishReason::Stop)];

    assert_eq!(decode(&[HI, STOP]).await, expected);
    assert_eq!(decode(&[HI, DONE]).await, expected);
    assert_eq!(decode(&[HI, "data:[DONE]"]).await, expected);
}

#[tokio::test]
async fn an_end_without_either_is_truncated() {
    assert_eq!(decode(&[]).await, [Err(ProviderError::Truncated)]);
    assert_eq!(decode(&[HI]).await, [text("hi"), Err(ProviderError::Truncated)]);
    assert_eq!(
        decode(&[HI, "data: {\"choices\":[{\"del"]).await,
        [text("hi"), Err(ProviderError::Truncated)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_lingers_after_the_finish_reason_does_not_delay_the_end_for_long() {
    let pieces = stream::iter([Ok(HI.into()), Ok(STOP.into())]).chain(stream::pending());

    let items: Vec<_> = super::stream(pieces.boxed(), 7).collect().await;

    assert_eq!(items, [text("hi"), finished(ESTIMATED, FinishReason::Stop)]);
}

#[tokio::test]
async fn garbage_is_malformed() {
    assert_eq!(
        decode(&[HI, "data: {not json}\n\n", DONE]).await,
        [text("hi"), Err(ProviderError::Malformed)]
    );
}

#[tokio::test]
async fn an_error_in_the_stream_ends_the_reply_with_its_kind() {
    let limited = "data: {\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"m\"}}\n\n";

    assert_eq!(
        decode(&[HI, "event: error\ndata: overloaded\n\n"]).await,
        [text("hi"), Err(ProviderError::ErrorInStream)]
    );
    assert_eq!(decode(&["data: {\"error\":\"m\"}\n\n"]).await, [Err(ProviderError::ErrorInStream)]);
    assert_eq!(decode(&[limited]).await, [Err(ProviderError::RateLimited { retry_after: None })]);
}

#[tokio::test]
async fn thinking_shows_as_progress_and_not_as_text() {
    let thinking = "data: {\"choices\":[{\"delta\":{\"content\":\"\",\"reasoning\":\"hm\"}}]}\n\n";
    let items = decode(&[thinking, HI, STOP]).await;

    let progress = ChatChunk::Progress { detail: "thinking".to_owned(), percent: None };
    assert_eq!(items, [Ok(progress), text("hi"), finished(ESTIMATED, FinishReason::Stop)]);
}

#[tokio::test]
async fn nothing_follows_the_end() {
    assert_eq!(decode(&[HI, DONE, HI, DONE]).await.len(), 2);
}
