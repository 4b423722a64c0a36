//! Memberships, bans and invites.

statements! {
    FIND = "SELECT role, muted_until FROM members WHERE room = $1 AND user_id = $2";
    FIND_ALL = "SELECT m.room, m.user_id, m.role, m.muted_until \
                FROM unnest($1::uuid[], $2::uuid[]) AS n (room, user_id) \
                JOIN members m ON m.room = n.room AND m.user_id = n.user_id";
    INSERT = "INSERT INTO members (room, user_id, role, bot, joined_at, read_seq) \
              VALUES ($1, $2, $3, $4, $5, $6)";
    INSERT_ALL = "INSERT INTO members (room, user_id, role, bot, joined_at, read_seq) \
                  SELECT $1, n.user_id, n.role, n.bot, $5, n.seq \
                  FROM unnest($2::uuid[], $3::text[], $4::boolean[], $6::bigint[]) \
                  AS n (user_id, role, bot, seq)";
    COUNT_UP = "UPDATE rooms SET member_count = member_count + 1 WHERE id = $1";
    COUNT_DOWN = "UPDATE rooms SET member_count = member_count - 1 WHERE id = $1";
    COUNT_DOWN_ALL = "UPDATE rooms SET member_count = member_count - 1 WHERE id = ANY($1)";
    DELETE = "DELETE FROM members WHERE room = $1 AND user_id = $2";
    SET_ROLE = "UPDATE members SET role = $3 WHERE room = $1 AND user_id = $2";
    SET_MUTE = "UPDATE members SET muted_until = $3, mute_reason = $4, muted_by = $5 \
                WHERE room = $1 AND user_id = $2";
    FIND_MUTE_REASON = "SELECT mute_reason FROM members WHERE room = $1 AND user_id = $2";
    /// Someone who may log in.
    HAS_OTHER_OWNER = "SELECT 1 FROM members m JOIN users u ON u.id = m.user_id \
                       WHERE m.room = $1 AND m.role = 'owner' AND m.user_id <> $2 AND u.active";
    COUNT_OWNED = "SELECT count(*) FROM members WHERE user_id = $1 AND role = 'owner'";
    LIST_ROOMS_OF = "SELECT room FROM members WHERE user_id = $1 ORDER BY room";
    LIST_ROOM_SIZES_OF_ALL = "SELECT m.user_id, m.room, r.member_count FROM members m \
                              JOIN rooms r ON r.id = m.room WHERE m.user_id = ANY($1) \
                              ORDER BY m.room";
    LIST = "SELECT u.id, u.username, u.display_name, u.kind, m.role, m.joined_at, m.muted_until, \
            m.mute_reason FROM members m JOIN users u ON u.id = m.user_id \
            WHERE m.room = $1 AND m.name > lower($2) COLLATE \"C\" ORDER BY m.name LIMIT $3";
    LIST_OTHERS = "SELECT u.id, u.username, u.display_name, u.kind, m.room \
                   FROM members m JOIN users u ON u.id = m.user_id \
                   WHERE m.room = ANY($1) AND u.id <> $2 ORDER BY lower(u.username)";
    /// Forward, and at most to the newest event.
    MOVE_READ_MARKER = "UPDATE members m SET read_seq = least($3, r.last_seq) FROM rooms r \
                        WHERE r.id = $1 AND m.room = r.id AND m.user_id = $2 \
                        AND m.read_seq < least($3, r.last_seq) RETURNING m.read_seq";
    FIND_READ_MARKER = "SELECT m.read_seq FROM members m JOIN rooms r ON r.id = m.room \
                        WHERE m.room = $1 AND m.user_id = $2 \
                        AND m.read_seq = least($3, r.last_seq)";
    FIND_BAN = "SELECT until, reason FROM bans WHERE room = $1 AND user_id = $2";
    BAN = "INSERT INTO bans (room, user_id, banned_by, banned_at, until, reason) \
           VALUES ($1, $2, $3, $4, $5, $6) \
           ON CONFLICT (room, user_id) DO UPDATE SET banned_by = excluded.banned_by, \
           banned_at = excluded.banned_at, until = excluded.until, reason = excluded.reason";
    UNBAN = "DELETE FROM bans WHERE room = $1 AND user_id = $2";
    INSERT_INVITE = "INSERT INTO invites (code, room, creator, created_at, expires_at, uses_left) \
                     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (code) DO NOTHING";
    FIND_INVITE = "SELECT room, expires_at, uses_left FROM invites \
                   WHERE code = $1 AND expires_at > $2 AND uses_left > 0";
    INVITE_IS_OF_ROOM = "SELECT 1 FROM invites WHERE code = $1 AND room = $2";
    USE_INVITE = "UPDATE invites SET uses_left = uses_left - 1 \
                  WHERE code = $1 AND room = $2 AND expires_at > $3 AND uses_left > 0";
    FORGET_INVITES = "DELETE FROM invites WHERE room = $1 AND (expires_at <= $2 OR uses_left = 0)";
}
