use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;

fn environment(variables: &[(&str, &str)]) -> Sources {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Sources::of_environment(variables.iter().map(owned).collect::<BTreeMap<_, _>>())
}

fn load(variables: &[(&str, &str)]) -> Result<Loaded, ConfigProblems> {
    Config::load(&environment(variables))
}

fn problems(result: Result<Loaded, ConfigProblems>) -> Vec<String> {
    result.unwrap_err().0.iter().map(ToString::to_string).collect()
}

/// A folder with a settings file.
fn with_file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("parlor.toml");
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn load_file(text: &str) -> Result<Loaded, ConfigProblems> {
    let (_folder, path) = with_file(text);
    Config::load(&Sources::default().with_file(path))
}

#[test]
fn nothing_needs_to_be_set() {
    let loaded = load(&[]).unwrap();

    assert_eq!(loaded.config, Config::default());
    assert_eq!(loaded.config.server.listen.to_string(), "127.0.0.1:7777");
    assert_eq!(loaded.config.validate(), Vec::<String>::new());
}

#[test]
fn data_folder_follows_the_conventions_of_the_desktop() {
    let folder = |variables: &[(&str, &str)]| load(variables).unwrap().config.server.data_dir;

    assert_eq!(folder(&[("HOME", "/home/ada")]), Path::new("/home/ada/.local/share/parlor"));
    let both = [("HOME", "/home/ada"), ("XDG_DATA_HOME", "/data")];
    assert_eq!(folder(&both), Path::new("/data/parlor"));
    // The specification says that relative paths are to be ignored.
    let relative = [("HOME", "/home/ada"), ("XDG_DATA_HOME", "data")];
    assert_eq!(folder(&relative), Path::new("/home/ada/.local/share/parlor"));
    assert_eq!(folder(&[("HOME", "/home/ada"), ("PARLOR_DATA_DIR", "/srv")]), Path::new("/srv"));
}

#[test]
fn later_layers_win_and_their_origin_is_known() {
    let (_folder, path) = with_file(
        "[limits]\nframe = \"128KiB\"\noutbox = \"1MiB\"\n[server]\nlisten = \"127.0.0.1:1\"\n",
    );
    let sources =
        environment(&[("PARLOR_LIMITS__OUTBOX", "2MiB"), ("PARLOR_LISTEN", "127.0.0.1:2")]);
    let sources = sources.with_file(&path).with_flag("--listen", "server.listen", ":3");

    let Loaded { config, origins, file } = Config::load(&sources).unwrap();

    assert_eq!(config.limits.frame.get(), 128 << 10);
    assert_eq!(config.limits.outbox.get(), 2 << 20);
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:3");
    assert_eq!(origins.of("limits.frame"), &Source::File(path.clone()));
    assert_eq!(origins.of("limits.outbox").to_string(), "PARLOR_LIMITS__OUTBOX");
    assert_eq!(origins.of("server.listen").to_string(), "--listen");
    assert_eq!(origins.of("limits.body"), &Source::Default);
    assert_eq!(file, Some(path));
}

#[test]
fn settings_file_is_found_in_the_working_directory_then_in_the_data_folder() {
    let (work, in_work) = with_file("[limits]\nbody = \"1KiB\"\n");
    let (data, in_data) = with_file("[limits]\nbody = \"2KiB\"\n");
    let data_dir = data.path().to_str().unwrap();
    let sources = || environment(&[("PARLOR_DATA_DIR", data_dir)]);

    let both = Config::load(&sources().with_working_dir(work.path())).unwrap();
    let one = Config::load(&sources()).unwrap();

    assert_eq!((both.config.limits.body.get(), both.file), (1_024, Some(in_work)));
    assert_eq!((one.config.limits.body.get(), one.file), (2_048, Some(in_data)));
}

