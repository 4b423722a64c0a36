//! The words of a text are the same in the database and in the program.

use parlor_domain::search::words;
use tokio_postgres::NoTls;

use super::database;

fn lower(word: &str) -> String {
    word.chars().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c }).collect()
}

/// Tells whether the case of a letter came with a Unicode that the database may not know yet.
const fn has_new_case(c: char) -> bool {
    matches!(c, '\u{1c89}' | '\u{a7cb}'..='\u{a7dc}')
}

#[tokio::test]
async fn database_cuts_a_text_into_the_same_words() {
    let (_, url) = database();
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    let connection = tokio::task::JoinSet::from_iter([connection]);
    // Every character of the scripts that are written, and some of the others, between letters.
    let dense =
        |n: u32| n < 0x3400 || (0xa000..0xac00).contains(&n) || (0xd7a4..0x1_0000).contains(&n);
    let chars = (1..=0x10_ffff_u32)
        .filter(|n| dense(*n) || (0x1_d400..0x1_fb00).contains(n) || n.is_multiple_of(97))
        .filter_map(char::from_u32);
    let mut texts: Vec<String> = chars.map(|c| format!("q{c}q {c}")).collect();
    texts.push("long ".repeat(3) + &"é".repeat(200));
    texts.push("Crème BRÛLÉE… ﬁne½ 今日はtea時間 ОДИН two_three".to_owned());

    let statement = "SELECT search_words(text), normalize(text, NFKD) = text FROM unnest($1::text[]) WITH ORDINALITY AS t (text, n) \
                     ORDER BY n";
    let mut different = Vec::new();
    for part in texts.chunks(5_000) {
        let rows = client.query(statement, &[&part]).await.unwrap();
        assert_eq!(rows.len(), part.len());
        for (text, row) in part.iter().zip(rows) {
            let theirs: Vec<String> = row.get::<_, Vec<String>>(0);
            let ours: Vec<String> = words(text).into_iter().map(|word| word.text).collect();
            // The program knows a newer Unicode, in which a character consists of others.
            let whole = |word: &String| word.chars().all(|c| lower(text).contains(c));
            let newer =
                row.get::<_, bool>(1) && !ours.iter().all(whole) || text.chars().any(has_new_case);
            if ours != theirs && !newer {
                different
                    .push(format!("{text:?} ({}): {ours:?}, {theirs:?}", text.escape_unicode()));
            }
        }
    }
    assert!(
        different.is_empty(),
        "{}: {:#?}",
        different.len(),
        different.iter().take(40).collect::<Vec<_>>()
    );
    drop((client, connection));
}
