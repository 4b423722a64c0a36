-- What programs work with: personal access tokens, incoming and outgoing webhooks, commands.

-- Proves who calls, as a login does, for what its scopes name. Only the SHA-256 of the secret is here.
CREATE TABLE personal_tokens (
    id           uuid   NOT NULL PRIMARY KEY,
    user_id      uuid   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name         text   NOT NULL,
    -- Words, with a space between them.
    scopes       text   NOT NULL,
    -- The beginning of the secret, by which its owner knows it.
    prefix       text   NOT NULL,
    hash         bytea  NOT NULL UNIQUE,
    created_at   bigint NOT NULL,
    expires_at   bigint NOT NULL,
    last_used_at bigint,
    revoked_at   bigint
);

CREATE INDEX personal_tokens_of_user ON personal_tokens (user_id, created_at);
CREATE INDEX personal_tokens_revoked ON personal_tokens (revoked_at) WHERE revoked_at IS NOT NULL;

-- A user of the kind `integration` that posts into one room. Without a hash it has no address of its
-- own: a registered command speaks through it.
CREATE TABLE integrations (
    user_id      uuid   NOT NULL PRIMARY KEY REFERENCES users (id),
    room         uuid   NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    creator      uuid   NOT NULL REFERENCES users (id),
    prefix       text,
    hash         bytea  UNIQUE,
    created_at   bigint NOT NULL,
    last_used_at bigint
);

CREATE INDEX integrations_of_room ON integrations (room, created_at);

-- An address that is told what happens in a room. The log is the queue: what is up to `cursor` was
-- delivered, passed over, or given up.
CREATE TABLE webhooks (
    id                uuid   NOT NULL PRIMARY KEY,
    room              uuid   NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    creator           uuid   NOT NULL REFERENCES users (id),
    url               text   NOT NULL,
    -- Types of events with a space between them; empty: all.
    events            text   NOT NULL,
    -- What the signing secret is derived from, with the key of the installation.
    salt              bytea  NOT NULL,
    created_at        bigint NOT NULL,
    cursor            bigint NOT NULL,
    -- NULL: it is told.
    disabled_at       bigint,
    disabled_reason   text,
    -- Of the event after the cursor.
    attempts          bigint NOT NULL DEFAULT 0,
    failing_since     bigint,
    last_outcome      text,
    last_delivered_at bigint,
    due_at            bigint NOT NULL DEFAULT 0,
    -- Grows with every claim; what an older claim reports is ignored.
    generation        bigint NOT NULL DEFAULT 0,
    lease_until       bigint
) WITH (fillfactor = 70);

CREATE INDEX webhooks_of_room ON webhooks (room, created_at);
CREATE INDEX webhooks_due ON webhooks (id) WHERE disabled_at IS NULL;

-- Events that were given up.
CREATE TABLE dead_letters (
    webhook  uuid   NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    seq      bigint NOT NULL,
    at       bigint NOT NULL,
    attempts bigint NOT NULL,
    outcome  text   NOT NULL,
    PRIMARY KEY (webhook, seq)
);

-- A command of a room that another program answers.
CREATE TABLE commands (
    id          uuid   NOT NULL PRIMARY KEY,
    room        uuid   NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    integration uuid   NOT NULL REFERENCES integrations (user_id) ON DELETE CASCADE,
    name        text   NOT NULL,
    description text   NOT NULL,
    url         text   NOT NULL,
    salt        bytea  NOT NULL,
    created_at  bigint NOT NULL,
    UNIQUE (room, name)
);
