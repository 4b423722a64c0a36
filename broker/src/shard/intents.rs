//! Which families of signals a reader wants.

use parlor_protocol::code::Code;
use parlor_protocol::signal::SignalFamily;

use crate::refusal::{Outcome, Refusal};

/// A set of families of signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Intents(u8);

impl Default for Intents {
    fn default() -> Self {
        SignalFamily::ALL.iter().fold(Self::NONE, |all, family| all.with(*family))
    }
}

impl Intents {
    /// No family.
    pub(crate) const NONE: Self = Self(0);

    /// Reads what a client wants. A family that is not known is refused: whoever asks for it would
    /// wait for it in vain.
    pub(crate) fn new(wanted: &[SignalFamily]) -> Outcome<Self> {
        if wanted.contains(&SignalFamily::Unknown) {
            let known = SignalFamily::ALL.map(SignalFamily::as_str).join("`, `");
            let detail = format!("`intents` may name `{known}`, and names something else.");
            return Err(Refusal::new(Code::BadRequest, detail));
        }
        Ok(wanted.iter().fold(Self::NONE, |all, family| all.with(*family)))
    }

    /// Reads names with commas between them, as in an address.
    pub(crate) fn parse(list: &str) -> Outcome<Self> {
        let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
        let family = |name: &str| SignalFamily::ALL.into_iter().find(|one| one.as_str() == name);
        let wanted: Vec<SignalFamily> =
            names.map(|name| family(name).unwrap_or(SignalFamily::Unknown)).collect();
        Self::new(&wanted)
    }

    /// Adds a family.
    #[must_use]
    pub(crate) const fn with(self, family: SignalFamily) -> Self {
        Self(self.0 | bit(family))
    }

    /// Returns what is in both.
    #[must_use]
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Removes a family.
    #[must_use]
    pub(crate) const fn without(self, family: SignalFamily) -> Self {
        Self(self.0 & !bit(family))
    }

    /// Tells whether a family is in the set.
    pub(crate) const fn has(self, family: SignalFamily) -> bool {
        self.0 & bit(family) != 0
    }
}

const fn bit(family: SignalFamily) -> u8 {
    match family {
        SignalFamily::Typing => 1,
        SignalFamily::Presence => 2,
        SignalFamily::Receipts => 4,
        SignalFamily::Deltas => 8,
        SignalFamily::Bots => 16,
        SignalFamily::App => 32,
        SignalFamily::Unknown => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_names_families_and_an_unknown_one_is_refused() {
        let some = Intents::parse("typing, receipts").unwrap();
        assert!(some.has(SignalFamily::Typing) && some.has(SignalFamily::Receipts));
        assert!(!some.has(SignalFamily::Presence) && !some.has(SignalFamily::App));
        assert_eq!(Intents::parse("").unwrap(), Intents::NONE);
        let refusal = Intents::parse("typing,hunter2").unwrap_err();
        assert_eq!(refusal.code, Code::BadRequest);
        assert!(refusal.detail.contains("`receipts`") && !refusal.detail.contains("hunter2"));
    }

    #[test]
    fn without_a_choice_all_come() {
        for family in SignalFamily::ALL {
            assert!(Intents::default().has(family));
            assert!(!Intents::default().without(family).has(family));
        }
    }
}
