//! The table of all operations, family by family.

use super::endpoint::Endpoint;
use super::{
    account, admin, auth, avatars, bots, commands, documents, events, export, files, import,
    integrations, invites, llm, members, memory, messages, personal, problem, reading, rooms,
    search, system, tokens, uploads, users, webhooks,
};

/// Returns every operation that is served and documented.
pub(super) fn endpoints() -> Vec<Endpoint> {
    [
        auth::endpoints(),
        users::endpoints(),
        account::endpoints(),
        personal::endpoints(),
        tokens::endpoints(),
        avatars::endpoints(),
        rooms::endpoints(),
        members::endpoints(),
        invites::endpoints(),
        integrations::endpoints(),
        webhooks::endpoints(),
        commands::endpoints(),
        messages::endpoints(),
        reading::endpoints(),
        events::endpoints(),
        export::endpoints(),
        import::endpoints(),
        search::endpoints(),
        uploads::endpoints(),
        files::endpoints(),
        bots::endpoints(),
        memory::endpoints(),
        llm::endpoints(),
        admin::endpoints(),
        system::endpoints(),
        documents::endpoints(),
        problem::endpoints(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn operations_have_names_of_their_own_and_are_described() {
        let mut names = BTreeSet::new();
        let mut places = BTreeSet::new();
        for endpoint in endpoints() {
            assert!(names.insert(endpoint.id), "{} is used twice", endpoint.id);
            let place = format!("{} {}", endpoint.method, endpoint.path);
            assert!(!endpoint.summary.is_empty() && !endpoint.tag.is_empty(), "{place}");
            assert!(!endpoint.answers.is_empty(), "{place}");
            assert!(endpoint.answers.iter().all(|answer| answer.description.ends_with('.')));
            assert!(places.insert(place));
        }
    }

    #[test]
    fn every_operation_stands_in_the_written_contract() {
        let written = include_str!("../../../docs/protocol.md");
        for endpoint in endpoints() {
            let row = format!("`{} {}`", endpoint.method, endpoint.path);
            assert!(written.contains(&row), "docs/protocol.md lacks {row}");
        }
    }
}
