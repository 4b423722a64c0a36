-- Accounts that were erased. Their rows stay, without anything of the person, for what refers to them.
ALTER TABLE users ADD COLUMN erased_at INTEGER;

-- Accounts that were erased and of which something is left to do.
CREATE TABLE erasures (
    user   BLOB    NOT NULL PRIMARY KEY REFERENCES users (id),
    at     INTEGER NOT NULL,
    -- Whether the texts of their messages go as well.
    redact INTEGER NOT NULL CHECK (redact IN (0, 1))
) STRICT, WITHOUT ROWID;
