-- What becomes of an import: `reading` until its end, then `finished`, or `given_up` for good. Nothing is
-- written to one that was given up, also while what it brought is taken back step by step.
ALTER TABLE imports ADD COLUMN state TEXT NOT NULL DEFAULT 'reading'
    CHECK (state IN ('reading', 'given_up', 'finished'));

-- Whose bans go with an account.
CREATE INDEX bans_of_user ON bans (user);
