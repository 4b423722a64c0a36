-- What was given as the reason of a ban, and of a mute with who gave it. NULL: none was given, or it
-- was written by someone who was erased.
ALTER TABLE bans ADD COLUMN reason TEXT;
ALTER TABLE members ADD COLUMN mute_reason TEXT;
ALTER TABLE members ADD COLUMN muted_by BLOB;

-- For erasing whoever gave them.
CREATE INDEX bans_by ON bans (room, banned_by) WHERE reason IS NOT NULL;
CREATE INDEX members_muted_by ON members (room, muted_by) WHERE mute_reason IS NOT NULL;
