-- Accounts that were erased. Their rows stay, without anything of the person, for what refers to them.
ALTER TABLE users ADD COLUMN erased_at INTEGER;

-- Accounts that were erased and of which something is left to do.
CREATE TABLE erasures (
    user   BLOB    NOT NULL PRIMARY KEY REFERENCES users (id),
    at     INTEGER NOT NULL,
    -- Whether the texts of their messages go as well.
    redact INTEGER NOT NULL CHECK (redact IN (0, 1))
) STRICT, WITHOUT ROWID;

-- Names that people had before the one they have now: nobody else can take them for a while.
CREATE TABLE former_names (
    name  TEXT    NOT NULL PRIMARY KEY COLLATE NOCASE,
    user  BLOB    NOT NULL REFERENCES users (id),
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX former_names_of_user ON former_names (user);
