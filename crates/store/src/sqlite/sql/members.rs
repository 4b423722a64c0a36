//! Memberships, bans and invites.

/// Whether the room of a membership `m` is there: a file is not read to its end before all of its people
/// are members, and then they all are at once.
macro_rules! is_there {
    () => {
        "NOT EXISTS (SELECT 1 FROM imports i WHERE i.room = m.room AND i.state <> 'finished')"
    };
}
pub(in crate::sqlite::sql) use is_there;

statements! {
    FIND = concat!(
        "SELECT m.role, m.muted_until FROM members m WHERE m.room = ?1 AND m.user = ?2 AND ",
        is_there!()
    );
    INSERT = "INSERT INTO members (room, user, role, bot, joined_at, read_seq) \
              VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    COUNT_UP = "UPDATE rooms SET member_count = member_count + 1 WHERE id = ?1";
    COUNT_DOWN = "UPDATE rooms SET member_count = member_count - 1 WHERE id = ?1";
    DELETE = "DELETE FROM members WHERE room = ?1 AND user = ?2";
    SET_ROLE = "UPDATE members SET role = ?3 WHERE room = ?1 AND user = ?2";
    SET_MUTE = "UPDATE members SET muted_until = ?3, mute_reason = ?4, muted_by = ?5 \
                WHERE room = ?1 AND user = ?2";
    FIND_MUTE_REASON = "SELECT mute_reason FROM members WHERE room = ?1 AND user = ?2";
    /// Someone who may log in.
    HAS_OTHER_OWNER = "SELECT 1 FROM members m JOIN users u ON u.id = m.user \
                       WHERE m.room = ?1 AND m.role = 'owner' AND m.user <> ?2 AND u.active = 1";
    COUNT_OWNED = "SELECT count(*) FROM members WHERE user = ?1 AND role = 'owner'";
    LIST_ROOMS_OF = concat!(
        "SELECT m.room FROM members m WHERE m.user = ?1 AND ", is_there!(), " ORDER BY m.room"
    );
    LIST_ROOM_SIZES_OF = concat!(
        "SELECT m.room, r.member_count FROM members m JOIN rooms r ON r.id = m.room \
         WHERE m.user = ?1 AND ", is_there!(), " ORDER BY m.room"
    );
    LIST = "SELECT u.id, u.username, u.display_name, u.kind, m.role, m.joined_at, m.muted_until, \
            m.mute_reason FROM members m JOIN users u ON u.id = m.user \
            WHERE m.room = ?1 AND m.name > ?2 ORDER BY m.name LIMIT ?3";
    LIST_OTHERS = "SELECT u.id, u.username, u.display_name, u.kind \
                   FROM members m JOIN users u ON u.id = m.user \
                   WHERE m.room = ?1 AND u.id <> ?2 ORDER BY u.username";
    MOVE_READ_MARKER = "UPDATE members SET read_seq = ?3 WHERE room = ?1 AND user = ?2 \
                        AND read_seq < ?3";
    FIND_BAN = "SELECT until, reason FROM bans WHERE room = ?1 AND user = ?2";
    BAN = "INSERT INTO bans (room, user, banned_by, banned_at, until, reason) \
           VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
           ON CONFLICT (room, user) DO UPDATE SET banned_by = excluded.banned_by, \
           banned_at = excluded.banned_at, until = excluded.until, reason = excluded.reason";
    UNBAN = "DELETE FROM bans WHERE room = ?1 AND user = ?2";
    INSERT_INVITE = "INSERT INTO invites (code, room, creator, created_at, expires_at, uses_left) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    FIND_INVITE = "SELECT room, expires_at, uses_left FROM invites \
                   WHERE code = ?1 AND expires_at > ?2 AND uses_left > 0";
    INVITE_IS_OF_ROOM = "SELECT 1 FROM invites WHERE code = ?1 AND room = ?2";
    USE_INVITE = "UPDATE invites SET uses_left = uses_left - 1 \
                  WHERE code = ?1 AND room = ?2 AND expires_at > ?3 AND uses_left > 0";
    FORGET_INVITES = "DELETE FROM invites WHERE room = ?1 AND (expires_at <= ?2 OR uses_left = 0)";
}
