//! Messages of people, many at once.

statements! {
    LIST_KINDS = "SELECT id, kind FROM users WHERE id = ANY ($1)";
    /// The bots that can be called in some rooms, each with the mark of its room: one statement, so
    /// that they belong together.
    LIST_ROOM_BOTS = "SELECT r.id, r.bots_mark, r.kind, u.id, u.username, u.display_name, u.kind, \
                      b.trigger, r.settings FROM rooms r LEFT JOIN (members m JOIN bots b \
                      ON b.user_id = m.user_id JOIN users u ON u.id = m.user_id AND u.active) \
                      ON m.room = r.id AND m.bot WHERE r.id = ANY ($1) \
                      ORDER BY r.id, lower(u.username)";
    APPEND = "SELECT * FROM append_messages_with_mentions($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, \
              $11, $12, $13, $14, $15, $16, $17, $18)";
    /// The transaction's own name, by which its fate can be asked for later.
    XID = "SELECT pg_current_xact_id()::text";
    FATE = "SELECT pg_xact_status($1::text::xid8)";
    HAS_MARK = "SELECT 1 FROM commit_log WHERE xid = $1::text::xid8 AND mark = $2";
}
