//! What is on this machine: settings, data folder, port and model provider.

use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use parlor_runtime::config::{ConfigProblem, Program};
use parlor_runtime::{Config, exit};
use parlor_store::sqlite::{known_schema_version, schema_version};

use super::{DoctorArgs, Finding, nats, postgres, redis};
use crate::context::Context;
use crate::program::backends;
use crate::program::providers::select_providers;

/// Examines what a server on this machine would use.
pub(super) async fn examine(args: &DoctorArgs, context: &Context) -> Vec<Finding> {
    let loaded = match Config::load(&context.settings(&args.settings)) {
        Ok(loaded) => loaded,
        Err(problems) => {
            return problems.0.iter().map(wrong_setting).collect();
        }
    };
    let read = match &loaded.file {
        Some(path) => format!("usable, with {}", path.display()),
        None => "usable; the defaults and variables, no settings file".to_owned(),
    };
    let program = args.program.program();
    let missing = loaded.config.require(program, &loaded.origins);
    let config = loaded.config;
    let mut findings = match missing {
        Ok(()) => vec![Finding::ok("settings", read)],
        Err(problems) => problems.0.iter().map(wrong_setting).collect(),
    };
    if backends::are_shared(&config) {
        findings.extend(Box::pin(postgres::examine(&config)).await);
        findings.extend(Box::pin(nats::examine(&config)).await);
        if program != Program::BotWorker {
            findings.extend(redis::examine(&config).await);
        }
    } else {
        findings.push(data_folder(&config.server.data_dir));
    }
    match program {
        Program::BotWorker => findings.extend(config.bots.listen.map(port)),
        Program::Serve | Program::Broker => findings.push(port(config.server.listen)),
    }
    if program == Program::Broker {
        return findings;
    }
    findings.push(match select_providers(&config.llm).await {
        Ok(selection) if selection.default == "demo" => Finding::warn(
            "model",
            selection.reason,
            "for a real model start Ollama, or set GROQ_API_KEY, OPENAI_API_KEY or OPENAI_BASE_URL",
        ),
        Ok(selection) => Finding::ok("model", selection.reason),
        Err(error) => Finding::fail("model", format!("{error:#}"), "see `parlor config env`"),
    });
    findings
}

fn wrong_setting(problem: &ConfigProblem) -> Finding {
    Finding::fail("settings", problem.to_string(), "see `parlor config env`").with_code(exit::USAGE)
}

fn data_folder(path: &Path) -> Finding {
    let place = path.display();
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Finding::ok("data", format!("{place} will be made at the first start"));
        }
        Err(error) => {
            let detail = format!("{place} cannot be read: {error}");
            return Finding::fail("data", detail, "choose another with --data-dir");
        }
    };
    if !metadata.is_dir() {
        let detail = format!("{place} is not a folder");
        return Finding::fail("data", detail, "choose another with --data-dir");
    }
    if let Err(error) = tempfile(path) {
        let detail = format!("{place} cannot be written: {error}");
        return Finding::fail("data", detail, "give this user the right to write there");
    }
    let known = known_schema_version();
    match schema_version(path) {
        Ok(None) => Finding::ok("data", format!("{place}, without a database yet")),
        Ok(Some(found)) if found > known => Finding::fail(
            "data",
            format!("{place} has schema {found}, newer than {known}"),
            "use the newer version of Parlor",
        ),
        Ok(Some(found)) if found < known => Finding::warn(
            "data",
            format!("{place} has schema {found} of {known}"),
            "`parlor migrate`, or the next start, brings it to this version",
        ),
        Ok(Some(found)) if metadata.permissions().mode() & 0o077 != 0 => Finding::warn(
            "data",
            format!("{place} has schema {found}; other users of this machine may enter the folder"),
            format!("chmod 700 {place}"),
        ),
        Ok(Some(found)) => Finding::ok("data", format!("{place}, with schema {found}")),
        Err(error) => Finding::fail("data", error.to_string(), "restore a backup"),
    }
}

/// Makes and removes a file, which tells more than looking at the permissions.
fn tempfile(folder: &Path) -> std::io::Result<()> {
    let path = folder.join(format!(".doctor-{}", uuid::Uuid::new_v4()));
    fs::File::create_new(&path)?;
    fs::remove_file(path)
}

fn port(listen: SocketAddr) -> Finding {
    match TcpListener::bind(listen) {
        Ok(_) => Finding::ok("port", format!("{listen} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Finding::warn(
            "port",
            format!("{listen} is in use"),
            "right if a server is running; else choose another with --listen",
        ),
        Err(error) => {
            let detail = format!("{listen} cannot be listened on: {error}");
            Finding::fail("port", detail, "choose another with --listen")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn data_folder_is_judged_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(data_folder(&folder.path().join("new")).state, State::Ok);
        assert_eq!(data_folder(folder.path()).state, State::Ok);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(data_folder(&file).state, State::Fail);
    }

    #[test]
    fn database_of_this_version_is_recognized() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        parlor_store::sqlite::migrate(folder.path()).unwrap();
        let finding = data_folder(folder.path());
        assert_eq!(finding.state, State::Ok, "{}", finding.detail);
        assert!(finding.detail.contains(&format!("schema {}", known_schema_version())));
    }

    #[test]
    fn port_in_use_is_noticed() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(port(taken.local_addr().unwrap()).state, State::Warn);
        assert_eq!(port("127.0.0.1:0".parse().unwrap()).state, State::Ok);
    }
}
