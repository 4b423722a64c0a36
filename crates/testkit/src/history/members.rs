//! Who was a member when: nobody else writes, and nobody else is told.

use std::collections::{BTreeMap, BTreeSet};

use parlor_protocol::{
    event::{Event, EventBody, LeaveReason},
    user::UserKind,
};

use super::{Violation, reader::Reader};

/// Where each member came and went: position, and whether it is one from there on.
type Changes = BTreeMap<String, BTreeMap<u64, bool>>;

/// Checks writers and readers against the membership that the log itself tells.
pub(super) fn check(log: &BTreeMap<u64, Event>, readers: &[Reader]) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut members = BTreeSet::new();
    let mut changes = Changes::new();
    for (&seq, event) in log {
        match &event.body {
            EventBody::MemberJoined(change) => {
                members.insert(change.user.username.clone());
                changes.entry(change.user.username.clone()).or_default().insert(seq, true);
            }
            EventBody::MemberLeft(change) => {
                members.remove(&change.user.username);
                let removed = matches!(
                    change.reason,
                    Some(LeaveReason::Kicked | LeaveReason::Banned | LeaveReason::Left)
                );
                changes.entry(change.user.username.clone()).or_default().insert(seq, !removed);
            }
            EventBody::MessageCreated(message) if message.sender.kind == UserKind::User => {
                let name = &message.sender.username;
                // Whoever never left, such as the owner, may have come before the log began.
                if changes.contains_key(name) && !members.contains(name) {
                    found.push(Violation::WrittenByStranger { seq, name: name.clone() });
                }
            }
            _ => {}
        }
    }
    for reader in readers {
        if let Some(own) = reader.username().and_then(|name| changes.get(name)) {
            check_reader(reader, own, &mut found);
        }
    }
    found
}

fn check_reader(reader: &Reader, own: &BTreeMap<u64, bool>, found: &mut Vec<Violation>) {
    for subscription in reader.subscriptions() {
        let (head, end) = (subscription.head, subscription.end);
        let before = own.range(..=head).next_back();
        let was_removed = before.filter(|(_, is_member)| !**is_member).map(|(seq, _)| *seq);
        // What was removed later may still be told that it was.
        let later = own.range(head + 1..).find(|(_, is_member)| !**is_member).map(|(seq, _)| *seq);
        let removed = was_removed.or(later.filter(|removed| end > *removed));
        if let Some(removed) = removed {
            let name = reader.name().to_owned();
            found.push(Violation::ToldAfterRemoval { name, removed, told: end.max(head) });
        }
    }
}
