//! Rooms.

use super::members::is_there;
use super::reading::{unread, unread_mentions};

macro_rules! room {
    () => {
        "r.id, r.slug, r.name, r.kind, r.topic, r.archived, r.reset_through, r.last_seq, \
         r.created_at, r.settings"
    };
}

statements! {
    INSERT = "INSERT INTO rooms (id, slug, name, kind, topic, creator, client_id, participants, \
              created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    FIND = concat!("SELECT ", room!(), " FROM rooms r WHERE r.id = ?1");
    FIND_BY_SLUG = concat!("SELECT ", room!(), " FROM rooms r WHERE r.slug = ?1");
    FIND_BY_CLIENT_ID = concat!(
        "SELECT ", room!(), " FROM rooms r WHERE r.creator = ?1 AND r.client_id = ?2"
    );
    FIND_BY_PARTICIPANTS = concat!("SELECT ", room!(), " FROM rooms r WHERE r.participants = ?1");
    SLUG_TAKEN = "SELECT 1 FROM rooms WHERE slug = ?1";
    HEAD = "SELECT reset_through, last_seq FROM rooms WHERE id = ?1";
    MEMBER_COUNT = "SELECT member_count FROM rooms WHERE id = ?1";
    SET_LAST_SEQ = "UPDATE rooms SET last_seq = ?2 WHERE id = ?1";
    SET_RESET = "UPDATE rooms SET reset_through = ?2 WHERE id = ?1";
    UPDATE = "UPDATE rooms SET name = ?2, topic = ?3, archived = ?4, settings = ?5 WHERE id = ?1";
    DELETE = "DELETE FROM rooms WHERE id = ?1";
    /// A room as one user sees it; their membership may be absent.
    FIND_LISTING = concat!(
        "SELECT ", room!(), ", r.member_count, m.role, m.read_seq, \
         CASE WHEN m.user IS NULL THEN 0 ELSE ", unread!(), " END, \
         CASE WHEN m.user IS NULL THEN 0 ELSE ", unread_mentions!(), " END, m.notifications \
         FROM rooms r LEFT JOIN members m ON m.room = r.id AND m.user = ?2 AND ", is_there!(),
        " WHERE r.id = ?1"
    );
    /// Rooms that a user may see, by slug, for a filter that looks at them one by one.
    LIST_VISIBLE = concat!(
        "SELECT r.id, r.slug, r.name, r.topic FROM rooms r \
         LEFT JOIN members m ON m.room = r.id AND m.user = ?1 AND ", is_there!(),
        " WHERE r.slug > ?2 AND (m.user IS NOT NULL OR (?3 = 0 AND r.kind = 'public')) \
         AND (?4 = 1 OR r.archived = 0) ORDER BY r.slug"
    );
    LIST_SOLELY_OWNED = concat!(
        "SELECT r.id FROM members m JOIN rooms r ON r.id = m.room \
         WHERE m.user = ?1 AND m.role = 'owner' AND (?2 IS NULL OR r.kind = ?2) \
         AND NOT EXISTS (SELECT 1 FROM members o WHERE o.room = m.room \
         AND o.role = 'owner' AND o.user <> m.user) AND ", is_there!(), " ORDER BY r.id"
    );
}
