//! Who the people of a file are here.
//!
//! Nobody in a file is taken for somebody here unless an administrator says so: for all others
//! accounts are made that cannot log in, with names that nobody has and that say where they are
//! from.

use std::collections::{HashMap, HashSet};

use parlor_auth::{ERASED_PREFIX, check_display_name, check_username};
use parlor_protocol::http::ImportedPerson;
use parlor_protocol::id::UserId;
use parlor_protocol::room_file::Person;
use parlor_protocol::user::{ServerRole, UserKind, UserRef};
use parlor_store::record::NewUser;

use super::refuse;
use crate::node::Node;
use crate::refusal::{Outcome, Refusal};

/// What the names of accounts that are made for a file end with.
const SUFFIX: &str = "-imported";
/// Longest name of an account.
const NAME_MAX: usize = 32;
/// Room for the number that tells accounts with the same name apart.
const NUMBER_MAX: usize = 7;
/// Numbers have at most six digits.
const NUMBERS: u32 = 1_000_000;
/// People that the report names.
const REPORTED: usize = 1_000;

/// Someone of the file.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// Who they are here.
    pub(super) here: UserRef,
    /// Whether they may log in.
    pub(super) active: bool,
}

/// Everyone whom the file has named so far.
#[derive(Debug, Default)]
pub(super) struct People {
    /// The accounts that the administrator has named for people of the file, until they come.
    mapped: HashMap<String, Known>,
    by_id: HashMap<UserId, Known>,
    /// Who of them were here before.
    pub(super) existing: Vec<UserId>,
    names: HashSet<String>,
    /// The next number for accounts of this file whose names begin alike.
    numbers: HashMap<String, u32>,
    pub(super) report: Vec<ImportedPerson>,
}

impl People {
    /// Finds the accounts that `old=new,old=new` names.
    pub(super) async fn mapped(node: &Node, map: &str) -> Outcome<Self> {
        let wrong = |detail: &str| Refusal::field("map", "invalid", detail);
        let mut people = Self::default();
        let mut taken = HashSet::new();
        for pair in map.split(',').filter(|pair| !pair.is_empty()) {
            let Some((old, new)) = pair.split_once('=') else {
                return Err(wrong("has the form old=new,old=new"));
            };
            let is_erased = |name: &str| name.to_lowercase().starts_with(ERASED_PREFIX);
            if is_erased(old) || is_erased(new) {
                return Err(Refusal::field("map", "erased", "names a user who was erased"));
            }
            let Some(account) = node.store.find_user_by_name(new).await? else {
                return Err(Refusal::field("map", "unknown", "names a user who is not here"));
            };
            let known = Known { here: account.user.to_ref(), active: account.active };
            if !taken.insert(known.here.id) {
                return Err(wrong("names a user for two people"));
            }
            if people.mapped.insert(old.to_lowercase(), known).is_some() {
                return Err(wrong("names two users for one person"));
            }
        }
        Ok(people)
    }

    /// Finds someone whom the file has named.
    pub(super) fn get(&self, id: UserId) -> Option<&Known> {
        self.by_id.get(&id)
    }

    /// Returns the name of a person of the map that did not come.
    pub(super) fn missing(&self) -> Option<&str> {
        self.mapped.keys().map(String::as_str).min()
    }

