//! What is on the other side: the server, what it depends on, and the login there.

use parlor_client::{ClientError, Http};

use parlor_runtime::exit;

use super::{Finding, upgrade};
use crate::context::Context;
use crate::credentials::Credentials;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Examines the server that commands talk to.
pub(super) async fn examine(context: &Context) -> Vec<Finding> {
    let (server, named) = match context.server() {
        Ok(server) => server,
        Err(error) => {
            let hint = "name another with --server, or another login with --profile";
            return vec![Finding::fail("server", format!("{error:#}"), hint)];
        }
    };
    let name = Credentials::name_of(&server);
    let http = match context.http() {
        Ok(http) => http,
        Err(error) => {
            let hint = "log in again with `parlor login`";
            return vec![Finding::fail("server", format!("{error:#}"), hint)];
        }
    };
    let info = match http.info().await {
        Ok(info) => info,
        Err(error) => {
            let detail = format!("{name}: {}", reason(&error));
            let hint = "start one with `parlor serve`, or name one with --server";
            // Without a server of one's own choice it is simply not started yet.
            return vec![if named {
                Finding::fail("server", detail, hint).with_code(exit::UNAVAILABLE)
            } else {
                Finding::warn("server", detail, hint)
            }];
        }
    };
    let detail = format!("{name} runs {} {}", info.name, info.version);
    let mut findings = vec![if info.version == VERSION {
        Finding::ok("server", detail)
    } else {
        Finding::warn("server", detail, format!("this program has version {VERSION}"))
    }];
    if info.setup_required {
        findings.push(Finding::warn(
            "admin",
            "there is no administrator yet",
            "open the setup link that the server printed, or `parlor admin setup`",
        ));
    }
    findings.extend(readiness(&http).await);
    findings.push(upgrade::examine(&server, &name).await);
    findings.push(login(&http).await);
    findings
}

async fn readiness(http: &Http) -> Vec<Finding> {
    let readiness = match http.readyz().await {
        Ok(readiness) => readiness,
        Err(error) => {
            let hint = "look at the server's log";
            return vec![Finding::fail("ready", reason(&error), hint)];
        }
    };
    let mut findings = vec![if readiness.ready {
        Finding::ok("ready", "the server takes work")
    } else {
        let why = readiness.reason.unwrap_or_else(|| "the server does not say why".to_owned());
        Finding::fail("ready", why, "look at the server's log")
    }];
    for (name, dependency) in readiness.dependencies.into_iter().filter(|(_, it)| !it.ok) {
        let why = dependency.detail.unwrap_or_default();
        let detail = format!("{name} ({}) does not work: {why}", dependency.kind);
        findings.push(Finding::fail("ready", detail, "look at the server's log"));
    }
    findings
}

async fn login(http: &Http) -> Finding {
    match http.session().await {
        Ok(session) => {
            let until = session.session.expires_at;
            Finding::ok("login", format!("{} until {until}", session.user.username))
        }
        Err(ClientError::NotLoggedIn) => {
            let hint = "`parlor login`, or `parlor register`";
            Finding::warn("login", "nobody is logged in there", hint)
        }
        Err(error) => Finding::fail("login", reason(&error), "`parlor login`"),
    }
}

/// Returns the error with its causes.
fn reason(error: &ClientError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
