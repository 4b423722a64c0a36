//! The bus: whether each server lets us in, how fast it is, and what it takes.

use parlor_bus::{Bus as _, NatsBus, NatsOptions, NatsSurvey};
use parlor_runtime::Config;
use prometheus::Registry;

use super::{Finding, is_local, judge_speed};
use crate::program::backends::nats::{fault, options};

const CHECK: &str = "nats";
const HINT: &str = "start the server, or correct NATS_URL and what it allows this user";
/// What an event has besides its body, generously.
const ENVELOPE: usize = 4 * 1024;

/// Examines the servers of the settings.
pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    let Some(options) = options(config) else { return Vec::new() };
    let surveys = match options.survey().await {
        Ok(surveys) => surveys,
        Err(error) => return vec![Finding::fault(&fault(config, &error), HINT)],
    };
    let several = surveys.len() > 1;
    let mut findings = Vec::new();
    let mut usable = false;
    for survey in &surveys {
        match survey {
            Ok(survey) => {
                usable = true;
                findings.extend(judge(config, survey));
            }
            // The others do; a node takes any of them.
            Err(error) if several && surveys.iter().any(Result::is_ok) => {
                findings.push(Finding::warn(CHECK, fault(config, error).to_string(), HINT));
            }
            Err(error) => findings.push(Finding::fault(&fault(config, error), HINT)),
        }
    }
    if usable {
        findings.extend(rights(config, options).await);
    }
    findings
}

fn judge(config: &Config, survey: &NatsSurvey) -> Vec<Finding> {
    let said = format!("{}, version {}, answers", survey.server, survey.version);
    let mut findings = vec![judge_speed(CHECK, &said, survey.connected_in)];
    let needed = largest_event(config);
    if survey.max_payload < needed {
        findings.push(Finding::warn(
            CHECK,
            format!(
                "it takes messages of up to {} bytes, and an event may have {needed}",
                survey.max_payload
            ),
            "raise max_payload; larger events are read from the store, half a second later",
        ));
    }
    if !survey.wants_login && !is_local(&survey.server) {
        findings.push(Finding::warn(
            CHECK,
            "it lets in everyone who reaches it",
            "whoever does can send events to all rooms: give it users, and each only its subjects",
        ));
    }
    if survey.stopping {
        findings.push(Finding::warn(CHECK, "it is being stopped", "nodes will take another one"));
    }
    findings
}

/// Returns how large the largest event may become: JSON can need two bytes for one of the body.
fn largest_event(config: &Config) -> usize {
    2 * config.limits.body.get().max(config.bots.reply.get()) + ENVELOPE
}

/// Does what a node does at its start, which finds out what it may not do.
async fn rights(config: &Config, options: NatsOptions) -> Option<Finding> {
    match NatsBus::connect(options, &Registry::new()).await {
        Ok(bus) => {
            bus.close().await;
            None
        }
        Err(error) => Some(Finding::fault(&fault(config, &error), HINT)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::State;
    use super::*;

    fn survey() -> NatsSurvey {
        NatsSurvey {
            server: "nats://127.0.0.1:4222".to_owned(),
            version: "2.9.10".to_owned(),
            connected_in: Duration::from_millis(3),
            max_payload: 1 << 20,
            wants_login: false,
            stopping: false,
        }
    }

    fn details(survey: &NatsSurvey) -> String {
        let findings = judge(&Config::default(), survey);
        assert!(findings.iter().all(|finding| finding.state != State::Fail));
        findings.into_iter().skip(1).map(|finding| finding.detail).collect()
    }

    #[test]
    fn server_that_takes_too_little_or_anyone_is_noticed() {
        assert_eq!(details(&survey()), "");
        let small = NatsSurvey { max_payload: 64 << 10, ..survey() };
        assert!(details(&small).contains("up to 65536 bytes"));
        let open = NatsSurvey { server: "nats://bus.example:4222".to_owned(), ..survey() };
        assert!(details(&open).contains("lets in everyone"));
        assert_eq!(details(&NatsSurvey { wants_login: true, ..open }), "");
    }
}
