use proptest::prelude::*;

use super::*;
use crate::{ChatMessage, Usage};

fn ask(content: &str) -> ChatRequest {
    ChatRequest {
        model: NAME.to_owned(),
        messages: vec![
            ChatMessage::new(Role::System, "count 3"),
            ChatMessage::new(Role::User, "code"),
            ChatMessage::new(Role::Assistant, "markdown"),
            ChatMessage::new(Role::User, content),
        ],
        temperature: None,
        max_tokens: None,
    }
}

async fn chunks(content: &str) -> Vec<ChatChunk> {
    let demo = DemoProvider::default().with_delay_per_word(Duration::ZERO);
    demo.chat(ask(content)).await.unwrap().map(Result::unwrap).collect().await
}

async fn reply(content: &str) -> String {
    let text = |chunk| match chunk {
        ChatChunk::Text(text) => Some(text),
        _ => None,
    };
    chunks(content).await.into_iter().filter_map(text).collect()
}

#[tokio::test]
async fn counting_gives_one_number_a_chunk_and_then_the_usage() {
    let chunks = chunks("ada: @guide count 3").await;

    let (end, numbers) = chunks.split_last().unwrap();
    let numbers: Vec<_> = numbers.to_vec();
    assert_eq!(numbers, ["1 ", "2 ", "3"].map(|n| ChatChunk::Text(n.to_owned())));
    let ChatChunk::Finished {
        usage: Usage { prompt_tokens, completion_tokens, estimated }, ..
    } = end
    else {
        panic!("no ending");
    };
    assert!(*estimated && *prompt_tokens > 16 && *completion_tokens == 2);
}

#[tokio::test]
async fn echo_gives_the_text_back_unchanged() {
    assert_eq!(reply("@guide echo one  two\n\nthree ✓").await, "one  two\n\nthree ✓");
}

#[tokio::test]
async fn answers_that_could_be_taken_for_a_model_say_what_they_are() {
    for asked in ["hello", "what is love", "markdown", "code", "echo", "count x"] {
        let reply = reply(asked).await;
        assert!(reply.contains("built-in demo"), "{asked}: {reply}");
    }
}

#[tokio::test]
async fn help_names_every_way_to_connect_a_model() {
    let reply = reply("help").await;

    for name in ["OLLAMA_HOST", "GROQ_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "LLM_MODEL"] {
        assert!(reply.contains(name), "{name}");
    }
}

#[tokio::test]
async fn markdown_and_code_hold_what_a_page_has_to_render() {
    let markdown = reply("markdown").await;
    for part in ["# ", "1. ", "|:--|", "> ", "](https://"] {
        assert!(markdown.contains(part), "{part}");
    }

    for language in ["rust", "python", "bash"] {
        let code = reply(&format!("code {language}")).await;
        assert!(code.contains(&format!("```{language}\n")), "{code}");
        assert_eq!(code.matches("```").count(), 2);
    }
}

#[tokio::test]
async fn anything_else_is_answered_with_the_number_of_words() {
    assert!(reply("tell me a story").await.contains("You wrote 4 words."));
    assert!(reply("story").await.contains("You wrote 1 word."));
}

#[tokio::test(start_paused = true)]
async fn words_come_at_the_configured_pace() {
    let began = tokio::time::Instant::now();
    let demo = DemoProvider::default();

    let count = demo.chat(ask("count 100")).await.unwrap().count().await;

    assert_eq!(count, 101);
    assert_eq!(began.elapsed(), Duration::from_millis(2500));
}

proptest! {
    #[test]
    fn words_put_together_are_the_text(text in "[a-z \n\t€]{0,40}[a-z]") {
        let pieces: Vec<String> = words(text.clone()).collect();
        prop_assert_eq!(pieces.concat(), text);
    }
}
