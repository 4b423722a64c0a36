//! What the demo says.

use super::command::{Language, MAX_COUNT};

pub(super) const HELP: &str = "\
Hello! I am **Parlor's built-in demo**. I am not a language model: my answers are fixed, and \
I am here so that you can try the rooms before you connect a real model.

**How it works**

- People and bots share a *room*. Everyone in it sees every message, and every word of a bot's \
reply as it is written.
- Write `@` and a bot's name to ask it, for example `@guide help`.
- Anyone the room allows can stop a reply while it is being written.

**What I can do**

- `echo TEXT` repeats your text
- `count N` counts to N, one number at a time, so that you can try to stop me
- `markdown` shows headings, a list, a table, a quote and a link
- `code rust`, `code python` or `code bash` shows a code block

**How to connect a real model**

Start Parlor again with one of these settings:

- a running [Ollama](https://ollama.com) is found by itself; if it is elsewhere, set `OLLAMA_HOST`
- `GROQ_API_KEY` for Groq
- `OPENAI_API_KEY` for OpenAI; add `OPENAI_BASE_URL` for any other server with the same API
- `LLM_MODEL` picks the model

`parlor doctor` says which model is used and why.
";

pub(super) const ECHO_NOTHING: &str = "I am the built-in demo, and I repeat what you write after `echo`. For example: `echo good morning`";

pub(super) const COUNT_WHAT: &str = "I am the built-in demo, and I count from 1 to any number up to 10000. For example: `count 100`";

pub(super) const MARKDOWN: &str = "\
# A heading

Some text with **bold**, *italic*, ~~struck~~ and `inline code`.

## A list

1. first
2. second
   - nested
   - nested too

## A table

| dish | minutes | warm |
|:--|--:|:-:|
| soup | 25 | yes |
| salad | 10 | no |

## A quote and a link

> What is written without effort is in general read without pleasure.

Read more about [Markdown](https://commonmark.org/help/).

---

This is the built-in demo, not a language model.
";

const RUST: &str = r#"```rust
use std::collections::HashMap;

/// Counts how often each word occurs.
fn count_words(text: &str) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for word in text.split_whitespace() {
        *counts.entry(word).or_default() += 1;
    }
    counts
}

fn main() {
    println!("{:?}", count_words("to be or not to be"));
}
```"#;

const PYTHON: &str = r#"```python
from collections import Counter


def count_words(text: str) -> Counter[str]:
    """Count how often each word occurs."""
    return Counter(text.split())


if __name__ == "__main__":
    print(count_words("to be or not to be"))
```"#;

const BASH: &str = r"```bash
#!/usr/bin/env bash
# Counts how often each word of standard input occurs.
set -euo pipefail

tr -s '[:space:]' '\n' | sort | uniq -c | sort -rn
```";

pub(super) fn code(language: Language) -> String {
    let (name, block) = match language {
        Language::Rust => ("Rust", RUST),
        Language::Python => ("Python", PYTHON),
        Language::Bash => ("Bash", BASH),
    };
    format!("The built-in demo keeps this {name} example ready:\n\n{block}\n")
}

pub(super) fn other(words: usize) -> String {
    let plural = if words == 1 { "word" } else { "words" };
    format!(
        "I am Parlor's built-in demo, not a language model, so I cannot answer that. You wrote \
         {words} {plural}. I can do `help`, `echo TEXT`, `count N` (up to {MAX_COUNT}), \
         `markdown` and `code rust`. Write `help` to see how to connect a real model.\n"
    )
}
