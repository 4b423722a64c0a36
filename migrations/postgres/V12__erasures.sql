-- Accounts that were erased. Their rows stay, without anything of the person, for what refers to them.
ALTER TABLE users ADD COLUMN erased_at bigint;

-- Accounts that were erased and of which something is left to do.
CREATE TABLE erasures (
    user_id uuid    NOT NULL PRIMARY KEY REFERENCES users (id),
    at      bigint  NOT NULL,
    -- Whether the texts of their messages go as well.
    redact  boolean NOT NULL
);

-- Names that people had before the one they have now, in lower case: nobody else can take them for a
-- while.
CREATE TABLE former_names (
    name    text   NOT NULL PRIMARY KEY,
    user_id uuid   NOT NULL REFERENCES users (id),
    until   bigint NOT NULL
);

CREATE INDEX former_names_of_user ON former_names (user_id);
