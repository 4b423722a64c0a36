-- Rooms that are being read from a file. Such a room is private and has no members, so nobody sees it
-- before its file was read to the end; a file that is not is taken back with all that it brought.

CREATE TABLE imports (
    room       uuid   NOT NULL PRIMARY KEY REFERENCES rooms (id) ON DELETE CASCADE,
    -- How many parts of the file were written.
    parts      bigint NOT NULL DEFAULT 0,
    -- When the last one was.
    renewed_at bigint NOT NULL
);

-- The accounts that were made for people of the file.
CREATE TABLE import_people (
    user_id uuid NOT NULL PRIMARY KEY,
    room    uuid NOT NULL REFERENCES imports (room) ON DELETE CASCADE
);

CREATE INDEX import_people_of_room ON import_people (room);
