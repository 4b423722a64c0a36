-- Nothing here: one process has the database, and its writer notes in memory what nodes may remember
-- and has changed. The other database keeps that in a table.
SELECT 1;
