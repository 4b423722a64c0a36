//! A storm of logins: many users send their password at the same moment, while messages flow.
//!
//! Checking a password is made to be slow, so a server takes only so many at a time and tells the
//! others to come back. Two things are of interest: when everyone is in, and whether those who are
//! in already notice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use parlor_protocol::http::TokenRequest;
use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;
use tokio::time::{Instant, sleep, timeout};

mod background;

use background::Background;

use crate::accounts::Crowd;
use crate::link::{BACKOFF, jittered};
use crate::measurement::{Measurement, as_float};
use crate::meter::Meter;
use crate::progress::{Phase, Progress};
use crate::summary::{Latency, Summary};
use crate::target::{BenchError, Target};

/// How logins are measured.
#[derive(Debug, Clone)]
pub struct LoginPlan {
    /// Users that log in.
    pub users: usize,
    /// Requests at the same time; the other users come when there is room.
    pub at_once: usize,
    /// How long the last one may take.
    pub patience: Duration,
    /// Readers of the messages beside.
    pub readers: usize,
    /// Messages a second beside.
    pub rate: f64,
    /// Bytes of each of them.
    pub payload: usize,
    /// For how long they are measured before the logins.
    pub before: Duration,
    /// Processes of the server.
    pub server_pids: Vec<u32>,
}

/// How it went for one user.
#[derive(Debug)]
struct Outcome {
    /// From the moment of the storm until the login; `None` when they gave up.
    after: Option<Duration>,
    /// The answer to the last request alone.
    answered_in: Duration,
    /// Refusals by status.
    refused: BTreeMap<u16, u64>,
}

/// Measures a storm of logins. `password` is the one of all users.
///
/// # Errors
/// Fails when the server refuses a connection beside, or answers what no server should.
pub async fn run(
    target: &Target,
    crowd: &Crowd,
    password: &str,
    plan: &LoginPlan,
    progress: &Progress,
) -> Result<Measurement, BenchError> {
    let background =
        Background::start(target, crowd, plan.readers, plan.rate, plan.payload).await?;
    // What connecting caused is over before anything counts.
    background.pass(Duration::from_secs(1)).await?;
    drop(background.lap());
    progress.time(Phase::WarmUp, plan.before);
    background.pass(plan.before).await?;
    let before = background.lap();

    progress.count(Phase::Measure, plan.users as u64, "logins");
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build()?;
    let address: Arc<str> = format!("http://{}/v1/auth/token", target.authority()).into();
    let meter = Meter::start(&plan.server_pids);
    let began = meter.began();
    let outcomes: Vec<Result<Outcome, BenchError>> = stream::iter(0..plan.users)
        .map(|number| {
            let username = crowd.seat(number).person.username;
            let (client, address) = (client.clone(), Arc::clone(&address));
            async move {
                let outcome = log_in(&client, &address, username, password, plan, began).await;
                progress.advance(1);
                outcome
            }
        })
        .buffer_unordered(plan.at_once.max(1))
        .collect()
        .await;
    let mut measurement = describe(plan);
    meter.note(&mut measurement);
    let during = background.lap();
    measurement.delivery = Some(background.stop().await?);
    measurement.connections = Some(plan.readers as u64);
    tell_logins(&mut measurement, outcomes)?;
    tell_beside(&mut measurement, before.summary(), during.summary());
    Ok(measurement)
}

fn describe(plan: &LoginPlan) -> Measurement {
    let mut measurement = Measurement::new("parlor", "login");
    measurement.plan("logins", plan.users);
    measurement.plan("at once", plan.at_once);
    measurement.plan("readers beside", plan.readers);
    measurement.plan("messages beside", format!("{}/s", plan.rate));
    measurement.plan("payload", plan.payload);
    measurement
}

async fn log_in(
    client: &reqwest::Client,
    address: &str,
    username: String,
    password: &str,
    plan: &LoginPlan,
    began: Instant,
) -> Result<Outcome, BenchError> {
    let mut outcome =
        Outcome { after: None, answered_in: Duration::ZERO, refused: BTreeMap::new() };
    let request = TokenRequest {
        username,
        password: password.to_owned(),
        grant_type: None,
        scope: None,
        client_id: None,
        client_secret: None,
    };
    while began.elapsed() < plan.patience {
        let left = plan.patience.saturating_sub(began.elapsed());
        let sent = Instant::now();
        let answer = client.post(address).json(&request).send();
        let Ok(answer) = timeout(left, answer).await else { break };
        let answer = answer?;
        outcome.answered_in = sent.elapsed();
        let status = answer.status();
        if status == StatusCode::OK {
            outcome.after = Some(began.elapsed());
            break;
        }
        *outcome.refused.entry(status.as_u16()).or_default() += 1;
        if status != StatusCode::SERVICE_UNAVAILABLE && status != StatusCode::TOO_MANY_REQUESTS {
            return Err(BenchError::Command(format!("login: {status}")));
        }
        let told = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let told = told.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        let wait = jittered(told.unwrap_or(BACKOFF));
        sleep(wait.min(left)).await;
    }
    Ok(outcome)
}

fn tell_logins(
    measurement: &mut Measurement,
    outcomes: Vec<Result<Outcome, BenchError>>,
) -> Result<(), BenchError> {
    let (mut latency, mut answers) = (Latency::default(), Latency::default());
    let mut refused: BTreeMap<u16, u64> = BTreeMap::new();
    let (mut done, mut gave_up) = (0_u64, 0_u64);
    for outcome in outcomes {
        let outcome = outcome?;
        for (status, count) in outcome.refused {
            *refused.entry(status).or_default() += count;
        }
        match outcome.after {
            Some(after) => {
                done += 1;
                latency.record(after);
                answers.record(outcome.answered_in);
            }
            None => gave_up += 1,
        }
    }
    measurement.latency = Some(latency.summary());
    let answers = answers.summary();
    measurement.figure("logins", as_float(done), "");
    measurement.figure("logins a second", as_float(done) / measurement.duration_s, "1/s");
    measurement.figure("users that gave up", as_float(gave_up), "");
    measurement.figure("p50 of the request that succeeded", answers.p50_ms, "ms");
    measurement.figure("p99 of the request that succeeded", answers.p99_ms, "ms");
    for (status, count) in refused {
        measurement.figure(&format!("refused with {status}"), as_float(count), "");
    }
    Ok(())
}

fn tell_beside(measurement: &mut Measurement, before: Summary, during: Summary) {
    for (name, summary) in [("before", before), ("during the logins", during)] {
        measurement.figure(&format!("p50 of messages {name}"), summary.p50_ms, "ms");
        measurement.figure(&format!("p99 of messages {name}"), summary.p99_ms, "ms");
    }
}
