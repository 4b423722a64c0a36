-- What programs work with: personal access tokens, incoming and outgoing webhooks, commands.

-- Proves who calls, as a login does, for what its scopes name. Only the SHA-256 of the secret is here.
CREATE TABLE personal_tokens (
    id           BLOB    NOT NULL PRIMARY KEY,
    user         BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name         TEXT    NOT NULL,
    -- Words, with a space between them.
    scopes       TEXT    NOT NULL,
    -- The beginning of the secret, by which its owner knows it.
    prefix       TEXT    NOT NULL,
    hash         BLOB    NOT NULL UNIQUE,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    revoked_at   INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX personal_tokens_of_user ON personal_tokens (user, created_at);
CREATE INDEX personal_tokens_revoked ON personal_tokens (revoked_at) WHERE revoked_at IS NOT NULL;

-- A user of the kind `integration` that posts into one room. Without a hash it has no address of its
-- own: a registered command speaks through it.
CREATE TABLE integrations (
    user         BLOB    NOT NULL PRIMARY KEY REFERENCES users (id),
    room         BLOB    NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    creator      BLOB    NOT NULL REFERENCES users (id),
    prefix       TEXT,
    hash         BLOB    UNIQUE,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX integrations_of_room ON integrations (room, created_at);

-- An address that is told what happens in a room. The log is the queue: what is up to `cursor` was
-- delivered, passed over, or given up.
CREATE TABLE webhooks (
    id                BLOB    NOT NULL PRIMARY KEY,
    room              BLOB    NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    creator           BLOB    NOT NULL REFERENCES users (id),
    url               TEXT    NOT NULL,
    -- Types of events with a space between them; empty: all.
    events            TEXT    NOT NULL,
    -- What the signing secret is derived from, with the key of the installation.
    salt              BLOB    NOT NULL,
    created_at        INTEGER NOT NULL,
    cursor            INTEGER NOT NULL,
    -- NULL: it is told.
    disabled_at       INTEGER,
    disabled_reason   TEXT,
    -- Of the event after the cursor.
    attempts          INTEGER NOT NULL DEFAULT 0,
    failing_since     INTEGER,
    last_outcome      TEXT,
    last_delivered_at INTEGER,
    due_at            INTEGER NOT NULL DEFAULT 0,
    -- Grows with every claim; what an older claim reports is ignored.
    generation        INTEGER NOT NULL DEFAULT 0,
    lease_until       INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX webhooks_of_room ON webhooks (room, created_at);
CREATE INDEX webhooks_due ON webhooks (due_at) WHERE disabled_at IS NULL;

-- Events that were given up.
CREATE TABLE dead_letters (
    webhook  BLOB    NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    seq      INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    outcome  TEXT    NOT NULL,
    PRIMARY KEY (webhook, seq)
) STRICT, WITHOUT ROWID;

-- A command of a room that another program answers.
CREATE TABLE commands (
    id          BLOB    NOT NULL PRIMARY KEY,
    room        BLOB    NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    integration BLOB    NOT NULL REFERENCES integrations (user) ON DELETE CASCADE,
    name        TEXT    NOT NULL,
    description TEXT    NOT NULL,
    url         TEXT    NOT NULL,
    salt        BLOB    NOT NULL,
    created_at  INTEGER NOT NULL,
    UNIQUE (room, name)
) STRICT, WITHOUT ROWID;
