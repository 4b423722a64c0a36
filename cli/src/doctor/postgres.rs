//! The database server: whether it lets us in, how fast it is, and whether it keeps what it
//! confirms.

use std::time::Duration;

use parlor_auth::fingerprint;
use parlor_runtime::config::place;
use parlor_runtime::{Clock as _, Config, SystemClock, exit};
use parlor_store::postgres::{PostgresOptions, PostgresStore, Survey, known_schema_version};

use super::{Finding, is_local, judge_speed};
use crate::program::backends::fault::ServiceFault;
use crate::program::backends::postgres::{fault, options};
use crate::program::secret::NOTED_AS;

const CHECK: &str = "postgres";
/// Clocks that differ by this much make times in rooms look odd.
const CLOCKS_APART: Duration = Duration::from_secs(1);
/// Clocks that differ by this much break logins.
const CLOCKS_BROKEN: Duration = Duration::from_secs(30);
/// Connections of one node besides those that the settings number: writes and the start.
const OTHER_CONNECTIONS: usize = 3;

/// Examines the database server of the settings.
pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    let Some(options) = options(config) else { return Vec::new() };
    let asked_at = SystemClock.now();
    let survey = match PostgresStore::survey(&options).await {
        Ok(survey) => survey,
        Err(error) => {
            let fault = fault(config, &error);
            return vec![Finding::fault(&fault, hint(&fault))];
        }
    };
    let place = place(config.store.postgres().unwrap_or_default());
    let slowest = survey.connected_in.max(survey.answered_in);
    let said = format!("{place}, version {}, answers", survey.version);
    let mut findings = vec![judge_speed(CHECK, &said, slowest), schema(&survey)];
    findings.extend(safety(&survey, &place));
    findings.push(room(config, &survey));
    findings.push(clock(asked_at.as_millisecond(), &survey));
    findings.extend(secret(config, &options).await);
    findings
}

fn hint(fault: &ServiceFault) -> &'static str {
    match fault.exit_code() {
        exit::USAGE => "correct DATABASE_URL, or what the database allows its user",
        _ => "start the server, or correct host and port in DATABASE_URL",
    }
}

fn schema(survey: &Survey) -> Finding {
    let known = known_schema_version();
    match survey.schema {
        None => Finding::warn(
            CHECK,
            "the database is empty",
            "`parlor migrate`, or the next start, makes what is needed",
        ),
        Some(found) if found > known => Finding::warn(
            CHECK,
            format!("schema {found}, newer than {known}, which this version knows"),
            "right while a new version is being rolled out; else use the newer version",
        ),
        Some(found) if found < known => Finding::warn(
            CHECK,
            format!("schema {found} of {known}"),
            "`parlor migrate`, or the next start, brings it to this version",
        ),
        Some(found) => Finding::ok(CHECK, format!("schema {found}")),
    }
}

fn safety(survey: &Survey, place: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !survey.lossy.is_empty() {
        findings.push(Finding::warn(
            CHECK,
            format!("it may lose what it has confirmed: {}", survey.lossy.join(", ")),
            "switch these on, or messages that people saw can be gone after a crash",
        ));
    }
    if survey.encoding != "UTF8" {
        findings.push(Finding::fail(
            CHECK,
            format!("the database has the encoding {}", survey.encoding),
            "make one with ENCODING 'UTF8'",
        ));
    }
    if !survey.encrypted && !is_local(place) {
        findings.push(Finding::warn(
            CHECK,
            "the connection is not encrypted",
            "add sslmode=verify-full to DATABASE_URL",
        ));
    }
    findings
}

fn room(config: &Config, survey: &Survey) -> Finding {
    let store = &config.store;
    let needed = store.lanes + store.read_connections + store.tail_connections + OTHER_CONNECTIONS;
    let (most, used) = (survey.connections_max, survey.connections);
    let free = most.saturating_sub(used) as usize;
    let detail = format!("a node takes up to {needed} connections; {used} of {most} are taken");
    if needed <= free {
        return Finding::ok(CHECK, detail);
    }
    Finding::warn(
        CHECK,
        detail,
        "right if this node runs already; else raise max_connections, or lower \
         store.read_connections",
    )
}

