//! What people do with their own accounts.

statements! {
    /// One who can log in: programs and imported people have no password.
    HAS_OTHER_ADMIN = "SELECT 1 FROM users WHERE role = 'admin' AND active = 1 \
                       AND password_hash IS NOT NULL AND id <> ?1";
    CHANGE_PASSWORD = "UPDATE users SET password_hash = ?3 \
                       WHERE id = ?1 AND password_hash = ?2";
    CLOSE = "UPDATE users SET active = 0 WHERE id = ?1";
    ERASE = "UPDATE users SET username = ?2, display_name = ?3, email = NULL, \
             password_hash = NULL, role = 'user', bio = '', visibility = 'private', \
             active = 0, last_seen = NULL, erased_at = ?4 WHERE id = ?1";
    FORGET_CLIENTS = "UPDATE sessions SET client = '' WHERE user = ?1";
    FORGET_TOKEN_NAMES = "UPDATE personal_tokens SET name = '', prefix = '' WHERE user = ?1";
    FORGET_NAMES = "DELETE FROM former_names WHERE user = ?1";
    FORGET_LINKS = "DELETE FROM invites WHERE creator = ?1";
    FORGET_BANS = "DELETE FROM bans WHERE user = ?1";
    LET_BOTS_GO = "UPDATE bots SET owner = NULL WHERE owner = ?1";
    NOTE_ERASURE = "INSERT INTO erasures (user, at, redact) VALUES (?1, ?2, ?3) \
                    ON CONFLICT (user) DO UPDATE SET redact = max(redact, excluded.redact)";
    LIST_ERASURES = "SELECT user, redact, at FROM erasures ORDER BY at";
    FINISH_ERASURE = "DELETE FROM erasures WHERE user = ?1";
    FORGET_SESSIONS = "DELETE FROM sessions WHERE user = ?1";
    FORGET_TOKENS = "DELETE FROM personal_tokens WHERE user = ?1";
    /// But not of a file that is still being read.
    LIST_PAST_ROOMS = "SELECT p.room FROM past_members p WHERE p.user = ?1 AND NOT EXISTS \
                       (SELECT 1 FROM imports i WHERE i.room = p.room AND i.state <> 'finished') \
                       ORDER BY p.room";
    FORGET_PAST_ROOM = "DELETE FROM past_members WHERE user = ?1 AND room = ?2";
    /// A quotation mark in a text has a backslash before it, so no text is taken for a name.
    /// So it is with the reason of a kick, ban or mute: told of the user, or if their texts go, given
    /// by the user.
    LIST_NAMING_EVENTS = "SELECT seq, data, gave FROM (SELECT seq, data, type GLOB 'member.*' \
                          AND data GLOB '*\"reason_text\":\"*' AND (coalesce(subject, actor) IS ?4 \
                          OR (?5 AND actor IS ?4)) AS gave FROM events \
                          WHERE room = ?1 AND seq > ?2 AND seq <= ?3) \
                          WHERE gave OR data GLOB '*\"username\":\"[^\"]*' ORDER BY seq";
    FORGET_BAN_REASONS = "UPDATE bans SET reason = NULL \
                          WHERE room = ?1 AND banned_by = ?2 AND reason IS NOT NULL";
    FORGET_MUTE_REASONS = "UPDATE members SET mute_reason = NULL \
                           WHERE room = ?1 AND muted_by = ?2 AND mute_reason IS NOT NULL";
    SET_DOCUMENT = "UPDATE events SET data = ?3 WHERE room = ?1 AND seq = ?2";
    IS_OWNER = "SELECT 1 FROM members WHERE room = ?1 AND user = ?2 AND role = 'owner'";
    /// The person who has been there longest: a moderator first. One who is deactivated only when there
    /// is nobody else, for an administrator can let them in again; one of an imported file never.
    FIND_SUCCESSOR = "SELECT m.user FROM members m JOIN users u ON u.id = m.user \
                      WHERE m.room = ?1 AND m.user <> ?2 AND u.kind = 'user' \
                      AND u.erased_at IS NULL AND u.password_hash IS NOT NULL \
                      ORDER BY u.active DESC, m.role = 'owner' DESC, m.role = 'moderator' DESC, \
                      m.joined_at, m.user LIMIT 1";
    LIST_FORMER_NAMES = "SELECT name, until FROM former_names WHERE user = ?1 ORDER BY until";
    LIST_BANS_OF = "SELECT b.room, b.banned_at, b.until, b.reason \
                    FROM bans b JOIN rooms r ON r.id = b.room \
                    WHERE b.user = ?1 AND (?2 IS NULL OR b.room > ?2) AND (r.kind = 'public' \
                    OR EXISTS (SELECT 1 FROM past_members p WHERE p.room = b.room AND p.user = ?1)) \
                    ORDER BY b.room LIMIT ?3";
    LIST_PROGRAMS = "SELECT 'integration', i.user, u.display_name, NULL, NULL, i.created_at AS at \
                     FROM integrations i JOIN users u ON u.id = i.user \
                     WHERE i.room = ?2 AND i.creator = ?1 AND i.hash IS NOT NULL UNION ALL \
                     SELECT 'webhook', w.id, NULL, NULL, w.url, w.created_at FROM webhooks w \
                     WHERE w.room = ?2 AND w.creator = ?1 UNION ALL \
                     SELECT 'command', c.id, c.name, c.description, c.url, c.created_at \
                     FROM commands c JOIN integrations i ON i.user = c.integration \
                     WHERE c.room = ?2 AND i.creator = ?1 ORDER BY at";
    LIST_OWN_REACTIONS = "SELECT m.id, r.emoji FROM reactions r \
                          JOIN messages m ON m.room = r.room AND m.seq = r.message_seq \
                          WHERE r.room = ?1 AND r.user = ?2 AND r.message_seq > ?3 \
                          AND r.message_seq <= ?4 ORDER BY r.message_seq, r.seq";
}
