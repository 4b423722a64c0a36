//! Slow mode, bans and invite links as moderators see them.

statements! {
    FIND_LAST_POST = "SELECT at FROM last_posts WHERE room = ?1 AND user = ?2";
    NOTE_LAST_POST = "INSERT INTO last_posts (room, user, at) VALUES (?1, ?2, ?3) \
                      ON CONFLICT (room, user) DO UPDATE SET at = excluded.at";
    FORGET_LAST_POSTS = "DELETE FROM last_posts WHERE room = ?1";
    NOTE_PAST_MEMBER = "INSERT INTO past_members (user, room) VALUES (?2, ?1) \
                        ON CONFLICT (user, room) DO NOTHING";
    LIST_BANS = "SELECT u.id, u.username, u.display_name, u.kind, \
                 m.id, m.username, m.display_name, m.kind, b.banned_at, b.until, b.reason \
                 FROM bans b JOIN users u ON u.id = b.user LEFT JOIN users m ON m.id = b.banned_by \
                 WHERE b.room = ?1 AND u.username > ?2 AND (b.until IS NULL OR b.until > ?3) \
                 ORDER BY u.username LIMIT ?4";
    LIST_INVITES = "SELECT i.code, u.id, u.username, u.display_name, u.kind, i.expires_at, \
                    i.uses_left FROM invites i JOIN users u ON u.id = i.creator \
                    WHERE i.room = ?1 AND (?2 IS NULL OR i.creator = ?2) AND i.code > ?3 \
                    AND i.expires_at > ?4 AND i.uses_left > 0 ORDER BY i.code LIMIT ?5";
    REVOKE_INVITE = "DELETE FROM invites WHERE code = ?1 AND room = ?2 \
                     AND (?3 IS NULL OR creator = ?3)";
    REVOKE_INVITES_OF = "DELETE FROM invites WHERE room = ?1 AND creator = ?2";
}
