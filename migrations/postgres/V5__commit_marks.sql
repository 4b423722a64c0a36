-- Names a commit beyond doubt. After a crash the server gives the numbers of transactions out again
-- that were not on disk, so a number alone may tell of another transaction than the one that was asked
-- to commit.
ALTER TABLE commit_log ADD COLUMN mark uuid;
