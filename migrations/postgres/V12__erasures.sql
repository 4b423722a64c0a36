-- Accounts that were erased. Their rows stay, without anything of the person, for what refers to them.
ALTER TABLE users ADD COLUMN erased_at bigint;

-- Accounts that were erased and of which something is left to do.
CREATE TABLE erasures (
    user_id uuid    NOT NULL PRIMARY KEY REFERENCES users (id),
    at      bigint  NOT NULL,
    -- Whether the texts of their messages go as well.
    redact  boolean NOT NULL
);