#[test]
fn names_known_from_elsewhere_work() {
    let config = load(&[
        ("PARLOR_LISTEN", "localhost:0"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "45"),
        ("MEMORY_TTL_SECONDS", "3600"),
        ("SECRET_KEY", "0123456789abcdef0123456789abcdef"),
        ("LLM_MODEL", "llama3.2"),
        ("TEMPERATURE", "0.7"),
        ("MAX_TOKENS", "99"),
        ("OLLAMA_HOST", "gpu.lan:11434"),
        ("GROQ_API_KEY", "gsk"),
        ("OPENAI_API_KEY", "sk"),
        ("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
        ("DATABASE_URL", "postgres://parlor:pw@db/parlor"),
        ("NATS_URL", "nats://bus:4222,nats://bus2:4222"),
        ("REDIS_URL", "rediss://cache:6379/1"),
        ("PARLOR_ADMIN_USERNAME", "root"),
        ("PARLOR_ADMIN_PASSWORD", " swordfish "),
        ("PARLOR_AUTH__REGISTRATION", "closed"),
        ("PARLOR_LIMITS__ENABLED", "false"),
    ])
    .unwrap()
    .config;

    assert_eq!(config.server.listen.to_string(), "127.0.0.1:0");
    assert_eq!(config.auth.access_token_expire, Duration::from_mins(45));
    assert_eq!(config.bots.memory_ttl, Duration::from_hours(1));
    assert_eq!(config.auth.secret_key.unwrap().expose().len(), 32);
    assert_eq!(config.llm.model.as_deref(), Some("llama3.2"));
    assert_eq!((config.llm.temperature, config.llm.max_tokens), (Some(0.7), 99));
    assert_eq!(config.llm.ollama_host.unwrap().url().as_str(), "http://gpu.lan:11434/");
    assert_eq!(config.llm.groq_api_key.unwrap().expose(), "gsk");
    assert_eq!(config.llm.openai_api_key.unwrap().expose(), "sk");
    assert_eq!(config.llm.openai_base_url.unwrap().as_str(), "http://127.0.0.1:8000/v1");
    assert_eq!(config.store.postgres(), Some("postgres://parlor:pw@db/parlor"));
    assert_eq!(config.bus.nats(), Some("nats://bus:4222,nats://bus2:4222"));
    assert_eq!(config.cluster.redis(), Some("rediss://cache:6379/1"));
    assert_eq!(config.auth.admin_username.as_deref(), Some("root"));
    assert_eq!(config.auth.admin_password.unwrap().expose(), " swordfish ");
    assert_eq!(config.auth.registration, Registration::Closed);
    assert!(!config.limits.enabled);
}

#[test]
fn own_variable_wins_over_a_name_that_may_be_meant_for_others() {
    let config = load(&[("OPENAI_API_KEY", "theirs"), ("PARLOR_LLM__OPENAI_API_KEY", "ours")])
        .unwrap()
        .config;

    assert_eq!(config.llm.openai_api_key.unwrap().expose(), "ours");
}

#[test]
fn empty_variable_counts_as_not_set() {
    assert_eq!(
        load(&[("PARLOR_LISTEN", ""), ("DATABASE_URL", " ")]).unwrap().config,
        Config::default()
    );
}

#[test]
fn lists_are_arrays_in_the_file_and_separated_by_commas_in_variables() {
    let file = load_file("[server]\ntrusted_proxies = [\"10.0.0.0/8\", \"192.0.2.1\"]\n").unwrap();
    let variable = load(&[("PARLOR_SERVER__TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1")]).unwrap();

    assert_eq!(file.config.server.trusted_proxies.len(), 2);
    assert_eq!(file.config.server.trusted_proxies, variable.config.server.trusted_proxies);
}

#[test]
fn providers_are_tables_and_can_be_chosen_by_name() {
    let config = load_file(
        "[llm]\nprovider = \"lab\"\n[[llm.providers]]\nname = \"lab\"\nkind = \"ollama\"\n\
         base_url = \"http://lab:11434\"\n[[llm.providers]]\nname = \"cloud\"\n\
         kind = \"openai_compatible\"\nbase_url = \"https://api.example.com/v1\"\napi_key = \"k\"\n",
    )
    .unwrap()
    .config;

    let [lab, cloud] = &config.llm.providers[..] else { panic!("two providers") };
    assert_eq!((lab.name.as_str(), lab.kind), ("lab", ProviderProtocol::Ollama));
    assert_eq!(cloud.api_key.as_ref().unwrap().expose(), "k");
}

#[test]
fn provider_that_is_wrong_is_refused_without_its_key() {
    for (text, part) in [
        ("name = \"lab\"\nkind = \"ollama\"", "base_url"),
        (
            "name = \"lab\"\nkind = \"other\"\nbase_url = \"http://lab\"",
            "kind must be one of ollama",
        ),
        ("name = \"ollama\"\nkind = \"demo\"", "llm.providers must use each name once"),
        ("name = \"lab\"\nkind = \"demo\"\ntoken = \"hunter2\"", "must not have \"token\""),
        ("kind = \"demo\"\napi_key = \"hunter2\"", "must have a name"),
    ] {
        let said = problems(load_file(&format!("[[llm.providers]]\n{text}\n"))).join("\n");

        assert!(said.contains(part), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn every_problem_is_told_with_its_key_its_source_and_what_is_allowed() {
    let (_folder, path) = with_file(
        "[server]\nlisten = 7777\nlisen = \"127.0.0.1:1\"\n[limits]\nbody = \"1GiB\"\n[srever]\n",
    );
    let sources = environment(&[
        ("PARLOR_AUTH__PASSWORD_MIN", "4"),
        ("PARLOR_AUTH__REGISTRATON", "open"),
        ("TEMPERATURE", "hot"),
        ("NATS_URL", "bus.example:4222"),
    ]);
    let sources = sources.with_file(&path).with_flag("--data-dir", "server.data_dir", "");

    let file = path.display().to_string();
    let said = problems(Config::load(&sources)).join("\n").replace(&file, "FILE");

    insta::assert_snapshot!(said);
}

#[test]
fn value_of_a_secret_is_never_shown() {
    let (_folder, path) = with_file("[auth]\nsecret_key = \"hunter2\"\n");
    let sources = environment(&[
        ("DATABASE_URL", "mysql://parlor:hunter2@db/parlor"),
        ("REDIS_URL", "http://:hunter2@cache"),
        ("PARLOR_LLM__PROVIDERS", "{name = \"x\", kind = \"ollama\", api_key = \"hunter2\"}"),
    ]);

    let refused = Config::load(&sources.with_file(path)).unwrap_err();

    assert_eq!(refused.0.len(), 4, "{refused}");
    assert!(!format!("{refused} {refused:?}").contains("hunter2"), "{refused}");
}

#[test]
fn broken_file_is_told_by_line_and_without_its_content() {
    let said = problems(load_file("[auth]\n\nsecret_key = \"hunter2\n"));

    assert_eq!(said.len(), 1);
    assert!(said[0].contains("line 3"), "{said:?}");
    assert!(!said[0].contains("hunter2"), "{said:?}");
}

#[test]
fn named_file_must_exist() {
    let said = problems(Config::load(&Sources::default().with_file("/nowhere/parlor.toml")));

    assert_eq!(said, ["settings file (from /nowhere/parlor.toml): must be a file that exists"]);
}

#[test]
fn addresses_of_services_are_checked_for_their_form() {
    for (variable, url, part) in [
        ("DATABASE_URL", "mysql://db/parlor", "postgres://USER:PASSWORD@HOST/DATABASE"),
        ("DATABASE_URL", "postgres:///parlor", "postgres://USER:PASSWORD@HOST/DATABASE"),
        ("DATABASE_URL", "sqlite:chat.db", "server.data_dir"),
        ("NATS_URL", "bus:4222", "nats://HOST:PORT"),
        ("NATS_URL", "nats://bus:4222,,nats://bus2", "separated by commas"),
        ("REDIS_URL", "cache:6379", "redis://HOST:PORT"),
    ] {
        let said = problems(load(&[(variable, url)]));

        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains(part) && said[0].contains(variable), "{said:?}");
    }
    assert_eq!(load(&[("DATABASE_URL", "sqlite:")]).unwrap().config.store.postgres(), None);
}

#[test]
fn services_of_a_cluster_need_a_database_that_nodes_share() {
    for (variable, url) in [("NATS_URL", "nats://bus:4222"), ("REDIS_URL", "redis://cache")] {
        for database in ["", "sqlite:"] {
            let said = problems(load(&[(variable, url), ("DATABASE_URL", database)]));

            assert_eq!(said.len(), 1, "{said:?}");
            assert!(said[0].contains("DATABASE_URL") && said[0].contains(variable), "{said:?}");
        }
        load(&[(variable, url), ("DATABASE_URL", "postgres://db/parlor")]).unwrap();
    }
}

#[test]
fn each_program_says_what_it_cannot_do_without() {
    let missing = |program: Program, variables: &[(&str, &str)]| {
        let Loaded { config, origins, .. } = load(variables).unwrap();
        let keys = |problems: ConfigProblems| {
            problems.0.into_iter().map(|problem| problem.key).collect::<Vec<_>>()
        };
        config.require(program, &origins).map_err(keys).err().unwrap_or_default()
    };
    let database = ("DATABASE_URL", "postgres://db/parlor");
    let bus = ("NATS_URL", "nats://bus:4222");
    let cache = ("REDIS_URL", "redis://cache");
    let secret = ("SECRET_KEY", "0123456789abcdef0123456789abcdef");

    assert_eq!(missing(Program::Serve, &[]), Vec::<String>::new());
    assert_eq!(missing(Program::Serve, &[database]), ["auth.secret_key"]);
    assert_eq!(missing(Program::Serve, &[database, secret]), Vec::<String>::new());
    assert_eq!(missing(Program::Broker, &[]), ["store.url", "bus.url", "cluster.url"]);
    assert_eq!(missing(Program::Broker, &[database, bus, cache]), ["auth.secret_key"]);
    assert_eq!(missing(Program::BotWorker, &[database]), ["bus.url"]);
    let nothing: Vec<String> = Vec::new();
    assert_eq!(missing(Program::BotWorker, &[database, bus]), nothing);
    assert_eq!(missing(Program::Broker, &[database, bus, cache, secret]), nothing);
}

#[test]
fn secrets_can_be_read_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    fs::write(&path, "swordfish\n").unwrap();
    let name = path.to_str().unwrap();
    let admin = ("PARLOR_ADMIN_USERNAME", "root");

    for variable in ["PARLOR_ADMIN_PASSWORD_FILE", "PARLOR_AUTH__ADMIN_PASSWORD_FILE"] {
        let Loaded { config, origins, .. } = load(&[admin, (variable, name)]).unwrap();

        assert_eq!(config.auth.admin_password.unwrap().expose(), "swordfish");
        let origin = origins.of("auth.admin_password").to_string();
        assert_eq!(origin, format!("{name}, named by {variable}"));
    }
    fs::write(
        folder.path().join("parlor.toml"),
        "[auth]\nadmin_username = \"root\"\nadmin_password_file = \"password\"\n",
    )
    .unwrap();
    let sources = Sources::default().with_file(folder.path().join("parlor.toml"));
    let config = Config::load(&sources).unwrap().config;
    assert_eq!(config.auth.admin_password.unwrap().expose(), "swordfish", "beside the file");
}

#[test]
fn secret_and_its_file_exclude_each_other() {
    let both = [("SECRET_KEY", "0123456789abcdef0123456789abcdef"), ("SECRET_KEY_FILE", "/key")];

    let said = problems(load(&both));

    assert_eq!(
        said,
        [
            "auth.secret_key (from SECRET_KEY): must be set by SECRET_KEY or SECRET_KEY_FILE, not by both"
        ]
    );
}

#[test]
fn secret_file_that_is_missing_or_empty_is_a_problem() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    fs::write(&empty, "\n").unwrap();

    for (path, part) in [(empty.as_path(), "empty"), (Path::new("/nowhere/key"), "exists")] {
        let said = problems(load(&[("SECRET_KEY_FILE", path.to_str().unwrap())]));

        assert!(said[0].contains("auth.secret_key") && said[0].contains(part), "{said:?}");
    }
}

#[test]
fn rules_between_keys_name_the_key_that_was_set() {
    let said = problems(load(&[("PARLOR_LIMITS__IDLE_TIMEOUT", "10s")]));

    assert_eq!(
        said,
        ["limits.idle_timeout (from PARLOR_LIMITS__IDLE_TIMEOUT): \
          limits.heartbeat must be shorter than limits.idle_timeout"]
    );
    let said = problems(load(&[("PARLOR_ADMIN_USERNAME", "root")]));
    assert!(said[0].contains("must be set together"), "{said:?}");
    let said = problems(load(&[("PARLOR_SERVER__TLS_KEY", "key.pem")]));
    assert!(
        said[0].ends_with("server.tls_cert and server.tls_key must be set together"),
        "{said:?}"
    );
    let said = problems(load(&[("PARLOR_LLM__PROVIDER", "lab")]));
    assert!(said[0].contains("auto, demo, ollama, groq, openai"), "{said:?}");
}

#[test]
fn right_to_tell_a_webhook_outlives_a_call() {
    let refused = |key: &str, value: &str| problems(load(&[(key, value)]));

    assert_eq!(
        refused("PARLOR_WEBHOOKS__LEASE", "20s"),
        ["webhooks.lease (from PARLOR_WEBHOOKS__LEASE): \
          webhooks.lease must be more than twice webhooks.timeout"]
    );
    assert_eq!(
        refused("PARLOR_WEBHOOKS__TIMEOUT", "45s"),
        ["webhooks.timeout (from PARLOR_WEBHOOKS__TIMEOUT): \
          webhooks.lease must be more than twice webhooks.timeout"]
    );
    assert!(load(&[("PARLOR_WEBHOOKS__LEASE", "21s")]).is_ok());
    let both = [("PARLOR_WEBHOOKS__LEASE", "10m"), ("PARLOR_WEBHOOKS__TIMEOUT", "1m")];
    assert!(load(&both).is_ok());
}

#[test]
fn settings_changed_in_code_can_be_checked_as_well() {
    let mut config = Config::embedded("/data");
    config.limits.heartbeat = Duration::from_mins(2);

    assert_eq!(config.validate(), ["limits.heartbeat must be shorter than limits.idle_timeout"]);
}

#[test]
fn printed_settings_can_be_read_back_and_hide_secrets() {
    let Loaded { config, origins, .. } = load(&[
        ("OPENAI_API_KEY", "hunter2"),
        ("PARLOR_LIMITS__BODY", "8KiB"),
        ("PARLOR_SERVER__ALLOWED_ORIGINS", "https://a.example,https://b.example"),
        ("TEMPERATURE", "0.7"),
    ])
    .unwrap();

    let printed = config.print(&origins);

    assert!(!printed.contains("hunter2"));
    assert!(printed.contains("openai_api_key = \"***\" # OPENAI_API_KEY"), "{printed}");
    assert!(printed.contains("body = \"8KiB\" # PARLOR_LIMITS__BODY"), "{printed}");
    assert!(printed.contains("temperature = 0.7 # TEMPERATURE"), "{printed}");
    assert!(printed.contains("# secret_key is not set"), "{printed}");
    let again = load_file(&printed).unwrap().config;
    assert_eq!(again.limits, config.limits);
    assert_eq!(again.server, config.server);
    assert_eq!(again.llm.temperature, Some(0.7));
}

#[test]
fn debug_form_hides_secrets() {
    let config = load(&[("GROQ_API_KEY", "hunter2")]).unwrap().config;

    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn each_key_has_one_variable_and_a_sentence() {
    let variables = Config::variables();
    let mut names: Vec<_> = variables.iter().map(|variable| variable.name.as_str()).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();

    assert_eq!(names.len(), all, "no variable sets two keys");
    for name in ["PARLOR_LISTEN", "SECRET_KEY_FILE", "PARLOR_AUTH__SECRET_KEY_FILE", "NATS_URL"] {
        assert!(names.contains(&name), "{name}");
    }
    assert!(variables.iter().all(|variable| variable.doc.ends_with('.')));
}

#[test]
fn every_default_is_allowed_when_it_is_written_down() {
    let written = Config::default().print(&Origins::default());

    assert_eq!(load_file(&written).unwrap().config, Config::default());
}

/// Run with `INSTA_UPDATE=always` to write the page anew.
#[test]
fn page_of_all_settings_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/CONFIGURATION.md");
    if std::env::var_os("INSTA_UPDATE").is_some_and(|value| value == "always") {
        fs::write(&path, Config::reference()).unwrap();
    }

    let page = fs::read_to_string(&path).unwrap_or_default();

    assert!(
        page == Config::reference(),
        "run the test with INSTA_UPDATE=always and commit the page"
    );
}
