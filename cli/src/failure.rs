//! How a command fails: a sentence, what helps, and an exit code that scripts can rely on.

use std::io;
use std::process::ExitCode;

use parlor_bench::limits::LimitError;
use parlor_broker::refusal::Refusal;
use parlor_broker::start::StartError;
use parlor_client::ClientError;
use parlor_protocol::code::Code;
use parlor_runtime::{ConfigProblems, exit};
use parlor_store::{OpenError, StoreError};

use crate::output::Out;
use crate::program::backends::fault::ServiceFault;

/// The command line asks for something that cannot be.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// A setting does not fit what is there; starting again changes nothing.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub(crate) struct Wrong {
    pub(crate) sentence: String,
    /// What helps.
    pub(crate) hint: &'static str,
}

/// Everything was said already; only the exit code is left.
#[derive(Debug, thiserror::Error)]
#[error("failed")]
pub(crate) struct Said(pub(crate) u8);

/// Tells what went wrong and returns the exit code.
pub(crate) fn report(out: Out, error: &anyhow::Error) -> ExitCode {
    let code = exit_code(error);
    if code != exit::SUCCESS && find::<Said>(error).is_none() {
        out.fail(&sentence(error), hint(error));
    }
    ExitCode::from(code)
}

/// Returns the exit code for an error.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    if let Some(Said(code)) = find::<Said>(error) {
        return *code;
    }
    let wrong = find::<Usage>(error).is_some() || find::<Wrong>(error).is_some();
    // A load that does not fit on this machine; asking again changes nothing.
    let too_much = find::<LimitError>(error).is_some();
    if wrong || too_much || find::<ConfigProblems>(error).is_some() {
        return exit::USAGE;
    }
    if let Some(fault) = find::<ServiceFault>(error) {
        return fault.exit_code();
    }
    if let Some(error) = find::<io::Error>(error)
        && error.kind() == io::ErrorKind::BrokenPipe
    {
        // Whoever reads our output has read enough.
        return exit::SUCCESS;
    }
    if let Some(error) = find::<OpenError>(error) {
        return match error {
            OpenError::InUse { .. } => exit::TRY_LATER,
            _ => exit::UNAVAILABLE,
        };
    }
    let store_away = find::<StoreError>(error).is_some_and(StoreError::is_retryable);
    let refused = find::<Refusal>(error).is_some_and(|it| it.code == Code::Unavailable);
    if store_away || refused {
        return exit::UNAVAILABLE;
    }
    match find::<StartError>(error) {
        Some(StartError::Listen { .. }) => return exit::UNAVAILABLE,
        Some(StartError::Tls(_)) => return exit::USAGE,
        _ => {}
    }
    match find::<ClientError>(error) {
        Some(ClientError::Address) => exit::USAGE,
        Some(ClientError::Unreachable(_)) => exit::UNAVAILABLE,
        Some(ClientError::Problem(problem)) if problem.code == Code::ValidationFailed => {
            exit::USAGE
        }
        Some(error) if error.is_retryable() => exit::TRY_LATER,
        _ => exit::FAILURE,
    }
}

fn find<T: std::error::Error + Send + Sync + 'static>(error: &anyhow::Error) -> Option<&T> {
    error.chain().find_map(|cause| cause.downcast_ref())
}

/// Returns one sentence: what was tried and why it failed.
fn sentence(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let part = cause.to_string();
        // Some libraries repeat their cause in their own message.
        if !parts.iter().any(|said| said.contains(&part)) {
            parts.push(part);
        }
    }
    let fields = match find::<ClientError>(error) {
        Some(ClientError::Problem(problem)) => problem.errors.as_slice(),
        _ => &[],
    };
    let mut lines = vec![parts.join(": ")];
    for field in fields.iter().filter(|field| !parts.contains(&field.detail)) {
        lines.push(format!("  {}: {}", field.field, field.detail));
    }
    lines.join("\n")
}

/// Returns what the person can do.
fn hint(error: &anyhow::Error) -> Option<&'static str> {
    if let Some(fault) = find::<ServiceFault>(error) {
        return Some(fault.hint());
    }
    if let Some(wrong) = find::<Wrong>(error) {
        return Some(wrong.hint);
    }
    match find::<ClientError>(error)? {
        ClientError::NotLoggedIn => Some("log in with `parlor login`, or `parlor register`"),
        ClientError::Unreachable(_) => {
            Some("start a server with `parlor serve`, or name one with --server")
        }
        ClientError::Problem(problem) if problem.code == Code::NotAMember => {
            Some("enter the room with `parlor rooms join`")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;
    use parlor_broker::tls::TlsError;
    use parlor_protocol::code::Problem;

    use super::*;

    fn problem(code: Code) -> anyhow::Error {
        ClientError::from(Problem::new(code, "because")).into()
    }

    #[test]
    fn exit_code_tells_scripts_what_to_do() {
        assert_eq!(exit_code(&Usage(String::new()).into()), exit::USAGE);
        assert_eq!(exit_code(&problem(Code::Forbidden)), exit::FAILURE);
        assert_eq!(exit_code(&problem(Code::RateLimited)), exit::TRY_LATER);
        assert_eq!(exit_code(&problem(Code::ValidationFailed)), exit::USAGE);
        let away = ClientError::Unreachable("refused".into());
        let away = anyhow::Result::<()>::Err(away.into()).context("list rooms").unwrap_err();
        assert_eq!(exit_code(&away), exit::UNAVAILABLE);
        assert_eq!(exit_code(&ClientError::Timeout.into()), exit::TRY_LATER);
        assert_eq!(exit_code(&StoreError::Unavailable(None).into()), exit::UNAVAILABLE);
        let (cert, key) = ("cert.pem".into(), "key.pem".into());
        let certificate = StartError::from(TlsError::Mismatch { cert, key });
        assert_eq!(exit_code(&certificate.into()), exit::USAGE);
        let wrong = Wrong { sentence: "no".to_owned(), hint: "yes" };
        assert_eq!(exit_code(&wrong.into()), exit::USAGE);
    }

    #[test]
    fn closed_pipe_is_no_failure() {
        let error = io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(exit_code(&anyhow::Error::from(error).context("write")), exit::SUCCESS);
    }

    #[test]
    fn sentence_holds_the_causes_once_and_the_fields() {
        let mut invalid = Problem::new(Code::ValidationFailed, "some fields are not valid");
        invalid.errors.push(parlor_protocol::code::FieldError {
            field: "password".to_owned(),
            code: "too_short".to_owned(),
            detail: "has 8 characters or more".to_owned(),
        });
        let error = anyhow::Error::from(ClientError::from(invalid)).context("register");
        assert_eq!(
            sentence(&error),
            "register: some fields are not valid\n  password: has 8 characters or more"
        );
    }
}
