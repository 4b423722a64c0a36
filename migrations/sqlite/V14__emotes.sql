-- Whether the text of a message is what its author does (`/me`), not what they say.
ALTER TABLE messages ADD COLUMN emote INTEGER NOT NULL DEFAULT 0 CHECK (emote IN (0, 1));
