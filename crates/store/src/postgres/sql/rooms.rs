//! Rooms.

use super::reading::{unread, unread_mentions};

macro_rules! room {
    () => {
        "r.id, r.slug, r.name, r.kind, r.topic, r.archived, r.reset_through, r.last_seq, \
         r.created_at, r.settings"
    };
}

statements! {
    INSERT = "INSERT INTO rooms (id, slug, name, kind, topic, creator, client_id, participants, \
              created_at, last_seq, member_count) \
              VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    /// Nobody else changes the room until the end of the transaction.
    LOCK = concat!("SELECT ", room!(), " FROM rooms r WHERE r.id = $1 FOR NO KEY UPDATE");
    LOCK_MANY = concat!(
        "SELECT ", room!(), " FROM rooms r WHERE r.id = ANY ($1) ORDER BY r.id FOR NO KEY UPDATE"
    );
    LOCK_ALL = "SELECT 1 FROM rooms WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE";
    FIND = concat!("SELECT ", room!(), " FROM rooms r WHERE r.id = $1");
    FIND_BY_SLUG = concat!("SELECT ", room!(), " FROM rooms r WHERE r.slug = $1");
    FIND_ALL = concat!(
        "SELECT ", room!(), " FROM rooms r WHERE r.id = ANY($1) OR r.slug = ANY($2)"
    );
    FIND_BY_CLIENT_ID = concat!(
        "SELECT ", room!(), " FROM rooms r WHERE r.creator = $1 AND r.client_id = $2"
    );
    FIND_BY_PARTICIPANTS = concat!("SELECT ", room!(), " FROM rooms r WHERE r.participants = $1");
    SLUG_TAKEN = "SELECT 1 FROM rooms WHERE slug = $1";
    HEAD = "SELECT reset_through, last_seq FROM rooms WHERE id = $1";
    LIST_HEADS = "SELECT id, reset_through, last_seq FROM rooms WHERE id = ANY ($1)";
    MEMBER_COUNT = "SELECT member_count FROM rooms WHERE id = $1";
    SET_RESET = "UPDATE rooms SET reset_through = $2 WHERE id = $1";
    UPDATE = "UPDATE rooms SET name = $2, topic = $3, archived = $4 WHERE id = $1";
    /// What nodes remember of the room decides how its messages are written.
    SET_SETTINGS = "UPDATE rooms SET settings = $2, bots_mark = gen_random_uuid() WHERE id = $1";
    SET_LAST_SEQS = "UPDATE rooms r SET last_seq = n.seq \
                     FROM unnest($1::uuid[], $2::bigint[]) AS n (room, seq) WHERE r.id = n.room";
    DELETE_ALL = "DELETE FROM rooms WHERE id = ANY($1)";
    /// Nobody is to work for a room that is gone.
    DELETE_OPEN_JOBS = "DELETE FROM bot_jobs WHERE room = ANY ($1) AND state <> 'done'";
    NOTE_PURGES = "INSERT INTO purges (room) SELECT unnest($1::uuid[])";
    LIST_PURGES = "SELECT room FROM purges ORDER BY room";
    END_PURGE = "DELETE FROM purges WHERE room = $1";
    PURGE_REACTIONS = "DELETE FROM reactions WHERE ctid = ANY(ARRAY( \
                       SELECT ctid FROM reactions WHERE room = $1 LIMIT $2))";
    PURGE_MENTIONS = "DELETE FROM mentions WHERE ctid = ANY(ARRAY( \
                      SELECT ctid FROM mentions WHERE room = $1 LIMIT $2))";
    PURGE_MESSAGES = "DELETE FROM messages WHERE room = $1 AND seq <= (SELECT max(seq) FROM ( \
                      SELECT seq FROM messages WHERE room = $1 ORDER BY seq LIMIT $2) AS step)";
    PURGE_EVENTS = "DELETE FROM events WHERE room = $1 AND seq <= (SELECT max(seq) FROM ( \
                    SELECT seq FROM events WHERE room = $1 ORDER BY seq LIMIT $2) AS step)";
    PURGE_JOBS = "DELETE FROM bot_jobs WHERE ctid = ANY(ARRAY( \
                  SELECT ctid FROM bot_jobs WHERE room = $1 LIMIT $2))";
    /// Rooms as one user sees them; their membership may be absent.
    LIST_LISTINGS = concat!(
        "SELECT ", room!(), ", r.member_count, m.role, m.read_seq, \
         CASE WHEN m.user_id IS NULL THEN 0 ELSE ", unread!(), " END, \
         CASE WHEN m.user_id IS NULL THEN 0 ELSE ", unread_mentions!(), " END, m.notifications \
         FROM rooms r LEFT JOIN members m ON m.room = r.id AND m.user_id = $2 \
         WHERE r.id = ANY($1) ORDER BY r.slug"
    );
    /// Rooms that a user may see, by slug.
    LIST_VISIBLE = "SELECT r.id, r.slug, r.name, r.topic FROM rooms r \
                    LEFT JOIN members m ON m.room = r.id AND m.user_id = $1 \
                    WHERE r.slug > $2 AND (m.user_id IS NOT NULL \
                    OR (NOT $3::boolean AND r.kind = 'public')) \
                    AND ($4::boolean OR NOT r.archived) ORDER BY r.slug LIMIT $5";
    LIST_SOLELY_OWNED = "SELECT r.id FROM members m JOIN rooms r ON r.id = m.room \
                         WHERE m.user_id = $1 AND m.role = 'owner' \
                         AND ($2::text IS NULL OR r.kind = $2) \
                         AND NOT EXISTS (SELECT 1 FROM members o WHERE o.room = m.room \
                         AND o.role = 'owner' AND o.user_id <> m.user_id) ORDER BY r.id";
}
