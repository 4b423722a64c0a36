//! Rooms that come from files.

macro_rules! now {
    () => {
        "CAST(round(unixepoch('subsec') * 1000) AS INTEGER)"
    };
}

statements! {
    LIST_REACTIONS = "SELECT r.message_seq, r.seq, r.emoji, u.id, u.username, u.display_name, u.kind, \
                      coalesce(e.at, m.created_at) FROM reactions r JOIN users u ON u.id = r.user \
                      JOIN messages m ON m.room = r.room AND m.seq = r.message_seq \
                      LEFT JOIN events e ON e.room = r.room AND e.seq = r.seq \
                      WHERE r.room = ?1 AND r.message_seq BETWEEN ?2 AND ?4 \
                      AND (r.message_seq, r.seq) > (?2, ?3) \
                      ORDER BY r.message_seq, r.seq LIMIT ?5";
    INSERT_ROOM = "INSERT INTO rooms (id, slug, name, kind, topic, creator, created_at) \
                   VALUES (?1, ?2, '', 'private', '', ?3, ?4)";
    BEGIN_IMPORT = concat!("INSERT INTO imports (room, renewed_at) VALUES (?1, ", now!(), ")");
    /// How much was written of an import that goes on.
    FIND_PARTS = "SELECT parts FROM imports WHERE room = ?1 AND state = 'reading'";
    FIND_STATE = "SELECT state FROM imports WHERE room = ?1";
    GIVE_UP = "UPDATE imports SET state = 'given_up' WHERE room = ?1 AND state = 'reading'";
    /// Of a former name it matters until when it is held.
    NAME_TAKEN = concat!(
        "SELECT 1 FROM users WHERE username = ?1 UNION ALL \
         SELECT 1 FROM former_names WHERE name = ?1 AND until > ", now!()
    );
    /// Someone who is here, and does not only come with a file that is not read to its end.
    IS_HERE = "SELECT 1 FROM users u WHERE u.id = ?1 AND u.erased_at IS NULL AND NOT EXISTS \
               (SELECT 1 FROM import_people p JOIN imports i ON i.room = p.room \
               WHERE p.user = u.id AND i.state <> 'finished')";
    HAS_ERASED = "SELECT 1 FROM import_people p JOIN users u ON u.id = p.user \
                  WHERE p.room = ?1 AND u.erased_at IS NOT NULL";
    RENEW = concat!("UPDATE imports SET parts = ?2, renewed_at = ", now!(), " WHERE room = ?1");
    INSERT_PERSON = "INSERT INTO users (id, username, display_name, kind, role, active, created_at) \
                     VALUES (?1, ?2, ?3, ?4, 'user', 0, ?5)";
    NOTE_PERSON = "INSERT INTO import_people (user, room) VALUES (?2, ?1)";
    INSERT_MESSAGE = "INSERT INTO messages (room, seq, id, sender, status, reply_to, thread, \
                      created_at, edited_at, redacted_at, bot_trigger, bot_provider, bot_model, \
                      prompt_tokens, completion_tokens, usage_estimated, error_code, error_detail, \
                      body, mentions, mentions_room, edits, emote, pinned_at, pinned_by) \
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, \
                      ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25)";
    /// Whether somebody has come with this very file, so that nobody but the file knows them.
    IS_OF_FILE = "SELECT 1 FROM import_people WHERE user = ?2 AND room = ?1";
    /// Somebody who is a member of the file already was made one by an earlier attempt.
    INSERT_MEMBER = "INSERT INTO members (room, user, role, bot, joined_at, muted_until, \
                     mute_reason, read_seq) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
                     ON CONFLICT (room, user) DO NOTHING";
    NOTE_STEP = concat!("UPDATE imports SET renewed_at = ", now!(), " WHERE room = ?1");
    FINISH = "UPDATE rooms SET slug = ?2, name = ?3, kind = ?4, topic = ?5, archived = ?6, \
              settings = ?7, created_at = ?8, last_seq = ?9, \
              member_count = (SELECT count(*) FROM members WHERE room = ?1) WHERE id = ?1";
    /// Whoever has written in the room may not be a member of it.
    NOTE_AUTHOR = "INSERT OR IGNORE INTO past_members (user, room) VALUES (?2, ?1)";
    FINISH_IMPORT = "UPDATE imports SET state = 'finished' WHERE room = ?1";
    FORGET_SOME_PEOPLE = "DELETE FROM import_people WHERE room = ?1 AND user IN \
                          (SELECT user FROM import_people WHERE room = ?1 LIMIT ?2)";
    END_IMPORT = "DELETE FROM imports WHERE room = ?1";
    DELETE_SOME_MEMBERS = "DELETE FROM members WHERE room = ?1 AND user IN \
                           (SELECT user FROM members WHERE room = ?1 LIMIT ?2)";
    DELETE_SOME_REACTIONS = "DELETE FROM reactions WHERE room = ?1 AND message_seq <= (SELECT \
                             max(message_seq) FROM (SELECT message_seq FROM reactions \
                             WHERE room = ?1 ORDER BY message_seq LIMIT ?2))";
    DELETE_SOME_MENTIONS = "DELETE FROM mentions WHERE room = ?1 AND seq <= (SELECT max(seq) FROM \
                            (SELECT seq FROM mentions WHERE room = ?1 ORDER BY seq LIMIT ?2))";
    DELETE_SOME_MESSAGES = "DELETE FROM messages WHERE room = ?1 AND seq <= (SELECT max(seq) FROM \
                            (SELECT seq FROM messages WHERE room = ?1 ORDER BY seq LIMIT ?2))";
    DELETE_SOME_EVENTS = "DELETE FROM events WHERE room = ?1 AND seq <= (SELECT max(seq) FROM \
                          (SELECT seq FROM events WHERE room = ?1 ORDER BY seq LIMIT ?2))";
    FORGET_SOME_AUTHORS = "DELETE FROM past_members WHERE room = ?1 AND user IN \
                           (SELECT user FROM past_members WHERE room = ?1 LIMIT ?2)";
    HAS_PEOPLE = "SELECT 1 FROM import_people WHERE room = ?1";
    LIST_SOME_PEOPLE = "SELECT user FROM import_people WHERE room = ?1 LIMIT ?2";
    FORGET_PERSON = "DELETE FROM import_people WHERE user = ?1";
    DELETE_BANS = "DELETE FROM bans WHERE user = ?1";
    /// An account that has done nothing, because it cannot log in, and that is in no room.
    DELETE_PERSON = "DELETE FROM users WHERE id = ?1 AND active = 0 AND password_hash IS NULL \
                     AND erased_at IS NULL \
                     AND NOT EXISTS (SELECT 1 FROM members m WHERE m.user = users.id) \
                     AND NOT EXISTS (SELECT 1 FROM past_members m WHERE m.user = users.id) \
                     AND NOT EXISTS (SELECT 1 FROM bots b WHERE b.user = users.id) \
                     AND NOT EXISTS (SELECT 1 FROM integrations i WHERE i.user = users.id) \
                     AND NOT EXISTS (SELECT 1 FROM former_names f WHERE f.user = users.id) \
                     AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.user = users.id) \
                     AND NOT EXISTS (SELECT 1 FROM personal_tokens t WHERE t.user = users.id) \
                     AND NOT EXISTS (SELECT 1 FROM attachments a WHERE a.owner = users.id)";
    LIST_IDLE = concat!("SELECT room FROM imports WHERE state <> 'reading' OR renewed_at <= ", now!(), " - ?1");
}
