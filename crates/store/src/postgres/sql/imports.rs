//! Rooms that come from files. Rows of one statement come as a JSON array.

macro_rules! here {
    () => {
        "SELECT u.id FROM users u WHERE u.id = ANY($1) AND u.erased_at IS NULL AND NOT EXISTS \
         (SELECT 1 FROM import_people p JOIN imports i ON i.room = p.room \
         WHERE p.user_id = u.id AND i.state <> 'finished')"
    };
}

statements! {
    LIST_REACTIONS = "SELECT r.message_seq, r.seq, r.emoji, u.id, u.username, u.display_name, u.kind, \
                      coalesce(e.at, m.created_at) FROM reactions r JOIN users u ON u.id = r.user_id \
                      JOIN messages m ON m.room = r.room AND m.seq = r.message_seq \
                      LEFT JOIN events e ON e.room = r.room AND e.seq = r.seq \
                      WHERE r.room = $1 AND r.message_seq BETWEEN $2 AND $4 \
                      AND (r.message_seq, r.seq) > ($2, $3) \
                      ORDER BY r.message_seq, r.seq LIMIT $5";
    INSERT_ROOM = "INSERT INTO rooms (id, slug, name, kind, topic, creator, created_at) \
                   VALUES ($1, $2, '', 'private', '', $3, $4) ON CONFLICT (id) DO NOTHING";
    BEGIN_IMPORT = "INSERT INTO imports (room, renewed_at) VALUES ($1, now_ms()) \
                    ON CONFLICT (room) DO NOTHING";
    /// Nobody else writes to the import, or takes it back, until the end of the transaction.
    LOCK = "SELECT parts FROM imports WHERE room = $1 AND state = 'reading' FOR UPDATE";
    FIND_STATE = "SELECT state FROM imports WHERE room = $1";
    LOCK_GIVEN_UP = "SELECT 1 FROM imports WHERE room = $1 AND state = 'given_up' FOR UPDATE";
    GIVE_UP = "UPDATE imports SET state = 'given_up' WHERE room = $1 AND state = 'reading'";
    NAME_TAKEN = "SELECT 1 FROM users WHERE lower(username) = lower($1 COLLATE \"C\") \
                  UNION ALL SELECT 1 FROM former_names WHERE name = lower($1 COLLATE \"C\") \
                  AND until > now_ms()";
    /// Those of some people who are here, and do not only come with a file that is not read to its
    /// end.
    LIST_HERE = here!();
    /// The same. Nobody erases or renames them until the end of the transaction.
    LOCK_HERE = concat!(here!(), " FOR SHARE OF u");
    /// Those of some people who have not come with this very file.
    LIST_OTHERS = "SELECT unnest($2::uuid[]) EXCEPT SELECT user_id FROM import_people WHERE room = $1";
    HAS_ERASED = "SELECT 1 FROM import_people p JOIN users u ON u.id = p.user_id \
                  WHERE p.room = $1 AND u.erased_at IS NOT NULL LIMIT 1";
    RENEW = "UPDATE imports SET parts = $2, renewed_at = now_ms() WHERE room = $1";
    NAMES_TAKEN = "SELECT 1 FROM users u JOIN unnest($1::text[]) AS n (name) \
                   ON lower(u.username) = n.name COLLATE \"C\" \
                   UNION ALL SELECT 1 FROM former_names f JOIN unnest($1::text[]) AS n (name) \
                   ON f.name = n.name WHERE f.until > now_ms()";
    INSERT_PEOPLE = "INSERT INTO users (id, username, display_name, kind, role, active, created_at) \
                     SELECT id, username, display_name, kind, 'user', false, at \
                     FROM json_to_recordset($1::text::json) AS n (id uuid, username text, \
                     display_name text, kind text, at bigint)";
    NOTE_PEOPLE = "INSERT INTO import_people (user_id, room) SELECT unnest($2::uuid[]), $1";
    INSERT_MESSAGES = "INSERT INTO messages (room, seq, id, sender, status, reply_to, thread, \
                       created_at, edited_at, redacted_at, bot_trigger, bot_provider, bot_model, \
                       prompt_tokens, completion_tokens, usage_estimated, error_code, error_detail, \
                       body, mentions, mentions_room, edits, emote, pinned_at, pinned_by, logged) \
                       SELECT $1, seq, id, sender, status, reply_to, thread, created_at, edited_at, \
                       redacted_at, bot_trigger, bot_provider, bot_model, prompt_tokens, \
                       completion_tokens, usage_estimated, error_code, error_detail, body, mentions, \
                       mentions_room, edits, emote, pinned_at, pinned_by, logged \
                       FROM json_to_recordset($2::text::json) AS n (seq bigint, id uuid, sender uuid, \
                       status text, reply_to uuid, thread uuid, created_at bigint, edited_at bigint, \
                       redacted_at bigint, bot_trigger uuid, bot_provider text, bot_model text, \
                       prompt_tokens bigint, completion_tokens bigint, usage_estimated boolean, \
                       error_code text, error_detail text, body text, mentions uuid[], \
                       mentions_room boolean, edits bigint, emote boolean, pinned_at bigint, \
                       pinned_by uuid, logged boolean)";
    INSERT_MENTIONS = "INSERT INTO mentions (room, user_id, seq, sender) \
                       SELECT $1, * FROM unnest($2::uuid[], $3::bigint[], $4::uuid[])";
    INSERT_REACTIONS = "INSERT INTO reactions (room, message_seq, emoji, user_id, seq) \
                        SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::uuid[], $5::bigint[])";
    BEFORE_MEMBERS = "SAVEPOINT members";
    WITHOUT_MEMBERS = "ROLLBACK TO SAVEPOINT members";
    FINISH = "UPDATE rooms SET slug = $2, name = $3, kind = $4, topic = $5, archived = $6, \
              settings = $7, created_at = $8, last_seq = $9, member_count = $10, \
              bots_mark = gen_random_uuid() WHERE id = $1";
    INSERT_MEMBERS = "INSERT INTO members (room, user_id, role, bot, joined_at, muted_until, \
                      mute_reason, read_seq) \
                      SELECT $1, user_id, role, bot, joined_at, muted_until, mute_reason, $3 \
                      FROM json_to_recordset($2::text::json) AS n (user_id uuid, role text, \
                      bot boolean, joined_at bigint, muted_until bigint, mute_reason text)";
    /// Whoever has written in the room may not be a member of it.
    NOTE_AUTHORS = "INSERT INTO past_members (user_id, room) SELECT unnest($2::uuid[]), $1 \
                    ON CONFLICT DO NOTHING";
    /// For one transaction.
    LET_STATEMENTS_TAKE = "SELECT set_config('statement_timeout', $1, true)";
    FINISH_IMPORT = "UPDATE imports SET state = 'finished' WHERE room = $1";
    FORGET_SOME_PEOPLE = "DELETE FROM import_people WHERE user_id = ANY(ARRAY( \
                          SELECT user_id FROM import_people WHERE room = $1 LIMIT $2))";
    END_IMPORT = "DELETE FROM imports WHERE room = $1 AND state = 'finished'";
    FORGET_SOME_AUTHORS = "DELETE FROM past_members WHERE room = $1 AND user_id = ANY(ARRAY( \
                           SELECT user_id FROM past_members WHERE room = $1 LIMIT $2))";
    LIST_SOME_PEOPLE = "SELECT user_id FROM import_people WHERE room = $1 LIMIT $2";
    FORGET_PEOPLE = "DELETE FROM import_people WHERE user_id = ANY($1)";
    /// Accounts that have done nothing, because they cannot log in, and that are in no room.
    DELETE_PEOPLE = "DELETE FROM users u WHERE u.id = ANY($1) AND NOT u.active \
                     AND u.password_hash IS NULL AND u.erased_at IS NULL \
                     AND NOT EXISTS (SELECT 1 FROM members m WHERE m.user_id = u.id) \
                     AND NOT EXISTS (SELECT 1 FROM past_members m WHERE m.user_id = u.id) \
                     AND NOT EXISTS (SELECT 1 FROM bots b WHERE b.user_id = u.id) \
                     AND NOT EXISTS (SELECT 1 FROM integrations i WHERE i.user_id = u.id) \
                     AND NOT EXISTS (SELECT 1 FROM former_names f WHERE f.user_id = u.id) \
                     AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.user_id = u.id) \
                     AND NOT EXISTS (SELECT 1 FROM personal_tokens t WHERE t.user_id = u.id) \
                     AND NOT EXISTS (SELECT 1 FROM attachments a WHERE a.owner = u.id)";
    LIST_IDLE = "SELECT room FROM imports WHERE state <> 'reading' OR renewed_at <= now_ms() - $1";
}