fn clock(asked_at: i64, survey: &Survey) -> Finding {
    let answered = survey.connected_in + survey.answered_in;
    let here = asked_at + i64::try_from(answered.as_millis()).unwrap_or(0);
    let apart = Duration::from_millis(here.abs_diff(survey.time));
    // The answer was on its way for some of the time.
    let apart = apart.saturating_sub(survey.answered_in);
    let detail = format!("its clock and this one are {} ms apart", apart.as_millis());
    let hint = "have both machines set their clocks by NTP";
    if apart >= CLOCKS_BROKEN {
        Finding::fail("clock", detail, hint)
    } else if apart >= CLOCKS_APART {
        Finding::warn("clock", detail, hint)
    } else {
        Finding::ok("clock", detail)
    }
}

async fn secret(config: &Config, options: &PostgresOptions) -> Option<Finding> {
    let secret = config.auth.secret_key.as_ref()?;
    let own = fingerprint(secret.expose().as_bytes()).ok()?;
    Some(match PostgresStore::find_pin(options, NOTED_AS).await {
        Err(error) => {
            let fault = fault(config, &error);
            Finding::fault(&fault, hint(&fault))
        }
        Ok(Some(noted)) if noted == own => {
            Finding::ok("secret", "SECRET_KEY is the one that all nodes of this database use")
        }
        Ok(Some(_)) => Finding::fail(
            "secret",
            "SECRET_KEY is not the one that other nodes use with this database",
            "give every node the same key; to change it everywhere, stop all nodes and run \
             `parlor migrate --accept-new-secret`",
        )
        .with_code(exit::USAGE),
        Ok(None) => Finding::ok("secret", "SECRET_KEY is set; no node has used this database yet"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn survey() -> Survey {
        Survey {
            connected_in: Duration::from_millis(20),
            answered_in: Duration::from_millis(2),
            version: "15.1".to_owned(),
            schema: Some(known_schema_version()),
            time: 1_000_000,
            connections_max: 97,
            connections: 3,
            lossy: Vec::new(),
            encoding: "UTF8".to_owned(),
            encrypted: false,
        }
    }

    #[test]
    fn schema_of_another_version_is_noticed() {
        assert_eq!(schema(&survey()).state, State::Ok);
        for schema_found in [None, Some(0), Some(known_schema_version() + 1)] {
            let finding = schema(&Survey { schema: schema_found, ..survey() });
            assert_eq!(finding.state, State::Warn, "{}", finding.detail);
        }
    }

    #[test]
    fn server_that_may_lose_commits_is_named() {
        assert!(safety(&survey(), "postgres://127.0.0.1:1/x").is_empty());
        let lossy = vec!["fsync = off".to_owned()];
        let findings = safety(&Survey { lossy, ..survey() }, "postgres://127.0.0.1:1/x");
        assert!(findings[0].detail.contains("fsync = off"));
        let plain = safety(&survey(), "postgres://db.example:5432/x");
        assert!(plain[0].detail.contains("not encrypted"));
    }

    #[test]
    fn pools_that_do_not_fit_are_noticed() {
        let config = Config::default();
        assert_eq!(room(&config, &survey()).state, State::Ok);
        let full = Survey { connections: 90, ..survey() };
        assert_eq!(room(&config, &full).state, State::Warn);
    }

    #[test]
    fn clocks_that_differ_are_noticed_but_not_the_way_of_the_answer() {
        let at = |time| clock(1_000_000, &Survey { time, ..survey() }).state;
        assert_eq!(at(1_000_010), State::Ok);
        assert_eq!(at(1_005_000), State::Warn);
        assert_eq!(at(995_000), State::Warn);
        assert_eq!(at(1_060_000), State::Fail);
    }
}
