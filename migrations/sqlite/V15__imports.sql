-- Rooms that are being read from a file. Such a room is private and has no members, so nobody sees it
-- before its file was read to the end; a file that is not is taken back with all that it brought.

CREATE TABLE imports (
    room       BLOB    NOT NULL PRIMARY KEY REFERENCES rooms (id) ON DELETE CASCADE,
    -- How many parts of the file were written.
    parts      INTEGER NOT NULL DEFAULT 0,
    -- When the last one was.
    renewed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The accounts that were made for people of the file.
CREATE TABLE import_people (
    user BLOB NOT NULL PRIMARY KEY,
    room BLOB NOT NULL REFERENCES imports (room) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX import_people_of_room ON import_people (room);
