//! Rules between keys. Rules of one key stand beside the key.

use super::Config;

/// A rule that does not hold.
pub(super) struct Complaint {
    /// The keys that it is about; the first one that is not a default is blamed.
    pub(super) keys: [&'static str; 2],
    /// What is allowed.
    pub(super) allowed: String,
}

impl Config {
    /// Returns what is wrong with settings that were made or changed in code, one sentence each.
    pub fn validate(&self) -> Vec<String> {
        complaints(self).into_iter().map(|complaint| complaint.allowed).collect()
    }
}

/// Returns every rule between keys that does not hold.
pub(super) fn complaints(config: &Config) -> Vec<Complaint> {
    let rules = account_rules(config)
        .into_iter()
        .chain(size_rules(config))
        .chain(file_rules(config))
        .chain(time_rules(config))
        .chain(service_rules(config));
    let broken = rules.filter(|(holds, ..)| !holds);
    let complaint = |(_, keys, allowed): Rule| Complaint { keys, allowed: allowed.to_owned() };
    broken.map(complaint).chain(provider_complaint(config)).collect()
}

/// Whether it holds, its keys, and what it says.
type Rule = (bool, [&'static str; 2], &'static str);

fn account_rules(Config { auth, .. }: &Config) -> [Rule; 4] {
    [
        (
            auth.refresh_idle <= auth.refresh_absolute,
            ["auth.refresh_idle", "auth.refresh_absolute"],
            "auth.refresh_idle must not be longer than auth.refresh_absolute",
        ),
        (
            auth.access_token_expire <= auth.refresh_absolute,
            ["auth.access_token_expire", "auth.refresh_absolute"],
            "auth.access_token_expire must not be longer than auth.refresh_absolute",
        ),
        (
            auth.admin_username.is_some() == auth.admin_password.is_some(),
            ["auth.admin_username", "auth.admin_password"],
            "auth.admin_username and auth.admin_password must be set together",
        ),
        (
            // RFC 9106: eight blocks of 1 KiB for each lane.
            auth.argon2_memory.get() >> 10 >= 8 * auth.argon2_parallelism as usize,
            ["auth.argon2_memory", "auth.argon2_parallelism"],
            "auth.argon2_memory must be at least 8KiB for each of auth.argon2_parallelism",
        ),
    ]
}

fn size_rules(Config { limits, bots, .. }: &Config) -> [Rule; 4] {
    [
        (
            // JSON can need two bytes for one of the body, and the frame has other fields.
            limits.body.get() <= limits.frame.get() / 2,
            ["limits.body", "limits.frame"],
            "limits.body must be at most half of limits.frame",
        ),
        (
            limits.signal.get() <= limits.frame.get() / 2,
            ["limits.signal", "limits.frame"],
            "limits.signal must be at most half of limits.frame",
        ),
        (
            limits.body.get() <= limits.request_body.get() / 2,
            ["limits.body", "limits.request_body"],
            "limits.body must be at most half of limits.request_body",
        ),
        (
            // The largest event with its body must fit, or a reader could never catch up.
            bots.reply.get().max(limits.body.get()) <= limits.outbox.get() / 2,
            ["limits.outbox", "bots.reply"],
            "limits.outbox must be at least twice limits.body and twice bots.reply",
        ),
    ]
}

fn file_rules(Config { files, .. }: &Config) -> [Rule; 4] {
    [
        (
            files.folder.is_none() || files.s3_bucket.is_none(),
            ["files.folder", "files.s3_bucket"],
            "files.folder and files.s3_bucket cannot both be set",
        ),
        (
            files.s3_bucket.is_some() || (files.s3_endpoint.is_none() && files.s3_prefix.is_none()),
            ["files.s3_bucket", "files.s3_endpoint"],
            "files.s3_endpoint and files.s3_prefix need files.s3_bucket",
        ),
        (
            files.s3_access_key_id.is_some() == files.s3_secret_access_key.is_some(),
            ["files.s3_access_key_id", "files.s3_secret_access_key"],
            "files.s3_access_key_id and files.s3_secret_access_key must be set together",
        ),
        (
            // With parts of full size a file must be possible.
            files.file.get().div_ceil(files.part.get()) <= files.parts_per_file as usize,
            ["files.part", "files.parts_per_file"],
            "files.part times files.parts_per_file must be at least files.file",
        ),
    ]
}

fn time_rules(Config { limits, bots, webhooks, llm, lifecycle, .. }: &Config) -> [Rule; 5] {
    [
        (
            limits.heartbeat < limits.idle_timeout,
            ["limits.heartbeat", "limits.idle_timeout"],
            "limits.heartbeat must be shorter than limits.idle_timeout",
        ),
        (
            bots.checkpoint < bots.lease,
            ["bots.checkpoint", "bots.lease"],
            "bots.checkpoint must be shorter than bots.lease",
        ),
        (
            // It is renewed after each call. One that takes all its time must not lose it, nor one
            // that waits for the store as long again.
            webhooks.lease > 2 * webhooks.timeout,
            ["webhooks.lease", "webhooks.timeout"],
            "webhooks.lease must be more than twice webhooks.timeout",
        ),
        (
            llm.first_token_timeout <= llm.total_timeout,
            ["llm.first_token_timeout", "llm.total_timeout"],
            "llm.first_token_timeout must not be longer than llm.total_timeout",
        ),
        (
            lifecycle.pre_stop + lifecycle.drain <= lifecycle.abort_after,
            ["lifecycle.abort_after", "lifecycle.drain"],
            "lifecycle.abort_after must be at least lifecycle.pre_stop and lifecycle.drain together",
        ),
    ]
}

fn service_rules(Config { server, store, bus, cluster, relay, .. }: &Config) -> [Rule; 6] {
    let shared = store.postgres().is_some();
    [
        (
            shared || bus.url.is_none(),
            ["bus.url", "store.url"],
            "bus.url (NATS_URL) needs a database that nodes share: set DATABASE_URL to \
             postgres://…; a file in the data folder belongs to one process",
        ),
        (
            shared || cluster.url.is_none(),
            ["cluster.url", "store.url"],
            "cluster.url (REDIS_URL) needs a database that nodes share: set DATABASE_URL to \
             postgres://…; a file in the data folder belongs to one process",
        ),
        (
            server.tls_cert.is_some() == server.tls_key.is_some(),
            ["server.tls_cert", "server.tls_key"],
            "server.tls_cert and server.tls_key must be set together",
        ),
        (
            bus.tls_cert.is_some() == bus.tls_key.is_some(),
            ["bus.tls_cert", "bus.tls_key"],
            "bus.tls_cert and bus.tls_key must be set together",
        ),
        (
            bus.credentials.is_none() || bus.nkey_seed.is_none(),
            ["bus.credentials", "bus.nkey_seed"],
            "bus.credentials and bus.nkey_seed must not be set both",
        ),
        (
            relay.tail_every_away <= relay.tail_every,
            ["relay.tail_every_away", "relay.tail_every"],
            "relay.tail_every_away must not be longer than relay.tail_every",
        ),
    ]
}

/// The provider must be one that exists, and names must not be taken twice.
fn provider_complaint(config: &Config) -> Option<Complaint> {
    const BUILT_IN: [&str; 5] = ["auto", "demo", "ollama", "groq", "openai"];
    let named: Vec<_> = config.llm.providers.iter().map(|p| p.name.as_str()).collect();
    let twice = named
        .iter()
        .enumerate()
        .find(|(index, name)| BUILT_IN.contains(name) || named[..*index].contains(name));
    if let Some((_, name)) = twice {
        return Some(Complaint {
            keys: ["llm.providers", "llm.providers"],
            allowed: format!(
                "llm.providers must use each name once, and none of the built-in ones: {name:?}"
            ),
        });
    }
    let chosen = config.llm.provider.as_str();
    if BUILT_IN.contains(&chosen) || named.contains(&chosen) {
        return None;
    }
    let all: Vec<_> = BUILT_IN.into_iter().chain(named).collect();
    Some(Complaint {
        keys: ["llm.provider", "llm.providers"],
        allowed: format!("llm.provider must be one of {}", all.join(", ")),
    })
}
