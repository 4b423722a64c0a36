//! Every statement, by name. A test prepares them all against the schema.

macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $text:expr;)*) => {
        $($(#[$doc])* pub(in crate::postgres) const $name: &str = $text;)*

        /// All of them, for the test that prepares them.
        #[cfg(test)]
        pub(in crate::postgres) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

pub(in crate::postgres) mod append;
pub(in crate::postgres) mod bots;
pub(in crate::postgres) mod changes;
pub(in crate::postgres) mod crowds;
pub(in crate::postgres) mod files;
pub(in crate::postgres) mod imports;
pub(in crate::postgres) mod integrations;
pub(in crate::postgres) mod jobs;
pub(in crate::postgres) mod members;
pub(in crate::postgres) mod messages;
pub(in crate::postgres) mod meta;
pub(in crate::postgres) mod moderation;
pub(in crate::postgres) mod people;
pub(in crate::postgres) mod reading;
pub(in crate::postgres) mod rooms;
pub(in crate::postgres) mod search;
pub(in crate::postgres) mod sessions;
pub(in crate::postgres) mod survey;
pub(in crate::postgres) mod tail;
pub(in crate::postgres) mod tokens;
pub(in crate::postgres) mod users;
pub(in crate::postgres) mod webhooks;

#[cfg(test)]
mod tests {
    use parlor_testkit::services::Postgres;

    use crate::{PostgresOptions, PostgresStore};

    #[tokio::test]
    async fn every_statement_fits_the_schema() {
        let server = Postgres::start().await;
        let options = PostgresOptions::new(server.url());
        PostgresStore::migrate(&options).await.unwrap();
        let first = PostgresStore::first(&options).await.unwrap();

        let groups = [
            super::append::ALL,
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
            super::survey::ALL,
            super::tail::ALL,
            super::tokens::ALL,
            super::users::ALL,
            super::webhooks::ALL,
        ];
        for (name, statement) in groups.into_iter().flatten() {
            if let Err(error) = first.client.prepare(statement).await {
                panic!("{name}: {error:?}");
            }
        }
    }
}
