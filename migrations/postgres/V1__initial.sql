-- Ids are uuid, times are milliseconds since the Unix epoch (UTC) in bigint: what the wire has, with
-- the same range and the same comparisons as in the other database. `user` is a reserved word here,
-- so that column is `user_id`. Names that are compared and sorted are in collation "C": their order
-- is that of the bytes, and an upgrade of the system's collations cannot break an index.
--
-- Nothing refers to rooms and users from events, messages, reactions and bot_jobs: each such check
-- would lock and rewrite the row of the author and of the room for every message. Rows of these
-- tables are written and removed only under the lock of their room's row.

CREATE TABLE meta (
    key   text NOT NULL PRIMARY KEY,
    value text NOT NULL
);

INSERT INTO meta (key, value) VALUES
    -- Names this database, as far as its copies are concerned. An operator changes it after a
    -- restore that the server itself cannot notice.
    ('incarnation', gen_random_uuid()::text),
    -- The oldest schema that a program must know to work with this one.
    ('compatible_from', '1');

CREATE FUNCTION now_ms() RETURNS bigint LANGUAGE sql VOLATILE PARALLEL SAFE
    RETURN (extract(epoch FROM clock_timestamp()) * 1000)::bigint;

CREATE TABLE users (
    id            uuid    NOT NULL PRIMARY KEY,
    username      text    COLLATE "C" NOT NULL,
    display_name  text    NOT NULL,
    kind          text    NOT NULL CHECK (kind IN ('user', 'bot', 'integration')),
    email         text    COLLATE "C",
    password_hash text,
    role          text    NOT NULL CHECK (role IN ('admin', 'user')),
    bio           text    NOT NULL DEFAULT '',
    visibility    text    NOT NULL DEFAULT 'public' CHECK (visibility IN ('public', 'private')),
    active        boolean NOT NULL DEFAULT true,
    created_at    bigint  NOT NULL,
    last_seen     bigint
) WITH (fillfactor = 80);

-- One per name in any case, and the order of lists.
CREATE UNIQUE INDEX users_username ON users (lower(username));
CREATE UNIQUE INDEX users_email ON users (lower(email));
CREATE INDEX users_admins ON users (id) WHERE role = 'admin' AND active;

-- A login: what a family of refresh tokens belongs to.
CREATE TABLE sessions (
    id             uuid   NOT NULL PRIMARY KEY,
    user_id        uuid   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client         text   NOT NULL,
    refresh_hash   bytea  NOT NULL UNIQUE,
    created_at     bigint NOT NULL,
    idle_until     bigint NOT NULL,
    absolute_until bigint NOT NULL,
    revoked_at     bigint
);

CREATE INDEX sessions_of_user ON sessions (user_id, created_at);
CREATE INDEX sessions_revoked ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX sessions_newest ON sessions (created_at DESC, id DESC);

CREATE TABLE spent_tokens (
    hash     bytea  NOT NULL PRIMARY KEY,
    session  uuid   NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    spent_at bigint NOT NULL
);

CREATE INDEX spent_tokens_of_session ON spent_tokens (session);

