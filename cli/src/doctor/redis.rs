//! What nodes share: whether Redis lets us in, how fast it is, and what it does when it is full.

use parlor_cluster::redis::RedisSurvey;
use parlor_runtime::Config;
use parlor_runtime::config::place;

use super::{Finding, judge_speed};
use crate::program::backends::cluster::{fault, options};

const CHECK: &str = "redis";

/// Examines the server of the settings.
pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    let Some(options) = options(config) else { return Vec::new() };
    match options.survey().await {
        Ok(survey) => judge(config, &survey),
        Err(error) => {
            let hint = "start the server, or correct REDIS_URL and what it allows this user";
            vec![Finding::fault(&fault(config, &error), hint)]
        }
    }
}

fn judge(config: &Config, survey: &RedisSurvey) -> Vec<Finding> {
    let place = place(config.cluster.redis().unwrap_or_default());
    let version = if survey.version.is_empty() { "unknown" } else { &survey.version };
    let said = format!("{place}, version {version}, answers");
    let slowest = survey.connected_in.max(survey.answered_in);
    let mut findings = vec![judge_speed(CHECK, &said, slowest)];
    if survey.answered_in >= config.cluster.timeout {
        findings.push(Finding::warn(
            CHECK,
            format!(
                "one answer took {} ms, and nodes wait {} ms",
                survey.answered_in.as_millis(),
                config.cluster.timeout.as_millis()
            ),
            "nodes will decide alone: make it faster, or raise cluster.timeout",
        ));
    }
    if survey.role == "slave" {
        findings.push(Finding::fail(
            CHECK,
            "it follows another server and takes no writes",
            "name the one that takes writes in REDIS_URL",
        ));
    }
    if !matches!(survey.eviction.as_str(), "" | "noeviction") {
        findings.push(Finding::warn(
            CHECK,
            format!("when it is full it forgets keys ({})", survey.eviction),
            "set maxmemory-policy noeviction, or people seem to be gone and limits start anew",
        ));
    }
    if survey.max_memory > 0 && survey.used_memory > survey.max_memory / 10 * 9 {
        findings.push(Finding::warn(CHECK, "it is nearly full", "raise maxmemory"));
    }
    if survey.appends_to_file == Some(true) {
        findings.push(Finding::ok(
            CHECK,
            "it writes to a file, which nothing here needs: all of it can be made again",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::State;
    use super::*;

    fn survey() -> RedisSurvey {
        RedisSurvey {
            version: "7.0.15".to_owned(),
            connected_in: Duration::from_millis(3),
            answered_in: Duration::from_millis(1),
            role: "master".to_owned(),
            used_memory: 1 << 20,
            max_memory: 0,
            eviction: "noeviction".to_owned(),
            appends_to_file: Some(false),
        }
    }

    fn states(survey: &RedisSurvey) -> Vec<State> {
        judge(&Config::default(), survey).iter().map(|finding| finding.state).collect()
    }

    #[test]
    fn server_that_forgets_or_follows_is_noticed() {
        assert_eq!(states(&survey()), [State::Ok]);
        let forgets = RedisSurvey { eviction: "allkeys-lru".to_owned(), ..survey() };
        assert_eq!(states(&forgets), [State::Ok, State::Warn]);
        let follows = RedisSurvey { role: "slave".to_owned(), ..survey() };
        assert_eq!(states(&follows), [State::Ok, State::Fail]);
        let full = RedisSurvey { max_memory: 1 << 20, ..survey() };
        assert_eq!(states(&full), [State::Ok, State::Warn]);
        let silent = RedisSurvey { eviction: String::new(), ..survey() };
        assert_eq!(states(&silent), [State::Ok]);
    }

    #[test]
    fn server_slower_than_nodes_wait_is_slow_and_not_down() {
        let slow = RedisSurvey { answered_in: Duration::from_millis(800), ..survey() };
        assert_eq!(states(&slow), [State::Warn, State::Warn]);
    }
}
