//! Every statement, by name. A test prepares them all against the schema.

macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $text:expr;)*) => {
        $($(#[$doc])* pub(in crate::sqlite) const $name: &str = $text;)*

        /// All of them, for the test that prepares them.
        #[cfg(test)]
        pub(in crate::sqlite) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

pub(in crate::sqlite) mod bots;
pub(in crate::sqlite) mod changes;
pub(in crate::sqlite) mod crowds;
pub(in crate::sqlite) mod files;
pub(in crate::sqlite) mod imports;
pub(in crate::sqlite) mod integrations;
pub(in crate::sqlite) mod jobs;
pub(in crate::sqlite) mod members;
pub(in crate::sqlite) mod messages;
pub(in crate::sqlite) mod meta;
pub(in crate::sqlite) mod moderation;
pub(in crate::sqlite) mod people;
pub(in crate::sqlite) mod reading;
pub(in crate::sqlite) mod rooms;
pub(in crate::sqlite) mod search;
pub(in crate::sqlite) mod sessions;
pub(in crate::sqlite) mod tokens;
pub(in crate::sqlite) mod users;
pub(in crate::sqlite) mod webhooks;

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use crate::sqlite::open::DATABASE;
    use crate::sqlite::search::keeper;

    #[test]
    fn every_statement_fits_the_schema() {
        let folder = tempfile::tempdir().unwrap();
        crate::sqlite::schema::migrate(folder.path()).unwrap();
        let conn = Connection::open(folder.path().join(DATABASE)).unwrap();
        keeper::add_function(&conn).unwrap();
        crate::sqlite::changes::watch(&conn).unwrap();

        let groups = [
            super::bots::ALL,
            super::files::ALL,
            super::integrations::ALL,
            super::changes::ALL,
            super::crowds::ALL,
            super::imports::ALL,
            super::jobs::ALL,
            super::members::ALL,
            super::messages::ALL,
            super::meta::ALL,
            super::moderation::ALL,
            super::people::ALL,
            super::reading::ALL,
            super::rooms::ALL,
            super::search::ALL,
            super::sessions::ALL,
            super::tokens::ALL,
            super::users::ALL,
            super::webhooks::ALL,
        ];
        for (name, statement) in groups.into_iter().flatten() {
            if let Err(error) = conn.prepare(statement) {
                panic!("{name}: {error}");
            }
        }
    }
}