-- last_seq moves with every append. No index holds it, and pages are half empty, so that the new
-- version of a row fits beside the old one and no index is touched.
CREATE TABLE rooms (
    id            uuid    NOT NULL PRIMARY KEY,
    slug          text    COLLATE "C" NOT NULL UNIQUE,
    name          text    NOT NULL,
    kind          text    NOT NULL CHECK (kind IN ('public', 'private', 'direct')),
    topic         text    NOT NULL,
    archived      boolean NOT NULL DEFAULT false,
    last_seq      bigint  NOT NULL DEFAULT 0,
    -- The last event that a reset removed.
    reset_through bigint  NOT NULL DEFAULT 0,
    member_count  bigint  NOT NULL DEFAULT 0,
    creator       uuid    NOT NULL REFERENCES users (id),
    client_id     text,
    -- In a direct room: the ids of the participants, sorted.
    participants  bytea   UNIQUE,
    created_at    bigint  NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

CREATE UNIQUE INDEX rooms_of_client ON rooms (creator, client_id) WHERE client_id IS NOT NULL;

CREATE TABLE members (
    room        uuid    NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    user_id     uuid    NOT NULL REFERENCES users (id),
    role        text    NOT NULL CHECK (role IN ('owner', 'moderator', 'member')),
    bot         boolean NOT NULL,
    joined_at   bigint  NOT NULL,
    muted_until bigint,
    read_seq    bigint  NOT NULL DEFAULT 0,
    PRIMARY KEY (room, user_id)
) WITH (fillfactor = 80);

CREATE INDEX members_of_user ON members (user_id, role);
CREATE INDEX members_bots ON members (room, user_id) WHERE bot;
CREATE INDEX members_owners ON members (room, user_id) WHERE role = 'owner';

CREATE TABLE bans (
    room      uuid   NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    user_id   uuid   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    banned_by uuid   NOT NULL,
    banned_at bigint NOT NULL,
    -- NULL: until lifted.
    until     bigint,
    PRIMARY KEY (room, user_id)
);

CREATE TABLE invites (
    code       text   COLLATE "C" NOT NULL PRIMARY KEY,
    room       uuid   NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    creator    uuid   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    uses_left  bigint NOT NULL CHECK (uses_left >= 0)
);

CREATE INDEX invites_of_room ON invites (room);

-- The log: the truth that everything else in a room is derived from.
CREATE TABLE events (
    room    uuid   NOT NULL,
    seq     bigint NOT NULL,
    at      bigint NOT NULL,
    type    text   NOT NULL,
    actor   uuid,
    -- The user that it is about, where that is not the actor.
    subject uuid,
    message uuid,
    data    text   NOT NULL,
    PRIMARY KEY (room, seq)
);

CREATE INDEX events_of_message ON events (message) WHERE message IS NOT NULL;

-- Messages as they are now; written in the transaction of the event that changes them.
CREATE TABLE messages (
    room              uuid    NOT NULL,
    seq               bigint  NOT NULL,
    id                uuid    NOT NULL UNIQUE,
    sender            uuid    NOT NULL,
    client_id         text    COLLATE "C",
    status            text    NOT NULL,
    reply_to          uuid,
    thread            uuid,
    created_at        bigint  NOT NULL,
    edited_at         bigint,
    redacted_at       bigint,
    -- How many replies of bots led to it.
    hops              bigint  NOT NULL DEFAULT 0,
    bot_trigger       uuid,
    bot_provider      text,
    bot_model         text,
    prompt_tokens     bigint,
    completion_tokens bigint,
    usage_estimated   boolean,
    error_code        text,
    error_detail      text,
    body              text    NOT NULL,
    PRIMARY KEY (room, seq)
);

CREATE UNIQUE INDEX messages_of_client ON messages (room, sender, client_id)
    WHERE client_id IS NOT NULL;
CREATE INDEX messages_replies ON messages (bot_trigger) WHERE bot_trigger IS NOT NULL;

CREATE TABLE reactions (
    room        uuid   NOT NULL,
    message_seq bigint NOT NULL,
    emoji       text   COLLATE "C" NOT NULL,
    user_id     uuid   NOT NULL,
    -- The event that added it: the order of reactions.
    seq         bigint NOT NULL,
    PRIMARY KEY (room, message_seq, emoji, user_id)
);

CREATE TABLE bots (
    user_id            uuid   NOT NULL PRIMARY KEY REFERENCES users (id),
    provider           text,
    model              text,
    system_prompt      text   NOT NULL,
    trigger            text   NOT NULL CHECK (trigger IN ('mention', 'always', 'direct', 'never')),
    temperature        real,
    max_tokens         bigint,
    context_messages   bigint NOT NULL,
    memory_ttl_seconds bigint NOT NULL,
    owner              uuid   REFERENCES users (id),
    created_at         bigint NOT NULL
);

-- The duty of a bot to answer a message exactly once. Ended ones stay: they prevent a second one.
CREATE TABLE bot_jobs (
    num              bigint  NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id               uuid    NOT NULL UNIQUE,
    room             uuid    NOT NULL,
    trigger          uuid    NOT NULL,
    bot              uuid    NOT NULL,
    hops             bigint  NOT NULL,
    state            text    NOT NULL CHECK (state IN ('queued', 'running', 'done')),
    -- Grows with every claim; writes of an older claim are refused.
    generation       bigint  NOT NULL DEFAULT 0,
    worker           uuid,
    lease_until      bigint,
    due_at           bigint  NOT NULL,
    cancel_requested boolean NOT NULL DEFAULT false,
    reply            uuid,
    turn             bigint  NOT NULL DEFAULT 0,
    chunk            bigint  NOT NULL DEFAULT 0,
    checkpoint       text    NOT NULL DEFAULT '',
    created_at       bigint  NOT NULL,
    UNIQUE (trigger, bot)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX bot_jobs_open ON bot_jobs (num) WHERE state <> 'done';
CREATE INDEX bot_jobs_open_in_room ON bot_jobs (room, num) WHERE state <> 'done';
CREATE INDEX bot_jobs_of_room ON bot_jobs (room);
CREATE INDEX bot_jobs_of_bot ON bot_jobs (bot) WHERE state <> 'done';
CREATE UNIQUE INDEX bot_jobs_reply ON bot_jobs (reply) WHERE reply IS NOT NULL;

-- Rooms that are gone and whose log is still being removed.
CREATE TABLE purges (
    room uuid NOT NULL PRIMARY KEY
);

-- One row for each transaction that other nodes must hear of, in case the bus does not tell them.
-- It is read by the horizon of transactions: a sequence would become visible out of order.
CREATE TABLE commit_log (
    xid           xid8   NOT NULL PRIMARY KEY DEFAULT pg_current_xact_id(),
    at            bigint NOT NULL DEFAULT now_ms(),
    -- The rooms whose log has grown, each with its new last_seq.
    rooms         uuid[]   NOT NULL DEFAULT '{}',
    seqs          bigint[] NOT NULL DEFAULT '{}',
    deleted_rooms uuid[]   NOT NULL DEFAULT '{}',
    -- Logins that were ended, and users that were cut off.
    sessions      uuid[]   NOT NULL DEFAULT '{}',
    users         uuid[]   NOT NULL DEFAULT '{}'
) WITH (autovacuum_vacuum_scale_factor = 0.05);
