-- Ids are 16-byte BLOBs, times are milliseconds since the Unix epoch (UTC).

CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    id            BLOB    NOT NULL PRIMARY KEY,
    username      TEXT    NOT NULL COLLATE NOCASE UNIQUE,
    display_name  TEXT    NOT NULL,
    kind          TEXT    NOT NULL CHECK (kind IN ('user', 'bot', 'integration')),
    email         TEXT    COLLATE NOCASE UNIQUE,
    password_hash TEXT,
    role          TEXT    NOT NULL CHECK (role IN ('admin', 'user')),
    bio           TEXT    NOT NULL DEFAULT '',
    visibility    TEXT    NOT NULL DEFAULT 'public' CHECK (visibility IN ('public', 'private')),
    active        INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
    created_at    INTEGER NOT NULL,
    last_seen     INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX users_admins ON users (id) WHERE role = 'admin' AND active = 1;

-- A login: what a family of refresh tokens belongs to.
CREATE TABLE sessions (
    id             BLOB    NOT NULL PRIMARY KEY,
    user           BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client         TEXT    NOT NULL,
    refresh_hash   BLOB    NOT NULL UNIQUE,
    created_at     INTEGER NOT NULL,
    idle_until     INTEGER NOT NULL,
    absolute_until INTEGER NOT NULL,
    revoked_at     INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_of_user ON sessions (user, created_at);
CREATE INDEX sessions_revoked ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;

CREATE TABLE spent_tokens (
    hash     BLOB    NOT NULL PRIMARY KEY,
    session  BLOB    NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    spent_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX spent_tokens_of_session ON spent_tokens (session);

CREATE TABLE rooms (
    id            BLOB    NOT NULL PRIMARY KEY,
    slug          TEXT    NOT NULL UNIQUE,
    name          TEXT    NOT NULL,
    kind          TEXT    NOT NULL CHECK (kind IN ('public', 'private', 'direct')),
    topic         TEXT    NOT NULL,
    archived      INTEGER NOT NULL DEFAULT 0 CHECK (archived IN (0, 1)),
    last_seq      INTEGER NOT NULL DEFAULT 0,
    -- The last event that a reset removed.
    reset_through INTEGER NOT NULL DEFAULT 0,
    member_count  INTEGER NOT NULL DEFAULT 0,
    creator       BLOB    NOT NULL REFERENCES users (id),
    client_id     TEXT,
    -- In a direct room: the ids of the participants, sorted.
    participants  BLOB    UNIQUE,
    created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX rooms_of_client ON rooms (creator, client_id) WHERE client_id IS NOT NULL;

CREATE TABLE members (
    room        BLOB    NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    user        BLOB    NOT NULL REFERENCES users (id),
    role        TEXT    NOT NULL CHECK (role IN ('owner', 'moderator', 'member')),
    bot         INTEGER NOT NULL CHECK (bot IN (0, 1)),
    joined_at   INTEGER NOT NULL,
    muted_until INTEGER,
    read_seq    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (room, user)
) STRICT, WITHOUT ROWID;

CREATE INDEX members_of_user ON members (user, role);
CREATE INDEX members_bots ON members (room, user) WHERE bot = 1;
CREATE INDEX members_owners ON members (room, user) WHERE role = 'owner';

CREATE TABLE bans (
    room      BLOB    NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    user      BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    banned_by BLOB    NOT NULL,
    banned_at INTEGER NOT NULL,
    -- NULL: until lifted.
    until     INTEGER,
    PRIMARY KEY (room, user)
) STRICT, WITHOUT ROWID;

CREATE TABLE invites (
    code       TEXT    NOT NULL PRIMARY KEY,
    room       BLOB    NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    creator    BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    uses_left  INTEGER NOT NULL CHECK (uses_left >= 0)
) STRICT, WITHOUT ROWID;

CREATE INDEX invites_of_room ON invites (room);

-- The log: the truth that everything else in a room is derived from.
CREATE TABLE events (
    room    BLOB    NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    seq     INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    type    TEXT    NOT NULL,
    actor   BLOB    REFERENCES users (id),
    -- The user that it is about, where that is not the actor.
    subject BLOB    REFERENCES users (id),
    message BLOB,
    data    TEXT    NOT NULL,
    PRIMARY KEY (room, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX events_of_message ON events (message) WHERE message IS NOT NULL;

-- Messages as they are now; written in the transaction of the event that changes them.
CREATE TABLE messages (
    room              BLOB    NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    seq               INTEGER NOT NULL,
    id                BLOB    NOT NULL UNIQUE,
    sender            BLOB    NOT NULL REFERENCES users (id),
    client_id         TEXT,
    status            TEXT    NOT NULL,
    reply_to          BLOB,
    thread            BLOB,
    created_at        INTEGER NOT NULL,
    edited_at         INTEGER,
    redacted_at       INTEGER,
    -- How many replies of bots led to it.
    hops              INTEGER NOT NULL DEFAULT 0,
    bot_trigger       BLOB,
    bot_provider      TEXT,
    bot_model         TEXT,
    prompt_tokens     INTEGER,
    completion_tokens INTEGER,
    usage_estimated   INTEGER,
    error_code        TEXT,
    error_detail      TEXT,
    body              TEXT    NOT NULL,
    PRIMARY KEY (room, seq)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX messages_of_client ON messages (room, sender, client_id)
    WHERE client_id IS NOT NULL;
CREATE INDEX messages_replies ON messages (bot_trigger) WHERE bot_trigger IS NOT NULL;

CREATE TABLE reactions (
    room        BLOB    NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    message_seq INTEGER NOT NULL,
    emoji       TEXT    NOT NULL,
    user        BLOB    NOT NULL REFERENCES users (id),
    -- The event that added it: the order of reactions.
    seq         INTEGER NOT NULL,
    PRIMARY KEY (room, message_seq, emoji, user)
) STRICT, WITHOUT ROWID;

CREATE TABLE bots (
    user               BLOB    NOT NULL PRIMARY KEY REFERENCES users (id),
    provider           TEXT,
    model              TEXT,
    system_prompt      TEXT    NOT NULL,
    trigger            TEXT    NOT NULL CHECK (trigger IN ('mention', 'always', 'direct', 'never')),
    temperature        REAL,
    max_tokens         INTEGER,
    context_messages   INTEGER NOT NULL,
    memory_ttl_seconds INTEGER NOT NULL,
    owner              BLOB    REFERENCES users (id),
    created_at         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The duty of a bot to answer a message exactly once. Ended ones stay: they prevent a second one.
CREATE TABLE bot_jobs (
    num              INTEGER NOT NULL PRIMARY KEY,
    id               BLOB    NOT NULL UNIQUE,
    room             BLOB    NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    trigger          BLOB    NOT NULL,
    bot              BLOB    NOT NULL REFERENCES users (id),
    hops             INTEGER NOT NULL,
    state            TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'done')),
    -- Grows with every claim; writes of an older claim are refused.
    generation       INTEGER NOT NULL DEFAULT 0,
    worker           BLOB,
    lease_until      INTEGER,
    due_at           INTEGER NOT NULL,
    cancel_requested INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
    reply            BLOB,
    turn             INTEGER NOT NULL DEFAULT 0,
    chunk            INTEGER NOT NULL DEFAULT 0,
    checkpoint       TEXT    NOT NULL DEFAULT '',
    created_at       INTEGER NOT NULL,
    UNIQUE (trigger, bot)
) STRICT;

CREATE INDEX bot_jobs_open ON bot_jobs (num) WHERE state <> 'done';
CREATE INDEX bot_jobs_open_in_room ON bot_jobs (room, num) WHERE state <> 'done';
CREATE INDEX bot_jobs_of_room ON bot_jobs (room);
CREATE INDEX bot_jobs_of_bot ON bot_jobs (bot) WHERE state <> 'done';
CREATE UNIQUE INDEX bot_jobs_reply ON bot_jobs (reply) WHERE reply IS NOT NULL;
