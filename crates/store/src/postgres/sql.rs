//! Every statement, by name. A test prepares them all against the schema.

macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $text:expr;)*) => {
        $($(#[$doc])* pub(in crate::postgres) const $name: &str = $text;)*

        /// All of them, for the test that prepares them.
        pub(in crate::postgres) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

pub(in crate::postgres) mod bots;
pub(in crate::postgres) mod members;
pub(in crate::postgres) mod messages;
pub(in crate::postgres) mod meta;
pub(in crate::postgres) mod rooms;
pub(in crate::postgres) mod sessions;
pub(in crate::postgres) mod survey;
pub(in crate::postgres) mod users;
