//! The log, its messages and reactions.

macro_rules! message {
    () => {
        "m.id, m.room, m.seq, u.id, u.username, u.display_name, u.kind, m.client_id, m.body, \
         m.status, m.reply_to, m.thread, m.created_at, m.edited_at, m.redacted_at, m.bot_trigger, \
         m.bot_provider, m.bot_model, m.prompt_tokens, m.completion_tokens, m.usage_estimated, \
         m.error_code, m.error_detail, m.mentions, m.mentions_room, m.edits, m.pinned_at, \
         p.id, p.username, p.display_name, p.kind, m.emote FROM messages m \
         JOIN users u ON u.id = m.sender LEFT JOIN users p ON p.id = m.pinned_by"
    };
}

macro_rules! event {
    () => {
        "e.room, e.seq, e.at, e.type, e.data, a.id, a.username, a.display_name, a.kind, \
         s.id, s.username, s.display_name, s.kind FROM events e \
         LEFT JOIN users a ON a.id = e.actor LEFT JOIN users s ON s.id = e.subject"
    };
}

statements! {
    INSERT_EVENT = "INSERT INTO events (room, seq, at, type, actor, subject, message, data) \
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    LIST_EVENTS = concat!(
        "SELECT ", event!(), " WHERE e.room = ?1 AND e.seq > ?2 ORDER BY e.seq LIMIT ?3"
    );
    FIND_EVENT = concat!("SELECT ", event!(), " WHERE e.room = ?1 AND e.seq = ?2");
    REDACT_EVENTS = "UPDATE events SET data = json_remove(json_set(data, '$.body', ''), \
                     '$.mentions', '$.mentions_room', '$.attachments') WHERE message = ?1 AND type IN \
                     ('message.created', 'message.edited', 'message.completed')";
    DELETE_EVENTS = "DELETE FROM events WHERE room = ?1";
    INSERT = "INSERT INTO messages (room, seq, id, sender, client_id, status, reply_to, thread, \
              created_at, hops, bot_trigger, bot_provider, bot_model, body, mentions, mentions_room, emote) \
              VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";
    FIND = concat!("SELECT ", message!(), " WHERE m.id = ?1 AND m.room = ?2");
    FIND_BY_SEQ = concat!("SELECT ", message!(), " WHERE m.room = ?1 AND m.seq = ?2");
    /// What deciding about a message needs.
    FIND_FACTS = "SELECT seq, sender, status, redacted_at, hops, body, thread, \
                  mentions IS NOT NULL OR mentions_room, pinned_at IS NOT NULL FROM messages \
                  WHERE id = ?1 AND room = ?2";
    FIND_END = "SELECT seq FROM events WHERE message = ?1 AND type = 'message.completed'";
    FIND_THREAD = "SELECT thread FROM messages WHERE id = ?1 AND room = ?2";
    FIND_FIRST_OF_CLIENT = "SELECT seq FROM messages \
                            WHERE room = ?1 AND sender = ?2 AND client_id = ?3";
    /// Ids are unique in the whole store.
    FIND_OWNER = "SELECT room, sender, seq FROM messages WHERE id = ?1";
    LIST_BEFORE = concat!(
        "SELECT ", message!(), " WHERE m.room = ?1 AND m.seq < ?2 ORDER BY m.seq DESC LIMIT ?3"
    );
    LIST_AFTER = concat!(
        "SELECT ", message!(), " WHERE m.room = ?1 AND m.seq > ?2 ORDER BY m.seq LIMIT ?3"
    );
    LIST_FROM = concat!(
        "SELECT ", message!(), " WHERE m.room = ?1 AND m.seq >= ?2 ORDER BY m.seq LIMIT ?3"
    );
    LIST_OFFSET = concat!(
        "SELECT ", message!(), " WHERE m.room = ?1 ORDER BY m.seq DESC LIMIT ?3 OFFSET ?2"
    );
    LIST_OWN = concat!(
        "SELECT ", message!(), " WHERE m.room = ?1 AND m.sender = ?2 AND m.seq > ?3 \
         AND m.seq <= ?4 ORDER BY m.seq LIMIT ?5"
    );
    LIST_REPLIES = concat!(
        "SELECT ", message!(), " WHERE m.bot_trigger = ?1 AND m.room = ?2 ORDER BY m.seq"
    );
    LIST_THREAD_BEFORE = concat!(
        "SELECT ", message!(), " WHERE m.thread = ?4 AND m.room = ?1 AND m.seq < ?2 \
         ORDER BY m.seq DESC LIMIT ?3"
    );
    LIST_THREAD_AFTER = concat!(
        "SELECT ", message!(), " WHERE m.thread = ?4 AND m.room = ?1 AND m.seq > ?2 \
         ORDER BY m.seq LIMIT ?3"
    );
    LIST_PINNED = concat!(
        "SELECT ", message!(), " WHERE m.room = ?1 AND m.pinned_at IS NOT NULL"
    );
    EDIT = "UPDATE messages SET body = ?3, edited_at = ?4, edits = edits + 1, mentions = ?5, \
            mentions_room = ?6 WHERE room = ?1 AND seq = ?2";
    REDACT = "UPDATE messages SET body = '', redacted_at = ?3, mentions = NULL, mentions_room = 0, \
              pinned_at = NULL, pinned_by = NULL WHERE room = ?1 AND seq = ?2";
    COMPLETE = "UPDATE messages SET body = ?3, status = ?4, prompt_tokens = ?5, \
                completion_tokens = ?6, usage_estimated = ?7, error_code = ?8, error_detail = ?9, \
                bot_provider = ?10, bot_model = ?11 WHERE room = ?1 AND seq = ?2";
    INTERRUPT = "UPDATE messages SET body = ?3, status = ?4, prompt_tokens = 0, \
                 completion_tokens = 0, usage_estimated = 1 WHERE room = ?1 AND seq = ?2";
    DELETE_ALL = "DELETE FROM messages WHERE room = ?1";
    LIST_REACTIONS_AT = "SELECT r.message_seq, r.emoji, u.username FROM reactions r \
                      JOIN users u ON u.id = r.user \
                      WHERE r.room = ?1 AND r.message_seq = ?2 ORDER BY r.seq";
    HAS_REACTION = "SELECT 1 FROM reactions WHERE room = ?1 AND message_seq = ?2 AND emoji = ?3 \
                    AND user = ?4";
    HAS_EMOJI = "SELECT 1 FROM reactions WHERE room = ?1 AND message_seq = ?2 AND emoji = ?3";
    COUNT_EMOJI = "SELECT count(DISTINCT emoji) FROM reactions WHERE room = ?1 AND message_seq = ?2";
    INSERT_REACTION = "INSERT INTO reactions (room, message_seq, emoji, user, seq) \
                       VALUES (?1, ?2, ?3, ?4, ?5)";
    DELETE_REACTION = "DELETE FROM reactions WHERE room = ?1 AND message_seq = ?2 AND emoji = ?3 \
                       AND user = ?4";
    DELETE_REACTIONS = "DELETE FROM reactions WHERE room = ?1";
}
