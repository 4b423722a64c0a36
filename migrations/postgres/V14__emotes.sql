-- Whether the text of a message is what its author does (`/me`), not what they say.
ALTER TABLE messages ADD COLUMN emote boolean NOT NULL DEFAULT false;
