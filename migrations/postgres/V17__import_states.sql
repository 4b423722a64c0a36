-- What becomes of an import: `reading` until its end, then `finished`, or `given_up` for good. Nothing is
-- written to one that was given up, also while what it brought is taken back step by step.
ALTER TABLE imports ADD COLUMN state text NOT NULL DEFAULT 'reading'
    CHECK (state IN ('reading', 'given_up', 'finished'));

-- Whoever removes an account asks each of these tables for it. All are small, or written seldom.
CREATE INDEX rooms_of_creator ON rooms (creator);
CREATE INDEX bans_of_user ON bans (user_id);
CREATE INDEX invites_of_creator ON invites (creator);
CREATE INDEX last_posts_of_user ON last_posts (user_id);
CREATE INDEX bots_of_owner ON bots (owner) WHERE owner IS NOT NULL;
CREATE INDEX integrations_of_creator ON integrations (creator);
CREATE INDEX webhooks_of_creator ON webhooks (creator);