    /// Takes a person in and returns the account that is to be made, if there is one.
    pub(super) async fn add(
        &mut self,
        node: &Node,
        line: u64,
        person: Person,
    ) -> Outcome<Option<NewUser>> {
        let Person { id, username, display_name, kind } = person;
        let most = node.config.limits.import_people;
        if self.by_id.len() >= most {
            let detail =
                format!("is beyond the {most} people that a file may have (limits.import_people)");
            return Err(refuse(line, "", "too_many", &detail));
        }
        if self.by_id.contains_key(&id) {
            return Err(refuse(line, "id", "duplicate", "stands in the file already"));
        }
        let username = username.to_lowercase();
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if !(1..=NAME_MAX).contains(&username.len()) || !username.chars().all(allowed) {
            let detail = "may only contain letters a to z, digits, hyphens, dots and underscores";
            return Err(refuse(line, "username", "characters", detail));
        }
        if !self.names.insert(username.clone()) {
            return Err(refuse(line, "username", "duplicate", "stands in the file already"));
        }
        let display_name = check_display_name(&display_name)
            .map_err(|refused| refuse(line, "display_name", "invalid", &refused.to_string()))?;
        if let Some(known) = self.mapped.remove(&username) {
            if known.here.kind != kind {
                let detail = "is a person, a bot or a program here, and something else in the file";
                return Err(refuse(line, "kind", "contradiction", detail));
            }
            self.note(&username, &known.here.username, true);
            self.existing.push(known.here.id);
            self.by_id.insert(id, known);
            return Ok(None);
        }
        let name = self.find_name(node, &username).await?;
        self.note(&username, &name, false);
        let here = UserRef {
            id: UserId(node.clock.new_id()),
            username: name.clone(),
            display_name: display_name.clone(),
            kind,
        };
        let made = new_user(here.id, name, display_name, kind, node);
        self.by_id.insert(id, Known { here, active: false });
        Ok(Some(made))
    }

    fn note(&mut self, username: &str, here: &str, existing: bool) {
        if self.report.len() < REPORTED {
            let (username, here) = (username.to_owned(), here.to_owned());
            self.report.push(ImportedPerson { username, here, existing });
        }
    }

    /// Finds a name that nobody has, and that is not held for anybody.
    async fn find_name(&mut self, node: &Node, username: &str) -> Outcome<String> {
        let base = base(username);
        let next = self.numbers.entry(base.clone()).or_insert(1);
        while *next < NUMBERS {
            let number = *next;
            *next += 1;
            let name = match number {
                1 => format!("{base}{SUFFIX}"),
                _ => format!("{base}{SUFFIX}-{number}"),
            };
            if !node.store.is_name_taken(&name).await? {
                return Ok(name);
            }
        }
        Err(Refusal::unavailable("No free user name was found."))
    }
}

/// Returns the part of a name that the name here begins with.
fn base(username: &str) -> String {
    let name = username.strip_prefix(ERASED_PREFIX).unwrap_or(username);
    // Someone who came from a file before does not get a longer name each time.
    let name = match name.rsplit_once(SUFFIX) {
        Some((name, rest))
            if rest.strip_prefix('-').unwrap_or(rest).chars().all(|c| c.is_ascii_digit()) =>
        {
            name
        }
        _ => name,
    };
    let name: String = name.chars().take(NAME_MAX - SUFFIX.len() - NUMBER_MAX).collect();
    let name = name.trim_start_matches(['-', '.', '_']);
    let named = format!("{name}{SUFFIX}");
    if name.is_empty() || check_username(&named).is_err() {
        "someone".to_owned()
    } else {
        name.to_owned()
    }
}

fn new_user(
    id: UserId,
    username: String,
    display_name: String,
    kind: UserKind,
    node: &Node,
) -> NewUser {
    NewUser {
        id,
        username,
        display_name,
        kind,
        email: None,
        password_hash: None,
        role: ServerRole::User,
        at: node.now(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_here_say_that_they_come_from_a_file_and_do_not_grow() {
        for (username, expected) in [
            ("ada", "ada"),
            ("ada-imported", "ada"),
            ("ada-imported-17", "ada"),
            ("ada-imported-x", "ada-imported-x"),
            ("deleted-4f2a", "4f2a"),
            ("deleted-", "someone"),
            ("_ada", "ada"),
            ("...", "someone"),
            ("a", "a"),
            ("abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnop"),
        ] {
            let base = base(username);
            assert_eq!(base, expected, "{username}");
            assert!(check_username(&format!("{base}{SUFFIX}-999999")).is_ok(), "{username}");
        }
    }
}
