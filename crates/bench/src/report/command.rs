//! The command line as it may be shown to others.

use url::Url;

/// What stands for a secret.
const HIDDEN: &str = "***";
/// A flag with one of these words in its name has a secret for a value.
const SECRET_WORDS: [&str; 6] = ["password", "secret", "token", "key", "credential", "auth"];

/// Returns the arguments as one line, without the values of flags that are secret, without
/// passwords and queries of addresses, and without the folder of the program.
pub(super) fn shown(arguments: impl IntoIterator<Item = String>) -> String {
    let mut arguments = arguments.into_iter();
    let program = arguments.next().unwrap_or_default();
    let mut words = vec![program.rsplit(['/', '\\']).next().unwrap_or_default().to_owned()];
    let mut value_is_secret = false;
    for argument in arguments {
        let is_flag = argument.starts_with('-');
        if value_is_secret && !is_flag {
            words.push(HIDDEN.to_owned());
            value_is_secret = false;
            continue;
        }
        value_is_secret = is_flag && is_secret(&argument) && !argument.contains('=');
        words.push(quoted(&clean(&argument)));
    }
    words.join(" ")
}

fn is_secret(flag: &str) -> bool {
    let flag = flag.to_lowercase();
    // A file that holds a secret is none.
    !flag.ends_with("-file") && SECRET_WORDS.iter().any(|word| flag.contains(word))
}

/// Cleans a flag with its value, or a value.
fn clean(argument: &str) -> String {
    match argument.split_once('=') {
        Some((flag, _)) if flag.starts_with('-') && is_secret(flag) => format!("{flag}={HIDDEN}"),
        Some((flag, value)) if flag.starts_with('-') => format!("{flag}={}", clean_url(value)),
        _ => clean_url(argument),
    }
}

fn clean_url(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else { return text.to_owned() };
    if !url.has_host()
        || (url.password().is_none() && url.username().is_empty() && url.query().is_none())
    {
        return text.to_owned();
    }
    let has_login = !url.username().is_empty() || url.password().is_some();
    if has_login && url.set_password(None).and_then(|()| url.set_username(HIDDEN)).is_err() {
        return HIDDEN.to_owned();
    }
    url.set_query(url.query().map(|_| HIDDEN));
    url.into()
}

/// Quotes what a shell would take apart.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=.,:/@+%*".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    fn shown(line: &[&str]) -> String {
        super::shown(line.iter().map(|&word| word.to_owned()))
    }

    #[test]
    fn command_is_shown_as_one_would_type_it() {
        let line = ["/usr/local/bin/parlor", "bench", "fan-out", "--rate", "50", "--name", "it's"];
        assert_eq!(shown(&line), r"parlor bench fan-out --rate 50 --name 'it'\''s'");
    }

    #[test]
    fn secrets_are_not_shown() {
        let line = ["parlor", "bench", "--password", "hunter2", "--admin-token=abc", "--rate", "5"];
        assert_eq!(shown(&line), "parlor bench --password *** --admin-token=*** --rate 5");
        let line =
            ["parlor", "--secret-key-file", "secret_key", "--database=postgres://u:p@db/x?a=b"];
        assert_eq!(
            shown(&line),
            "parlor --secret-key-file secret_key '--database=postgres://***@db/x?***'"
        );
        assert!(!shown(&["parlor", "redis://:hunter2@127.0.0.1:6379"]).contains("hunter2"));
    }

    #[test]
    fn flag_after_a_secret_switch_is_kept() {
        assert_eq!(shown(&["parlor", "--token", "--json"]), "parlor --token --json");
    }
}
